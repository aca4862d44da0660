"""What is to be done with each track, decided before any frame is written: one steady crop, one new
identity and one mask.

A person has one identity for the whole clip, made from the mean of all that was seen of them. The mask
is made from the attributions of a few good frames, with as much area as they need to be no longer
recognised.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from threading import Event
from typing import TypeVar

import numpy as np
import torch

from ..checking import AREA_LIMIT, AREA_STEP
from ..controls import Controls
from ..errors import AnonlabError, NoFaceFound
from ..identity.population import Attributes
from ..perception.masks import build_mask
from ..photo.faces import Face, align
from ..photo.photos import Photo
from ..pipeline import ATTEMPTS, AlignedFace, Anonymizer
from ..recognizers import distance
from .clips import Clip
from .detections import Detections
from .side_by_side import side_by_side, worker_count
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
    mean: np.ndarray  # (dim,) who the recogniser sees
    target: np.ndarray  # (dim,) what is aimed at
    attribution: np.ndarray  # (1, 1, 256, 256)
    landmarks: np.ndarray  # (1, 68, 2) of a good frame, for regions of the mask
    mask_area: float
    resolution: int  # of the generator's pictures

    @property
    def last(self) -> int:
        """The number of its last frame."""
        return self.first + len(self.kind) - 1

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


def make_plans(
    anonymizer: Anonymizer, clip: Clip, found: Detections, controls: Controls
) -> list[TrackPlan]:
    """A plan for every track of a clip. Raises `NoFaceFound` when there is none."""
    recognizer = anonymizer.recognizer

    def relative(one: np.ndarray, others: np.ndarray) -> np.ndarray:
        a, b = torch.from_numpy(one)[None].float(), torch.from_numpy(others).float()
        return (distance(recognizer, a.expand_as(b), b) / recognizer.threshold).numpy()

    tracks = link(found, relative)
    if not tracks:
        raise NoFaceFound(
            f"{clip.path} shows no face that can be found in any frame; nothing was written: use a "
            f"clip with faces"
        )
    whose = people(found, tracks, relative)
    geometry = [_geometry(found, track) for track in tracks]
    samples = _samples(anonymizer, clip, found, tracks, geometry)
    plans: list[TrackPlan] = []
    for person in range(max(whose) + 1):
        own = [index for index, one in enumerate(whose) if one == person]
        members = [member for index in own for member in tracks[index].members]
        who = mean_embedding(found.embedding[members])
        faces = [face for index in own for face in samples[index]]
        path = _path(anonymizer, who, faces, controls)
        plans += [
            _plan(anonymizer, geometry[one], samples[one] or faces, person, who, path, controls)
            for one in own
        ]
    return sorted(plans, key=lambda plan: plan.first)


def _geometry(found: Detections, track: Track) -> dict[str, np.ndarray]:
    """Where a track is: `numbers (T,)`, `kind (T,)`, `box (T, 4)`, `points (T, 5, 2)`."""
    seen = found.frame[track.members]
    scene = np.cumsum([number in found.cuts() for number in range(len(found.times))])
    same = scene == scene[seen[0]]
    near = (found.times >= found.times[seen[0]] - BEYOND_SECONDS) & (
        found.times <= found.times[seen[-1]] + BEYOND_SECONDS
    )
    numbers = np.flatnonzero(same & near)
    numbers = numbers[(numbers >= seen[0] - BEYOND_FRAMES) & (numbers <= seen[-1] + BEYOND_FRAMES)]
    kind = np.where((numbers < seen[0]) | (numbers > seen[-1]), BEYOND, FILLED)
    kind[np.isin(numbers, seen)] = FOUND
    # the axis of smoothing: time, in frames of this part of the clip
    step = np.median(np.diff(found.times[numbers])) if len(numbers) > 1 else 1.0
    at, known_at = found.times[numbers] / step, found.times[seen] / step
    box = filled(at, known_at, found.box[track.members])
    points = steady_points(at, known_at, found.points[track.members])
    return {"numbers": numbers, "kind": kind, "box": box, "points": points}


def _samples(
    anonymizer: Anonymizer,
    clip: Clip,
    found: Detections,
    tracks: Sequence[Track],
    geometry: Sequence[dict[str, np.ndarray]],
) -> list[list[AlignedFace]]:
    """A few good frames of each track: the surest and largest face of each third of it.

    The clip is decoded once more for them, up to the last.
    """
    wanted: dict[int, list[tuple[int, Face]]] = {}
    for index, (track, place) in enumerate(zip(tracks, geometry, strict=True)):
        size = np.sqrt((found.box[track.members][:, 2:] - found.box[track.members][:, :2]).prod(1))
        good = found.confidence[track.members] * size
        for part in np.array_split(np.arange(len(good)), SAMPLES):
            if len(part):
                number = int(found.frame[track.members[part[good[part].argmax()]]])
                at = number - int(place["numbers"][0])
                face = Face(tuple(place["box"][at].tolist()), place["points"][at], 1.0)
                wanted.setdefault(number, []).append((index, face))
    samples: list[list[AlignedFace]] = [[] for _ in tracks]
    for frame in clip.frames():
        for index, face in wanted.pop(frame.number, []):
            photo = Photo(frame.pixels, clip.path.name)
            try:
                image = align(photo, face, face.own_size).to(anonymizer.device)
            except NoFaceFound:  # cut off by the edge
                continue
            samples[index].append(anonymizer.analyze(image))
        if not wanted:
            break
    return samples


def _resolution(points: np.ndarray) -> int:
    """Of pictures for a track with these `points (T, 5, 2)`: nine of ten frames need no more."""
    sizes = [Face((0, 0, 0, 0), one, 1.0).own_size for one in points]
    return int(np.quantile(sizes, 0.9, method="lower"))


def _path(
    anonymizer: Anonymizer, who: np.ndarray, faces: Sequence[AlignedFace], controls: Controls
) -> np.ndarray | None:
    """Return the embedding `(dim,)` that is aimed at for a person; None where none was measured."""
    if not faces or np.isnan(who).any():
        return None
    parts = zip(*(vars(face.attributes).values() for face in faces), strict=True)
    mean = Attributes(*(float(np.mean(part)) for part in parts))
    embedding = torch.from_numpy(who)[None].to(anonymizer.device)
    path = anonymizer.path(AlignedFace(faces[0].image, embedding, mean), controls)
    return path.aim(controls.strength)[0].cpu().numpy()


def _plan(
    anonymizer: Anonymizer,
    place: dict[str, np.ndarray],
    faces: Sequence[AlignedFace],
    person: int,
    who: np.ndarray,
    target: np.ndarray | None,
    controls: Controls,
) -> TrackPlan:
    attribution, landmarks = torch.zeros(1, 1, 256, 256), torch.zeros(1, 68, 2)
    if faces and target is not None:
        maps = [anonymizer.perception(face.image, controls.perception) for face in faces]
        attribution = torch.stack(maps).mean(0).cpu()
        attribution = attribution / attribution.max().clamp_min(1e-6)
        with torch.no_grad():
            landmarks = anonymizer.perception.landmarks(faces[0].image).cpu()
    plan = TrackPlan(
        first=int(place["numbers"][0]),
        kind=place["kind"],
        box=place["box"],
        points=place["points"],
        person=person,
        mean=who,
        target=np.full_like(who, np.nan) if target is None else target,
        attribution=attribution.numpy(),
        landmarks=landmarks.numpy(),
        mask_area=controls.mask_area,
        resolution=min(_resolution(place["points"]), anonymizer.generator.img_resolution),
    )
    for area in (areas(controls.mask_area) if target is not None else [])[:ATTEMPTS]:
        plan = replace(plan, mask_area=area)
        if _all_far_enough(anonymizer, plan, faces, controls):
            break
    return plan


def areas(first: float) -> list[float]:
    """The mask's area, and larger ones for faces that need them."""
    more = [round(max(first * AREA_STEP**step, 0.1), 3) for step in range(1, ATTEMPTS)]
    return [first, *(area for area in more if first < area <= AREA_LIMIT)]


