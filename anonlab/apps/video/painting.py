"""Pass 2 over a clip: every frame of every track gets its new face, steady over time.

Codes are smoothed over time by a Gaussian; so are its shape and its `Blend`, which is measured in one
frame in `LOOKS_EVERY`. Everything depends on a few frames around, and on nothing else: wherever a run
begins, a frame comes out the same.

Each finished frame is measured. A face that is still recognised, or is no face any more, is painted
again through larger masks, and in the end covered; so is one for which the generator failed.
"""

from __future__ import annotations

import contextlib
import math
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any, NamedTuple

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

    track: int
    frame: int
    plan: TrackPlan
    face: Face
    image: torch.Tensor | None = None  # (1, 3, S, S); None where too much of it lies beyond the frame
    embedding: torch.Tensor | None = None  # (1, dim)
    points: torch.Tensor | None = None  # (1, 68, 2)
    codes: torch.Tensor | None = None  # (1, num_ws, w_dim), of one frame in `CODES_EVERY`
    generated: torch.Tensor | None = None  # (1, 3, S, S)
    generated_points: torch.Tensor | None = None  # (1, 68, 2)
    moved: torch.Tensor | None = None  # (1, 2, G, G), from these points to the face's
    hands: torch.Tensor | None = None  # (1, 1, 256, 256) before it, of one frame in `LOOKS_EVERY`
    blend: Blend | None = None  # what else has to be done to it, of the same
    # the ways to hide it that are left: through larger and larger masks, by their area, then covered, by
    # minus the number of colours, fewer and fewer
    attempts: list[float] = field(default_factory=list)


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
        self.seen: dict[int, dict[int, Seen]] = {}  # by frame and track
        self.generator = anonymizer.generator

    def paint(
        self, frames: Iterable[Frame], first: int, in_order: InOrder
    ) -> Iterator[tuple[Frame, np.ndarray, list[Painted]]]:
        """Finish the frames from number `first` on, with their new pixels `(H, W, 3)` and what became of
        each face. Frames earlier than `DELAY` before the first have no part in it. `in_order` is that of
        `side_by_side`."""
        near = (frame for frame in frames if frame.number >= first - DELAY)
        looked = ahead(in_order(self._look, near), CODES_REACH)
        drawn = in_order(self._draw, (one for one in looked if one.number >= first - LOOKS_REACH))
        wanted = (one for one in ahead(drawn, LOOKS_REACH) if one.number >= first)
        for finished in in_order(self._finish, wanted):
            yield finished
            self.seen.pop(finished[0].number - DELAY, None)

    @torch.no_grad()
    def _look(self, frame: Frame) -> Frame:
        """Read from a frame what those around it need."""
        photo, number = Photo(frame.pixels, self.name), frame.number
        faces = [
            self._see(photo, Seen(track, number, plan, plan.face(number)))
            for track, plan in enumerate(self.plans)
            if plan.first <= number <= plan.last
        ]
        self.seen[number] = {one.track: one for one in faces if one is not None}
        return frame

    def _see(self, photo: Photo, seen: Seen) -> Seen | None:
        """Read a face; None where it may not be in the frame, and the person is not seen there."""
        plan, number = seen.plan, seen.frame
        beyond = plan.kind[number - plan.first] == BEYOND
        if beyond and any(one.person == plan.person and one.found(number) for one in self.plans):
            return None
        try:
            image = align(photo, seen.face, plan.resolution).to(self.anonymizer.device)
        except NoFaceFound:
            return seen if visible_share(photo, seen.face) > LEAST_VISIBLE else None
        embedding = torch.from_numpy(plan.embedding[number - plan.first])[None].to(image)
        if embedding.isnan().any():
            embedding = self.recognizer.embed(image)
        if beyond and not plan.distance(self.anonymizer, embedding) < self.recognizer.threshold:
            return None
        seen.image, seen.embedding, seen.points = image, embedding, self.perception.landmarks(image)
        if plan.due(number, LOOKS_EVERY):
            seen.hands = self.perception.hands(photo, seen.face)
        if plan.due(number, CODES_EVERY):
            seen.codes = self.follower.codes(plan, number, image, self.mask(seen.track, plan.mask_area))
        return seen

    def _mask(self, track: int, area: float) -> torch.Tensor:
        return self.plans[track].mask(self.controls, area).to(self.anonymizer.device)

    def _around(self, seen: Seen, what: str, reach: int, sigma: float) -> tuple[list, list]:
        """Take the field `what` of a face in the frames around its own, with their weights."""
        weights, values = [], []
        for away in range(-reach, reach + 1):
            near = self.seen.get(seen.frame + away, {})
            value = getattr(near.get(seen.track), what, None)
            if value is not None:
                weights.append(math.exp(-((away / sigma) ** 2) / 2))
                values.append(value)
        return values, weights

    def _mean(self, *which: Any) -> torch.Tensor | None:
        """Smooth the same; None where none has it."""
        values, weights = self._around(*which)
        total = sum(weight * value for weight, value in zip(weights, values, strict=True))
        return total / sum(weights) if values else None

    @torch.no_grad()
    def _draw(self, frame: Frame) -> Frame:
        """Generate the new faces of a frame, where it or one around it is not turned too far, and the
        generator does not fail."""
        for seen in self.seen[frame.number].values():
            plan, ws = seen.plan, self._mean(seen, "codes", CODES_REACH, CODES_SIGMA)
            near, _ = self._around(seen, "face", LOOKS_REACH, 1)
            if seen.image is None or ws is None or not any(face.turn <= MAX_TURN for face in near):
                continue
            with contextlib.suppress(AnonlabError, RuntimeError):
                made = self.generator.synthesis(ws, plan.resolution).clamp(-1, 1)
                if torch.isfinite(made).all():
                    seen.generated = resize(made, plan.resolution)
            if seen.generated is None:
                continue
            seen.generated_points = self.perception.landmarks(seen.generated)
            if plan.due(seen.frame, LOOKS_EVERY):
                mask = plan.new(self.mask(seen.track, plan.mask_area), plan.mask_area)
                seen.blend = self._blend(seen, mask, self.controls)
                seen.moved = seen.blend.moved
            else:
                seen.moved = displacement(seen.generated_points, seen.points).to(seen.generated)
        return frame

    def _blend(self, seen: Seen, mask: torch.Tensor, controls: Controls) -> Blend:
        points = seen.generated_points, seen.points
        blend = measure_blend(seen.generated, seen.image, mask, *points, controls)[0]
        if seen.hands is None:
            return blend
        return replace(blend, stays=blend.stays.maximum(resize(seen.hands, mask.shape[-1]).to(mask)))

    @torch.no_grad()
    def _finish(self, frame: Frame) -> tuple[Frame, np.ndarray, list[Painted]]:
        """Hide all faces of a frame, the largest first. Those that are still recognised are tried again
        together, because what is painted for one face may cover another."""
        faces = sorted(self.seen[frame.number].values(), key=lambda seen: -seen.face.area)
        for seen in faces:
            drawn = seen.generated is not None and seen.face.turn <= MAX_TURN
            seen.attempts = [*(seen.plan.areas() if drawn else []), *range(-CELLS, 0)]
        while True:
            pixels = frame.pixels
            for seen in faces:
                pixels = self._put(pixels, seen)
            painted = [self._measured(pixels, seen) for seen in faces]
            failed = [seen for seen, one in zip(faces, painted, strict=True) if self._failed(one)]
            again = [seen for seen in failed if len(seen.attempts) > 1]
            if not again:
                return frame, pixels, painted
            for seen in again:
                del seen.attempts[0]

    def _put(self, pixels: np.ndarray, seen: Seen) -> np.ndarray:
        """Put one face into the frame's pixels, through a mask or covered."""
        photo, plan, area = Photo(pixels, self.name), seen.plan, seen.attempts[0]
        if area > 0:
            mask = plan.new(self.mask(seen.track, area), area)
            blends = self._around(seen, "blend", LOOKS_REACH, LOOKS_SIGMA)
            blend = mean_blend(*blends) if blends[0] else self._blend(seen, mask, self.controls)
            blend = replace(blend, moved=self._mean(seen, "moved", SHAPE_REACH, SHAPE_SIGMA))
            if area != plan.mask_area:
                other = self._blend(seen, mask, self.controls.with_new_mouth())
                blend = replace(other, moved=blend.moved, gain=blend.gain)
            made = apply_blend(blend, seen.generated, seen.image, mask)
            painted = paste(photo, seen.face, made.cpu(), mask.cpu())
            rng = np.random.default_rng((self.controls.seed, seen.frame, seen.track))
            return match_grain(pixels, painted, rng)
        if self.fallback == "none":
            raise StillRecognised(
                f"{self.name} shows a face in frame {seen.frame} at {[*map(round, seen.face.box)]} "
                f"that cannot be replaced; nothing was written: use --fallback pixels or blur, or "
                f"another seed"
            )
        return cover(photo, seen.face, self.fallback, int(-area))

    def _measured(self, pixels: np.ndarray, seen: Seen) -> Painted:
        """Measure one face of a finished frame, as the recogniser sees it."""
        plan, away, done = seen.plan, math.nan, COVERED
        if seen.attempts[0] > 0:
            done = REGENERATED if seen.attempts[0] == plan.mask_area else WIDER
        if seen.image is not None:
            image = align(Photo(pixels, self.name), seen.face, LOOK_SIZE)
            if done == COVERED or not plan.found(seen.frame) or self._fits(image, seen.face):
                after = self.recognizer.embed(image.to(self.anonymizer.device))
                own = distance(self.recognizer, after, seen.embedding).item()
                away = min(own, plan.distance(self.anonymizer, after))
        return Painted(seen.track, seen.frame, done, away)

    def _failed(self, one: Painted) -> bool:
        """Tell whether a face has to be tried again, another way."""
        if one.done == COVERED:
            return one.distance < self.recognizer.threshold
        return not one.distance >= self.recognizer.threshold + MARGIN

    def _fits(self, image: torch.Tensor, face: Face) -> bool:
        """Tell whether an aligned picture `(1, 3, S, S)` shows a face, with its features in place."""
        matrix = face.to_photo(LOOK_SIZE)
        old = np.linalg.solve(matrix[:, :2], (face.points - matrix[:, 2]).T).T
        faces = look(self.anonymizer, to_uint8(image), LOOK_SIZE // 2)
        drifts = [np.hypot(*(one.points - old).T).mean() / LOOK_SIZE for one in faces]
        return min(drifts, default=1.0) <= MAX_DRIFT


def ahead(items: Iterable[Frame], count: int) -> Iterator[Frame]:
    """Give each item when so many after it have been taken."""
    waiting: deque[Frame] = deque()
    for item in items:
        waiting.append(item)
        if len(waiting) > count:
            yield waiting.popleft()
    yield from waiting
