"""Which detections are one face, and which tracks one person."""

import numpy as np

from anonlab.apps.video.detections import CUT, Detections
from anonlab.apps.video.tracks import link, people

A, B = np.eye(4)[0], np.eye(4)[1]  # two people; the distance between them is far beyond the threshold


def distance(one, others):
    return np.linalg.norm(one - others, axis=-1) / 0.6


def scene(rows, cut=0):
    """Detections from (frame, x, who) and perhaps a confidence; every face is 40 px wide at y 50. At the
    frame `cut` another scene begins."""
    frames, x, who, confidence = zip(*((*row, 0.99)[:4] for row in rows), strict=True)
    frames, count = np.array(frames), max(frames) + 1
    box = np.outer(x, [1.0, 0, 1, 0]) + [-20, 30, 20, 70]
    points = np.zeros((len(x), 5, 2))  # tracks go by boxes
    who = np.stack(who) + np.random.default_rng(0).normal(0, 0.05, (len(x), 4))
    change = (CUT + 10) * (np.arange(count) == cut)
    return Detections(frames, box, points, np.array(confidence), who, np.arange(count) / 25, change)


def test_a_track_goes_on_through_a_gap_and_where_nobody_could_see_who_it_is():
    found = scene([(n, 100 + 6 * n, A) for n in range(20) if n not in (7, 8, 9, 10)])
    found.embedding[13:] = np.nan  # it leaves at the edge
    (track,) = link(found, distance)
    assert len(track) == 16


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
    a, b = link(found, distance)
    assert (len(a), len(b)) == (19, 24)
    assert {*found.embedding[a].argmax(1)} == {0} and {*found.embedding[b].argmax(1)} == {1}


def test_a_weak_detection_goes_on_with_a_track_in_both_directions_and_begins_none():
    rows = [(n, 100 + 3 * n, A, 0.75 if n < 4 or n > 15 else 0.99) for n in range(20)]
    rows += [(n, 400, B, 0.8) for n in range(20)]
    found = scene(rows)
    (track,) = link(found, distance)
    assert found.frame[track].tolist() == list(range(20))


def test_no_track_goes_over_a_cut():
    found = scene([(n, 100, A) for n in range(20)], cut=10)
    tracks = link(found, distance)
    assert [found.frame[track].tolist() for track in tracks] == [[*range(10)], [*range(10, 20)]]
    assert people(found, tracks, distance) == [0, 0]


def test_people_in_one_frame_are_two_however_alike():
    found = scene([(n, x, A) for n in range(5) for x in (100, 300)])
    tracks = link(found, distance)
    assert people(found, tracks, distance) == [0, 1]
