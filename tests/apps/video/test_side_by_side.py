"""Parts of a clip side by side: the same work, each part once, and one error ends all of it."""

import threading

import pytest
import torch

from anonlab.apps.video.side_by_side import runs, side_by_side, unless


@pytest.fixture(autouse=True)
def four_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(4)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize(
    ("rows", "workers", "wanted"),
    [
        ([], 2, []),
        ([0], 2, [(0,)]),
        (range(5), 2, [(0, 1, 2), (3, 4)]),
        ([0, 1, 4, 5, 6, 9], 3, [(0, 1), (4, 5), (6,), (9,)]),
        (range(3), 1, [(0, 1, 2)]),
    ],
)
def test_runs_are_consecutive_and_cover_every_row_once(rows, workers, wanted):
    assert [tuple(run) for run in runs([*rows], workers)] == wanted


@pytest.mark.parametrize("workers", [1, 2])
def test_the_error_of_one_stops_the_others_and_is_raised(workers):
    begun, done = threading.Event(), []

    def job(run, stop):
        if run.start == 1 and workers == 2:
            begun.set()
            assert stop.wait(20)
            done.extend(unless(stop, range(3)))
        else:
            assert workers == 1 or begun.wait(20)
            raise ValueError("the disk is full")

    with pytest.raises(ValueError, match="the disk is full"):
        side_by_side([0, 1], workers, job)
    assert not done
    assert torch.get_num_threads() == 4