def _all_far_enough(
    anonymizer: Anonymizer, plan: TrackPlan, faces: Sequence[AlignedFace], controls: Controls
) -> bool:
    far: list[bool] = []

    def look(face: AlignedFace, _: Event) -> None:
        if all(far):  # else the answer is known
            far.append(_far_enough(anonymizer, plan, face, controls))

    side_by_side([partial(look, face) for face in faces], worker_count(len(faces), anonymizer.device))
    return all(far)


@torch.no_grad()
def _far_enough(anonymizer: Anonymizer, plan: TrackPlan, face: AlignedFace, controls: Controls) -> bool:
    """Whether the face of one frame is no longer recognised with the plan's mask."""
    mask = plan.mask(controls, plan.mask_area, face.image.shape[-1]).to(face.image)
    mean, target = (torch.from_numpy(one)[None].to(mask) for one in (plan.mean, plan.target))
    try:
        ws = anonymizer.regenerator.start(face.image, mask, mean, target)
        _, made = anonymizer.regenerator.pictures(
            ws, face.image, mask, plan.resolution, controls.own_eyes
        )
    except (AnonlabError, RuntimeError):
        return True  # another area would not help: its frames are covered
    new = anonymizer.recognizer.embed(made)
    nearest = min(distance(anonymizer.recognizer, new, old).item() for old in (mean, face.embedding))
    return nearest >= anonymizer.recognizer.threshold + MARGIN


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
