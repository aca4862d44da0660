"""Which detections are one face, and which tracks one person."""

import numpy as np

from anonlab.apps.video.detections import CUT, Detections
from anonlab.apps.video.tracks import link, people

A, B = np.eye(4)[0], np.eye(4)[1]  # two people; the distance between them is far beyond the threshold


def distance(one, others):
    return np.linalg.norm(one - others, axis=-1) / 0.6


def scene(rows, count=None, change=None):
    """Detections from (frame, x, who) and perhaps a confidence; every face is 40 px wide at y 50."""
    rows = [(*row, 0.99)[:4] for row in rows]
    frames = np.array([row[0] for row in rows])
    x = np.array([row[1] for row in rows], float)
    box = np.stack([x - 20, np.full(len(x), 30), x + 20, np.full(len(x), 70)], 1)
    five = np.array([[-8.0, -5], [8, -5], [0, 2], [-6, 10], [6, 10]]) + [0, 50]
    points = five + np.stack([x, np.zeros(len(x))], 1)[:, None]
    rng = np.random.default_rng(0)
    who = np.stack([row[2] for row in rows]) + rng.normal(0, 0.05, (len(rows), 4))
    count = count or frames.max() + 1
    change = np.zeros(count) if change is None else change
    confidence = np.array([row[3] for row in rows])
    return Detections(frames, box, points, confidence, who, np.arange(count) / 25, change)


def owners(found, tracks, who=(A, B)):
    """For each track the frames it has, and who most of its faces show."""
    result = []
    for track in tracks:
        near = np.stack([np.linalg.norm(found.embedding[track] - one, axis=1) for one in who])
        result.append((found.frame[track].tolist(), near.argmin(0).tolist()))
    return result


def test_a_track_goes_on_through_a_gap():
    found = scene([(n, 100 + 6 * n, A) for n in range(20) if n not in (7, 8, 9, 10)])
    tracks = link(found, distance)
    assert len(tracks) == 1 and len(tracks[0]) == 16


def test_a_gap_that_is_too_long_ends_a_track_but_not_the_person():
    found = scene([(n, 100, A) for n in (*range(5), *range(60, 65))] + [(n, 300, B) for n in range(65)])
    tracks = link(found, distance)
    assert len(tracks) == 3
    assert people(found, tracks, distance) == [0, 1, 0]


def test_two_people_crossing_keep_their_tracks():
    rows = [(n, 100 + 8 * n, A) for n in range(24)]
    # while they are at one place only the one in front, B, is found
    rows += [(n, 292 - 8 * n, B) for n in range(24)]
    found = scene([row for row in rows if not (row[2] is A and 10 <= row[0] <= 14)])
    got = owners(found, link(found, distance))
    assert len(got) == 2
    assert [set(who) for _, who in got] == [{0}, {1}]
    assert [len(frames) for frames, _ in got] == [19, 24]


def test_a_weak_detection_goes_on_with_a_track_in_both_directions_and_begins_none():
    rows = [(n, 100 + 3 * n, A, 0.75 if n < 4 or n > 15 else 0.99) for n in range(20)]
    rows += [(n, 400, B, 0.8) for n in range(20)]
    found = scene(rows)
    tracks = link(found, distance)
    assert len(tracks) == 1
    assert found.frame[tracks[0]].tolist() == list(range(20))


def test_no_track_goes_over_a_cut():
    change = np.zeros(20)
    change[10] = CUT + 10
    found = scene([(n, 100, A) for n in range(20)], change=change)
    tracks = link(found, distance)
    assert [found.frame[track].tolist() for track in tracks] == [[*range(10)], [*range(10, 20)]]
    assert people(found, tracks, distance) == [0, 0]


def test_people_in_one_frame_are_two_however_alike():
    found = scene([(n, x, A) for n in range(5) for x in (100, 300)])
    tracks = link(found, distance)
    assert people(found, tracks, distance) == [0, 1]


def test_a_face_that_nobody_could_see_stays_in_its_track():
    found = scene([(n, 100 - 5 * n, A) for n in range(12)])
    found.embedding[9:] = np.nan  # it leaves at the edge
    tracks = link(found, distance)
    assert len(tracks) == 1 and len(tracks[0]) == 12
