"""The first screen of a report answers three questions, and no page needs a network."""

import re

import nbformat
from offline import loads_of

from anonlab.notebook.measured import as_accepted, at_most, flatten, higher, lower, reference
from anonlab.runner.execution import Run
from anonlab.runner.pages import answers, write_page
from anonlab.runner.regression import accept, compare

GOOD = {"ssim": higher(0.9), "faces": reference(4), "leaks": lower(0), "peer": reference(0.5)}
JUDGED = {
    "ssim": as_accepted("the photo stays", noticed=0.05),
    "faces": as_accepted("all faces are found"),
    "leaks": at_most(0, "nothing leaks"),
}


def made(name: str, now: dict) -> Run:
    one = Run(name, seconds=90.0, metrics=flatten(now, JUDGED))
    accepted = accept([flatten(GOOD, JUDGED)], [{"seed": 0}], {}, {})
    one.rows = compare(accepted, one.metrics)
    return one


def said(*runs: Run) -> list[str]:
    return [answer for _, _, answer in answers(runs)]


def test_a_run_as_accepted_asks_for_nothing():
    assert said(made("00_a", GOOD | {"peer": reference(0.9)}), made("01_b", GOOD)) == [
        "Yes: 2 notebooks ran to the end in about 3 min.",
        "Yes: all 6 judged numbers hold.",
        "Nothing.",
    ]


def test_a_number_that_does_not_hold_is_told_in_words():
    bad = made("05_a", GOOD | {"ssim": higher(0.8), "leaks": lower(1)})
    ran, kept, advice = said(bad)
    assert ran.startswith("Yes") and kept == "No: 2 of 3 judged numbers do not hold."
    assert advice.endswith("run --accept --only 05")
    assert (
        "ssim: 0.9 → 0.8 (2 times the smallest change that matters, 0.1 where other seeds and machines "
        "explain 0.018; higher is better) — the photo stays"
    ) in map(str, bad.named("failed"))


def test_a_page_typesets_and_leads_without_a_network(tmp_path):
    node = nbformat.v4.new_notebook()
    node.metadata["widgets"] = {"application/vnd.jupyter.widget-state+json": {"state": {}}}
    text = "# One\n$x^2$ [two](01_two.ipynb#a) [gone](07_x.ipynb) [data](../data/README.md) ![p](p.png)"
    secret = nbformat.v4.new_code_cell("1 + 1")
    secret.metadata = {"tags": ["solution"]}
    said = {"text/markdown": "[said](../data/README.md)"}  # by code: a link like any other
    secret.outputs = [nbformat.v4.new_output("display_data", said)]
    drawn = nbformat.v4.new_code_cell("draw()")
    for kind in ("image/png", "image/jpeg"):
        about = {kind: {"alt": f"drawn & kept as {kind}"}}
        drawn.outputs.append(nbformat.v4.new_output("display_data", {kind: "QUJD"}, metadata=about))
    node.cells = [nbformat.v4.new_markdown_cell(text), secret, drawn]
    nbformat.write(node, tmp_path / "00_one.ipynb")
    (tmp_path / "source").mkdir()
    (tmp_path / "source" / "p.png").write_bytes(b"a picture")
    write_page(tmp_path / "00_one.ipynb", tmp_path / "source", {"00_one.html", "01_two.html"})
    page = (tmp_path / "00_one.html").read_text()
    assert loads_of(tmp_path) == [] and "cdn" not in re.sub(r"<style.*?</style>", "", page, flags=re.S)
    assert 'href="01_two.html#a"' in page and "07_x" in page and 'href="07_x' not in page
    assert 'href="../data' not in page
    assert "data:image/png;base64," in page and "<summary" in page
    for kind in ("png", "jpeg"):
        assert f'<img alt="drawn &amp; kept as image/{kind}"' in page
    [script] = re.findall(r'<script src="([^"]+)"></script>', page)
    assert (tmp_path / script).stat().st_size > 1e6  # MathJax itself
