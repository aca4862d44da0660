"""Photos, people or frames of a clip worked on side by side.

On a CPU two networks with one core each are half as fast again as one network with two. So every worker
is a thread, with one of torch's threads.
"""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import torch

InOrder = Callable[[Callable[[Any], Any], Iterable[Any]], Iterable[Any]]  # as the built-in `map`
MOST_WORKERS = 8  # each takes some hundred megabytes


@contextlib.contextmanager
def side_by_side(device: torch.device, waiting: int = 1) -> Iterator[InOrder]:
    """Give a `map` that does its work in as many threads as torch has; results come in the order of the
    items, and an error in its turn. So many more items are taken than there are threads: their results
    may wait for one that takes long."""
    threads = torch.get_num_threads()
    workers = min(MOST_WORKERS, threads) if device.type == "cpu" else 1
    if workers < 2:  # in this thread, to which a device's state may belong
        yield map
        return
    pool = ThreadPoolExecutor(workers, initializer=torch.set_num_threads, initargs=(1,))

    def in_order(work: Callable[[Any], Any], items: Iterable[Any]) -> Iterator[Any]:
        taken = deque()
        for item in items:
            taken.append(pool.submit(work, item))
            if len(taken) >= workers + waiting:
                yield taken.popleft().result()
        yield from (one.result() for one in taken)

    try:
        yield in_order
    finally:  # at an error and at Ctrl-C, too
        pool.shutdown(cancel_futures=True)
        torch.set_num_threads(threads)
