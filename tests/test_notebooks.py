"""The notebooks: their anatomy, and that every one of them runs."""

from __future__ import annotations

import ast
import json
import re
from pathlib import Path

import pytest

from anonlab.runner import report
from anonlab.runner.execution import read_notebook
from anonlab.runner.exercises import verdicts
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
    for part in (f"# {path.name[:2]} · ", "**Objectives.**", "\n1. ", "\n2. ", "**Needs**", "**Time**",
                 "**Hardware**", "**Predict, then look.**", "## Exercises", "## Summary"):  # fmt: skip
        assert part in text, part
    [link] = re.findall(r"\*\*Next:\*\* .*\[.+\]\((.+)\)", text)
    assert (FOLDER / link).exists()


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


def faces(n: dict) -> None:
    assert n["outside_pixels_changed"] == 0
    assert n["distance_mirrored"] < 0.6 < n["distance_nearest_stranger"]


def attribution(n: dict) -> None:
    assert abs(n["completeness"] - 1) <= 0.05
    assert n["deletion_0.1_integrated_gradients"] > n["deletion_0.1_random"] + 0.2
    assert n["network_deletion"] > n["random_deletion"] + 0.1


def mask(n: dict) -> None:
    assert 0.2 < n["share"] < 0.3
    assert n["distance_blurred"] > 0.6


def training(n: dict) -> None:
    assert n["loss_shipped"] < 0.9 * n["loss_linear"]  # the weights that ship have learned
    assert n["virtual_reached"] > n["linear/virtual_reached"]


def regeneration(n: dict) -> None:
    assert n["matched"] is False
    assert n["st_lpips"] < 0.08
    assert n["optimisation_loss/last"] < n["optimisation_loss/first"]


def evaluation(n: dict) -> None:
    assert n["people"] > 3


def photos_and_clips(n: dict) -> None:
    assert n["faces_found"] == 4 > n["faces_once"]
    assert min(n["nearest_face"], n["cover_distance"], n["clip_nearest"]) > 0.6
    assert n["album_together"] < n["album_alone"]
    assert (n["leaks_good"], n["leaks_bad"]) == (0, 1)


FACTS = dict(
    zip(
        [path.name[:2] for path in PATHS],
        (faces, attribution, mask, training, regeneration, evaluation, photos_and_clips),
        strict=True,
    )
)


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
def test_it_runs_in_the_quick_profile(path, tmp_path, capsys):
    number, out, state = path.name[:2], tmp_path / "runs", tmp_path / "state"
    # notebook 05 keeps whoever it has measured: here it must measure, and not read what lies there
    asked = [f"STATE={state}"] if number == "05" else []
    assert report.run("quick", only=number, out=out, parameters=asked) == 0
    assert "not compared" not in capsys.readouterr().out  # it was held to accepted numbers
    [folder] = out.iterdir()
    ran = json.loads((folder / "metrics.json").read_text())["notebooks"]
    assert list(ran) == [path.stem]
    numbers = ran[path.stem]["metrics"]
    FACTS[number](numbers)
    if number == "05":
        assert len(list(state.glob("*.safetensors"))) == numbers["people"]
    executed = json.loads((folder / path.name).read_text())
    said = verdicts(executed)  # every check refuses the open answer and accepts ours
    assert said["check"].keys() == said["solution"].keys() and len(said["check"]) >= 3
    assert not any(said["check"].values()) and all(said["solution"].values()), said
    # the pictures are in the page, not only beside it
    shown = [
        output
        for cell in executed["cells"]
        for output in cell.get("outputs", [])
        if "image/png" in output.get("data", {})
    ]
    assert len(shown) == len(list((folder / path.stem).glob("*.png"))) >= 3
    assert f"{path.stem}.html" in (folder / "index.html").read_text()
    assert (folder / f"{path.stem}.html").stat().st_size > 100_000
