"""The figure of what other choices of the virtual identity cost."""

from __future__ import annotations

from anonlab.evaluation.choice import choice_figure


def test_the_figure_marks_the_default_once_on_each_side():
    about = {"consistency": 0.5, "collapse": 0.01, "linkage": 0.1}
    found = {
        "people": 9, "views": 2, "untouched": about,
        "targets": [{"family": "x", "name": str(i), "default": i == 1} | about for i in range(3)],
        "drawn": [{"name": str(i), "default": i == 0, "st_lpips": 0.06, "linkage_auc": 0.7,
                   "people": 60} | about for i in range(2)],
    }  # fmt: skip
    for axis in choice_figure(found).axes:
        stars = [line for line in axis.lines if line.get_marker() == "*"]
        assert len(stars) == 1
