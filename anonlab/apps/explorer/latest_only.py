"""A latest-only queue: of many requests only the last is worked on, in the background, as a slider
needs it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from ...errors import StaleRequest


class LatestOnlyQueue:
    """One worker thread. A new request replaces the one that waits and outdates the one that runs.

    `submit(work, show, fail)` calls `work(current)`, where `current()` says whether this is still
    the newest request; its result goes to `show` and its exception to `fail`, unless it is
    outdated.
    """

    def __init__(self) -> None:
        self.changed = threading.Condition()
        self.number = 0  # of the latest request
        self.waiting: tuple[int, Callable, Callable, Callable] | None = None
        self.busy = False
        self.dropped = 0  # requests whose result was not shown
        threading.Thread(target=self._run, daemon=True).start()

    def submit(
        self,
        work: Callable[[Callable[[], bool]], Any],
        show: Callable[[Any], None],
        fail: Callable[[Exception], None],
    ) -> None:
        """Ask for `work`; returns at once."""
        with self.changed:
            self.number += 1
            self.dropped += self.waiting is not None
            self.waiting = (self.number, work, show, fail)
            self.changed.notify_all()

    def cancel(self) -> None:
        """Forget what waits and outdate what runs."""
        with self.changed:
            self.number += 1
            self.dropped += self.waiting is not None
            self.waiting = None

    def wait(self, seconds: float = 600.0) -> bool:
        """Until nothing waits or runs; False when the time is up first."""
        with self.changed:
            return self.changed.wait_for(lambda: not (self.waiting or self.busy), seconds)

    def _run(self) -> None:
        while True:
            with self.changed:
                self.changed.wait_for(lambda: self.waiting)
                (number, work, show, fail), self.waiting, self.busy = self.waiting, None, True
            try:
                self._one(number, work, show, fail)
            finally:
                with self.changed:
                    self.busy = False
                    self.changed.notify_all()

    def _one(self, number: int, work: Callable, show: Callable, fail: Callable) -> None:
        def current() -> bool:
            return number == self.number

        try:
            result = work(current)
        except StaleRequest:
            self.dropped += 1
            return
        except Exception as error:  # shown in the panel, whatever it is
            if current():
                fail(error)
            return
        if current():
            show(result)
        else:
            self.dropped += 1
