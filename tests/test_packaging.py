"""Versions live in one place, and the commands of the README exist."""

import re
import shlex
from pathlib import Path

import pytest
from pages import pages

from anonlab.apps.cli.parser import COVERED, FAILED, parser
from anonlab.apps.verify.checks import JUDGED
from anonlab.checking import ATTEMPTS
from anonlab.controls import Controls

ROOT = Path(__file__).parents[1]


def test_readme_names_only_make_targets_and_notebooks_that_exist():
    readme = (ROOT / "README.md").read_text()
    targets = set(re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert set(re.findall(r"`make (\w+)", readme)) <= targets
    for name in re.findall(r"\b\d\d_\w+", readme):
        assert (ROOT / "notebooks" / f"{name}.ipynb").is_file(), name


@pytest.mark.parametrize("page", ["README.md", "data/README.md"])
def test_every_command_of_a_page_is_understood(page):
    text = (ROOT / page).read_text()
    commands = re.findall(r"python -m anonlab (\w[^`\n#]*)", text)
    for row in re.findall(r"^\| (`--.*?) \|", text, re.MULTILINE):  # of the table of options
        commands += [f"anonymize a --out b {one}" for one in re.findall(r"`(--[^`]*)`", row)]
    assert len(commands) >= 1
    for command in commands:
        words = shlex.split(command)
        if len(words) > 1:  # else it is only named
            parser().parse_args(words)  # exits where it does not understand


def test_what_the_readme_promises_in_numbers_is_what_the_code_does():
    text = " ".join((ROOT / "README.md").read_text().split())
    controls = Controls()
    for said in (
        f"`--mask-area {controls.mask_area}`",
        f"`--strength {controls.strength}`",
        f"`--seed {controls.seed}`",
        f"`--keep {','.join(controls.keep)}`",
        f"after {['no', 'one', 'two', 'three', 'four'][ATTEMPTS]} attempts",
        f"below {JUDGED} px `verify` gives no verdict",
        f"{FAILED} something failed, 2 bad usage, {COVERED} a face is only covered",
    ):
        assert said in text, said


def test_making_the_tables_again_changes_nothing():
    for path, text in pages().items():
        assert path.read_text() == text, f"run: make tables ({path})"


def test_the_readme_is_short():
    assert len((ROOT / "README.md").read_text().split()) <= 800  # as `wc -w` counts
