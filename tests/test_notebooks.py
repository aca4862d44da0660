"""The notebooks: their anatomy, and that every one of them runs."""

from __future__ import annotations

import ast
import json
import re
from pathlib import Path

import pytest

from anonlab.runner import report
from anonlab.runner.execution import read_notebook
from anonlab.runner.thumbnails import BUDGET

FOLDER = Path(__file__).parents[1] / "notebooks"
PATHS = sorted(FOLDER.glob("*.ipynb"))


def cells(path: Path, kind: str) -> list[str]:
    return [
        "".join(c["source"]) for c in json.loads(path.read_text())["cells"] if c["cell_type"] == kind
    ]


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
def test_anatomy(path):
    node = json.loads(path.read_text())
    code = [cell for cell in node["cells"] if cell["cell_type"] == "code"]
    assert node["metadata"]["kernelspec"]["name"] == "python3"
    assert all(not cell["outputs"] and cell["execution_count"] is None for cell in code)
    assert "parameters" in code[0]["metadata"]["tags"]
    for line in ast.parse("".join(code[0]["source"])).body:
        ast.literal_eval(line.value)  # plain literals
    assert all("#" in line for line in "".join(code[0]["source"]).splitlines())
    assert "settings(" in "".join(code[1]["source"])
    assert "record(" in "".join(code[-1]["source"])
    text = "\n".join(cells(path, "markdown"))
    for part in (f"# {path.name[:2]} · ", "**Goal.**", "**Needs**", "**Time**", "What you should see",
                 "## Exercises", "## Summary", "**Next"):  # fmt: skip
        assert part in text, part


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
def test_notebooks_call_and_define_nothing(path):
    for source in cells(path, "code"):
        for node in ast.walk(ast.parse(source)):
            assert not isinstance(node, ast.FunctionDef | ast.ClassDef | ast.While | ast.Try)


def test_every_notebook_has_accepted_numbers():
    accepted = (FOLDER.parent / "tests" / "accepted").glob("*-quick.json")
    assert sorted(path.stem.removesuffix("-quick") for path in accepted) == [p.stem for p in PATHS]


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
def test_the_quick_profile_shows_samples_only(path):
    """Thumbnails of an accepted run are kept in the repository."""
    used = read_notebook(path, "quick").parameters({})
    photos = [used["PHOTO"]] if "PHOTO" in used else used.get("PHOTOS", [])
    assert all(re.fullmatch(r"astronaut|synthetic-\d+(-\d+)?", photo) for photo in photos)
    assert set(used.get("PEOPLE", {})) <= {"embedded"}


def test_accepted_pictures_are_small():
    for path in PATHS:
        pictures = list((FOLDER.parent / "tests" / "accepted" / f"{path.stem}-quick").glob("*"))
        assert all(picture.suffix == ".webp" for picture in pictures)
        assert sum(picture.stat().st_size for picture in pictures) <= BUDGET


def test_every_notebook_runs_in_the_quick_profile(tmp_path, capsys):
    # notebook 05 keeps whoever it has measured: here it must measure, and not read what lies there
    state, out = tmp_path / "state", tmp_path / "runs"
    assert report.run("quick", out=out, parameters=[f"STATE={state}"]) == 0
    assert "not compared" not in capsys.readouterr().out  # all of them were held to accepted numbers
    [folder] = out.iterdir()
    metrics = json.loads((folder / "metrics.json").read_text())["notebooks"]
    assert len(list(state.glob("*.safetensors"))) == metrics["05_evaluate"]["metrics"]["people"]
    assert sorted(metrics) == [path.stem for path in PATHS]
    numbers = {name[:2]: one["metrics"] for name, one in metrics.items()}
    assert numbers["00"]["outside_pixels_changed"] == 0
    assert numbers["00"]["distance_mirrored"] < 0.6 < numbers["00"]["distance_nearest_stranger"]
    assert abs(numbers["01"]["completeness"] - 1) <= 0.05
    assert (
        numbers["01"]["deletion_0.1_integrated_gradients"] > numbers["01"]["deletion_0.1_random"] + 0.2
    )
    assert numbers["01"]["network_deletion"] > numbers["01"]["random_deletion"] + 0.1
    assert 0.2 < numbers["02"]["share"] < 0.3
    assert numbers["02"]["distance_blurred"] > 0.6
    assert numbers["03"]["smoke"] is True
    assert numbers["03"]["latent_last"] < 0.9 * numbers["03"]["latent_first"]
    assert numbers["04"]["matched"] is False
    assert numbers["04"]["st_lpips"] < 0.08
    for path in PATHS:  # the pictures are in the pages, not only beside them
        shown = [
            output
            for cell in json.loads((folder / path.name).read_text())["cells"]
            for output in cell.get("outputs", [])
            if "image/png" in output.get("data", {})
        ]
        assert len(shown) == len(list((folder / path.stem).glob("*.png"))) >= 3, path
    page = (folder / "index.html").read_text()
    for name in metrics:
        assert f"{name}.html" in page
        assert (folder / f"{name}.html").stat().st_size > 100_000
    assert len(list(folder.glob("*/*.png"))) >= 10
