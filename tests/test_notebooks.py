"""The notebooks: their anatomy, and that every one of them runs."""

import ast
import json
import os
import re
from pathlib import Path

import pytest
from offline import loads_of

from anonlab.runner import report
from anonlab.runner.execution import read_notebook

FOLDER = Path(__file__).parents[1] / "notebooks"
PATHS = sorted(FOLDER.glob("*.ipynb"))


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
def test_anatomy(path):
    node = json.loads(path.read_text())
    cells = node["cells"]
    install, *code = [cell for cell in cells if cell["cell_type"] == "code"]
    assert install["source"] == json.loads(PATHS[0].read_text())["cells"][1]["source"]
    assert node["metadata"]["kernelspec"]["name"] == "python3"
    assert all(not cell["outputs"] and cell["execution_count"] is None for cell in code)
    assert "parameters" in code[0]["metadata"]["tags"]
    for line in ast.parse("".join(code[0]["source"])).body:
        ast.literal_eval(line.value)  # plain literals
    assert all("#" in line for line in "".join(code[0]["source"]).splitlines())
    assert "settings(" in "".join(code[1]["source"])
    assert "record(" in "".join(code[-1]["source"])
    assert all(cell["metadata"]["jupyter"]["source_hidden"] for cell in (install, code[1], code[-1]))
    hidden = [c["metadata"] for c in code if c["metadata"].get("jupyter", {}).get("source_hidden")]
    assert all({"hide-input", "remove-input"} & set(about["tags"]) for about in hidden)
    for cell in code:
        for node in ast.walk(ast.parse("".join(cell["source"]))):
            assert not isinstance(node, ast.ClassDef | ast.While | ast.Try)
            if isinstance(node, ast.FunctionDef):  # only exercises define functions
                assert {"exercise", "solution"} & set(cell["metadata"]["tags"])
    text = "\n".join("".join(c["source"]) for c in cells if c["cell_type"] == "markdown")
    for part in (f"# {path.name[:2]} · ", "**Objectives.**", "\n1. ", "\n2. ", "**Needs**", "**Time**",
                 "**Hardware**", "**Predict, then look.**", "## To think about",
                 "## Summary"):  # fmt: skip
        assert part in text, part
    [link] = re.findall(r"\*\*Next:\*\* .*\[.+\]\((.+)\)", text)
    assert (FOLDER / link).exists()


def prose_in(source: str) -> int:
    """The lines of code that hold a text of six words or more; docstrings, which say shapes, aside."""
    tree, found = ast.parse(source), set()
    quoted = {id(one.value) for one in ast.walk(tree) if isinstance(one, ast.Expr)}
    for one in ast.walk(tree):
        if isinstance(one, ast.Constant | ast.JoinedStr) and id(one) not in quoted:
            parts = one.values if isinstance(one, ast.JoinedStr) else [one]
            text = " ".join(str(part.value) for part in parts if isinstance(part, ast.Constant))
            if len(re.findall(r"[^\W\d]{2,}", text)) >= 6:
                found |= {*range(one.lineno, one.end_lineno + 1)}
    return len(found)


def test_prose_is_not_code():
    """Of the code that a reader sees, at most 2 % of the lines are sentences in quotation marks."""
    assert prose_in("x = f'One of {n} says what it does, always'\ny = 'one two three'") == 1
    lines = prose = 0
    for path in PATHS:
        for cell in json.loads(path.read_text())["cells"]:
            if cell["cell_type"] == "code" and "jupyter" not in cell["metadata"]:
                source = "".join(cell["source"])
                lines += sum(bool(line.strip()) for line in source.splitlines())
                prose += prose_in(source)
    assert lines > 500 and prose <= 0.02 * lines, (prose, lines)


def test_every_notebook_has_accepted_numbers():
    accepted = (FOLDER.parent / "tests" / "accepted").glob("*-quick.json")
    assert sorted(path.stem.removesuffix("-quick") for path in accepted) == [p.stem for p in PATHS]


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
def test_the_quick_profile_shows_samples_only(path):
    """The course shows pictures of such runs."""
    used = read_notebook(path, "quick").parameters({})
    photos = [used["PHOTO"]] if "PHOTO" in used else used.get("PHOTOS", [])
    assert all(re.fullmatch(r"astronaut|synthetic-\d+(-\d+)?", photo) for photo in photos)
    assert set(used.get("PEOPLE", {})) <= {"embedded"}


