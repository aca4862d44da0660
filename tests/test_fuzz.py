"""Mutated files, and a benchmark of them that notices what it looks for."""

import fuzz
import pytest


def test_a_hundred_mutated_files():
    report = fuzz.fuzz(100, seed=1)
    assert report["wrong"] == []
    assert report["count"] == 100
    assert report["refused"] > 20 and report["written"] > 10  # both happen


def test_thirty_mutated_clips():
    report = fuzz.fuzz(30, seed=0, clips=True)
    assert report["wrong"] == [] and report["count"] == 30
    assert report["refused"] > 5 and report["written"] > 10
    copied = fuzz.fuzz(6, seed=2, defect="copy", clips=True)
    assert any("from the negative" in one["ended"] for one in copied["wrong"])


@pytest.mark.parametrize(
    ("defect", "words"),
    [
        ("crash", "ended the process (-11)"),
        ("hang", "took over 1 s"),
        ("error", "without a name"),
        ("copy", "not the negative"),
    ],
)
def test_it_notices(defect, words):
    """Each planted defect is named with its case; after a crash or hang the next process goes on."""
    report = fuzz.fuzz(6, seed=2, limit=1, defect=defect)
    assert report["count"] == 6
    assert report["refused"] >= 1
    assert any(words in one["ended"] for one in report["wrong"])
