"""The same person, the same new face, in every photo of a folder: an album and its people.

Faces are grouped by HDBSCAN (Campello, Moulavi and Sander 2013). It finds what is denser than the rest,
so an album of one person would have no group: some strangers of the reference population are put among
the faces. Groups are then filtered, because two people with one new face would be worse than one person
with two: at most one face a photo, and all within a maximum distance of the mean.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
from collections.abc import Sequence
from dataclasses import astuple, replace
from pathlib import Path

import numpy as np
import torch
from cryptography.fernet import Fernet, InvalidToken
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from ..errors import AnonlabError, InputDamaged
from ..files import atomic_path
from ..identity.population import Attributes, Population
from ..images import FACE_SIZE
from ..perception.perception import AlignedFace
from ..photo.detection import Detector
from ..photo.faces import Face, align
from ..photo.photos import Photo, read_photo
from ..pipeline import Anonymizer

# Share of the recogniser's threshold within which a face is of a person. On 741 photos of 273 people
# (Labeled Faces in the Wild, Face Research Lab London Set): 96 % of the pairs in a group are of one
# person, 93 % of the pairs of one person are in a group. Of albums of one person with three photos all
# twelve are one group with 100 strangers among them, none without.
NEAR = 2 / 3
STRANGERS = 100
NONE = torch.empty(0)  # the picture of a face of which only numbers are kept


class Album:
    """Keep the new faces of people the same from photo to photo.

    Its `people` are means of the faces of a person as first seen, without a picture: later photos join,
    and change nothing. `known` is for the `Anonymizer`: `anonymizer(photo, known=album.known)`.
    """

    def __init__(self, people: list[AlignedFace], threshold: float, population: Population):
        self.people, self.threshold = people, threshold
        self.strangers = population.embeddings[:STRANGERS]

    @classmethod
    def open(cls, path: Path, key: bytes, anonymizer: Anonymizer) -> Album:
        """Open the album in a file, or an empty one, for the recogniser of the `anonymizer`. Raises
        `InputDamaged`, also for another key."""
        people = []
        if path.is_file():
            try:
                for one in json.loads(_cipher(key).decrypt(path.read_bytes()))["people"]:
                    embedding = torch.tensor([one["embedding"]])
                    people.append(AlignedFace(NONE, embedding, Attributes(*one["attributes"])))
            except (InvalidToken, ValueError, KeyError, TypeError):
                raise InputDamaged(
                    f"{path} cannot be read with this key; use its own, or choose another output folder"
                ) from None
        return cls(people, anonymizer.recognizer.threshold, anonymizer.population)

    def save(self, path: Path, key: bytes) -> None:
        """Write all people, encrypted: a recogniser knows a person from the mean embedding. Raises
        `OutputNotWritable`."""
        rows = [
            {"embedding": one.embedding[0].tolist(), "attributes": astuple(one.attributes)}
            for one in self.people
        ]
        with atomic_path(path) as partial:
            partial.write_bytes(_cipher(key).encrypt(json.dumps({"people": rows}).encode()))

    def add(self, photos: Sequence[Sequence[AlignedFace]]) -> None:
        """Add the people of each photo's faces who are not in the album yet."""
        new, numbers = [], []
        for number, faces in enumerate(photos):
            strangers = [face for face in faces if self.nearest(face.embedding) is None]
            new += strangers
            numbers += [number] * len(strangers)
        if not new:
            return
        embeddings = torch.cat([face.embedding.cpu() for face in new])
        for members in group(embeddings, numbers, self.threshold, self.strangers):
            mean = Attributes(*np.mean([astuple(new[one].attributes) for one in members], 0).tolist())
            self.people.append(AlignedFace(NONE, embeddings[members].mean(0, keepdim=True), mean))

    def nearest(self, embedding: torch.Tensor) -> AlignedFace | None:
        """Find the person of a face with `embedding (1, dim)`; None for a stranger."""
        if not self.people:
            return None
        away = (torch.cat([one.embedding for one in self.people]) - embedding.cpu()).norm(dim=1)
        best = int(away.argmin())
        return self.people[best] if away[best] < NEAR * self.threshold else None

    def known(self, face: AlignedFace) -> AlignedFace:
        """Give a face the embedding and attributes of its person; a stranger's stays as it is."""
        person = self.nearest(face.embedding) or face
        embedding = person.embedding.to(face.embedding)
        return replace(face, embedding=embedding, attributes=person.attributes)


def faces_in(anonymizer: Anonymizer, source: Path) -> list[AlignedFace]:
    """Read every face of a photo, without its picture; one that is cut off by the frame is left out.
    Raises `UnreadableImage` or `NoFaceFound`."""
    photo, faces = read_photo(source), []
    for face in anonymizer.detector(photo):
        with contextlib.suppress(AnonlabError):
            found = anonymizer.analyze(align(photo, face, FACE_SIZE).to(anonymizer.device))
            faces.append(replace(found, image=NONE))
    return faces


def group(
    embeddings: torch.Tensor, photos: list[int], threshold: float, strangers: torch.Tensor
) -> list[list[int]]:
    """Group the faces `embeddings (N, dim)` by person; returns the numbers in each group. `photos` says
    in which photo each face is, and `strangers (M, dim)` are of people outside the album."""
    from sklearn.cluster import HDBSCAN  # a second that only albums take

    every = torch.cat([embeddings.cpu(), strangers.cpu()]).numpy()
    method = HDBSCAN(min_cluster_size=2, min_samples=1, cluster_selection_method="leaf", copy=True)
    labels = method.fit_predict(every)[: len(embeddings)]
    groups: list[list[int]] = []
    for label in sorted(set(labels.tolist()) - {-1}):
        members = np.flatnonzero(labels == label).tolist()
        away = (embeddings[members] - embeddings[members].mean(0)).norm(dim=1)
        taken: dict[int, int] = {}
        for distance, member in sorted(zip(away.tolist(), members, strict=True)):
            if distance < NEAR * threshold:
                taken.setdefault(photos[member], member)
        groups.append(sorted(taken.values()))
    alone = {*range(len(embeddings))}.difference(*groups)
    return sorted([members for members in groups if members] + [[row] for row in alone])


def _cipher(key: bytes) -> Fernet:
    """Build a cipher, AES and HMAC, with a key derived from the user's by HKDF (RFC 5869)."""
    derived = HKDF(SHA256(), 32, salt=None, info=b"anonlab album").derive(key)
    return Fernet(base64.urlsafe_b64encode(derived))


class RememberingDetector:
    """Search each photo, by the hash of its pixels, once: an album goes through its photos twice."""

    def __init__(self, detector: Detector):
        self.detector = detector
        self.faces: dict[bytes, list[Face]] = {}

    def __call__(self, photo: Photo) -> list[Face]:
        """Find every face, largest first. Raises `NoFaceFound` when there is none."""
        name = hashlib.sha256(str(photo.size).encode() + photo.pixels.tobytes()).digest()
        if name not in self.faces:
            self.faces[name] = self.detector(photo)
        return list(self.faces[name])

    def __getattr__(self, name: str) -> object:
        return getattr(self.detector, name)
