"""The three stages as one call: `Anonymizer.load()(photo)`."""

from __future__ import annotations

import contextlib
import math
import os
import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
import torch
from PIL import Image
from tqdm.auto import tqdm

from .checking import MAX_TURN, NEAR, Attempt, cover_face, measure_again, refused
from .controls import FALLBACKS, Controls, make_controls
from .errors import FaceTurnedAway, NoFaceFound, StillRecognised, UnknownOption
from .generators import Generator
from .identity.population import Attributes, Population
from .identity.virtual import IdentityPath, identity_path
from .loading import load_parts, natural_start
from .perception.masks import build_mask
from .perception.perception import Perception
from .perception.regions import share_of_face, whole_face
from .photo.detection import Detector
from .photo.faces import JUDGED, Face, align, paste
from .photo.grain import match_grain
from .photo.photos import Photo, read_photo
from .recognizers import Recognizer, matches
from .recognizers.perceptual import PerceptualDistance
from .regeneration.regenerate import Regenerator
from .results import FaceResult, LeftFace, Result
from .selection import Selection

ATTEMPTS = 3  # the first, and two with more area, of which the last is refined
FURTHER = 1.5  # times as far as usual from the person do the later ones aim

Watch = Callable[[str, float], None]  # what is being done, and which share of the work is done


@dataclass(frozen=True)
class AlignedFace:
    """One aligned face and what is read from it once, whatever is then made of it."""

    image: torch.Tensor  # (1, 3, S, S)
    embedding: torch.Tensor  # (1, dim)
    attributes: Attributes


Known = Callable[[AlignedFace], AlignedFace]  # a face as seen, to the person as known from elsewhere


