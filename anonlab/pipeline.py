"""The three stages as one call: `Anonymizer.load()(photo)`."""

from __future__ import annotations

import os
import secrets
import time
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from PIL import Image
from tqdm.auto import tqdm

from .controls import Controls
from .device import pick_device
from .encoding.encoder import Encoder, load_encoder
from .encoding.first_guess import FirstGuess
from .errors import NoFaceFound, StillRecognised, UnknownOption
from .generators import Generator, load_generator
from .identity.population import Population
from .identity.virtual import Identity, virtual_identity
from .perception.masks import build_mask
from .perception.perception import Perception
from .photo.faces import Detector, Face, align, paste
from .photo.photos import Photo, read_photo
from .recognizers import Recognizer, distance, load_recognizer
from .recognizers.perceptual import PerceptualDistance, load_stlpips
from .regeneration.optimize import Fit
from .regeneration.regenerate import Regenerator

METHODS = ("auto", "one-pass", "encode", "optimize")
GUIDES = ("dlib",)
FACES = ("all", "largest")
ATTEMPTS = 3  # the first, and two with more area
AREA_STEP, AREA_LIMIT = 1.4, 0.6
RETRY_POLISH = 20  # steps that help where one pass was not enough
OVERLAP = 0.3  # intersection over union that makes a found face the same one


@dataclass(frozen=True)
class FaceResult:
    """One face, before and after, and the numbers that tell how it went."""

    box: tuple[float, float, float, float]  # in the photo: left, top, right, bottom
    attribution: torch.Tensor  # (1, 1, 256, 256), stage 1
    mask: torch.Tensor  # (1, 1, 1024, 1024), 1 = regenerated
    aligned: torch.Tensor  # (1, 3, 1024, 1024), the face as it was
    generated: torch.Tensor  # (1, 3, 1024, 1024), the whole picture that the generator made
    anonymized: torch.Tensor  # (1, 3, 1024, 1024), the composite
    ws: torch.Tensor  # (1, num_ws, w_dim)
    distance: float  # the recogniser's, measured again on the finished photo
    threshold: float
    matched: bool
    controls: Controls  # as used in the end
    attempts: int
    seconds: float

    def record(self) -> dict:
        """What `record.json` says of a face."""
        return {
            "box": [round(float(side), 1) for side in self.box],
            "distance": round(self.distance, 4),
            "threshold": self.threshold,
            "matched": self.matched,
            "mask_area": self.controls.mask_area,
            "strength": self.controls.strength,
            "seed": self.controls.seed,
            "polish": self.controls.polish,
            "attempts": self.attempts,
            "seconds": round(self.seconds, 2),
        }


@dataclass(frozen=True)
class Result:
    """An anonymized photo."""

    image: Image.Image  # same size as the input
    faces: list[FaceResult] = field(default_factory=list)
    icc_profile: bytes | None = None


