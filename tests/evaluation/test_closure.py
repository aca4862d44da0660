"""What makes measured people stale: the code that measures them, and nothing else."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

import anonlab
from anonlab.evaluation import evaluate
from anonlab.evaluation.closure import closure, code_digest

PACKAGE = Path(anonlab.__file__).parent
ROOT = evaluate.__name__


def package(folder: Path, **files: str) -> Path:
    """A package of these modules; `a__b` is `a/b.py`."""
    for name, source in files.items():
        path = folder / "pack" / (name.replace("__", "/") + ".py")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(source)
        for above in path.parents:
            if above == folder:
                break
            (above / "__init__.py").touch()
    return folder / "pack"


@pytest.mark.parametrize(
    "source",
    [
        "from pack.room import tool",
        "from pack.room.tool import thing",
        "import pack.room.tool as other",
        "from .room import tool",
        "from .room.tool import thing",
        "def late():\n    from .room import tool",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from .room.tool import Thing",
    ],
)
def test_every_way_to_import_is_followed(tmp_path, source):
    made = package(tmp_path, main=source, room__tool="from ..deep import x", deep="", stray="import os")
    assert set(closure(made, "pack.main")) == {
        *("pack", "pack.main", "pack.deep", "pack.room", "pack.room.tool")
    }


def test_a_circle_ends_and_a_package_has_the_imports_of_its_init(tmp_path):
    made = package(tmp_path, room__one="from . import two", room__two="from . import one", far="")
    (made / "room" / "__init__.py").write_text("from ..far import x")
    assert set(closure(made, "pack.room.two")) == {
        *("pack", "pack.far", "pack.room", "pack.room.one", "pack.room.two")
    }
    with pytest.raises(KeyError):
        closure(made, "pack.bench")


@pytest.fixture
def copied(tmp_path) -> Path:
    shutil.copytree(
        PACKAGE, tmp_path / "anonlab", ignore=shutil.ignore_patterns("__pycache__", "_*data")
    )
    return tmp_path / "anonlab"


def after_a_change(copied: Path, name: str) -> str:
    path = copied / name
    path.write_text(path.read_text() + "# changed\n")  # of a file that exists
    return code_digest(copied, ROOT)


@pytest.mark.parametrize(
    "name",
    [
        "cli/parser.py",
        "evaluation/figures.py",
        "evaluation/recorded.py",
        "evaluation/summary.py",
        "explorer/panel.py",
        "runner/report.py",
        "training/loop.py",
    ],
)
def test_code_that_measures_nothing_makes_nobody_stale(copied, name):
    assert code_digest(copied, ROOT) == code_digest(PACKAGE, ROOT) == after_a_change(copied, name)


@pytest.mark.parametrize(
    "name",
    [
        "evaluation/evaluate.py",
        "evaluation/measure.py",
        "regeneration/compose.py",
        "metrics/privacy.py",
        "images.py",  # through others only
        "generators/mobile_stylegan.py",
        "recognizers/dlib_resnet.py",
        "__init__.py",
    ],
)
def test_code_that_measures_makes_everybody_stale(copied, name):
    assert code_digest(copied, ROOT) != after_a_change(copied, name)


def test_a_module_that_is_added_counts_once_it_is_imported(copied):
    before = code_digest(copied, ROOT)
    (copied / "regeneration" / "extra.py").write_text("")
    assert code_digest(copied, ROOT) == before
    with (copied / "regeneration" / "compose.py").open("a") as file:
        file.write("from . import extra\n")
    assert "anonlab.regeneration.extra" in closure(copied, ROOT)
