"""Between the two passes: decide what becomes of each track before any frame is painted.

A track gets one steady crop; a person gets one identity for the whole clip, made from the mean of all
that was seen of them. The mask is made from the attributions of a few good frames, with as much area as
they need to be no longer recognised. Then the codes of the key frames are found.
"""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import torch
from scipy.interpolate import make_smoothing_spline

from ...checking import ATTEMPTS
from ...controls import Controls
from ...errors import AnonlabError, NoFaceFound
from ...identity.population import Attributes
from ...images import FACE_SIZE, resize
from ...perception.perception import AlignedFace
from ...photo.faces import Face, align
from ...photo.photos import Photo
from ...pipeline import Anonymizer
from ...recognizers import distance
from .clips import Clip
from .detections import Detections
from .plans import BEYOND, FILLED, FOUND, MARGIN, Follower, TrackPlan
from .tracks import Track, link, mean_embedding, people

BEYOND_SECONDS, BEYOND_FRAMES = 0.25, 8  # where a track may go on unseen, at either end
SAMPLES = 3  # frames of a track that are looked at closely
CENTRE, SHAPE = 1.0, 3.0  # frames; of a face's place, and of its size, angle and proportions
HALF = 1.18  # a Gaussian of this width lets half of a wave of 2π frames through, as a spline of weight 1
FARTHEST = 0.25  # of the mean distance of a face's points from their centre
MOTION = 5  # frames from which the speed at an end of a track is read


class Planner:
    """Plan what becomes of the faces `found` in a clip."""

    def __init__(self, anonymizer: Anonymizer, clip: Clip, found: Detections, controls: Controls):
        self.anonymizer, self.clip, self.found, self.controls = anonymizer, clip, found, controls
        self.follower = Follower(anonymizer)

    def plans(self) -> list[TrackPlan]:
        """Plan every track. Raises `NoFaceFound` when there is none."""
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
        plans = [self._placed(track, person) for track, person in zip(tracks, whose, strict=True)]
        samples: list[list[AlignedFace]] = [[] for _ in tracks]
        for _, index, image in self._aligned(plans, map(self._good_frames, tracks)):
            samples[index].append(self.anonymizer.analyze(image))
        for person in {*whose}:
            own = [index for index, one in enumerate(whose) if one == person]
            mean = mean_embedding(found.embedding[[at for index in own for at in tracks[index]]])
            faces = [face for index in own for face in samples[index]]
            target = self._target(mean, faces)
            for index in own:
                plans[index].mean, plans[index].target = mean, target
                self._mask(plans[index], samples[index] or faces)
        codes: list[dict[int, np.ndarray]] = [{} for _ in plans]
        for number, index, image in self._aligned(plans, [plan.keys.tolist() for plan in plans]):
            mask = plans[index].mask(self.controls, plans[index].mask_area).to(image)
            ws = self.follower.key_codes(plans[index], image, mask)
            if ws is not None:
                codes[index][number] = ws[0].cpu().numpy()
        for plan, own in zip(plans, codes, strict=True):
            plan.keys, plan.codes = np.array([*own], int), np.array([*own.values()], np.float32)
        return sorted(plans, key=lambda plan: plan.first)

    def _placed(self, track: Track, person: int) -> TrackPlan:
        """Plan where a track is, and nothing of its new face yet."""
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
        embedding = np.full((len(numbers), found.embedding.shape[1]), np.nan, np.float32)
        nothing, blank = embedding[0].copy(), np.zeros((1, 1, 256, 256), np.float32)
        embedding[kind == FOUND] = found.embedding[track]
        return TrackPlan(
            first=int(numbers[0]), kind=kind, box=filled(at, known_at, found.box[track]), points=points,
            embedding=embedding, person=person, mean=nothing, target=nothing, attribution=blank,
            landmarks=np.zeros((1, 68, 2), np.float32), mask_area=self.controls.mask_area, needed=blank,
            resolution=min(enough, self.anonymizer.generator.img_resolution),
            keys=self.follower.key_frames(seen), codes=np.empty(0),
        )  # fmt: skip

    def _good_frames(self, track: Track) -> list[int]:
        """Choose the frame with the surest and largest face of each third of a track."""
        found = self.found
        good = found.confidence * np.sqrt((found.box[:, 2:] - found.box[:, :2]).prod(1))
        thirds = np.array_split(track, min(SAMPLES, len(track)))
        return [int(found.frame[third[good[third].argmax()]]) for third in thirds]

    def _aligned(
        self, plans: Sequence[TrackPlan], numbers: Iterable[Sequence[int]]
    ) -> Iterator[tuple[int, int, torch.Tensor]]:
        """Decode the clip once more for aligned faces `(1, 3, S, S)` of some frames of each track, with
        the numbers of both."""
        wanted = [{*own} for own in numbers]
        count = 1 + max((number for own in wanted for number in own), default=-1)
        for frame in itertools.islice(self.clip.frames(), count):
            photo = Photo(frame.pixels, self.clip.path.name)
            for index in (row for row, own in enumerate(wanted) if frame.number in own):
                plan = plans[index]
                with contextlib.suppress(NoFaceFound):  # cut off by the edge
                    image = align(photo, plan.face(frame.number), plan.resolution)
                    yield frame.number, index, image.to(self.anonymizer.device)

    def _target(self, mean: np.ndarray, faces: Sequence[AlignedFace]) -> np.ndarray:
        """Choose the embedding `(dim,)` that is aimed at for a person; NaN where none was measured."""
        if not faces or np.isnan(mean).any():
            return np.full_like(mean, np.nan)
        parts = zip(*(vars(face.attributes).values() for face in faces), strict=True)
        attributes = Attributes(*(float(np.mean(part)) for part in parts))
        embedding = torch.from_numpy(mean)[None].to(self.anonymizer.device)
        path = self.anonymizer.path(AlignedFace(faces[0].image, embedding, attributes), self.controls)
        return path.aim(self.controls.strength)[0].cpu().numpy()

    def _mask(self, plan: TrackPlan, faces: Sequence[AlignedFace]) -> None:
        """Give a plan the attribution of `faces`, and as much area as they need."""
        if not faces or not plan.aims:
            return
        perception = self.anonymizer.perception
        maps = [perception(face.image, self.controls.perception) for face in faces]
        attribution = torch.stack(maps).mean(0).cpu()
        plan.attribution = (attribution / attribution.max().clamp_min(1e-6)).numpy()
        with torch.no_grad():
            plan.landmarks = perception.landmarks(faces[0].image).cpu().numpy()
        for area in plan.areas()[:ATTEMPTS]:
            plan.mask_area = area
            tried = [self._tried(plan, face) for face in faces]
            if all(enough for enough, _ in tried):
                break
        masks = [resize(part, FACE_SIZE).cpu() for _, part in tried if part is not None]
        if masks and self.controls.give_back:
            # where it is new in most of the frames: one mask for the whole track does not flicker
            plan.needed = torch.stack(masks).median(0).values.numpy()

    @torch.no_grad()
    def _tried(self, plan: TrackPlan, face: AlignedFace) -> tuple[bool, torch.Tensor | None]:
        """Tell whether the face of one frame is no longer recognised with the plan's mask, and which
        part of it is new then."""
        recognizer, mask = self.anonymizer.recognizer, plan.mask(self.controls, plan.mask_area)
        try:
            ws, mask = plan.start(self.anonymizer, face.image, mask), mask.to(face.image)
            pictures = self.anonymizer.regenerator.pictures
            _, made, new = pictures(ws, face.image, mask, FACE_SIZE, self.controls)
        except (AnonlabError, RuntimeError):
            return True, None  # another area would not help: its frames are covered
        embedding = recognizer.embed(made)
        own = distance(recognizer, embedding, face.embedding).item()
        away = min(own, plan.distance(self.anonymizer, embedding))
        return away >= recognizer.threshold + MARGIN, new


