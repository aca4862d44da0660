"""Decoding ahead of the network and writing behind it, with little in between."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

AHEAD = 3  # photos that are decoded before they are needed
BEHIND = 2  # results that wait to be written
MAX_PIXELS = 100_000_000  # of all photos that are in work; a larger one is alone

Item, Made = TypeVar("Item"), TypeVar("Made")


class Budget:
    """Pixels that are in memory at once: few large photos, or more small ones."""

    def __init__(self, pixels: int = MAX_PIXELS):
        self.limit, self.used, self.open = pixels, 0, True
        self.changed = threading.Condition()

    def take(self, pixels: int) -> None:
        """Wait until there is room, or until nothing else is in work."""
        with self.changed:
            self.changed.wait_for(
                lambda: not self.open or not self.used or self.used + pixels <= self.limit
            )
            self.used += pixels

    def give(self, pixels: int) -> None:
        """What was taken is free again."""
        with self.changed:
            self.used -= pixels
            self.changed.notify_all()

    def close(self) -> None:
        """Nobody waits any longer."""
        with self.changed:
            self.open = False
            self.changed.notify_all()


def ahead(work: Callable[[Item], Made], items: Iterable[Item], count: int = AHEAD) -> Iterator[Made]:
    """`map`, in a thread that is `count` items ahead. Leaving the loop early cancels the rest."""
    waiting: deque[Future] = deque()
    pool = ThreadPoolExecutor(1, thread_name_prefix="decode")
    try:
        for item in items:
            waiting.append(pool.submit(work, item))
            if len(waiting) > count:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


class Behind:
    """`with Behind() as writing: writing(work, item)` — in order, in a thread; the end waits for all."""

    def __init__(self, count: int = BEHIND):
        self.count, self.waiting = count, deque()
        self.pool = ThreadPoolExecutor(1, thread_name_prefix="write")

    def __call__(self, work: Callable[[Item], None], item: Item) -> None:
        """Do it soon; waits while more than `count` are waiting."""
        self.waiting.append(self.pool.submit(work, item))
        while len(self.waiting) > self.count:
            self.waiting.popleft().result()

    def drain(self) -> None:
        """Wait until everything is done."""
        while self.waiting:
            self.waiting.popleft().result()

    def __enter__(self) -> Behind:
        return self

    def __exit__(self, kind, error, trace) -> None:
        self.pool.shutdown(wait=True)
        if error is None:
            self.drain()
