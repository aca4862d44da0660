"""Pass 2 over a clip: every frame of every track gets its new face, steady over time.

Codes are found for one frame in `CODES_EVERY` and smoothed by a Gaussian; so are, over three frames,
what is done to the picture (blur, shift of colours, where the cheeks end). Everything depends on a few
frames around, and on nothing else: wherever a run begins, a frame comes out the same.

Each finished frame is measured. A face that is still recognised, or is no face any more, is painted
again through a larger mask; if that does not help, or if the generator failed, it is covered by the
fall-back.
"""

from __future__ import annotations

import itertools
import math
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

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
    blend: Blend | None = None  # what has to be done to it


@dataclass
class Attempts:
    """The ways to hide one face of one frame, of which one after another is tried: through larger and
    larger masks, then covered in fewer and fewer colours."""

    areas: list[float]
    tried: int = 0

    @property
    def area(self) -> float | None:
        """Of the mask; None where the face is covered."""
        return self.areas[self.tried] if self.tried < len(self.areas) else None

    @property
    def cells(self) -> int:
        """Colours on a side of the cover."""
        return CELLS - (self.tried - len(self.areas))

    @property
    def done(self) -> int:
        """REGENERATED, WIDER or COVERED."""
        return COVERED if self.area is None else WIDER if self.tried else REGENERATED

    def cover(self) -> None:
        """Leave out the attempts to replace the face."""
        self.tried = max(self.tried, len(self.areas))


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
    masks: dict[tuple[int, float], torch.Tensor] = field(default_factory=dict)  # by track and area

    def paint(
        self, frames: Iterable[Frame], first: int = 0
    ) -> Iterator[tuple[Frame, np.ndarray, list[Painted]]]:
        """Finished frames from number `first` on: pixels `(H, W, 3)`, and what became of each face.

        The `DELAY` frames before the first are looked at, and those before them are not needed.
        """
        waiting: deque[Frame] = deque()
        for frame in itertools.chain(frames, [None] * DELAY):
            if frame is not None:
                self._look(frame)
                if frame.number < first:
                    continue
                waiting.append(frame)
            if waiting and (frame is None or len(waiting) > DELAY):
                done = waiting.popleft()
                yield done, *self._finish(done)
                self.seen = {key: one for key, one in self.seen.items() if key[1] > done.number - DELAY}

    @torch.no_grad()
    def _look(self, frame: Frame) -> None:
        """What is read from a frame before its turn comes."""
        photo = Photo(frame.pixels, self.name)
        for track, plan in enumerate(self.plans):
            if plan.first <= frame.number <= plan.last:
                seen = self._see(photo, track, frame.number)
                if seen is not None:
                    self.seen[track, frame.number] = seen

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
        embedding = recognizer.embed(image)
        if kind == BEYOND and not plan.distance(self.anonymizer, embedding) < recognizer.threshold:
            return None
        seen = Seen(face, image, embedding, self.anonymizer.perception.landmarks(image))
        if (number % CODES_EVERY == 0 or number in (plan.first, plan.last)) and plan.aims:
            try:
                seen.codes = plan.start(self.anonymizer, image, self._mask(track, plan.mask_area))
            except (AnonlabError, RuntimeError):
                seen.codes = None  # the frames around it are covered, or their codes are enough
        return seen

    def _mask(self, track: int, area: float) -> torch.Tensor:
        """Of a track, made once."""
        if (track, area) not in self.masks:
            plan = self.plans[track]
            self.masks[track, area] = plan.mask(self.controls, area, plan.resolution)
        return self.masks[track, area].to(self.anonymizer.device)

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
    def _generate(self, track: int, number: int) -> bool:
        """Generate the new face of a frame; False if there is none, or the generator fails."""
        seen, plan = self.seen.get((track, number)), self.plans[track]
        if seen is None or seen.image is None:
            return False
        if seen.generated is None:
            near = self._around(track, number, CODES_REACH, CODES_SIGMA)
            known = [(weight, one.codes) for weight, one in near if one.codes is not None]
            if not known:
                return False
            ws = sum(weight * codes for weight, codes in known) / sum(weight for weight, _ in known)
            try:
                made = self.anonymizer.generator.synthesis(ws, plan.resolution).clamp(-1, 1)
            except (AnonlabError, RuntimeError):
                return False
            if not torch.isfinite(made).all():
                return False
            seen.generated = resize(made, plan.resolution)
            seen.generated_points = self.anonymizer.perception.landmarks(seen.generated)
            seen.blend = self._blend(seen, self._mask(track, plan.mask_area))
        return True

    def _blend(self, seen: Seen, mask: torch.Tensor) -> Blend:
        own_eyes, points = self.controls.own_eyes, (seen.generated_points, seen.points)
        return measure_blend(seen.generated, seen.image, mask, *points, own_eyes)[0]

    @torch.no_grad()
    def _composite(
        self, track: int, number: int, area: float
    ) -> tuple[torch.Tensor, torch.Tensor] | None:
        """The new face in the old one's surroundings `(1, 3, S, S)`, and its mask; None without one."""
        if not self._generate(track, number):
            return None
        seen = self.seen[track, number]
        for away in range(-LOOKS_REACH, LOOKS_REACH + 1):
            self._generate(track, number + away)
        near = self._around(track, number, LOOKS_REACH, LOOKS_SIGMA)
        near = [(weight, one.blend) for weight, one in near if one.blend is not None]
        blend = mean_blend([one for _, one in near], [weight for weight, _ in near])
        mask = self._mask(track, area)
        if area != self.plans[track].mask_area:
            other = self._blend(seen, mask)
            blend = replace(blend, smear=other.smear, blur=other.blur, shift=other.shift)
        return apply_blend(blend, seen.generated, seen.image, mask), mask

    def _finish(self, frame: Frame) -> tuple[np.ndarray, list[Painted]]:
        """All faces of a frame. Those that are still recognised are tried again together, because what
        is painted for one face may cover another."""
        tracks = [track for track, number in self.seen if number == frame.number]
        tracks.sort(key=lambda track: -self.seen[track, frame.number].face.area)
        attempts = {track: Attempts(areas(self.plans[track].mask_area)) for track in tracks}
        while True:
            pixels = frame.pixels
            for track in tracks:
                pixels = self._put(pixels, frame.number, track, attempts[track])
            painted = [self._measured(pixels, frame.number, track, attempts[track]) for track in tracks]
            again = [one for one in painted if self._failed(one, attempts[one.track])]
            if not again:
                return pixels, painted
            for one in again:
                attempts[one.track].tried += 1

    def _failed(self, one: Painted, attempts: Attempts) -> bool:
        """Whether a face has to be tried again, another way."""
        threshold = self.anonymizer.recognizer.threshold
        if one.done != COVERED:
            return not one.distance >= threshold + MARGIN
        return one.distance < threshold and attempts.cells > 1

    def _put(self, pixels: np.ndarray, number: int, track: int, attempts: Attempts) -> np.ndarray:
        """One face put into the frame's pixels, at the attempt whose turn it is."""
        photo, face = Photo(pixels, self.name), self.seen[track, number].face
        if face.turn > MAX_TURN:
            attempts.cover()
        if attempts.area is not None:
            made = self._composite(track, number, attempts.area)
            if made is not None:
                painted = paste(photo, face, made[0].cpu(), made[1].cpu())
                rng = np.random.default_rng((self.controls.seed, number, track))
                return match_grain(pixels, painted, rng)
            attempts.cover()
        if self.fallback == "none":
            raise StillRecognised(
                f"{self.name} shows a face in frame {number} at {[round(side) for side in face.box]} "
                f"that cannot be replaced; nothing was written: use --fallback pixels or blur, or "
                f"another seed"
            )
        return cover(photo, face, self.fallback, attempts.cells)

    @torch.no_grad()
    def _measured(self, pixels: np.ndarray, number: int, track: int, attempts: Attempts) -> Painted:
        """One face of a finished frame, as the recogniser sees it."""
        plan, seen, done = self.plans[track], self.seen[track, number], attempts.done
        if seen.image is None:
            return Painted(track, number, done, math.nan)
        image = align(Photo(pixels, self.name), seen.face, LOOK_SIZE)
        found = plan.kind[number - plan.first] == FOUND
        if done != COVERED and found and not self._fits(image, seen.face):
            return Painted(track, number, done, math.nan)
        after = self.anonymizer.recognizer.embed(image.to(self.anonymizer.device))
        own = distance(self.anonymizer.recognizer, after, seen.embedding).item()
        return Painted(track, number, done, min(own, plan.distance(self.anonymizer, after)))

    def _fits(self, image: torch.Tensor, face: Face) -> bool:
        """Whether an aligned picture `(1, 3, S, S)` shows a face, with its features where they were."""
        matrix = face.to_photo(LOOK_SIZE)
        old = np.linalg.solve(matrix[:, :2], (face.points - matrix[:, 2]).T).T
        faces = look(self.anonymizer, to_uint8(image), LOOK_SIZE)
        drifts = [np.hypot(*(one.points - old).T).mean() / LOOK_SIZE for one in faces]
        return min(drifts, default=1.0) <= MAX_DRIFT
