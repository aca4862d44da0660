"""Every break of `breaks.py` still applies, so that the script can be run at any time."""

from __future__ import annotations

from pathlib import Path

import pytest
from breaks import BREAKS, Break, joined

ROOT = Path(__file__).resolve().parents[1]


@pytest.mark.parametrize("one", BREAKS, ids=lambda one: one.name)
def test_it_applies_once_and_names_tests_that_exist(one):
    text = (ROOT / one.path).read_text()
    broken = one.applied(text)
    compile(broken, str(one.path), "exec")
    file, _, chosen = one.tests.partition(" -k ")
    tests = (ROOT / "tests" / file).read_text()
    assert not chosen or any(
        chosen in line for line in tests.splitlines() if line.startswith("def test_")
    )


def test_there_are_thirty_and_no_two_alike():
    assert len(BREAKS) >= 30
    assert len({one.name for one in BREAKS}) == len({(one.path, one.old, one.new) for one in BREAKS})
    assert len({one.name for one in BREAKS}) == len(BREAKS)


@pytest.mark.parametrize("text", ["nothing of the kind", "twice, twice"])
def test_one_that_does_not_apply_once_is_refused(text):
    with pytest.raises(ValueError, match="not once"):
        Break("a name", "files.py", "twice", "never", "test_files.py").applied(text)


def test_tests_of_one_file_run_together_and_a_whole_file_wins():
    three = [Break(name, "files.py", "a", "b", tests) for name, tests in zip(
        "xyz", ("one.py -k two", "one.py -k three", "four.py -k five"), strict=True)]  # fmt: skip
    assert joined(three) == ["one.py -k two or three", "four.py -k five"]
    assert joined([*three, Break("w", "files.py", "a", "b", "one.py")])[0] == "one.py"
