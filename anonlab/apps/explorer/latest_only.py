"""Work in the background of which only the latest matters, as a slider needs it."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from typing import Any

from ...errors import StaleRequest


class LatestOnlyQueue:
    """One worker, asked by one thread: a new request replaces what waits and outdates what runs."""

    def __init__(self) -> None:
        self.pool = ThreadPoolExecutor(1)
        self.number = 0  # of the latest request
        self.future = self.pool.submit(int)

    def submit(
        self,
        work: Callable[[Callable[[], bool]], Any],
        show: Callable[[Any], None],
        fail: Callable[[Exception], None],
    ) -> None:
        """Ask for `work(current)`, where `current()` says whether this is still the newest request.

        Returns at once. The result goes to `show` and an exception to `fail`, unless it is outdated.
        """
        self.cancel()
        self.future = self.pool.submit(self._one, self.number, work, show, fail)

    def cancel(self) -> None:
        """Forget what waits and outdate what runs."""
        self.number += 1
        self.future.cancel()

    def wait(self, seconds: float = 600.0) -> bool:
        """Wait until nothing waits or runs; False when the time is up first."""
        return not wait([self.future, self.pool.submit(int)], seconds).not_done

    def close(self) -> None:
        """End the thread, after what it is doing."""
        self.cancel()
        self.pool.shutdown(wait=False)

    def _one(self, number: int, work: Callable, show: Callable, fail: Callable) -> None:
        def current() -> bool:
            return number == self.number

        try:
            then, made = show, work(current)
        except StaleRequest:
            return
        except Exception as error:  # shown in the panel, whatever it is
            then, made = fail, error
        if current():
            then(made)
