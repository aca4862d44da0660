"""Which faces of different frames are one face: tracks, and the people they belong to.

From one frame to the next faces are assigned to tracks by the Hungarian method (Kuhn 1955), by where a
track is expected and by the person it shows. This is done forwards, where sure detections begin new
tracks, and then backwards with what is left: a track may begin with weaker ones.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.optimize import linear_sum_assignment
from torchvision.ops import box_iou

from .detections import SURE, Detections

GAP_SECONDS = 1.0  # without a detection, after which a track ends
MEMORY = 10  # detections whose mean embedding is a track's
MOTION = 4  # detections that say how it moves
SAME_PLACE, SAME_PERSON = 0.3, 0.9  # overlap, and distance over the threshold, that make one face …
FAR_LOOK, LATER_LOOK = 1.5, 1.05  # … and distances up to which the place decides, at once and later
REACH = 1.5  # widths of a face within which a known person is looked for
IMPOSSIBLE = 1e6
ONE_PERSON = 0.75  # distance of two tracks' means over the threshold, up to which they are one person

Distance = Callable[[np.ndarray, np.ndarray], np.ndarray]  # (dim,), (N, dim) -> (N,), 1 is the threshold
Track = list[int]  # one face over time: which of the detections are its own, in the order of frames


def link(found: Detections, distance: Distance) -> list[Track]:
    """Find all tracks, in the order in which they begin."""
    tracks: list[Track] = []
    scene, times = found.scenes(), found.times

    def goes_on(track: Track, number: int, direction: int) -> bool:
        """Tell whether a track ended before a frame, not long ago, in the same scene."""
        end = int(found.frame[track[-1 if direction > 0 else 0]])
        soon = abs(times[number] - times[end]) <= GAP_SECONDS or abs(number - end) == 1
        return (number - end) * direction > 0 and scene[end] == scene[number] and bool(soon)

    free = np.arange(len(found.frame))
    for direction in (1, -1):
        for number in np.unique(found.frame[free])[::direction].tolist():
            faces = free[found.frame[free] == number]
            going = [one for one in tracks if goes_on(one, number, direction)]
            near = [_costs(found, one[::-direction], number, faces, distance) for one in going]
            cost, assigned = np.reshape(near, (len(going), len(faces))), set()
            for row, column in zip(*linear_sum_assignment(cost), strict=True):
                if cost[row, column] < IMPOSSIBLE:
                    index = int(faces[column])
                    going[row].insert(len(going[row]) if direction > 0 else 0, index)
                    assigned.add(index)
            if direction > 0:
                new = (index for index in faces.tolist() if index not in assigned)
                tracks += [[index] for index in new if found.confidence[index] >= SURE]
        free = np.setdiff1d(free, [index for track in tracks for index in track])
    return sorted(tracks, key=lambda track: (found.frame[track[0]], track[0]))


def _costs(
    found: Detections, own: Track, number: int, faces: np.ndarray, distance: Distance
) -> np.ndarray:
    """Compute what it costs to continue a track, its detections nearest in time first, with each of
    `faces`: what they lack of overlap with the expected place, and how far they are from the person."""
    frames, boxes = found.frame[own[:MOTION]], found.box[own[:MOTION]]
    gap, others = abs(number - int(frames[0])), found.box[faces]
    expected = boxes[0].copy()
    if len(boxes) > 1:
        speed = (boxes[0] - boxes[-1]) / (frames[0] - frames[-1])
        expected += np.tile(_centre(speed), 2) * (number - frames[0])
    shared = box_iou(torch.from_numpy(expected[None]), torch.from_numpy(others))[0].numpy()
    away = distance(mean_embedding(found.embedding[own[:MEMORY]]), found.embedding[faces])
    away = np.nan_to_num(away, nan=1.0)  # of a face without an embedding
    wide, high = boxes[0][2:] - boxes[0][:2]
    shift = np.hypot(*(_centre(others) - _centre(expected)).T) / max(wide, high)
    sizes = (others[:, 2] - others[:, 0]) / wide
    near = (shift < REACH * min(1 + gap / 10, 3)) & (sizes > 0.4) & (sizes < 2.5)
    by_place = (shared >= SAME_PLACE) & (away < (FAR_LOOK if gap <= 2 else LATER_LOOK))
    return np.where(by_place | (near & (away < SAME_PERSON)), (1 - shared) + away, IMPOSSIBLE)


def mean_embedding(embeddings: np.ndarray) -> np.ndarray:
    """Average those that are known of `(N, dim)`: `(dim,)`, NaN where none is."""
    known = embeddings[~np.isnan(embeddings).any(1)]
    return known.mean(0) if len(known) else embeddings[0]


def _centre(boxes: np.ndarray) -> np.ndarray:
    return (boxes[..., :2] + boxes[..., 2:]) / 2


def people(found: Detections, tracks: list[Track], distance: Distance) -> list[int]:
    """Tell which person each track shows, 0 is the first: tracks of one look that are never in a frame
    together are one person that left and came back (average linkage by their mean embeddings)."""
    if len(tracks) < 2:
        return [0] * len(tracks)
    means = np.stack([mean_embedding(found.embedding[track]) for track in tracks])
    frames = [{*found.frame[track].tolist()} for track in tracks]
    between = np.nan_to_num(np.stack([distance(mean, means) for mean in means]), nan=IMPOSSIBLE)
    together = [[not a.isdisjoint(b) for b in frames] for a in frames]
    between = np.where(together, IMPOSSIBLE, (between + between.T) / 2)
    upper = between[np.triu_indices(len(tracks), 1)]
    groups = fcluster(linkage(upper, "average"), np.nextafter(ONE_PERSON, 0), "distance").tolist()
    order = [*dict.fromkeys(groups)]
    return [order.index(group) for group in groups]
