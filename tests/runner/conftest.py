"""Notebooks run without a kernel, for tests of what is made of their numbers.

That real kernels are run as they should be is tested in `test_report.py` and `test_notebooks.py`.
"""

import traceback
from collections.abc import Callable
from functools import cache
from pathlib import Path

import nbformat
import papermill
import pytest
from papermill.iorw import load_notebook_node
from papermill.parameterize import parameterize_notebook

from anonlab.runner import report
from anonlab.weights import store

SHA256 = cache(store.sha256)


def _executed(path: str, executed: str, parameters: dict, **_: object) -> nbformat.NotebookNode:
    """As `papermill.execute_notebook`: parameters go in after their cell, an error ends the notebook."""
    node = parameterize_notebook(load_notebook_node(path), parameters)
    names: dict[str, object] = {}
    try:
        for number, cell in enumerate(node.cells, 1):
            cell.execution_count = number
            exec(cell.source, names)
    except Exception as error:
        told = (type(error).__name__, str(error), traceback.format_exc().splitlines())
        raise papermill.PapermillExecutionError(number, number, cell.source, *told) from error
    finally:
        nbformat.write(node, executed)
    return node


@pytest.fixture
def without_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    """Code cells are run in this process, a hundred times sooner; weights are hashed once."""
    monkeypatch.setattr(papermill, "execute_notebook", _executed)
    monkeypatch.setattr(store, "sha256", SHA256)


@pytest.fixture
def run(tmp_path: Path, capsys, monkeypatch) -> Callable[..., tuple[int, str, Path]]:
    """Run the notebooks of tmp_path; (status, what was printed, folder of the run)."""
    monkeypatch.setattr(store, "notebooks_folder", lambda: tmp_path)
    monkeypatch.setattr(store, "accepted_folder", lambda: tmp_path / "b")

    def run(**options) -> tuple[int, str, Path]:
        before = set((tmp_path / "runs").glob("2*"))
        capsys.readouterr()
        status = report.run(out=tmp_path / "runs", **options)
        [folder] = set((tmp_path / "runs").glob("2*")) - before
        return status, capsys.readouterr().out, folder

    return run
