"""What a terminal shows while a notebook runs: the cells that are done, and the time."""

from __future__ import annotations

import sys
import threading
import time
from typing import TextIO

WIDTH = 20  # characters of the bar
TICK = 1.0  # seconds between two drawings of the line on a terminal
PATIENCE = 30.0  # seconds between two lines where there is no terminal


class Progress:
    """`with Progress(name) as progress:` draws one line that changes on a terminal, and in a log a line
    at the start and one every half minute. What comes after it says how it ended."""

    def __init__(self, name: str, stream: TextIO | None = None):
        self.name, self.stream = name, stream or sys.stdout
        self.live = self.stream.isatty()
        self.done, self.total = 0, 0  # code cells
        self.start = self.said = time.monotonic()
        self.stop = threading.Event()
        self.drawing = threading.Lock()

    def __enter__(self) -> Progress:
        self.start = self.said = time.monotonic()
        if self.live:
            threading.Thread(target=self._draw_until_stopped, daemon=True).start()
        else:
            print(f"{self.name} …", file=self.stream, flush=True)
        return self

    def __exit__(self, *_: object) -> None:
        self.stop.set()
        if self.live:
            with self.drawing:
                self.stream.write("\r\x1b[K")
                self.stream.flush()

    def cells(self, done: int, total: int) -> None:
        """So many code cells of the notebook are done."""
        self.done, self.total = done, total
        now = time.monotonic()
        if not self.live and done < total and now - self.said >= PATIENCE:
            self.said = now
            print(f"  {self.line()}", file=self.stream, flush=True)

    def line(self) -> str:
        """Cells and time, in words."""
        seconds = int(time.monotonic() - self.start)
        return f"{self.done} of {self.total} cells, {seconds // 60}:{seconds % 60:02d}"

    def _draw_until_stopped(self) -> None:
        while not self.stop.is_set():
            with self.drawing:
                if self.stop.is_set():
                    return
                full = round(WIDTH * self.done / self.total) if self.total else 0
                bar = "█" * full + "░" * (WIDTH - full)
                self.stream.write(f"\r\x1b[K{self.name}  {bar}  {self.line()}")
                self.stream.flush()
            self.stop.wait(TICK)
