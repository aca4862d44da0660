"""Running notebooks: failures are shown and contained, nothing is skipped and called done."""

import json
import re
from pathlib import Path

import nbformat
import pytest
from lessons import code, lesson

RECORD = """
import json, pathlib
from anonlab.notebook.measured import shown, to_json
pathlib.Path(OUTPUT, "metrics.json").write_text(json.dumps(to_json({"x": shown(X)})))
"""


def notebook(folder: Path, name: str, source: str = RECORD, needs: tuple = (), **quick: object) -> None:
    profiles = {"quick": quick, "full": {"X": 7}}
    node = lesson("X = 1\nOUTPUT = '.'", code(source), needs=[*needs], profiles=profiles)
    nbformat.write(node, folder / f"{name}.ipynb")


def done_in(folder: Path) -> dict:
    return json.loads((folder / "metrics.json").read_text())["notebooks"]


def test_a_failure_stops_only_itself_and_its_dependants(tmp_path, run):
    notebook(tmp_path, "00_broken", "1 / 0")
    notebook(tmp_path, "01_dependant", needs=("00",))
    notebook(tmp_path, "02_dependant_of_dependant", needs=("01",))
    notebook(tmp_path, "03_independent")
    status, _, folder = run()
    assert status == 1
    done = done_in(folder)
    assert [one["status"] for one in done.values()] == ["failed", "skipped", "skipped", "ok"]
    page = (folder / "index.html").read_text()
    assert "ZeroDivisionError" in page
    assert "\x1b[" not in page
    for target in re.findall(r'href="([^"#]+)', page):  # links lead to pages that exist
        assert (folder / target).is_file(), target
    assert (folder / "00_broken.html").is_file() and not (folder / "01_dependant.html").exists()
    assert done["03_independent"]["metrics"] == {"x": 1}


@pytest.mark.parametrize(
    ("options", "numbers"),
    [
        ({"profile": "full"}, {"x": 7}),
        ({"profile": "full", "parameters": ["X=[1, 'two']"]}, {"x/0": 1, "x/1": "two"}),
    ],
)
def test_the_command_line_wins_over_the_profile(tmp_path, run, without_kernel, options, numbers):
    notebook(tmp_path, "00_one")
    status, _, folder = run(**options)
    assert (status, done_in(folder)["00_one"]["metrics"]) == (0, numbers)


@pytest.mark.parametrize(
    ("source", "quick", "said"),
    [("pass", {}, "00_one.ipynb recorded no metrics"), (RECORD, {"Z": 1}, "sets Z, which the notebook")],
)
def test_a_notebook_without_numbers_or_with_an_unknown_parameter_has_failed(
    tmp_path, run, without_kernel, source, quick, said
):
    notebook(tmp_path, "00_one", source, **quick)
    status, _, folder = run()
    assert status == 1 and said in done_in(folder)["00_one"]["error"]