class Anonymizer:
    """Perception, regeneration and compositing with one set of pretrained parts.

    Load it once and call it often. `key` is the user's secret: with the same key and seed a
    person gets the same new face in every photo. Without one a key is drawn that lives as long as
    this object. `replace` gives the same with another part.
    """

    def __init__(
        self,
        detector: Detector,
        regenerator: Regenerator,
        population: Population,
        perception: Callable[..., torch.Tensor] | None = None,
        key: bytes | None = None,
        device: torch.device | str = "cpu",
    ):
        self.detector, self.regenerator, self.population = detector, regenerator, population
        self.perception = perception or Perception(
            regenerator.recognizer, population, guides=regenerator.guides
        )
        self.key = key if key is not None else secrets.token_bytes(32)
        self.device = torch.device(device)

    @property
    def generator(self) -> Generator:
        """What makes the pictures."""
        return self.regenerator.generator

    @property
    def recognizer(self) -> Recognizer:
        """The guide: it finds the mask, names the identity and checks the result."""
        return self.regenerator.recognizer

    @property
    def perceptual(self) -> PerceptualDistance:
        """How different two faces look, in the losses."""
        return self.regenerator.perceptual

    @classmethod
    def load(
        cls,
        generator: str = "mobile",
        method: str = "auto",
        device: str = "auto",
        key: bytes | None = None,
        generator_path: str | os.PathLike | None = None,
        guides: Sequence[Recognizer] = (),
    ) -> Anonymizer:
        """With pretrained parts by name. `device` is `auto`, `cpu` or `cuda`; `generator_path` is the
        weights file of `stylegan2`.

        `method` is `encode` (one pass of the trained encoder, corrected by what its picture lacks),
        `optimize` (latent optimisation from the linear start, a minute) or `one-pass` (the linear start
        as it is, coarser). `auto` is `encode` where there is an encoder for the generator, else
        `optimize`. `guides` are further recognisers that a face must not be matched by: what they look
        at joins the mask, optimisation moves away from them too, and a face that one of them still
        matches is tried again. Raises `UnknownOption`,
        `DeviceUnavailable`, `WeightsMissing`, `WeightsCorrupt` or `WeightsMismatch`.
        """
        return cls(**load_parts(generator, method, device, generator_path, guides), key=key)

    def replace(self, **parts: Any) -> Anonymizer:
        """The same anonymizer with other parts: `detector`, `perception`, `population`, `key`, a whole
        `regenerator`, or one of its parts (`generator`, `recognizer`, `perceptual`, `start`,
        `refine_steps`, `config`, `guides`).

        A new generator brings its own start unless one is given: the linear one if it made the
        population, else the average. Raises `UnknownOption` for a part that does not exist.
        """
        own = ("detector", "regenerator", "perception", "population", "key")
        inner = [one.name for one in fields(Regenerator)]
        unknown = sorted(set(parts) - {*own, *inner})
        if unknown:
            raise UnknownOption(
                f"part {', '.join(unknown)} does not exist; choose from: {', '.join((*own, *inner))}"
            )
        changes = {name: value for name, value in parts.items() if name in inner}
        made = changes.get("generator", self.generator)
        if "start" not in changes and made is not self.generator:
            changes["start"] = natural_start(made, self.population)
        kept = {name: getattr(self, name) for name in own}
        if {"recognizer", "population", "guides"} & set(parts):
            kept["perception"] = None  # it is made of these
        kept |= {name: value for name, value in parts.items() if name in own}
        kept["regenerator"] = replace(kept["regenerator"], **changes)
        return Anonymizer(device=self.device, **kept)

    def __call__(
        self,
        image: str | os.PathLike | Image.Image | np.ndarray,
        controls: Controls | None = None,
        *,
        faces: Selection | str | Sequence[int] = "all",
        fallback: str = "none",
        known: Known | None = None,
        verify: bool = True,
        progress: bool = False,
        watch: Watch = lambda _, __: None,
        **changes: Any,
    ) -> Result:
        """Anonymize a photo: a path, a PIL image or an `(H, W, 3)` uint8 array.

        `controls`, or its fields as keywords. With `verify` a face that the recogniser still
        matches, or nearly, is tried again with more area and full strength, and `StillRecognised` is
        raised when it still matches then; without, the result says `matched` and the caller decides.
        `faces` is `all`, `largest`, numbers, of which the largest face has 1, or a `Selection`.
        `fallback` is what is done with a face that cannot be generated (too much of it beyond the
        frame, turned too far, still recognised): `blur` or `pixels` cover it, and the result says so;
        `none` raises. `known` may say of a face who it is, from more than this one photo: the virtual
        identity is that of who it returns. `watch` is told between the steps what comes next and which
        share of the work is done; what it raises ends the work.
        Raises `UnreadableImage`, `NoFaceFound`, `FaceTurnedAway`, `StillRecognised`, `UnknownOption`.
        """
        selection = faces if isinstance(faces, Selection) else Selection(faces)
        if fallback not in FALLBACKS:
            raise UnknownOption(
                f"fallback {fallback!r} does not exist; choose from: {', '.join(FALLBACKS)}"
            )
        wanted = make_controls((vars(controls) if controls else {}) | changes)
        photo = read_photo(image)
        watch("finding faces", 0.0)
        found = self.detector(photo)
        chosen = selection.numbers(found, photo.name)
        result = Result(photo.image(photo.pixels), icc_profile=photo.icc_profile)
        current, done = photo, 0

        def watch_face(doing: str, share: float) -> None:
            which = f"face {done + 1} of {len(chosen)}: " if len(chosen) > 1 else ""
            watch(which + doing, (done + share) / len(chosen))

        for number, face in enumerate(found, 1):
            if number not in chosen:
                result.left.append(LeftFace(number, face.box))
        result.left.extend(self.left(photo, {number: found[number - 1] for number in chosen}, selection))
        stays = {one.number for one in result.left}
        chosen = [number for number in chosen if number not in stays]
        for number in tqdm(chosen, desc=photo.name, unit="face", disable=not progress):
            face = found[number - 1]
            try:
                watch_face("finding the mask", 0.05)
                if verify and face.turn > MAX_TURN:
                    raise FaceTurnedAway(
                        f"{photo.name} shows a face at {[round(side) for side in face.box]} that is "
                        f"turned too far away; choose a fallback that covers it"
                    )
                looked = self.look(align(photo, face, face.own_size).to(self.device))
                who = known(looked) if known else looked
                made, pixels = self._one_face(
                    current, face, looked, who, wanted, verify, progress, watch_face
                )
                result.faces.append(replace(made, number=number))
            except (FaceTurnedAway, NoFaceFound, StillRecognised) as error:
                if fallback == "none":
                    raise
                covered, pixels = cover_face(self.recognizer, current, photo, face, fallback)
                result.covered.append(replace(covered, number=number, reason=str(error)))
            current = replace(current, pixels=pixels)
            done += 1
        return replace(result, image=photo.image(current.pixels))

    def left(self, photo: Photo, faces: Mapping[int, Face], selection: Selection) -> list[LeftFace]:
        """Find the `faces`, by number, that a `selection` leaves alone by who they are.

        Small, truncated and turned faces are not left: who they show is uncertain.
        """
        if selection.leave is None and selection.only is None:
            return []
        numbers, seen = [], [torch.empty(0, self.recognizer.dim, device=self.device)]
        for number, face in faces.items():
            with contextlib.suppress(NoFaceFound):
                if face.turn <= MAX_TURN and face.area >= JUDGED**2:
                    image = align(photo, face, face.own_size).to(self.device)
                    seen.append(self.look(image).embedding)
                    numbers.append(number)
        stay = selection.left(self.recognizer, self.population, torch.cat(seen))
        return [
            LeftFace(
                numbers[index],
                faces[numbers[index]].box,
                None if reference is None else selection.name(reference),
                near,
            )
            for index, (reference, near) in stay.items()
        ]

    def _one_face(
        self,
        photo: Photo,
        found: Face,
        face: AlignedFace,
        who: AlignedFace,
        wanted: Controls,
        verify: bool,
        progress: bool,
        watch: Watch,
    ) -> tuple[FaceResult, np.ndarray]:
        start = time.monotonic()
        attribution = self.perception(face.image, wanted.perception)
        with torch.no_grad():
            points = self.perception.landmarks(face.image)
        controls, best = wanted, None
        for number in range(1, ATTEMPTS + 1):
            mask = build_mask(attribution, controls, points, face.image.shape[-1])
            again = f"attempt {number} of {ATTEMPTS}: " if number > 1 else ""
            watch(f"{again}making the new face", 0.3)

            def watch_steps(done: float, again: str = again) -> None:
                watch(f"{again}refining the new face", 0.3 + 0.5 * done)

            made = self.regenerate(
                replace(who, image=face.image), mask, controls, progress, watch=watch_steps,
                further=FURTHER if number > 1 else 1.0,
            )  # fmt: skip
            watch(f"{again}measuring the finished photo", 0.85)
            tried = self._measured(photo, found, face, mask, made, controls, number)
            if (tried.sound or not verify) and (best is None or tried.distance > best.distance):
                best = tried
            if best is not None and (number > 1 or not verify or not self._near(tried)):
                break
            controls = tried.harder(optimise=number > 1 and not self.regenerator.refine_steps)
        if best is None:
            raise refused(tried, photo, found)
        ws, generated, anonymized = best.made
        result = FaceResult(
            box=found.box,
            attribution=attribution.cpu(),
            mask=best.mask.cpu(),
            share_of_face=share_of_face(best.mask, whole_face(points).to(best.mask)),
            aligned=face.image.cpu(),
            generated=generated.cpu(),
            anonymized=anonymized.cpu(),
            ws=ws.cpu(),
            distance=best.distance,
            threshold=self.recognizer.threshold,
            matched=best.matched,
            controls=best.controls,
            attempts=best.number,
            seconds=time.monotonic() - start,
        )
        return result, best.pixels

    def _measured(
        self,
        photo: Photo,
        found: Face,
        face: AlignedFace,
        mask: torch.Tensor,
        made: tuple[torch.Tensor, torch.Tensor, torch.Tensor],
        controls: Controls,
        number: int,
    ) -> Attempt:
        """The new face pasted into the photo, and what is seen there."""
        pixels = paste(photo, found, made[2].cpu(), mask.cpu())
        pixels = match_grain(photo.pixels, pixels, np.random.default_rng(controls.seed))
        after, drift, seen = measure_again(
            self.detector, self.recognizer, replace(photo, pixels=pixels), found, face.embedding
        )
        matched = after is not None and after < self.recognizer.threshold
        matched |= seen is not None and self._guides_match(face.image, seen)
        away = math.nan if after is None else after
        return Attempt(number, controls, mask, made, pixels, away, drift, matched)

    def _near(self, tried: Attempt) -> bool:
        """Whether one pass all the way to the virtual identity ended so near to the person that other
        recognisers may know them."""
        asked = tried.controls
        whole = asked.strength == 1 and asked.target_distance is None
        one_pass = not (self.regenerator.refine_steps or asked.refine_steps)
        return whole and one_pass and tried.distance < NEAR * self.recognizer.threshold

    @torch.no_grad()
    def _guides_match(self, before: torch.Tensor, after: torch.Tensor) -> bool:
        """Whether one of the guides takes two aligned faces for one person."""
        return any(
            bool(matches(one, one.embed(after), one.embed(before))) for one in self.regenerator.guides
        )

    @torch.no_grad()
    def look(self, image: torch.Tensor) -> AlignedFace:
        """Who an aligned `image (1, 3, S, S)` shows: embedding and attributes."""
        embedding = self.recognizer.embed(image)
        return AlignedFace(image, embedding, self.population.attributes(embedding, image))

    def path(self, face: AlignedFace, controls: Controls = Controls()) -> IdentityPath:
        """The way from a person to the virtual identity that key, seed and `keep` give."""
        return identity_path(
            self.population, face.embedding, face.attributes, self.key, controls.seed, controls.keep
        )

    def regenerate(
        self,
        face: AlignedFace,
        mask: torch.Tensor,
        controls: Controls = Controls(),
        progress: bool = False,
        watch: Callable[[float], None] = lambda _: None,
        further: float = 1.0,
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Stages 2 and 3 on one aligned face: codes, the generated picture and the composite, both
        of the face's size. The start aims `further` times as far as usual."""
        path = self.path(face, controls)
        ws = self.regenerator.codes(face.image, mask, path, controls, progress, watch, further)
        return ws, *self.regenerator.pictures(ws, face.image, mask, own_eyes=controls.own_eyes)

    def recognise(self, photos: Sequence[str | os.PathLike | Image.Image]) -> torch.Tensor:
        """Embeddings `(N, dim)` of the largest face of each photo, for a `Selection`. Raises
        `UnreadableImage`, `NoFaceFound`."""
        found = []
        for one in photos:
            photo = read_photo(one)
            face = self.detector(photo)[0]
            found.append(self.look(align(photo, face, face.own_size).to(self.device)).embedding)
        return torch.cat(found)
