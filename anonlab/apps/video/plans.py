"""What is to be done with each track, decided before any frame is written: one steady crop, one new
identity and one mask.

A person has one identity for the whole clip, made from the mean of all that was seen of them. The mask
is made from the attributions of a few good frames, with as much area as they need to be no longer
recognised.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np
import torch

from ...checking import AREA_LIMIT, AREA_STEP, ATTEMPTS
from ...controls import Controls
from ...errors import AnonlabError, NoFaceFound
from ...identity.population import Attributes
from ...perception.masks import build_mask
from ...photo.faces import Face, align
from ...photo.photos import Photo
from ...pipeline import AlignedFace, Anonymizer
from ...recognizers import distance
from .clips import Clip
from .detections import Detections
from .smoothing import filled, steady_points
from .tracks import Track, link, mean_embedding, people

T = TypeVar("T")
FOUND, FILLED, BEYOND = 2, 1, 0  # how a face comes to be in a frame of a track
BEYOND_SECONDS, BEYOND_FRAMES = 0.25, 8  # where a track may go on unseen, at either end
SAMPLES = 3  # frames of a track that are looked at closely
MARGIN = 0.03  # beyond the threshold: the crop that measures and encoding move the distance a little


@dataclass(frozen=True)
class TrackPlan:
    """One track, `T` frames long without a hole."""

    first: int  # number of its first frame
    kind: np.ndarray  # (T,) FOUND, FILLED or BEYOND
    box: np.ndarray  # (T, 4)
    points: np.ndarray  # (T, 5, 2), steady
    person: int  # 0 is the first of the clip
    mean: np.ndarray  # (dim,) embedding of the person; NaN where there is none
    target: np.ndarray  # (dim,) what is aimed at; NaN where nothing is known of the person
    attribution: np.ndarray  # (1, 1, 256, 256)
    landmarks: np.ndarray  # (1, 68, 2) of a good frame, for regions of the mask
    mask_area: float
    resolution: int  # of the generator's pictures

    @property
    def last(self) -> int:
        """The number of its last frame."""
        return self.first + len(self.kind) - 1

    @property
    def aims(self) -> bool:
        """Whether there is an identity to aim at."""
        return not np.isnan(self.target).any()

    def face(self, number: int) -> Face:
        """Where it is in a frame."""
        at = number - self.first
        return Face(tuple(self.box[at].tolist()), self.points[at], 1.0)

    def mask(self, controls: Controls, area: float, size: int) -> torch.Tensor:
        """The mask `(1, 1, size, size)` of that area."""
        if area != controls.mask_area:
            controls = replace(controls, mask_area=area, mask_threshold=None)
        attribution, points = torch.from_numpy(self.attribution), torch.from_numpy(self.landmarks)
        return build_mask(attribution, controls, points, size)

    def start(self, anonymizer: Anonymizer, image: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Codes `(1, num_ws, w_dim)` for one aligned frame of it."""
        mean, target = (torch.from_numpy(one)[None].to(image) for one in (self.mean, self.target))
        return anonymizer.regenerator.start(image, mask.to(image), mean, target)

    def distance(self, anonymizer: Anonymizer, embedding: torch.Tensor) -> float:
        """From an embedding `(1, dim)` to the track's person; infinite where that is not known."""
        if np.isnan(self.mean).any():
            return np.inf
        mean = torch.from_numpy(self.mean)[None].to(embedding)
        return distance(anonymizer.recognizer, embedding, mean).item()