class Anonymizer:
    """Perception, regeneration and compositing with one set of pretrained parts.

    Load it once and call it often. `key` is the user's secret: with the same key and seed a
    person gets the same new face in every photo. Without one a key is drawn that lives as long as
    this object.
    """

    def __init__(
        self,
        detector: Detector,
        recognizer: Recognizer,
        generator: Generator,
        perceptual: PerceptualDistance,
        population: Population,
        key: bytes | None = None,
        fit: Fit = Fit(),
        device: torch.device | str = "cpu",
        encoder: Encoder | None = None,
        one_pass: bool | None = None,
    ):
        self.detector, self.recognizer, self.generator = detector, recognizer, generator
        self.perceptual, self.population = perceptual, population
        self.regenerator = Regenerator(
            generator, recognizer, perceptual, FirstGuess(generator, population), encoder, fit, one_pass
        )
        self.perception = Perception(recognizer, population)
        self.key = key if key is not None else secrets.token_bytes(32)
        self.device = torch.device(device)

    @classmethod
    def load(
        cls,
        generator: str = "mobile",
        recognizer: str = "dlib",
        method: str = "auto",
        device: str = "auto",
        key: bytes | None = None,
        fit: Fit = Fit(),
        generator_path: str | os.PathLike | None = None,
    ) -> Anonymizer:
        """With pretrained parts by name. `device` is `auto`, `cpu` or `cuda`; `generator_path` is the
        weights file of `stylegan2`.

        `method` is `optimize` (latent optimisation, a minute; also `auto`, until the encoder has been
        measured on as many people), `encode` (one pass of the trained encoder) or `one-pass` (the
        linear first guess: seconds, coarser). Raises `UnknownOption`, `DeviceUnavailable`,
        `WeightsMissing`, `WeightsCorrupt` or `WeightsMismatch`.
        """
        if method not in METHODS:
            raise UnknownOption(f"method {method!r} does not exist; choose from: {', '.join(METHODS)}")
        if recognizer not in GUIDES:
            raise UnknownOption(
                f"recognizer {recognizer!r} cannot guide, because the crowd that ships is embedded "
                f"by {', '.join(GUIDES)}; use it through load_recognizer to measure"
            )
        chosen = pick_device(device)
        guide = load_recognizer(recognizer, device=chosen)
        made = load_generator(generator, generator_path, chosen)
        encode = method == "encode"
        population = Population.load(chosen)
        if method == "one-pass" and made.name != population.generator:
            raise UnknownOption(
                f"method one-pass is not for generator {made.name}, because the first guess knows only "
                f"{population.generator}; choose optimize, or train an encoder and choose encode"
            )
        return cls(
            Detector(chosen),
            guide,
            made,
            load_stlpips(chosen),
            population,
            key,
            fit,
            chosen,
            load_encoder(made, device=chosen) if encode else None,
            one_pass=encode or method == "one-pass",
        )

    def __call__(
        self,
        image: str | os.PathLike | Image.Image | np.ndarray,
        *,
        faces: str = "all",
        verify: bool = True,
        progress: bool = False,
        **controls,
    ) -> Result:
        """Anonymize a photo: a path, a PIL image or an `(H, W, 3)` uint8 array.

        `controls` are the fields of `Controls`. With `verify` a face that the recogniser still
        matches is tried again with more area and full strength, and `StillRecognised` is raised
        when that does not help; without, the result says `matched` and the caller decides.
        Raises `UnreadableImage`, `NoFaceFound`, `UnknownOption`.
        """
        if faces not in FACES:
            raise UnknownOption(f"faces {faces!r} does not exist; choose from: {', '.join(FACES)}")
        try:
            wanted = Controls(**controls)
        except TypeError as error:
            raise UnknownOption(f"{error}; the controls are {list(Controls().__dict__)}") from None
        photo = read_photo(image)
        found = self.detector(photo)
        results = []
        current = photo
        for face in tqdm(
            found if faces == "all" else found[:1], desc=photo.name, unit="face", disable=not progress
        ):
            result, pixels = self._one_face(current, face, wanted, verify, progress)
            results.append(result)
            current = replace(current, pixels=pixels)
        return Result(photo.image(current.pixels), results, photo.icc_profile)

    def _one_face(
        self, photo: Photo, face: Face, wanted: Controls, verify: bool, progress: bool
    ) -> tuple[FaceResult, np.ndarray]:
        start = time.monotonic()
        aligned = align(photo, face).to(self.device)
        with torch.no_grad():
            source = self.recognizer.embed(aligned)
        attribution = self.perception(aligned, wanted.perception)
        points = self.perception.landmarks(aligned) if wanted.include or wanted.exclude else None
        controls = wanted
        for attempts in range(1, ATTEMPTS + 1):  # noqa: B007 (told in the result)
            mask = build_mask(attribution, controls, points, aligned.shape[-1])
            ws, generated, anonymized = self.regenerate(aligned, mask, source, controls, progress)
            pixels = paste(photo, face, anonymized.cpu(), mask.cpu())
            after = self._measure(replace(photo, pixels=pixels), face, source)
            matched = after is not None and after < self.recognizer.threshold
            if (after is not None and not matched) or not verify:
                break
            more = min(AREA_LIMIT, max(round(mask.mean().item() * AREA_STEP, 3), 0.1))
            controls = replace(
                controls, mask_area=more, mask_threshold=None, strength=1.0, target_distance=None
            )
            if self.regenerator.one_pass:
                controls = replace(controls, polish=max(controls.polish or 0, RETRY_POLISH))
        else:
            reason = "is no longer found as a face" if after is None else "is still recognised"
            raise StillRecognised(
                f"{photo.name} shows a face at {[round(side) for side in face.box]} that {reason} "
                f"after {ATTEMPTS} attempts; nothing was written: try another seed or a larger "
                f"mask_area"
            )
        result = FaceResult(
            box=face.box,
            attribution=attribution.cpu(),
            mask=mask.cpu(),
            aligned=aligned.cpu(),
            generated=generated.cpu(),
            anonymized=anonymized.cpu(),
            ws=ws.cpu(),
            distance=float("nan") if after is None else after,
            threshold=self.recognizer.threshold,
            matched=matched,
            controls=controls,
            attempts=attempts,
            seconds=time.monotonic() - start,
        )
        return result, pixels

    def identity(self, source: torch.Tensor, aligned: torch.Tensor, controls: Controls) -> Identity:
        """The virtual identity for an embedding `(1, dim)` and its aligned face."""
        attributes = self.population.attributes(source, aligned)
        return virtual_identity(
            self.population,
            source,
            attributes,
            self.key,
            controls.seed,
            controls.strength,
            controls.keep,
        )

    def regenerate(
        self,
        aligned: torch.Tensor,
        mask: torch.Tensor,
        source: torch.Tensor,
        controls: Controls,
        progress: bool = False,
        resolution: int | None = None,
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Stages 2 and 3 on one aligned face with embedding `source (1, dim)`: codes, the generated
        picture (made at `resolution`) and the composite, both of the face's size."""

        def identity_at(strength: float) -> Identity:
            return self.identity(source, aligned, replace(controls, strength=strength))

        ws = self.regenerator.codes(
            aligned,
            mask,
            identity_at,
            controls.strength,
            controls.target_distance,
            controls.polish,
            controls.seed,
            progress,
        )
        return ws, *self.regenerator.pictures(ws, aligned, mask, resolution)

    def _measure(self, photo: Photo, face: Face, source: torch.Tensor) -> float | None:
        """Distance of the face in a finished photo to `source`; None if it is not found there."""
        try:
            again = max(self.detector(photo), key=lambda other: overlap(face, other))
            if overlap(face, again) < OVERLAP:
                return None
            image = align(photo, again).to(self.device)
        except NoFaceFound:
            return None
        with torch.no_grad():
            return distance(self.recognizer, self.recognizer.embed(image), source).item()


def overlap(a: Face, b: Face) -> float:
    """Intersection over union of two faces' boxes."""
    width = min(a.box[2], b.box[2]) - max(a.box[0], b.box[0])
    height = min(a.box[3], b.box[3]) - max(a.box[1], b.box[1])
    shared = max(0.0, width) * max(0.0, height)
    return shared / (a.area + b.area - shared)