def smooth(at: np.ndarray, values: np.ndarray, sigma: float) -> np.ndarray:
    """Smooth `values (T, …)` at `at (T,)` by a cubic spline about as much as a Gaussian of `sigma` does.

    Unlike a Gaussian it has no lag at the ends and leaves a steady motion as it is.
    """
    if len(at) < 5:  # fewer than a spline takes
        return values
    return make_smoothing_spline(at, values, lam=(sigma / HALF) ** 4)(at)


def filled(at: np.ndarray, known_at: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Fill in `values (K, …)` known at `known_at (K,)` at `at (T,)`: linearly between, and with the last
    speed beyond."""
    flat = values.reshape(len(values), -1).astype(np.float64)
    result = np.stack([np.interp(at, known_at, column) for column in flat.T], 1)
    first, last = known_at[[0, -1]]
    for end, beyond, near in (
        (first, at < first, slice(MOTION)),
        (last, at > last, slice(-MOTION, None)),
    ):
        if beyond.any() and len(known_at) > 1:
            speed = np.polyfit(known_at[near], flat[near], 1)[0]
            result[beyond] += np.outer(at[beyond] - end, speed)
    return result.reshape(len(at), *values.shape[1:])


def steady_points(at: np.ndarray, known_at: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Steady five points of a face `(K, 5, 2)` found at `known_at (K,)`, for a steady crop at `at (T,)`.

    Their centre is smoothed a little, and what they are around it (size, angle, proportions) more, as
    in "Stitch it in Time" (Tzaban et al. 2022). Both axes are in frames. No point is moved by more than
    `FARTHEST`: where a face jumps, its crop jumps with it.
    """
    whole = filled(at, known_at, points)
    centre = whole.mean(1, keepdims=True)
    shape = whole - centre
    size = np.hypot(*np.moveaxis(shape, -1, 0)).mean(1)[:, None, None]
    moved = smooth(at, centre, CENTRE) + smooth(at, shape, SHAPE) - whole
    return whole + np.clip(moved, -FARTHEST * size, FARTHEST * size)
