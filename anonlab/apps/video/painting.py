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
from dataclasses import dataclass, field, replace
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
from .codes import Follower
from .detections import LOOK_SIZE, look
from .frames import Frame
from .plans import BEYOND, MARGIN, TrackPlan
from .side_by_side import InOrder

CODES_EVERY, LOOKS_EVERY = 2, 2  # frames
# frames: widths of the Gaussians, and how far they reach, of codes, of shape, of all else in a blend
CODES_SIGMA, SHAPE_SIGMA, LOOKS_SIGMA = 1.5, 1.0, 1.5
CODES_REACH, SHAPE_REACH, LOOKS_REACH = 4, 1, 2
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


class Attempt(NamedTuple):
    """One way to hide a face: through a mask, or covered."""

    area: float | None  # of the mask; None where the face is covered
    cells: int = CELLS  # colours on a side of the cover


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
    blend: Blend | None = None  # what else has to be done to it, of one frame in `LOOKS_EVERY`


@dataclass
class Painter:
    """Paints the tracks of one clip. `fallback` is `blur`, `pixels` or `none`, which raises
    `StillRecognised` instead."""

    anonymizer: Anonymizer
    plans: Sequence[TrackPlan]
    controls: Controls
    fallback: str
    name: str  # of the clip
    seen: dict[tuple[int, int], Seen] = field(default_factory=dict)  # by track and frame
    painted: list[Painted] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.follower, self.mask = Follower(self.anonymizer), lru_cache(MASKS)(self._mask)

    def paint(
        self, frames: Iterable[Frame], first: int = 0, in_order: InOrder = map
    ) -> Iterator[tuple[Frame, np.ndarray]]:
        """Finish the frames from number `first` on, with their new pixels `(H, W, 3)`; `painted` gets
        what became of each face. `in_order` is that of `side_by_side`.

        The `DELAY` frames before the first are looked at, and those before them are not needed.
        """
        looked = ahead(in_order(self._look, frames), CODES_REACH)
        drawn = in_order(self._draw, (one for one in looked if one.number >= first - LOOKS_REACH))
        wanted = (one for one in ahead(drawn, LOOKS_REACH) if one.number >= first)
        for frame, pixels, faces in in_order(self._finish, wanted):
            self.painted += faces
            yield frame, pixels
            for track in range(len(self.plans)):
                self.seen.pop((track, frame.number - DELAY), None)

    @torch.no_grad()
    def _look(self, frame: Frame) -> Frame:
        """What is read from a frame before its turn comes."""
        photo = Photo(frame.pixels, self.name)
        for track, plan in enumerate(self.plans):
            if plan.first <= frame.number <= plan.last:
                seen = self._see(photo, track, frame.number)
                if seen is not None:
                    self.seen[track, frame.number] = seen
        return frame

    def _tracks(self, frame: Frame) -> list[int]:
        """The tracks that are seen in a frame, the largest face first."""
        tracks = [one for one in range(len(self.plans)) if (one, frame.number) in self.seen]
        return sorted(tracks, key=lambda track: -self.seen[track, frame.number].face.area)

    @torch.no_grad()
    def _draw(self, frame: Frame) -> Frame:
        """Generate the new faces of a frame, where it or one around it is not turned too far."""
        for track in self._tracks(frame):
            around = range(frame.number - LOOKS_REACH, frame.number + LOOKS_REACH + 1)
            near = (self.seen.get((track, number)) for number in around)
            if any(one is not None and one.face.turn <= MAX_TURN for one in near):
                self._generate(track, frame.number)
        return frame

    def _see(self, photo: Photo, track: int, number: int) -> Seen | None:
        """None where the track is not sure to be in the frame, and the person is not seen there."""
        plan, recognizer = self.plans[track], self.anonymizer.recognizer
        face, kind = plan.face(number), plan.kind[number - plan.first]
        if kind == BEYOND and self._elsewhere(plan, number):
            return None
        try:
            image = align(photo, face, plan.resolution).to(self.anonymizer.device)
        except NoFaceFound:
            return Seen(face, None) if visible_share(photo, face) > LEAST_VISIBLE else None
        embedding = torch.from_numpy(plan.embedding[number - plan.first])[None].to(image)
        if embedding.isnan().any():
            embedding = recognizer.embed(image)
        if kind == BEYOND and not plan.distance(self.anonymizer, embedding) < recognizer.threshold:
            return None
        seen = Seen(face, image, embedding, self.anonymizer.perception.landmarks(image))
        if number % CODES_EVERY == 0 or number in (plan.first, plan.last):
            seen.codes = self.follower.codes(plan, number, image, self.mask(track, plan.mask_area))
        return seen

    def _mask(self, track: int, area: float) -> torch.Tensor:
        return self.plans[track].mask(self.controls, area).to(self.anonymizer.device)

    def _elsewhere(self, plan: TrackPlan, number: int) -> bool:
        """Whether the same person has another track in that frame."""
        return any(
            other is not plan and other.person == plan.person and other.found(number)
            for other in self.plans
        )

    def _mean(self, track: int, number: int, what: str, reach: int, sigma: float) -> Any:
        """The field `what` of a track's faces, smoothed over the frames around one; None where none has
        it."""
        around = ((away, self.seen.get((track, number + away))) for away in range(-reach, reach + 1))
        known = [(math.exp(-((away / sigma) ** 2) / 2), getattr(one, what)) for away, one in around
                 if one is not None and getattr(one, what) is not None]  # fmt: skip
        if not known:
            return None
        weights, values = zip(*known, strict=True)
        if what == "blend":
            return mean_blend(values, weights)
        return sum(weight * value for weight, value in known) / sum(weights)

    def _generate(self, track: int, number: int) -> None:
        """Generate the new face of a frame; there is none where the generator fails."""
        seen, plan = self.seen[track, number], self.plans[track]
        ws = self._mean(track, number, "codes", CODES_REACH, CODES_SIGMA)
        if seen.image is None or ws is None:
            return
        try:
            made = self.anonymizer.generator.synthesis(ws, plan.resolution).clamp(-1, 1)
        except (AnonlabError, RuntimeError):
            return
        if not torch.isfinite(made).all():
            return
        seen.generated = resize(made, plan.resolution)
        seen.generated_points = self.anonymizer.perception.landmarks(seen.generated)
        if number % LOOKS_EVERY == 0 or number in (plan.first, plan.last):
            seen.blend = self._blend(seen, self.mask(track, plan.mask_area))
            seen.moved = seen.blend.moved
        else:
            seen.moved = displacement(seen.generated_points, seen.points).to(seen.generated)

    def _blend(self, seen: Seen, mask: torch.Tensor) -> Blend:
        own_eyes, points = self.controls.own_eyes, (seen.generated_points, seen.points)
        return measure_blend(seen.generated, seen.image, mask, *points, own_eyes)[0]

    def _composite(
        self, track: int, number: int, area: float
    ) -> tuple[torch.Tensor, torch.Tensor] | None:
        """The new face in the old one's surroundings `(1, 3, S, S)`, and its mask; None without one."""
        seen, mask = self.seen[track, number], self.mask(track, area)
        if seen.generated is None:
            return None
        moved = self._mean(track, number, "moved", SHAPE_REACH, SHAPE_SIGMA)
        looks = self._mean(track, number, "blend", LOOKS_REACH, LOOKS_SIGMA)
        blend = replace(looks or self._blend(seen, mask), moved=moved)
        if area != self.plans[track].mask_area:
            other = self._blend(seen, mask)
            blend = replace(blend, smear=other.smear, blur=other.blur, shift=other.shift)
        return apply_blend(blend, seen.generated, seen.image, mask), mask

    @torch.no_grad()
    def _finish(self, frame: Frame) -> tuple[Frame, np.ndarray, list[Painted]]:
        """All faces of a frame. Those that are still recognised are tried again together, because what
        is painted for one face may cover another."""
        tracks = self._tracks(frame)
        attempts = {track: self._attempts(track, frame.number) for track in tracks}
        while True:
            pixels = frame.pixels
            for track in tracks:
                pixels = self._put(pixels, frame.number, track, attempts[track])
            painted = [self._measured(pixels, frame.number, one, attempts[one][0]) for one in tracks]
            again = [one for one in painted if self._failed(one) and len(attempts[one.track]) > 1]
            if not again:
                return frame, pixels, painted
            for one in again:
                attempts[one.track].popleft()

    def _attempts(self, track: int, number: int) -> deque[Attempt]:
        """The ways to hide a face, of which one after another is tried: through larger and larger masks,
        then covered in fewer and fewer colours."""
        turned = self.seen[track, number].face.turn > MAX_TURN
        areas = [] if turned else self.plans[track].areas()
        return deque([*map(Attempt, areas), *(Attempt(None, cells) for cells in range(CELLS, 0, -1))])

    def _failed(self, one: Painted) -> bool:
        """Whether a face has to be tried again, another way."""
        threshold = self.anonymizer.recognizer.threshold
        if one.done == COVERED:
            return one.distance < threshold
        return not one.distance >= threshold + MARGIN

    def _put(self, pixels: np.ndarray, number: int, track: int, attempts: deque[Attempt]) -> np.ndarray:
        """One face put into the frame's pixels, by the first of the attempts that gives one."""
        photo, face = Photo(pixels, self.name), self.seen[track, number].face
        while (area := attempts[0].area) is not None:
            made = self._composite(track, number, area)
            if made is not None:
                painted = paste(photo, face, made[0].cpu(), made[1].cpu())
                rng = np.random.default_rng((self.controls.seed, number, track))
                return match_grain(pixels, painted, rng)
            attempts.popleft()
        if self.fallback == "none":
            raise StillRecognised(
                f"{self.name} shows a face in frame {number} at {[round(side) for side in face.box]} "
                f"that cannot be replaced; nothing was written: use --fallback pixels or blur, or "
                f"another seed"
            )
        return cover(photo, face, self.fallback, attempts[0].cells)

    def _measured(self, pixels: np.ndarray, number: int, track: int, attempt: Attempt) -> Painted:
        """One face of a finished frame, as the recogniser sees it."""
        plan, seen, done = self.plans[track], self.seen[track, number], COVERED
        if attempt.area is not None:
            done = REGENERATED if attempt.area == plan.mask_area else WIDER
        if seen.image is None:
            return Painted(track, number, done, math.nan)
        image = align(Photo(pixels, self.name), seen.face, LOOK_SIZE)
        if done != COVERED and plan.found(number) and not self._fits(image, seen.face):
            return Painted(track, number, done, math.nan)
        after = self.anonymizer.recognizer.embed(image.to(self.anonymizer.device))
        own = distance(self.anonymizer.recognizer, after, seen.embedding).item()
        return Painted(track, number, done, min(own, plan.distance(self.anonymizer, after)))

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
