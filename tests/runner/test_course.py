"""The course: what gets into it, what is folded, and that no page needs the network."""

import base64
import json
import re
import shutil
from pathlib import Path

import nbformat
import pytest
from lessons import code, lesson
from offline import loads_of

from anonlab.runner import course

PICTURE = (
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)


def page(title: str, *cells) -> nbformat.NotebookNode:
    """A notebook as papermill leaves it."""
    profiles = {"quick": {"STEPS": 2}, "full": {"STEPS": 9}}
    node = lesson("STEPS = 5  # many\nOUTPUT = '.'  # where", *cells, profiles=profiles)
    text = f"# {title}\n\nThe score $s(x) = \\cos(x)$ and\n\n$$E = mc^2$$"
    node.cells.insert(0, nbformat.v4.new_markdown_cell(text))
    return node


def two_notebooks(place: Path) -> Path:
    """Two notebooks, a run of each in the quick profile."""
    folder, run = place / "notebooks", place / "runs" / "2026-01-01"
    folder.mkdir()
    run.mkdir(parents=True)
    (place / "data" / "pictures").mkdir(parents=True)
    (place / "data" / "pictures" / "panel.png").write_bytes(base64.b64decode(PICTURE))
    image = nbformat.v4.new_output("display_data", data={"image/png": PICTURE, "text/plain": "a dot"})
    prose = nbformat.v4.new_output("display_data", data={"text/markdown": "It is *forty-three*."})
    said = code("Markdown('spoiler')", prose, tags=("remove-input",), jupyter={"source_hidden": True})
    result = nbformat.v4.new_output("execute_result", data={"text/plain": "forty-two"})
    injected = code("# Parameters\nSTEPS = 2\nOUTPUT = '/home/me/secret'", tags=("injected-parameters",))
    first = page(
        "00 · One",
        injected,
        code("import zipapp", tags=("hide-input",)),
        code("show()", image),
        said,
        code("check_1(answer)", tags=("check", "hide-input"), jupyter={"source_hidden": True}),
        code("answer = 41 + 1", result, tags=("solution",), jupyter={"source_hidden": True}),
        nbformat.v4.new_markdown_cell("[next](01_two.ipynb), [tables](../data/README.md)"),
        nbformat.v4.new_markdown_cell("![a panel](../data/pictures/panel.png)"),
    )
    needle = nbformat.v4.new_markdown_cell("A needle in a haystack.")
    second = page("01 · Two", code("explorer and explorer.panel"), needle)
    done = {}
    for name, node in (("00_one", first), ("01_two", second)):
        done[name] = {"status": "ok", "parameters": {"STEPS": 2}}
        nbformat.write(node, run / f"{name}.ipynb")
        node.cells = [one for one in node.cells if one is not injected]
        nbformat.write(node, folder / f"{name}.ipynb")
    (run / "metrics.json").write_text(json.dumps({"notebooks": done}))
    (folder / "README.md").write_text("# The course\n[one](00_one.ipynb)\n\n## Some words\n\nTwo.")
    (folder / "TEACHING.md").write_text("# For teachers\n[words](README.md#some-words)")
    return place


def turning(folder: Path) -> str:
    folder.mkdir()
    (folder / "face.jpg").write_bytes(b"a JPEG")
    return "<div id='turned'>\n\n$x$ &amp; *two*</div>"


@pytest.fixture(scope="module")
def book(tmp_path_factory) -> Path:
    """The pages of two small notebooks, built once."""
    where = two_notebooks(tmp_path_factory.mktemp("course"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(course, "notebooks_folder", lambda: where / "notebooks")
        assert course.build_course(where / "runs", where / "course", turning) == []
    return where / "course"


def test_the_book_has_every_notebook_its_results_and_a_search(book):
    for name in ("index.html", "00_one.html", "01_two.html", "search.html"):
        assert (book / name).is_file()
    page = (book / "00_one.html").read_text()
    assert "forty-two" in page
    assert re.search(r'<img [^>]*src="_images/[^"]+\.png"', page) and 'src="_images/panel.png"' in page
    assert re.search(r'href="01_two\.html"', page)
    assert "needl" in (book / "searchindex.js").read_text()  # words are stemmed


def test_solutions_and_set_up_are_folded(book):
    page = (book / "00_one.html").read_text()
    folded = re.findall(r"<details.*?</details>", page, re.DOTALL)
    [solution] = [one for one in folded if "Solution" in one]
    assert "forty-two" in solution
    assert any("zipapp" in one and "Code" in one for one in folded)
    assert any("check_1" in one and "Check" in one for one in folded)
    assert page.count("forty-two") == 1
    assert "forty-three" in page and "spoiler" not in page  # prose without the code that made it


def test_nothing_in_the_book_is_loaded_from_the_network(book):
    pages = [*book.rglob("*.html")]
    assert len(pages) >= 5
    assert loads_of(book) == []


def test_paths_of_this_machine_stay_out_of_the_book(book):
    for page in [*book.glob("*.html"), *(book / "_sources").rglob("*.ipynb")]:
        assert "/home/me/secret" not in page.read_text()
    assert '"STEPS = 2"' in (book / "_sources" / "00_one.ipynb").read_text()


def test_only_runs_of_the_samples_get_into_the_course(tmp_path, monkeypatch):
    runs = two_notebooks(tmp_path) / "runs"
    monkeypatch.setattr(course, "notebooks_folder", lambda: tmp_path / "notebooks")
    usual = runs / "2026-01-01"
    assert set(course.executed_notebooks(runs)) == {"00_one", "01_two"}
    for name, said in (
        ("2026-01-02", {"status": "ok", "parameters": {"STEPS": 2, "PHOTO": "me.jpg"}}),
        ("2026-01-03", {"status": "failed", "parameters": {"STEPS": 2}}),
    ):
        shutil.copytree(usual, runs / name)
        (runs / name / "metrics.json").write_text(json.dumps({"notebooks": {"00_one": said}}))
    (runs / "2026-01-04").mkdir()
    (runs / "2026-01-04" / "metrics.json").write_text("{")  # stopped while it wrote
    assert course.executed_notebooks(runs)["00_one"].parent == usual
    shutil.copytree(usual, runs / "2026-01-05")
    assert course.executed_notebooks(runs)["00_one"].parent.name == "2026-01-05"  # the newest
