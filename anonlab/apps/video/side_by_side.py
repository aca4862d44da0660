"""Parts of a clip worked on side by side.

On a CPU two networks with one core each are half as fast again as one network with two, and the segments
of a clip do not need each other. So every worker is a thread, with its share of torch's threads.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from threading import Event
from typing import TypeVar

import torch

T = TypeVar("T")


class Stopped(Exception):
    """Another worker has failed."""


def side_by_side(rows: Sequence[int], workers: int, work: Callable[[range, Event], None]) -> None:
    """Let `work` do all rows, in `workers` threads; it gets runs of consecutive rows and the event by
    which it has to stop (`unless`). The first error stops the others and is raised."""
    stop, threads = Event(), torch.get_num_threads()

    def alone(run: range) -> None:
        torch.set_num_threads(max(1, threads // workers))  # of this thread
        try:
            work(run, stop)
        except BaseException:
            stop.set()
            raise

    if workers < 2:  # in this thread, to which a device's state may belong
        for run in runs(rows, workers):
            work(run, stop)
        return
    with ThreadPoolExecutor(workers) as pool:
        futures = [pool.submit(alone, run) for run in runs(rows, workers)]
        try:
            wait(futures)
        finally:  # at Ctrl-C, too
            stop.set()
            torch.set_num_threads(threads)
    for error in (future.exception() for future in futures):
        if error is not None and not isinstance(error, Stopped):
            raise error


def worker_count(parts: int, device: torch.device) -> int:
    """How many workers `parts` are for."""
    return max(1, min(torch.get_num_threads(), parts)) if device.type == "cpu" else 1


def unless(stop: Event, items: Iterable[T]) -> Iterator[T]:
    """The items, until it is told to stop: then `Stopped` is raised, so that nothing half is kept."""
    for item in items:
        if stop.is_set():
            raise Stopped
        yield item


def runs(rows: Sequence[int], workers: int) -> list[range]:
    """Rising numbers as runs of consecutive ones, none longer than a worker's share."""
    most = -(-len(rows) // workers)
    found: list[range] = []
    for row in rows:
        if found and row == found[-1].stop and len(found[-1]) < most:
            found[-1] = range(found[-1].start, row + 1)
        else:
            found.append(range(row, row + 1))
    return found