class Planner:
    """Plan what becomes of the faces `found` in a clip."""

    def __init__(self, anonymizer: Anonymizer, clip: Clip, found: Detections, controls: Controls):
        self.anonymizer, self.clip, self.found, self.controls = anonymizer, clip, found, controls

    def plans(self) -> list[TrackPlan]:
        """A plan for every track. Raises `NoFaceFound` when there is none."""
        found, recognizer = self.found, self.anonymizer.recognizer

        def relative(one: np.ndarray, others: np.ndarray) -> np.ndarray:
            a, b = torch.from_numpy(one)[None].float(), torch.from_numpy(others).float()
            return (distance(recognizer, a.expand_as(b), b) / recognizer.threshold).numpy()

        tracks = link(found, relative)
        if not tracks:
            raise NoFaceFound(
                f"{self.clip.path} shows no face that can be found in any frame; nothing was written: "
                f"use a clip with faces"
            )
        whose = people(found, tracks, relative)
        bare = [self._bare(track, person) for track, person in zip(tracks, whose, strict=True)]
        samples = self._samples(tracks, bare)
        plans: list[TrackPlan] = []
        for person in range(max(whose) + 1):
            own = [index for index, one in enumerate(whose) if one == person]
            mean = mean_embedding(found.embedding[[at for index in own for at in tracks[index]]])
            faces = [face for index in own for face in samples[index]]
            target = self._target(mean, faces)
            for index in own:
                plan = replace(bare[index], mean=mean, target=target)
                plans.append(self._masked(plan, samples[index] or faces))
        return sorted(plans, key=lambda plan: plan.first)

    def _bare(self, track: Track, person: int) -> TrackPlan:
        """Where a track is; nothing of its new face yet."""
        found = self.found
        seen, scene = found.frame[track], found.scenes()
        begin, end = found.times[seen[0]] - BEYOND_SECONDS, found.times[seen[-1]] + BEYOND_SECONDS
        near = (scene == scene[seen[0]]) & (found.times >= begin) & (found.times <= end)
        numbers = np.flatnonzero(near)
        numbers = numbers[(numbers >= seen[0] - BEYOND_FRAMES) & (numbers <= seen[-1] + BEYOND_FRAMES)]
        kind = np.where((numbers < seen[0]) | (numbers > seen[-1]), BEYOND, FILLED)
        kind[np.isin(numbers, seen)] = FOUND
        # the axis of smoothing: time, in frames of this part of the clip
        step = np.median(np.diff(found.times[numbers])) if len(numbers) > 1 else 1.0
        at, known_at = found.times[numbers] / step, found.times[seen] / step
        points = steady_points(at, known_at, found.points[track])
        sizes = [Face((0, 0, 0, 0), one, 1.0).own_size for one in points]
        enough = int(np.quantile(sizes, 0.9, method="lower"))  # nine of ten frames need no more
        nothing = np.full(found.embedding.shape[1], np.nan, np.float32)
        return TrackPlan(
            first=int(numbers[0]), kind=kind, box=filled(at, known_at, found.box[track]), points=points,
            person=person, mean=nothing, target=nothing,
            attribution=np.zeros((1, 1, 256, 256), np.float32),
            landmarks=np.zeros((1, 68, 2), np.float32), mask_area=self.controls.mask_area,
            resolution=min(enough, self.anonymizer.generator.img_resolution),
        )  # fmt: skip

    def _samples(self, tracks: Sequence[Track], plans: Sequence[TrackPlan]) -> list[list[AlignedFace]]:
        """A few good frames of each track: the surest and largest face of each third of it.

        The clip is decoded once more for them, up to the last.
        """
        found = self.found
        wanted: dict[int, list[int]] = {}
        for index, track in enumerate(tracks):
            size = np.sqrt((found.box[track][:, 2:] - found.box[track][:, :2]).prod(1))
            good = found.confidence[track] * size
            for part in np.array_split(np.arange(len(good)), SAMPLES):
                if len(part):
                    number = int(found.frame[track[part[good[part].argmax()]]])
                    wanted.setdefault(number, []).append(index)
        samples: list[list[AlignedFace]] = [[] for _ in tracks]
        for frame in self.clip.frames():
            photo = Photo(frame.pixels, self.clip.path.name)
            for index in wanted.pop(frame.number, []):
                face = plans[index].face(frame.number)
                try:
                    image = align(photo, face, face.own_size).to(self.anonymizer.device)
                except NoFaceFound:  # cut off by the edge
                    continue
                samples[index].append(self.anonymizer.analyze(image))
            if not wanted:
                break
        return samples

    def _target(self, mean: np.ndarray, faces: Sequence[AlignedFace]) -> np.ndarray:
        """The embedding `(dim,)` that is aimed at for a person; NaN where none was measured."""
        if not faces or np.isnan(mean).any():
            return np.full_like(mean, np.nan)
        parts = zip(*(vars(face.attributes).values() for face in faces), strict=True)
        attributes = Attributes(*(float(np.mean(part)) for part in parts))
        embedding = torch.from_numpy(mean)[None].to(self.anonymizer.device)
        path = self.anonymizer.path(AlignedFace(faces[0].image, embedding, attributes), self.controls)
        return path.aim(self.controls.strength)[0].cpu().numpy()

    def _masked(self, plan: TrackPlan, faces: Sequence[AlignedFace]) -> TrackPlan:
        """The plan with the attribution of `faces`, and as much area as they need."""
        if not faces or not plan.aims:
            return plan
        perception = self.anonymizer.perception
        maps = [perception(face.image, self.controls.perception) for face in faces]
        attribution = torch.stack(maps).mean(0).cpu()
        attribution = attribution / attribution.max().clamp_min(1e-6)
        with torch.no_grad():
            landmarks = perception.landmarks(faces[0].image).cpu()
        plan = replace(plan, attribution=attribution.numpy(), landmarks=landmarks.numpy())
        for area in areas(self.controls.mask_area)[:ATTEMPTS]:
            plan = replace(plan, mask_area=area)
            if all(self._far_enough(plan, face) for face in faces):
                break
        return plan

    @torch.no_grad()
    def _far_enough(self, plan: TrackPlan, face: AlignedFace) -> bool:
        """Whether the face of one frame is no longer recognised with the plan's mask."""
        mask = plan.mask(self.controls, plan.mask_area, face.image.shape[-1]).to(face.image)
        try:
            ws = plan.start(self.anonymizer, face.image, mask)
            _, made = self.anonymizer.regenerator.pictures(
                ws, face.image, mask, plan.resolution, self.controls.own_eyes
            )
        except (AnonlabError, RuntimeError):
            return True  # another area would not help: its frames are covered
        recognizer = self.anonymizer.recognizer
        new = recognizer.embed(made)
        own = distance(recognizer, new, face.embedding).item()
        return min(own, plan.distance(self.anonymizer, new)) >= recognizer.threshold + MARGIN


def areas(first: float) -> list[float]:
    """The mask's area, and larger ones for faces that need them."""
    more = [round(max(first * AREA_STEP**step, 0.1), 3) for step in range(1, ATTEMPTS)]
    return [first, *(area for area in more if first < area <= AREA_LIMIT)]


def to_arrays(items: Sequence[object]) -> dict[str, np.ndarray]:
    """All fields of some dataclasses by row and name, for a file."""
    return {f"{row}/{name}": np.asarray(value) for row, one in enumerate(items)
            for name, value in vars(one).items()}  # fmt: skip


def from_arrays(kind: type[T], arrays: Mapping[str, np.ndarray]) -> list[T]:
    """What `to_arrays` had, from its arrays among others."""
    rows: dict[int, dict[str, object]] = {}
    for key, value in arrays.items():
        row, _, name = key.partition("/")
        if name:
            rows.setdefault(int(row), {})[name] = value if value.ndim else value.item()
    return [kind(**rows[row]) for row in sorted(rows)]