FACTS = {  # beside the guards, which a notebook states itself and so could loosen itself
    "00": lambda n: (
        n["outside_pixels_changed"] == 0
        and n["distance_mirrored"] < 0.6 < n["distance_nearest_stranger"]
    ),
    "01": lambda n: (
        abs(n["completeness"] - 1) <= 0.05
        and n["deletion_0.1_integrated_gradients"] > n["deletion_0.1_random"] + 0.2
        and n["network_deletion"] > n["random_deletion"] + 0.1
    ),
    "02": lambda n: 0.2 < n["share"] < 0.3 and n["distance_blurred"] > 0.6,
    "03": lambda n: (
        n["loss_shipped"] < 0.9 * n["loss_linear"]  # the weights that ship have learned
        and n["virtual_reached"] > n["linear/virtual_reached"]
    ),
    "04": lambda n: (
        n["matched"] is False
        and n["st_lpips"] < 0.08
        and n["optimisation_loss/last"] < n["optimisation_loss/first"]
    ),
    "05": lambda n: n["people"] > 3,
    "06": lambda n: (
        n["faces_found"] == 4 > n["faces_once"]
        and min(n["nearest_face"], n["cover_distance"], n["clip_nearest"]) > 0.6
        and n["album_together"] < n["album_alone"]
        and (n["leaks_good"], n["leaks_bad"]) == (0, 1)
    ),
}


@pytest.fixture(scope="session")
def ran(tmp_path_factory) -> Path:
    """The folder of a run of all notebooks: the one in `$ANONLAB_GATE`, as `make test` has it, or a new
    one."""
    gate = Path(os.environ.get("ANONLAB_GATE") or tmp_path_factory.mktemp("gate"))
    if not list(gate.glob("2*")):
        report.run(out=gate, parameters=[f"STATE={gate / 'people'}"])
    [folder] = gate.glob("2*")
    return folder


def verdicts(executed: dict) -> dict[str, dict[int, bool]]:
    """What its checks said, of open answers (`check`) and of ours (`solution`): exercise → right. A
    solution counts if at least three spellings of it passed and five wrong answers did not."""
    found: dict[str, dict[int, bool]] = {"check": {}, "solution": {}}
    for cell in executed["cells"]:
        for tag in found.keys() & set(cell["metadata"].get("tags", [])):
            for output in cell.get("outputs", []):
                text = "".join(output.get("data", {}).get("text/plain", ""))
                if said := re.match(r"Exercise (\d+): (right|not yet)", text):
                    tried = [*map(int, re.findall(r"\d+", text))][1:] or [0, 0]
                    found[tag][int(said[1])] = said[2] == "right" and tried[0] >= 3 and tried[1] >= 5
    return found


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
def test_its_run_in_the_quick_profile(path, ran):
    one = json.loads((ran / "metrics.json").read_text())["notebooks"][path.stem]
    assert (one["status"], one["failed"]) == ("ok", [])
    assert FACTS[path.name[:2]](one["metrics"]), one["metrics"]
    executed = json.loads((ran / path.name).read_text())
    said = verdicts(executed)  # every check refuses the open answer and accepts ours
    assert said["check"].keys() == said["solution"].keys() and len(said["check"]) >= 3
    assert not any(said["check"].values()) and all(said["solution"].values()), said
    # the pictures are in the page, not only beside it
    outputs = [one for cell in executed["cells"] for one in cell.get("outputs", [])]
    shown = [one for one in outputs if "image/png" in one.get("data", {})]
    assert len(shown) == len(list((ran / path.stem).glob("*.png"))) >= 3
    assert all(output["metadata"]["image/png"]["alt"] for output in shown)
    assert (ran / f"{path.stem}.html").stat().st_size > 100_000


def test_pages_of_the_run_load_nothing_from_the_network_and_have_no_dead_link(ran):
    assert loads_of(ran) == []
    for page in ran.glob("*.html"):
        for target in re.findall(r'<a [^>]*href="(?!https?:|#|data:)([^"#]+)', page.read_text()):
            assert (ran / target).is_file(), (page.name, target)


def test_the_run_measured_its_people_and_was_judged(ran):
    """Notebook 05 keeps what it has measured: here it must measure, and not read what lies there."""
    numbers = json.loads((ran / "metrics.json").read_text())["notebooks"]["05_evaluate"]["metrics"]
    assert len(list((ran.parent / "people").glob("*.safetensors"))) == numbers["people"]
    index = (ran / "index.html").read_text()
    assert "judged numbers hold." in index and "Without accepted numbers" not in index
