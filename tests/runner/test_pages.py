"""What a reader of a report sees first, where it leads him, and that it is small."""

from __future__ import annotations

import re

import nbformat
import numpy as np
import pytest
from PIL import Image

from anonlab.measured import flatten, higher, lower, reference
from anonlab.provenance import changes
from anonlab.runner.cells import cells_of
from anonlab.runner.execution import Run
from anonlab.runner.pages import curve, index_page, verdict, worst_first
from anonlab.runner.regression import accept, compare
from anonlab.runner.thumbnails import BUDGET, write_thumbnails
from anonlab.runner.trend import Trend

GOOD = {"ssim": higher(0.9), "faces_found": reference(4), "rate": lower(0.5)}


def made(name: str, now: dict, was: dict | None = GOOD) -> Run:
    one = Run(name, metrics=flatten(now), page=f"{name}.html", cells={"ssim": "c-1", "rate": "c 2"})
    if was is not None:
        one.comparison = compare(accept([was], [], {}, {}), now, {})
    return one


def page(*runs: Run) -> str:
    return index_page("a run", "quick", "abc", list(runs), 0, False)


def test_the_verdict_names_what_is_worse_and_by_how_much():
    bad = made("05_evaluate", GOOD | {"faces_found": reference(3), "ssim": higher(0.8)})
    line = "FAILED: 05: faces_found 4 → 3; 05: ssim 0.9 → 0.8 (−16.7 σ)"
    assert verdict([made("00_setup", GOOD), bad]) == line
    text = page(bad)
    assert text.index(line) < text.index("<nav>") < text.index('id="worse"') < text.index('id="05_eva')


def test_what_moved_most_comes_first_whatever_its_notebook():
    one = made("00_a", GOOD | {"ssim": higher(0.85)})
    other = made("01_b", GOOD | {"rate": lower(0.9)})
    assert [row.name for _, row in worst_first([one, other])] == ["rate", "ssim"]


def test_a_verdict_of_many_failures_is_still_one_line():
    now = {f"x{number}": higher(0.1) for number in range(9)}
    bad = made("00_a", now, {name: higher(0.9) for name in now})
    assert verdict([bad]).endswith("; and 4 more") and verdict([bad]).count(";") == 5


def test_a_run_that_was_not_held_to_anything_has_not_passed():
    assert verdict([made("00_a", GOOD)]) == "PASSED: 1 notebook, 3 metrics as accepted"
    assert verdict([made("00_a", GOOD), made("01_b", GOOD, None)]).endswith("; 1 notebook not compared")
    assert verdict([made("00_a", GOOD, None)]).startswith("NOT JUDGED")
    assert verdict([made("00_a", GOOD | {"rate": lower(0.9)})], accepting=True) == "ACCEPTED: 1 notebook"
    broken = Run("00_a", status="failed", error="ZeroDivisionError: x\nlines of it")
    assert verdict([broken]) == "FAILED: 00 failed: ZeroDivisionError: x"
    assert verdict([broken], accepting=True).startswith("FAILED")


def test_what_is_worse_leads_to_the_cell_that_computed_it():
    text = page(made("00_a", GOOD | {"ssim": higher(0.8), "rate": lower(0.9)}))
    worse = text[text.index('id="worse"') : text.index('id="notebooks"')]
    assert '<a href="00_a.html#cell-id=c-1">ssim</a>' in worse
    assert '<a href="00_a.html#cell-id=c%202">rate</a>' in worse
    broken = Run("01_b", status="failed", error="E: x", page="01_b.html")
    assert 'href="01_b.html#papermill-error-cell"' in page(broken)


def test_every_link_inside_the_page_has_its_place():
    text = page(made("00_a", GOOD | {"ssim": higher(0.8)}), made("01_b", GOOD))
    inside = re.findall(r'href="#([^"]+)"', text)
    assert inside == ["worse", "notebooks", "00_a", "01_b"]
    assert all(f'id="{name}"' in text for name in inside)


def test_the_band_of_a_trend_is_where_the_tolerance_is():
    drawn = str(curve(Trend("ssim", ("a", "b"), (0.5, 0.9), (0.8, 1.0))))
    [(y, height)] = re.findall(
        r'<rect class="band" x="0" y="([\d.]+)" width="240" height="([\d.]+)"', drawn
    )
    [first, second] = [float(dot) for dot in re.findall(r'cy="([\d.]+)"', drawn)]
    assert float(y) < second < float(y) + float(height) < first  # 0.9 is inside, 0.5 below
    assert "<rect" not in curve(Trend("ssim", ("a", "b"), (0.5, 0.9)))


def test_a_difference_of_provenance_has_a_name():
    before = {
        "commit": "a" * 40,
        "packages": {"torch": "2.1", "numpy": "2.0"},
        "weights": {"x": "b" * 64},
    }
    after = {
        "commit": "a" * 40,
        "packages": {"torch": "2.2", "numpy": "2.0"},
        "weights": {"x": "c" * 64},
    }
    assert changes(before, after) == ["packages torch 2.1 → 2.2", "weights x bbbbbbbb → cccccccc"]
    assert changes(before, {}) == [
        f"commit {'a' * 8} → none",
        *(f"{key} {before[key]} → none".replace("b" * 64, "b" * 8) for key in ("packages", "weights")),
    ]
    assert changes(before, before) == []


def test_a_metric_comes_from_the_last_cell_that_assigns_its_variables(tmp_path):
    sources = {
        "a": "found = 1\nother = [found for found in range(3)]",
        "b": "found = other",
        "c": "%matplotlib inline",
        "d": "record(OUT, {'x': higher(found), 'y': lower(other), 'z': shown(3), **{n: n for n in m}})",
    }
    node = nbformat.v4.new_notebook()
    node.cells = [nbformat.v4.new_code_cell(source, id=name) for name, source in sources.items()]
    nbformat.write(node, tmp_path / "n.ipynb")
    found = cells_of(tmp_path / "n.ipynb", ["x", "y", "z", "elsewhere/1"])
    assert found == {"x": "b", "y": "a", "z": "d", "elsewhere/1": "b"}
    node.cells.pop()
    nbformat.write(node, tmp_path / "n.ipynb")
    assert cells_of(tmp_path / "n.ipynb", ["x"]) == {}


@pytest.mark.parametrize(("count", "side"), [(1, 50), (3, 500), (30, 200)])
def test_thumbnails_fit_into_the_budget_and_are_never_enlarged(tmp_path, count, side):
    """Noise is the worst there is to compress."""
    rng = np.random.default_rng(0)
    pictures = []
    for number in range(count):
        pictures.append(tmp_path / f"{number:02}.png")
        noise = rng.integers(256, size=(side, side, 3), dtype=np.uint8)
        Image.fromarray(noise).save(pictures[-1], compress_level=1)
    (tmp_path / "small").mkdir()
    (tmp_path / "small" / "stale.webp").touch()
    kept = write_thumbnails(pictures, tmp_path / "small")
    assert kept and sorted((tmp_path / "small").iterdir()) == kept
    assert sum(path.stat().st_size for path in kept) <= BUDGET
    with Image.open(kept[0]) as small:
        assert small.format == "WEBP" and small.width <= side
        assert small.width == side or count > 1
