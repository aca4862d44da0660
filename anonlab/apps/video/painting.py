"""Pass 2 over a clip: every frame of every track gets its new face, steady over time.

Codes are smoothed over time by a Gaussian; so is what is done to the picture: its shape, and what is
measured in one frame in `LOOKS_EVERY` (blur, shift of colours, where the cheeks end). Everything depends
on a few frames around, and on nothing else: wherever a run begins, a frame comes out the same.

Each finished frame is measured. A face that is still recognised, or is no face any more, is painted
again through a larger mask; if that does not help, or if the generator failed, it is covered by the
fall-back.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, NamedTuple, TypeVar

import numpy as np
import torch

from ...checking import MAX_DRIFT, MAX_TURN
from ...controls import Controls
from ...errors import AnonlabError, NoFaceFound, StillRecognised
from ...images import resize, to_uint8
from ...photo.cover import CELLS, cover
from ...photo.faces import Face, align, paste, visible_share
from ...photo.grain import match_grain
from ...photo.photos import Photo
from ...pipeline import Anonymizer
from ...recognizers import distance
from ...regeneration.compose import Blend, apply_blend, mean_blend, measure_blend
from ...regeneration.thin_plate import displacement
from ...side_by_side import InOrder
from .detections import LOOK_SIZE, look
from .frames import Frame
from .plans import BEYOND, MARGIN, Follower, TrackPlan

CODES_EVERY, LOOKS_EVERY = 2, 3  # frames
# frames: widths of the Gaussians, and how far they reach, of codes, of shape, of all else in a blend
CODES_SIGMA, SHAPE_SIGMA, LOOKS_SIGMA = 1.5, 1.0, 1.5
CODES_REACH, SHAPE_REACH, LOOKS_REACH = 4, 1, 3
DELAY = CODES_REACH + LOOKS_REACH  # how many frames later a frame is finished
LEAST_VISIBLE = 0.1  # share of a face inside the frame, below which there is nothing to cover
MASKS = 64  # that are kept, of 4 MB
REGENERATED, WIDER, COVERED = 0, 1, 2  # what was done with a face
T = TypeVar("T")


class Painted(NamedTuple):
    """One face of one finished frame."""

    track: int
    frame: int
    done: int  # REGENERATED, WIDER (through a larger mask) or COVERED
    # of the finished face to the person, the nearer of this frame's and the track's mean; NaN for one
    # that is cut off by the frame, or that is no face
    distance: float


@dataclass
class Seen:
    """A face as it is in one frame, and the picture that was generated for it."""

    face: Face
    image: torch.Tensor | None  # (1, 3, S, S); None where too much of it lies beyond the frame
    embedding: torch.Tensor | None = None  # (1, dim)
    points: torch.Tensor | None = None  # (1, 68, 2)
    codes: torch.Tensor | None = None  # (1, num_ws, w_dim), of one frame in `CODES_EVERY`
    generated: torch.Tensor | None = None  # (1, 3, S, S)
    generated_points: torch.Tensor | None = None  # (1, 68, 2)
    moved: torch.Tensor | None = None  # (1, 2, G, G), from these points to the face's
    hands: torch.Tensor | None = None  # (1, 1, 256, 256) before it, of one frame in `LOOKS_EVERY`
    blend: Blend | None = None  # what else has to be done to it, of the same


class Painter:
    """Paints the tracks of one clip called `name`. `fallback` is `blur`, `pixels` or `none`, which
    raises `StillRecognised` instead."""

    def __init__(
        self, anonymizer: Anonymizer, plans: Sequence[TrackPlan], controls: Controls, fallback: str,
        name: str,
    ):  # fmt: skip
        self.anonymizer, self.plans, self.controls = anonymizer, plans, controls
        self.fallback, self.name, self.follower = fallback, name, Follower(anonymizer)
        self.recognizer, self.perception = anonymizer.recognizer, anonymizer.perception
        self.mask = lru_cache(MASKS)(self._mask)
        self.seen: dict[tuple[int, int], Seen] = {}  # by track and frame
        self.generator = anonymizer.generator

    def paint(
        self, frames: Iterable[Frame], first: int = 0, in_order: InOrder = map
    ) -> Iterator[tuple[Frame, np.ndarray, list[Painted]]]:
        """Finish the frames from number `first` on, with their new pixels `(H, W, 3)` and what became of
        each face. `in_order` is that of `side_by_side`.

        The `DELAY` frames before the first are looked at, and those before them are not needed.
        """
        looked = ahead(in_order(self._look, frames), CODES_REACH)
        drawn = in_order(self._draw, (one for one in looked if one.number >= first - LOOKS_REACH))
        wanted = (one for one in ahead(drawn, LOOKS_REACH) if one.number >= first)
        for finished in in_order(self._finish, wanted):
            yield finished
            for track in range(len(self.plans)):
                self.seen.pop((track, finished[0].number - DELAY), None)

    @torch.no_grad()
    def _look(self, frame: Frame) -> Frame:
        """Read from a frame what those around it need."""
        photo = Photo(frame.pixels, self.name)
        for track, plan in enumerate(self.plans):
            if plan.first <= frame.number <= plan.last:
                seen = self._see(photo, track, frame.number)
                if seen is not None:
                    self.seen[track, frame.number] = seen
        return frame

    def _see(self, photo: Photo, track: int, number: int) -> Seen | None:
        """None where the track is not sure to be in the frame, and the person is not seen there."""
        plan = self.plans[track]
        face, beyond = plan.face(number), plan.kind[number - plan.first] == BEYOND
        if beyond and any(one.person == plan.person and one.found(number) for one in self.plans):
            return None
        try:
            image = align(photo, face, plan.resolution).to(self.anonymizer.device)
        except NoFaceFound:
            return Seen(face, None) if visible_share(photo, face) > LEAST_VISIBLE else None
        embedding = torch.from_numpy(plan.embedding[number - plan.first])[None].to(image)
        if embedding.isnan().any():
            embedding = self.recognizer.embed(image)
        if beyond and not plan.distance(self.anonymizer, embedding) < self.recognizer.threshold:
            return None
        seen = Seen(face, image, embedding, self.perception.landmarks(image))
        if plan.due(number, LOOKS_EVERY):
            seen.hands = self.perception.hands(photo, face)
        if plan.due(number, CODES_EVERY):
            seen.codes = self.follower.codes(plan, number, image, self.mask(track, plan.mask_area))
        return seen

    def _mask(self, track: int, area: float) -> torch.Tensor:
        return self.plans[track].mask(self.controls, area).to(self.anonymizer.device)

    def new(self, track: int, area: float) -> torch.Tensor:
        """The part of the track's mask of that area through which its new face is seen."""
        return self.plans[track].new(self.mask(track, area), area)

    def _around(self, track: int, number: int, what: str, reach: int, sigma: float) -> tuple[list, list]:
        """The field `what` of a track's faces in the frames around one, and their weights."""
        weights, values = [], []
        for away in range(-reach, reach + 1):
            value = getattr(self.seen.get((track, number + away)), what, None)
            if value is not None:
                weights.append(math.exp(-((away / sigma) ** 2) / 2))
                values.append(value)
        return values, weights

    def _mean(self, *which: Any) -> torch.Tensor | None:
        """The same, smoothed; None where none has it."""
        values, weights = self._around(*which)
        total = sum(weight * value for weight, value in zip(weights, values, strict=True))
        return total / sum(weights) if values else None

    def _tracks(self, frame: Frame) -> list[int]:
        """The tracks that are seen in a frame, the largest face first."""
        tracks = [one for one in range(len(self.plans)) if (one, frame.number) in self.seen]
        return sorted(tracks, key=lambda track: -self.seen[track, frame.number].face.area)

    @torch.no_grad()
    def _draw(self, frame: Frame) -> Frame:
        """Generate the new faces of a frame, where it or one around it is not turned too far."""
        for track in self._tracks(frame):
            near, _ = self._around(track, frame.number, "face", LOOKS_REACH, 1)
            if any(face.turn <= MAX_TURN for face in near):
                self._generate(track, frame.number)
        return frame

    def _generate(self, track: int, number: int) -> None:
        """Generate the new face of a frame; there is none where the generator fails."""
        seen, plan = self.seen[track, number], self.plans[track]
        ws = self._mean(track, number, "codes", CODES_REACH, CODES_SIGMA)
        if seen.image is None or ws is None:
            return
        try:
            made = self.generator.synthesis(ws, plan.resolution).clamp(-1, 1)
        except (AnonlabError, RuntimeError):
            return
        if not torch.isfinite(made).all():
            return
        seen.generated = resize(made, plan.resolution)
        seen.generated_points = self.perception.landmarks(seen.generated)
        if plan.due(number, LOOKS_EVERY):
            seen.blend = self._blend(seen, self.new(track, plan.mask_area), self.controls)
            seen.moved = seen.blend.moved
        else:
            seen.moved = displacement(seen.generated_points, seen.points).to(seen.generated)

    def _blend(self, seen: Seen, mask: torch.Tensor, controls: Controls) -> Blend:
        points = seen.generated_points, seen.points
        blend = measure_blend(seen.generated, seen.image, mask, *points, controls)[0]
        if seen.hands is None:
            return blend
        return replace(blend, stays=blend.stays.maximum(resize(seen.hands, mask.shape[-1]).to(mask)))

    @torch.no_grad()
    def _finish(self, frame: Frame) -> tuple[Frame, np.ndarray, list[Painted]]:
        """All faces of a frame. Those that are still recognised are tried again together, because what
        is painted for one face may cover another."""
        tracks = self._tracks(frame)
        attempts = {track: self._attempts(track, frame.number) for track in tracks}
        while True:
            pixels = frame.pixels
            for track in tracks:
                pixels = self._put(pixels, frame.number, track, attempts[track][0])
            painted = [self._measured(pixels, frame.number, one, attempts[one][0]) for one in tracks]
            again = [one for one in painted if self._failed(one) and len(attempts[one.track]) > 1]
            if not again:
                return frame, pixels, painted
            for one in again:
                attempts[one.track].popleft()

    def _attempts(self, track: int, number: int) -> deque[float]:
        """The ways to hide a face, of which one after another is tried: through larger and larger masks,
        by their area, then covered, by minus the number of colours, fewer and fewer."""
        seen = self.seen[track, number]
        drawn = seen.generated is not None and seen.face.turn <= MAX_TURN
        return deque([*(self.plans[track].areas() if drawn else []), *range(-CELLS, 0)])

    def _put(self, pixels: np.ndarray, number: int, track: int, area: float) -> np.ndarray:
        """One face put into the frame's pixels, through a mask of this area or covered."""
        photo, seen, plan = Photo(pixels, self.name), self.seen[track, number], self.plans[track]
        if area > 0:
            mask = self.new(track, area)
            blends = self._around(track, number, "blend", LOOKS_REACH, LOOKS_SIGMA)
            blend = mean_blend(*blends) if blends[0] else self._blend(seen, mask, self.controls)
            blend = replace(blend, moved=self._mean(track, number, "moved", SHAPE_REACH, SHAPE_SIGMA))
            if area != plan.mask_area:
                other = self._blend(seen, mask, self.controls.with_new_mouth())
                blend = replace(other, moved=blend.moved, gain=blend.gain)
            made = apply_blend(blend, seen.generated, seen.image, mask)
            painted = paste(photo, seen.face, made.cpu(), mask.cpu())
            rng = np.random.default_rng((self.controls.seed, number, track))
            return match_grain(pixels, painted, rng)
        if self.fallback == "none":
            raise StillRecognised(
                f"{self.name} shows a face in frame {number} at {[round(one) for one in seen.face.box]} "
                f"that cannot be replaced; nothing was written: use --fallback pixels or blur, or "
                f"another seed"
            )
        return cover(photo, seen.face, self.fallback, int(-area))

    def _measured(self, pixels: np.ndarray, number: int, track: int, attempt: float) -> Painted:
        """One face of a finished frame, as the recogniser sees it."""
        plan, seen, done = self.plans[track], self.seen[track, number], COVERED
        if attempt > 0:
            done = REGENERATED if attempt == plan.mask_area else WIDER
        if seen.image is None:
            return Painted(track, number, done, math.nan)
        image = align(Photo(pixels, self.name), seen.face, LOOK_SIZE)
        if done != COVERED and plan.found(number) and not self._fits(image, seen.face):
            return Painted(track, number, done, math.nan)
        after = self.recognizer.embed(image.to(self.anonymizer.device))
        own = distance(self.recognizer, after, seen.embedding).item()
        return Painted(track, number, done, min(own, plan.distance(self.anonymizer, after)))

    def _failed(self, one: Painted) -> bool:
        """Whether a face has to be tried again, another way."""
        if one.done == COVERED:
            return one.distance < self.recognizer.threshold
        return not one.distance >= self.recognizer.threshold + MARGIN

    def _fits(self, image: torch.Tensor, face: Face) -> bool:
        """Whether an aligned picture `(1, 3, S, S)` shows a face, with its features where they were."""
        matrix = face.to_photo(LOOK_SIZE)
        old = np.linalg.solve(matrix[:, :2], (face.points - matrix[:, 2]).T).T
        faces = look(self.anonymizer, to_uint8(image), LOOK_SIZE // 2)
        drifts = [np.hypot(*(one.points - old).T).mean() / LOOK_SIZE for one in faces]
        return min(drifts, default=1.0) <= MAX_DRIFT


def ahead(items: Iterable[T], count: int) -> Iterator[T]:
    """Give each item when so many after it have been taken."""
    waiting: deque[T] = deque()
    for item in items:
        waiting.append(item)
        if len(waiting) > count:
            yield waiting.popleft()
    yield from waiting
