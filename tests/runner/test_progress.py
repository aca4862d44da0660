"""What a terminal and a log show while a notebook runs."""

from __future__ import annotations

import io
import re
import time

import nbformat
import papermill
import pytest

from anonlab.runner import progress as module
from anonlab.runner.engine import ENGINE
from anonlab.runner.progress import Progress


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def notebook(tmp_path) -> str:
    """Three cells of code, one of them empty, and a text."""
    node = nbformat.v4.new_notebook()
    node.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
    code = [nbformat.v4.new_code_cell(source) for source in ("x = 1", "", "x + 1")]
    node.cells = [*code, nbformat.v4.new_markdown_cell("text")]
    nbformat.write(node, tmp_path / "00_one.ipynb")
    return str(tmp_path / "00_one.ipynb")


def test_every_code_cell_that_has_code_is_counted(notebook):
    seen = []

    class Seen(Progress):
        def cells(self, done: int, total: int) -> None:
            seen.append((done, total))

    with Seen("00_one", io.StringIO()) as progress:
        done = papermill.execute_notebook(
            notebook, None, engine_name=ENGINE, progress_bar=False, progress=progress
        )
    assert seen[0] == (0, 2)
    assert seen == sorted(seen)
    assert seen[-1] == (2, 2)
    assert done.cells[2].outputs[0].data["text/plain"] == "2"  # it ran as papermill runs it


def test_a_terminal_has_one_line_that_goes_away(monkeypatch):
    monkeypatch.setattr(module, "TICK", 0.01)
    terminal = Terminal()
    with Progress("00_one", terminal) as progress:
        progress.cells(5, 20)
        while "5 of 20 cells, 0:0" not in terminal.getvalue():
            time.sleep(0.01)
    drawn = terminal.getvalue()
    assert "\n" not in drawn
    assert re.search(r"\r\x1b\[K00_one  █{5}░{15}  5 of 20 cells, 0:0\d", drawn)
    assert drawn.endswith("\r\x1b[K")
    time.sleep(0.05)
    assert terminal.getvalue() == drawn  # nobody draws on


def test_a_log_has_plain_lines_now_and_then(monkeypatch):
    log = io.StringIO()
    with Progress("00_one", log) as progress:
        progress.cells(1, 9)  # too soon to say anything
        monkeypatch.setattr(module, "PATIENCE", 0.0)
        progress.cells(2, 9)
        progress.cells(9, 9)  # its end is said by whoever ran it
    first, second, last = log.getvalue().split("\n")
    assert first == "00_one …"
    assert re.fullmatch(r"  2 of 9 cells, 0:0\d", second)
    assert last == ""
    assert "\r" not in log.getvalue() and "\x1b" not in log.getvalue()
