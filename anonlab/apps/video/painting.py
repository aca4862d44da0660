"""Pass 2 over a clip: every frame of every track gets its new face, steady over time.

Codes are found for one frame in `CODES_EVERY` and smoothed by a Gaussian; so are, over three frames,
what is done to the picture (blur, shift of colours, where the cheeks end). Everything depends on a few
frames around, and on nothing else: wherever a run begins, a frame comes out the same.

Each finished frame is measured. A face that is still recognised, or is no face any more, is painted
again through a larger mask; if that does not help, or if the generator failed, it is covered by the
fall-back.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace

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
from .detections import LOOK_SIZE, look
from .frames import Frame
from .plans import BEYOND, FOUND, MARGIN, TrackPlan, areas

CODES_EVERY = 2  # frames
CODES_SIGMA, LOOKS_SIGMA = 1.5, 1.0  # frames; of codes, and of blur, colours and outline
CODES_REACH, LOOKS_REACH = 4, 1  # frames on either side
DELAY = CODES_REACH + LOOKS_REACH  # how many frames later a frame is finished
LEAST_VISIBLE = 0.1  # share of a face inside the frame, below which there is nothing to cover
REGENERATED, WIDER, COVERED = 0, 1, 2  # what was done with a face


@dataclass(frozen=True)
class Painted:
    """One face of one finished frame."""

    track: int
    frame: int
    done: int  # REGENERATED, WIDER (through a larger mask) or COVERED
    distance: (
        float  # of the finished face to the person, the nearer of this frame's and the track's mean
    )
    before: np.ndarray  # (dim,) who the recogniser saw; NaN for a face cut off by the frame
    after: np.ndarray  # (dim,) who it sees now
    points_before: np.ndarray  # (68, 2) in pixels of the clip
    points_after: np.ndarray  # (68, 2)


@dataclass
class Seen:
    """A face as it is in one frame, and what was made of it."""

    face: Face
    image: torch.Tensor | None  # (1, 3, S, S); None where too much of it lies beyond the frame
    embedding: torch.Tensor | None = None  # (1, dim)
    points: torch.Tensor | None = None  # (1, 68, 2)
    codes: torch.Tensor | None = None  # (1, num_ws, w_dim), of one frame in `CODES_EVERY`
    drawn: Drawn | None = None


@dataclass(frozen=True)
class Drawn:
    """A generated picture, and what has to be done to it."""

    made: torch.Tensor  # (1, 3, S, S)
    points: torch.Tensor  # (1, 68, 2) of it
    blend: Blend


@dataclass
class Painter:
    """Paints the tracks of one clip. `fallback` is `blur`, `pixels` or `none`, which raises
    `StillRecognised` instead."""

    anonymizer: Anonymizer
    plans: Sequence[TrackPlan]
    controls: Controls
    fallback: str
    name: str  # of the clip
    seen: dict[tuple[int, int], Seen | None] = field(default_factory=dict)
    masks: dict[tuple[int, float], torch.Tensor] = field(default_factory=dict)

    def paint(
        self, frames: Iterable[Frame], first: int = 0
    ) -> Iterator[tuple[Frame, np.ndarray, list[Painted]]]:
        """Finished frames from number `first` on: pixels `(H, W, 3)`, and what became of each face.

        The `DELAY` frames before the first are looked at, and those before them are not needed.
        """
        waiting: deque[Frame] = deque()
        for frame in frames:
            if frame.number < first - DELAY:
                continue
            self._look(frame)
            if frame.number >= first:
                waiting.append(frame)
            if len(waiting) > DELAY:
                yield self._finished(waiting.popleft())
        while waiting:
            yield self._finished(waiting.popleft())

    def _finished(self, frame: Frame) -> tuple[Frame, np.ndarray, list[Painted]]:
        pixels, painted = self._finish(frame)
        old = frame.number - DELAY
        for key in [key for key in self.seen if key[1] <= old]:
            del self.seen[key]
        return frame, pixels, painted

    @torch.no_grad()
    def _look(self, frame: Frame) -> None:
        """What is read from a frame before its turn comes."""
        photo = Photo(frame.pixels, self.name)
        for track, plan in enumerate(self.plans):
            if plan.first <= frame.number <= plan.last:
                self.seen[track, frame.number] = self._see(photo, plan, frame.number)

    def _see(self, photo: Photo, plan: TrackPlan, number: int) -> Seen | None:
        """None where the track is not sure to be in the frame, and the person is not seen there."""
        face, kind = plan.face(number), plan.kind[number - plan.first]
        if kind == BEYOND and self._elsewhere(plan, number):
            return None
        try:
            image = align(photo, face, plan.resolution).to(self.anonymizer.device)
        except NoFaceFound:
            return Seen(face, None) if visible_share(photo, face) > LEAST_VISIBLE else None
        embedding = self.anonymizer.recognizer.embed(image)
        if kind == BEYOND and not self._distance(embedding, plan) < self.anonymizer.recognizer.threshold:
            return None
        seen = Seen(face, image, embedding, self.anonymizer.perception.landmarks(image))
        ends = plan.first, plan.last
        if (number % CODES_EVERY == 0 or number in ends) and not np.isnan(plan.target).any():
            mask = self._mask(plan, plan.mask_area).to(image)
            mean, target = (torch.from_numpy(one)[None].to(image) for one in (plan.mean, plan.target))
            try:
                seen.codes = self.anonymizer.regenerator.start(image, mask, mean, target)
            except (AnonlabError, RuntimeError):
                seen.codes = None  # the frames around it are covered, or their codes are enough
        return seen

    def _mask(self, plan: TrackPlan, area: float) -> torch.Tensor:
        """Of a track, made once."""
        key = id(plan), area
        if key not in self.masks:
            self.masks[key] = plan.mask(self.controls, area, plan.resolution)
        return self.masks[key]

    def _elsewhere(self, plan: TrackPlan, number: int) -> bool:
        """Whether the same person has another track in that frame."""
        return any(
            other is not plan
            and other.person == plan.person
            and other.first <= number <= other.last
            and other.kind[number - other.first] != BEYOND
            for other in self.plans
        )

    def _around(self, track: int, number: int, reach: int, sigma: float) -> list[tuple[float, Seen]]:
        """The faces of a track in the frames around one, with their weights."""
        near = ((away, self.seen.get((track, number + away))) for away in range(-reach, reach + 1))
        return [(math.exp(-((away / sigma) ** 2) / 2), one) for away, one in near if one is not None]

    @torch.no_grad()
    def _draw(self, track: int, number: int) -> Drawn | None:
        """The new face of a frame; None if the generator cannot make one."""
        seen, plan = self.seen.get((track, number)), self.plans[track]
        if seen is None or seen.image is None:
            return None
        if seen.drawn is None:
            near = self._around(track, number, CODES_REACH, CODES_SIGMA)
            known = [(weight, one.codes) for weight, one in near if one.codes is not None]
            if not known:
                return None
            ws = sum(weight * codes for weight, codes in known) / sum(weight for weight, _ in known)
            try:
                made = self.anonymizer.generator.synthesis(ws, plan.resolution).clamp(-1, 1)
            except (AnonlabError, RuntimeError):
                return None
            if not torch.isfinite(made).all():
                return None
            made = resize(made, plan.resolution)
            points = self.anonymizer.perception.landmarks(made)
            mask = self._mask(plan, plan.mask_area).to(made)
            blend = self._blend(made, points, seen, mask)
            seen.drawn = Drawn(made, points, blend)
        return seen.drawn

    def _blend(self, made: torch.Tensor, points: torch.Tensor, seen: Seen, mask: torch.Tensor) -> Blend:
        return measure_blend(made, seen.image, mask, points, seen.points, self.controls.own_eyes)

    @torch.no_grad()
    def _composite(
        self, track: int, number: int, area: float
    ) -> tuple[torch.Tensor, torch.Tensor] | None:
        """The new face in the old one's surroundings `(1, 3, S, S)`, and its mask; None without one."""
        drawn, plan = self._draw(track, number), self.plans[track]
        if drawn is None:
            return None
        seen = self.seen[track, number]
        for away in range(-LOOKS_REACH, LOOKS_REACH + 1):
            self._draw(track, number + away)
        near = self._around(track, number, LOOKS_REACH, LOOKS_SIGMA)
        near = [(weight, one.drawn) for weight, one in near if one.drawn is not None]
        blend = mean_blend([one.blend for _, one in near], [weight for weight, _ in near])
        mask = self._mask(plan, area).to(drawn.made)
        if area != plan.mask_area:
            other = self._blend(drawn.made, drawn.points, seen, mask)
            blend = replace(blend, smear=other.smear, blur=other.blur, shift=other.shift)
        return apply_blend(blend, drawn.made, seen.image, mask), mask

    def _finish(self, frame: Frame) -> tuple[np.ndarray, list[Painted]]:
        """All faces of a frame. Those that are still recognised are tried again together, because what
        is painted for one face may cover another."""
        there = [
            track for track in range(len(self.plans)) if self.seen.get((track, frame.number)) is not None
        ]
        sides = {track: self.seen[track, frame.number].face.area for track in there}
        there.sort(key=lambda track: -sides[track])
        wanted = {track: areas(self.plans[track].mask_area) for track in there}
        tried = dict.fromkeys(there, 0)
        while True:
            pixels = frame.pixels
            for track in there:
                pixels = self._put(pixels, frame.number, track, wanted[track], tried)
            painted = [self._measured(pixels, frame.number, track, wanted, tried) for track in there]
            again = [one for one in painted if self._failed(one, tried, wanted)]
            if not again:
                return pixels, painted
            for one in again:
                tried[one.track] += 1

    def _failed(self, one: Painted, tried: dict[int, int], wanted: dict[int, list[float]]) -> bool:
        """Whether a face has to be tried again, another way."""
        threshold = self.anonymizer.recognizer.threshold
        if one.done != COVERED:
            return not one.distance >= threshold + MARGIN
        return one.distance < threshold and tried[one.track] < len(wanted[one.track]) + CELLS - 1

    def _put(
        self, pixels: np.ndarray, number: int, track: int, wanted: Sequence[float], tried: dict[int, int]
    ) -> np.ndarray:
        """One face put into the frame's pixels, at the attempt whose turn it is."""
        photo, face = Photo(pixels, self.name), self.seen[track, number].face
        if face.turn > MAX_TURN:
            tried[track] = max(tried[track], len(wanted))
        if tried[track] < len(wanted):
            made = self._composite(track, number, wanted[tried[track]])
            if made is not None:
                painted = paste(photo, face, made[0].cpu(), made[1].cpu())
                rng = np.random.default_rng((self.controls.seed, number, track))
                return match_grain(pixels, painted, rng)
            tried[track] = len(wanted)
        if self.fallback == "none":
            raise StillRecognised(
                f"{self.name} shows a face in frame {number} at {[round(side) for side in face.box]} "
                f"that cannot be replaced; nothing was written: use --fallback pixels or blur, or "
                f"another seed"
            )
        return cover(photo, face, self.fallback, CELLS - (tried[track] - len(wanted)))

    @torch.no_grad()
    def _measured(
        self,
        pixels: np.ndarray,
        number: int,
        track: int,
        wanted: dict[int, list[float]],
        tried: dict[int, int],
    ) -> Painted:
        plan, seen = self.plans[track], self.seen[track, number]
        done = COVERED if tried[track] >= len(wanted[track]) else WIDER if tried[track] else REGENERATED
        if seen.image is None:
            unknown = np.full(len(plan.mean), np.nan, np.float32)
            nowhere = np.full((68, 2), np.nan)
            return Painted(track, number, done, math.nan, unknown, unknown, nowhere, nowhere)
        image = align(Photo(pixels, self.name), seen.face, LOOK_SIZE)
        found = plan.kind[number - plan.first] == FOUND
        broken = done != COVERED and found and not self._fits(image, seen.face)
        image = image.to(self.anonymizer.device)
        after = self.anonymizer.recognizer.embed(image)
        old = distance(self.anonymizer.recognizer, after, seen.embedding).item()
        matrix = seen.face.to_photo(1)
        points = self.anonymizer.perception.landmarks(image)
        before_points, after_points = (
            one[0].cpu().numpy() @ matrix[:, :2].T + matrix[:, 2] for one in (seen.points, points)
        )
        nearest = math.nan if broken else min(old, self._distance(after, plan))
        before = seen.embedding[0].cpu().numpy()
        return Painted(
            track, number, done, nearest, before, after[0].cpu().numpy(), before_points, after_points
        )

    def _fits(self, image: torch.Tensor, face: Face) -> bool:
        """Whether an aligned picture `(1, 3, S, S)` shows a face, with its features where they were."""
        matrix = face.to_photo(LOOK_SIZE)
        old = np.linalg.solve(matrix[:, :2], (face.points - matrix[:, 2]).T).T
        faces = look(self.anonymizer, to_uint8(image), LOOK_SIZE)
        drifts = [np.hypot(*(one.points - old).T).mean() / LOOK_SIZE for one in faces]
        return min(drifts, default=1.0) <= MAX_DRIFT

    def _distance(self, embedding: torch.Tensor, plan: TrackPlan) -> float:
        """To the track's person; infinite where nobody knows who that is."""
        if np.isnan(plan.mean).any():
            return math.inf
        mean = torch.from_numpy(plan.mean)[None].to(embedding)
        return distance(self.anonymizer.recognizer, embedding, mean).item()
