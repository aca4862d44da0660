"""Which faces of different frames are one face: tracks, and the people they belong to.

From one frame to the next faces are assigned to tracks by the Hungarian method (Kuhn 1955), by where a
track is expected and by who it shows. This is done forwards, where sure detections begin new tracks, and
then backwards with what is left: before the first sure detection of a track there may be weaker ones.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import numpy as np
from scipy.optimize import linear_sum_assignment

from .detections import SURE, Detections

GAP_SECONDS = 1.0  # without a detection, after which a track ends
MEMORY = 10  # detections that say who a track shows
MOTION = 4  # detections that say how it moves
SAME_PLACE, SAME_PERSON = 0.3, 0.9  # overlap, and distance over the threshold, that make one face …
FAR_LOOK, LATER_LOOK = 1.5, 1.05  # … and distances up to which the place decides, at once and later
REACH = 1.5  # widths of a face within which a known person is looked for
IMPOSSIBLE = 1e6
ONE_PERSON = 0.75  # distance of two tracks' means over the threshold, up to which they are one person

Distance = Callable[[np.ndarray, np.ndarray], np.ndarray]  # (dim,), (N, dim) -> (N,), 1 is the threshold


@dataclass
class Track:
    """One face over time: which of the detections are its own, in the order of frames."""

    members: list[int] = field(default_factory=list)


def link(found: Detections, distance: Distance) -> list[Track]:
    """All tracks, in the order in which they begin. `distance` is over the recogniser's threshold."""
    cuts = found.cuts()
    scene = np.cumsum([number in cuts for number in range(len(found.times))])
    by_frame: dict[int, list[int]] = {}
    for index, number in enumerate(found.frame.tolist()):
        by_frame.setdefault(number, []).append(index)
    tracks: list[Track] = []
    _follow(found, tracks, sorted(by_frame), by_frame, scene, distance, 1)
    taken = {index for track in tracks for index in track.members}
    left = {
        number: [index for index in there if index not in taken] for number, there in by_frame.items()
    }
    _follow(found, tracks, sorted(by_frame, reverse=True), left, scene, distance, -1)
    return sorted(tracks, key=lambda track: (found.frame[track.members[0]], track.members[0]))


def _follow(
    found: Detections,
    tracks: list[Track],
    numbers: Iterable[int],
    there: dict[int, list[int]],
    scene: np.ndarray,
    distance: Distance,
    direction: int,
) -> None:
    """Go through the frames in one direction, and give each track what continues it there."""
    for number in numbers:
        faces = there[number]
        if not faces:
            continue
        going = [one for one in tracks if _open(found, one, number, scene, direction)]
        cost = np.full((len(going), len(faces)), IMPOSSIBLE)
        for row, track in enumerate(going):
            cost[row] = _costs(found, track, number, np.array(faces), distance, direction)
        assigned = set()
        for row, column in zip(*linear_sum_assignment(cost), strict=True):
            if cost[row, column] < IMPOSSIBLE:
                at = len(going[row].members) if direction > 0 else 0
                going[row].members.insert(at, faces[column])
                assigned.add(faces[column])
        if direction > 0:
            new = [index for index in faces if index not in assigned and found.confidence[index] >= SURE]
            tracks += [Track([index]) for index in new]


def _open(found: Detections, track: Track, number: int, scene: np.ndarray, direction: int) -> bool:
    """Whether a track may go on in a frame: it ended before it, not long ago and in the same scene."""
    end = int(found.frame[track.members[-1 if direction > 0 else 0]])
    if (number - end) * direction <= 0 or scene[end] != scene[number]:
        return False
    return abs(found.times[number] - found.times[end]) <= GAP_SECONDS or abs(number - end) == 1


def _costs(
    found: Detections,
    track: Track,
    number: int,
    faces: np.ndarray,
    distance: Distance,
    direction: int,
) -> np.ndarray:
    """What it costs to continue a track with each of `faces`: what they lack of overlap with the place
    where it is expected, and how far they are from the person."""
    own = track.members[:: 1 if direction < 0 else -1]  # nearest in time first
    frames, boxes = found.frame[own[:MOTION]], found.box[own[:MOTION]]
    gap = abs(number - int(frames[0]))
    expected = boxes[0].copy()
    if len(boxes) > 1:
        speed = (boxes[0] - boxes[-1]) / (frames[0] - frames[-1])
        centre = (speed[:2] + speed[2:]) / 2
        expected += np.tile(centre, 2) * (number - frames[0])
    shared = overlaps(expected, found.box[faces])
    who = distance(mean_embedding(found.embedding[own[:MEMORY]]), found.embedding[faces])
    who = np.nan_to_num(who, nan=1.0)  # of a face without an embedding
    middle, middles = _centre(expected), _centre(found.box[faces])
    width = max(boxes[0][2] - boxes[0][0], boxes[0][3] - boxes[0][1])
    away = np.hypot(*(middles - middle).T) / width
    sizes = (found.box[faces][:, 2] - found.box[faces][:, 0]) / (boxes[0][2] - boxes[0][0])
    near = (away < REACH * min(1 + gap / 10, 3)) & (sizes > 0.4) & (sizes < 2.5)
    by_place = (shared >= SAME_PLACE) & (who < (FAR_LOOK if gap <= 2 else LATER_LOOK))
    by_person = near & (who < SAME_PERSON)
    return np.where(by_place | by_person, (1 - shared) + who, IMPOSSIBLE)


def mean_embedding(embeddings: np.ndarray) -> np.ndarray:
    """Of those that are known of `(N, dim)`: `(dim,)`, NaN where none is."""
    known = embeddings[~np.isnan(embeddings).any(1)]
    return known.mean(0) if len(known) else embeddings[0]


def overlaps(box: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    """Intersection over union of a box `(4,)` with others `(N, 4)`: `(N,)`."""
    sides = np.minimum(box[2:], boxes[:, 2:]) - np.maximum(box[:2], boxes[:, :2])
    shared = sides.clip(0).prod(1)
    areas = (boxes[:, 2:] - boxes[:, :2]).prod(1) + (box[2:] - box[:2]).prod()
    return shared / (areas - shared)


def _centre(boxes: np.ndarray) -> np.ndarray:
    return (boxes[..., :2] + boxes[..., 2:]) / 2


def people(found: Detections, tracks: list[Track], distance: Distance) -> list[int]:
    """Which person each track shows, 0 is the first: tracks of one look that are never in a frame
    together are one person, who left and came back.

    Average linkage by the distance of the tracks' mean embeddings.
    """
    means = np.stack([mean_embedding(found.embedding[track.members]) for track in tracks])
    frames = [{*found.frame[track.members].tolist()} for track in tracks]
    groups = [[index] for index in range(len(tracks))]
    between = np.nan_to_num(np.stack([distance(mean, means) for mean in means]), nan=IMPOSSIBLE)
    while True:
        best, pair = ONE_PERSON, None
        for a in range(len(groups)):
            for b in range(a + 1, len(groups)):
                apart = all(frames[i].isdisjoint(frames[j]) for i in groups[a] for j in groups[b])
                mean = between[np.ix_(groups[a], groups[b])].mean()
                if apart and mean < best:
                    best, pair = mean, (a, b)
        if pair is None:
            break
        groups[pair[0]] += groups.pop(pair[1])
    number = {index: row for row, group in enumerate(sorted(groups, key=min)) for index in group}
    return [number[index] for index in range(len(tracks))]
