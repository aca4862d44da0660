"""The three stages as one call: `Anonymizer.load()(photo)`."""

from __future__ import annotations

import math
import os
import secrets
import time
from collections.abc import Callable, Sequence
from dataclasses import fields, replace
from functools import partial
from typing import Any

import numpy as np
import torch
from PIL import Image

from .checking import (
    ATTEMPTS,
    OVERSHOOT,
    REFINED,
    acceptable,
    check_turn,
    cover_face,
    embed_face,
    measure_again,
    nearly_matched,
    next_controls,
    refused,
)
from .controls import FALLBACKS, METHODS, Controls, make_controls
from .device import pick_device
from .encoding.correction import Correction, Readers
from .encoding.encoder import load_encoder
from .encoding.linear import LinearInitialization
from .encoding.start import AIM, EncoderStart, LinearStart, Start
from .encoding.start import OVERSHOOT as OVERSHOOT_OF_ONE_PASS
from .errors import FaceTurnedAway, NoFaceFound, StillRecognised, UnknownOption, check_choice
from .generators import load_generator
from .identity.population import Population
from .identity.virtual import IdentityPath, identity_path
from .perception.masks import build_mask
from .perception.perception import AlignedFace, Perception
from .perception.regions import share_of_face, whole_face
from .photo.detection import Detector
from .photo.faces import Face, align, paste
from .photo.grain import match_grain
from .photo.photos import Photo, read_photo
from .recognizers import load_recognizer
from .recognizers.perceptual import load_stlpips
from .regeneration.regenerate import REFINE_STEPS, Regenerator
from .results import Box, FaceResult, LeftFace, Result
from .selection import Selection, left_faces
from .watch import Watch, quiet
from .weights import store

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
        perception: Perception | None = None,
        key: bytes | None = None,
    ):
        self.detector, self.regenerator, self.population = detector, regenerator, population
        self.perception = perception or Perception(regenerator.recognizer, population)
        self.key = key if key is not None else secrets.token_bytes(32)
        self.generator = regenerator.generator  # draws the new faces
        self.recognizer = regenerator.recognizer  # finds the mask, names the identity, checks the result
        self.perceptual = regenerator.perceptual  # measures in the losses how different two faces look
        self.device = self.generator.w_avg.device

    @classmethod
    def load(
        cls,
        generator: str = "mobile",
        method: str = "auto",
        device: str = "auto",
        key: bytes | None = None,
        generator_path: str | os.PathLike | None = None,
    ) -> Anonymizer:
        """Load pretrained parts by name. `device` is `auto`, `cpu` or `cuda`; `generator_path` is the
        weights file of `stylegan2`.

        `method` is `encode` (one pass of the trained encoder, corrected by what its picture lacks),
        `optimize` (latent optimisation from the linear start, a minute) or `one-pass` (the linear start
        as it is, coarser). `auto` is `encode` where there is an encoder for the generator, else
        `optimize`. Raises `UnknownOption`, `DeviceUnavailable`, `WeightsMissing`, `WeightsCorrupt` or
        `WeightsMismatch`.
        """
        check_choice("method", method, METHODS)
        chosen = pick_device(device)
        recognizer, population = load_recognizer("dlib", device=chosen), Population.load(chosen)
        drawn_by = load_generator(generator, generator_path, chosen).rough()
        perception, own = Perception(recognizer, population), drawn_by.name == population.generator
        if method == "auto":
            method = "encode" if store.find(f"encoder-{drawn_by.name}") else "optimize"
        if method == "one-pass" and not own:
            raise UnknownOption(
                f"method one-pass is not for generator {drawn_by.name}, because the linear start knows "
                f"only {population.generator}; choose optimize, or train an encoder and choose encode"
            )
        if method == "encode":
            encoder, correction = load_encoder(drawn_by, device=chosen), None
            if own:
                readers = Readers.load(population, chosen)
                weights = store.load_shipped("correction")
                correction = Correction(weights, drawn_by, recognizer, readers)
            start: Start = EncoderStart(encoder, correction, AIM)
        else:
            overshoot = OVERSHOOT_OF_ONE_PASS if method == "one-pass" else 1.0
            start = LinearStart(LinearInitialization(drawn_by, population), overshoot)
        steps = REFINE_STEPS if method == "optimize" else 0
        parts = (drawn_by, recognizer, load_stlpips(chosen), start, perception.landmarks, steps)
        return cls(Detector(chosen), Regenerator(*parts), population, perception, key)

    def replace(self, **parts: Any) -> Anonymizer:
        """Return the same anonymizer with other parts: `detector`, `perception`, `population`, `key`, a
        `regenerator` or one of its fields. A new generator brings the linear start unless one is given.
        Raises `UnknownOption` for a part that does not exist."""
        own = ("detector", "regenerator", "population", "perception", "key")
        inner = [part.name for part in fields(Regenerator)]
        check_choice("part", [*parts], (*own, *inner))
        changes = {name: parts.pop(name) for name in inner if name in parts}
        generator = changes.get("generator", self.generator)
        if "start" not in changes and generator is not self.generator:
            changes["start"] = LinearStart(LinearInitialization(generator, self.population))
        if "recognizer" in changes or "population" in parts:
            parts = {"perception": None} | parts  # it is made of these
        kept = {name: getattr(self, name) for name in own} | parts
        kept["regenerator"] = replace(kept["regenerator"], **changes)
        return Anonymizer(**kept)

    def __call__(
        self,
        image: str | os.PathLike | Image.Image | np.ndarray | Photo,
        controls: Controls | None = None,
        *,
        faces: Selection | str | Sequence[int] = "all",
        fallback: str = "none",
        known: Known | None = None,
        verify: bool = True,
        watch: Watch = quiet,
        **changes: Any,
    ) -> Result:
        """Anonymize a photo: a path, a PIL image or an `(H, W, 3)` uint8 array.

        `controls`, or its fields as keywords. With `verify` a face that the recogniser still
        matches, or nearly, is tried again with more area and full strength, and `StillRecognised` is
        raised when it still matches then; without, the result says `matched` and the caller decides.
        `faces` is `all`, `largest`, numbers, of which the largest face has 1, or a `Selection`.
        `fallback` is what is done with a face that cannot be generated (too much of it beyond the
        frame, turned too far, still recognised): `blur` or `pixels` cover it, and the result says so;
        `none` raises. `known` maps a face as seen to the person as known from more photos (albums).
        `watch(message, share)` reports progress between the steps; an exception that it raises ends the
        work.
        Raises `UnreadableImage`, `NoFaceFound`, `FaceTurnedAway`, `StillRecognised`, `UnknownOption`.
        """
        selection = faces if isinstance(faces, Selection) else Selection(faces)
        check_choice("fallback", fallback, FALLBACKS)
        controls = make_controls((vars(controls) if controls else {}) | changes)
        photo = read_photo(image)
        watch("finding faces", 0.0)
        detected = dict(enumerate(self.detector(photo), 1))
        chosen = selection.numbers([*detected.values()], photo.name)
        left = [LeftFace(number, face.box) for number, face in detected.items() if number not in chosen]
        among = {number: detected[number] for number in chosen}
        left += left_faces(selection, self.recognizer, self.population, photo, among)
        chosen = [number for number in chosen if number not in {face.number for face in left}]
        result = Result(photo.image(photo.pixels), icc_profile=photo.icc_profile, left=left)
        pixels = photo.pixels
        for done, number in enumerate(chosen):
            face, report = detected[number], partial(_face, watch, done, len(chosen))
            try:
                new, pixels = self.anonymize_face(
                    photo, face, controls, pixels, known=known, verify=verify, watch=report
                )
                result.faces.append(replace(new, number=number))
            except (FaceTurnedAway, NoFaceFound, StillRecognised) as error:
                if fallback == "none":
                    raise
                covered, pixels = cover_face(self.recognizer, photo, face, fallback, pixels)
                reason = str(error).partition(";")[0]
                result.covered.append(replace(covered, number=number, reason=reason))
        return replace(result, image=photo.image(pixels))

    def anonymize_face(
        self,
        photo: Photo,
        face: Face,
        controls: Controls = Controls(),
        pixels: np.ndarray | None = None,
        *,
        known: Known | None = None,
        verify: bool = True,
        watch: Watch = quiet,
    ) -> tuple[FaceResult, np.ndarray]:
        """Run the three stages and the check on one face of a photo, a few times if it must be.

        Returns the result and the pixels `(H, W, 3)` uint8 with the new face in them: those of the
        photo, or `pixels`, in which its other faces are new already. The options are those of a call.
        Raises `FaceTurnedAway`, `NoFaceFound` or `StillRecognised`.
        """
        if verify:
            check_turn(photo, face)
        aligned = self.analyze(align(photo, face, face.own_size).to(self.device))
        aligned = replace(aligned, hands=self.perception.hands(photo, face))
        person = replace(known(aligned), image=aligned.image) if known else aligned
        canvas = photo if pixels is None else replace(photo, pixels=pixels)
        finished: dict[int, np.ndarray] = {}

        def check(tried: FaceResult) -> tuple[float, float]:
            new = paste(canvas, face, tried.anonymized, tried.mask)
            new = match_grain(canvas.pixels, new, np.random.default_rng(controls.seed))
            finished[tried.attempts] = new
            source, again = aligned.embedding, replace(canvas, pixels=new)
            return measure_again(self.detector, self.recognizer, again, face, source)

        best = self.attempt(person, controls, check, face.box, verify=verify, watch=watch)
        if verify and not acceptable(best):
            raise refused(best, photo, face)
        return best, finished[best.attempts]

    def attempt(
        self,
        person: AlignedFace,
        controls: Controls,
        check: Callable[[FaceResult], tuple[float, float]],
        box: Box,
        *,
        verify: bool = True,
        watch: Watch = quiet,
    ) -> FaceResult:
        """Run the three stages on an aligned face, again with more area where `check` says that the
        result is still recognised, or nearly; return the best attempt, or the last if none may be
        written.

        `check` measures the distance of a finished attempt to the person and how far its points have
        moved, see `measure_again`. `box` is where the face is in its photo.
        """
        began, area = time.monotonic(), (box[2] - box[0]) * (box[3] - box[1])
        watch("finding the mask", 0.05)
        image = person.image
        points, size = self.perception.landmarks(image), image.shape[-1]
        heat = self.perception(image, controls.perception)  # stage 1: where identity shows, …
        best: FaceResult | None = None
        optimizes, overshoot = self.regenerator.refine_steps > 0, 1.0
        for number in range(1, ATTEMPTS + 1 if verify else 2):
            report = partial(_attempt, watch, number)
            report("making the new face", 0.3)
            where = person.without_hands(build_mask(heat, controls, points, size))  # … its mask
            ws = self.encode(person, where, controls, overshoot, report)  # stage 2: codes
            generated, composite, mask = self.draw(ws, image, where, controls)  # stage 3
            report("measuring the finished photo", 0.85)
            tried = FaceResult(
                box=box, attribution=heat.cpu(), mask=mask.cpu(), aligned=image.cpu(),
                generated=generated.cpu(), anonymized=composite.cpu(), ws=ws.cpu(),
                share_of_face=share_of_face(mask, whole_face(points)), distance=math.nan, drift=math.inf,
                threshold=self.recognizer.threshold, controls=controls, attempts=number,
                seconds=0.0,
            )  # fmt: skip
            away, drift = check(tried)  # the check
            tried = replace(tried, distance=away, drift=drift, seconds=time.monotonic() - began)
            if acceptable(tried) and (best is None or tried.distance > best.distance):
                best = tried
            if best and (optimizes or not nearly_matched(best, number)):
                break
            if number > 1 and not optimizes and area < REFINED**2:
                break  # half a minute for what a cover hides as well
            controls = next_controls(tried, where.mean().item(), number > 1 and not optimizes)
            overshoot = OVERSHOOT
        return best or tried

    @torch.no_grad()
    def analyze(self, image: torch.Tensor) -> AlignedFace:
        """Read embedding and attributes of the person in an aligned `image (1, 3, S, S)`."""
        embedding = self.recognizer.embed(image)
        return AlignedFace(image, embedding, self.population.attributes(embedding, image))

    def path(self, face: AlignedFace, controls: Controls = Controls()) -> IdentityPath:
        """Give the way from a person to the virtual identity of key, seed and `keep`."""
        return identity_path(
            self.population, face.embedding, face.attributes, self.key, controls.seed, controls.keep
        )

    def encode(
        self,
        face: AlignedFace,
        mask: torch.Tensor,
        controls: Controls = Controls(),
        overshoot: float = 1.0,
        watch: Watch = quiet,
    ) -> torch.Tensor:
        """Run stage 2 on an aligned face and its `mask (1, 1, S, S)`: `ws (1, num_ws, w_dim)`. The start
        aims `overshoot` times as far as usual."""
        return self.regenerator.codes(
            face.image, mask, self.path(face, controls), controls, watch, overshoot
        )

    def draw(
        self, ws: torch.Tensor, image: torch.Tensor, mask: torch.Tensor, controls: Controls = Controls()
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Run stage 3: the picture of `ws`, its composite with `image (1, 3, S, S)`, and the part of the
        mask that is new in it."""
        return self.regenerator.pictures(ws, image, mask, controls=controls)

    def regenerate(
        self, face: AlignedFace, mask: torch.Tensor, controls: Controls = Controls()
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
        """Run stages 2 and 3 on one aligned face: codes, the generated picture, the composite, and the
        part of the mask that is new in it."""
        ws = self.encode(face, mask, controls)
        return ws, *self.draw(ws, face.image, mask, controls)

    def recognise(self, photos: Sequence[str | os.PathLike | Image.Image]) -> torch.Tensor:
        """Embed the largest face of each photo: `(N, dim)`. Raises `UnreadableImage`, `NoFaceFound`."""
        read = map(read_photo, photos)
        return torch.cat([embed_face(self.recognizer, photo, self.detector(photo)[0]) for photo in read])


def _face(watch: Watch, done: int, count: int, doing: str, share: float) -> None:
    """Tell how far one of several faces is."""
    watch(f"face {done + 1} of {count}: {doing}" if count > 1 else doing, (done + share) / count)


def _attempt(watch: Watch, number: int, doing: str, share: float) -> None:
    watch(f"attempt {number} of {ATTEMPTS}: {doing}" if number > 1 else doing, share)
