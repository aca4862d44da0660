"""An album: its people, found in its photos, and who a face in a photo is."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import astuple, replace
from pathlib import Path

import torch
from tqdm.auto import tqdm

from ..errors import AnonlabError
from ..identity.population import Attributes, Population
from ..photo.faces import align
from ..photo.photos import read_photo
from ..pipeline import AlignedFace, Anonymizer
from .people import STRANGERS, Person, group, nearest
from .store import read_people, write_people

SIZE = 256  # pixels of an aligned face, for embedding and attributes


class Album:
    """People whose new faces do not change from photo to photo.

    `known` is for the `Anonymizer`: `anonymizer(photo, known=album.known)`.
    """

    def __init__(self, people: list[Person], threshold: float, population: Population):
        self.people, self.threshold = people, threshold
        self.strangers = population.embeddings[:STRANGERS]

    @classmethod
    def open(cls, path: Path, key: bytes, anonymizer: Anonymizer) -> Album:
        """The album in a file, or an empty one, for the recogniser of the `anonymizer`. Raises
        `InputDamaged`."""
        threshold = anonymizer.recognizer.threshold
        return cls(read_people(path, key), threshold, anonymizer.population)

    def save(self, path: Path, key: bytes) -> None:
        """Raises `OutputNotWritable`."""
        write_people(path, self.people, key)

    def look(self, anonymizer: Anonymizer, photos: Sequence[Path], progress: bool = False) -> int:
        """Find the people in `photos`; new ones join the album. Returns how many faces there are.

        Photos that cannot be read and faces that cannot be aligned are passed over: the run that
        anonymizes them next says why.
        """
        seen: list[AlignedFace] = []
        where: list[int] = []
        for number, path in enumerate(tqdm(photos, "who is there", unit="photo", disable=not progress)):
            with contextlib.suppress(Exception):  # whatever it is, the other photos are still looked at
                photo = read_photo(path)
                for face in anonymizer.detector(photo):
                    with contextlib.suppress(AnonlabError):  # too much of it is beyond the frame
                        image = align(photo, face, SIZE).to(anonymizer.device)
                        looked = anonymizer.look(image)
                        kept = replace(looked, image=torch.empty(0), embedding=looked.embedding.cpu())
                        seen.append(kept)
                        where.append(number)
        self._add(seen, where)
        return len(seen)

    def _add(self, seen: list[AlignedFace], where: list[int]) -> None:
        """Faces of people who are not in the album yet."""
        new = [
            number
            for number, face in enumerate(seen)
            if nearest(self.people, face.embedding, self.threshold) is None
        ]
        if not new:
            return
        embeddings = torch.cat([seen[number].embedding for number in new])
        photos = [where[number] for number in new]
        for members in group(embeddings, photos, self.threshold, self.strangers):
            faces = [seen[new[member]] for member in members]
            rows = zip(*(astuple(face.attributes) for face in faces), strict=True)
            attributes = Attributes(*(sum(row) / len(faces) for row in rows))
            mean = embeddings[members].mean(0, keepdim=True)
            self.people.append(Person(mean, attributes, len(faces)))

    def known(self, face: AlignedFace) -> AlignedFace:
        """A face as who it is in the album; as it is where it is nobody's."""
        person = nearest(self.people, face.embedding, self.threshold)
        if person is None:
            return face
        embedding = person.embedding.to(face.embedding)
        return replace(face, embedding=embedding, attributes=person.attributes)
