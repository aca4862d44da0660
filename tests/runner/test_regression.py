"""Judged numbers: bounds, accepted numbers and their tolerances, and the command that accepts."""

import json
import math
from pathlib import Path

import nbformat
import pytest
from lessons import code, lesson

from anonlab.errors import InputDamaged
from anonlab.notebook.measured import (
    Guard,
    as_accepted,
    at_least,
    at_most,
    flatten,
    higher,
    lower,
    reference,
    shown,
)
from anonlab.runner import regression
from anonlab.runner.regression import (
    Accepted,
    accept,
    brief,
    compare,
    is_number,
    judge,
    read_accepted,
    tolerance,
)

ACCEPTED = sorted((Path(__file__).parents[1] / "accepted").glob("*.json"))
NAN = float("nan")
S = "a sentence"
RECORD = """
from anonlab.notebook.measured import as_accepted, at_most, lower, shown
from anonlab.notebook.record import record, save_figure
from matplotlib.figure import Figure
import os
save_figure(Figure(figsize=(1, 1)), OUTPUT, "face")
record(
    OUTPUT,
    {"ours": {"rate": lower(RATE + 0.01 * SEED + 0.001 * ("ONEDNN_MAX_CPU_ISA" in os.environ))},
     "matched": lower(MATCHED), "leaks": lower(LEAKS), "seconds": shown(SEED + 1.5)},
    judged={"ours/rate": as_accepted("faces are not matched", noticed=0.1), "matched": as_accepted("no"),
            "leaks": at_most(0, "nothing leaks")},
)
"""


def notebook(folder: Path, source: str = RECORD) -> None:
    node = lesson("RATE = 0.2\nMATCHED = False\nLEAKS = 0\nSEED = 0\nOUTPUT = '.'", code(source))
    nbformat.write(node, folder / "00_one.ipynb")


def accepted(metrics: dict, judged: dict[str, Guard], **changes) -> Accepted:
    made = accept([flatten(metrics, judged)], [{"seed": 0}], {}, {})
    return Accepted(**(vars(made) | changes))


def verdicts(was: dict, now: dict, judged: dict[str, Guard], judged_now: dict | None = None) -> dict:
    rows = compare(accepted(was, judged), flatten(now, judged if judged_now is None else judged_now))
    return {row.name: row.verdict for row in rows}


def weak(accepted: Accepted) -> list[str]:
    """Name, with the reason, the judged numbers of which a later run could hardly fail."""
    found = []
    for name, one in accepted.judged.items():
        guard, value, allowed = Guard(**one["guard"]), one["value"], one["tolerance"]
        if guard.bounded:
            seen = one.get("seen", [value])
            if not all(guard.holds(x) for x in seen):
                found.append(f"{name}: its bounds do not hold in every repeat ({seen})")
        elif not is_number(value):
            if "seen" in one:
                found.append(f"{name}: it differs between the repeats ({one['seen']})")
        elif one["better"] in ("higher", "reference") and value and allowed >= abs(value):
            found.append(f"{name}: its tolerance {brief(allowed)} is as large as itself; state a bound")
        elif guard.noticed and allowed > guard.noticed:
            found.append(f"{name}: only {brief(allowed)} fails, and {brief(guard.noticed)} matters")
    return found


@pytest.mark.parametrize(
    ("values", "guard", "cases", "allowed"),
    [
        ([0.5, 0.53, 0.49], as_accepted(S), None, 0.06),  # twice the largest deviation from the first
        ([40.0], as_accepted(S), None, 0.8),  # a fiftieth, for processors that cannot be emulated
        ([40.0], as_accepted(S, step=0.1), None, 0.1),  # ... unless one case is known to be less
        ([0.99, 0.9901], as_accepted(S, step=0.001), None, 0.001),
        ([240, 240], as_accepted(S), None, 0),  # a count is exact
        ([240, 241], as_accepted(S), None, 2),
        ([0.25], as_accepted(S, step=0.0), 40, 1 / 40),  # a share is known to one case
    ],
)
def test_tolerances(values, guard, cases, allowed):
    assert tolerance(values, guard, cases) == pytest.approx(allowed)


@pytest.mark.parametrize(
    ("better", "accepted", "now", "allowed", "verdict"),
    [
        ("lower", 0.2, 0.25, 0.06, "ok"),
        ("lower", 0.2, 0.25, 0.04, "failed"),
        ("lower", 0.2, 0.15, 0.04, "ok"),
        ("lower", 0.0, 0.01, 0.0, "failed"),
        ("higher", 0.9, 0.8, 0.05, "failed"),
        ("higher", 0.9, 1.0, 0.05, "ok"),
        ("reference", 0.25, 0.24, 0.001, "failed"),
        ("reference", 0.25, 0.26, 0.001, "failed"),
        ("lower", False, True, 0.0, "failed"),
        ("lower", False, False, 0.0, "ok"),
        ("lower", True, 1, 1.0, "failed"),  # a truth value is no number
        ("reference", "mobile", "stylegan2", 0.0, "failed"),
        ("lower", 0.1, None, 9.0, "failed"),
        ("higher", NAN, NAN, 0.0, "ok"),
        ("higher", 0.9, NAN, 9.0, "failed"),
        ("higher", 0.9, math.inf, 9.0, "failed"),
    ],
)
def test_verdicts(better, accepted, now, allowed, verdict):
    assert judge(better, accepted, now, allowed) == verdict


@pytest.mark.parametrize(
    ("guard", "value", "verdict"),
    [
        (at_least(0.6, S), 0.6, "ok"),
        (at_least(0.6, S), 0.599, "failed"),
        (at_most(0, S), 0, "ok"),
        (at_most(0, S), 1, "failed"),
        (Guard(S, low=0.9, high=1.1), 1.2, "failed"),
        (at_least(0.6, S), NAN, "failed"),
        (at_least(0.6, S), None, "failed"),
        (at_most(1, S), True, "failed"),  # a truth value is no number
    ],
)
def test_bounds_hold_whatever_was_accepted(guard, value, verdict):
    assert verdicts({"x": reference(7.0)}, {"x": reference(value)}, {"x": guard}) == {"x": verdict}


def test_what_is_not_judged_is_shown_and_a_judged_number_cannot_slip_away():
    was = {"ssim": higher(0.9), "seconds": shown(1.0)}
    guard = {"ssim": as_accepted(S)}
    told = {"ssim": "ok", "seconds": "shown", "mib": "shown"}
    assert verdicts(was, {"ssim": higher(0.9), "seconds": shown(9.0), "mib": shown(1)}, guard) == told
    assert verdicts(was, {"seconds": shown(1.0)}, guard, {}) == {"ssim": "failed", "seconds": "shown"}
    assert verdicts(was, {"ssim": higher(0.9)}, guard, {}) == {"ssim": "failed"}
    assert verdicts(was, {"ssim": lower(0.9)}, guard) == {"ssim": "failed"}  # another direction
    new = verdicts({"x": shown(1)}, {"x": shown(1), "y": higher(2)}, {}, {"y": as_accepted(S)})
    assert new == {"y": "failed", "x": "shown"}


def test_accepting_keeps_the_first_run_and_the_whole_spread():
    guard = {"ssim": as_accepted(S), "ok": as_accepted(S), "d": at_least(0.6, S)}
    runs = [
        flatten({"ssim": higher(x), "ok": lower(ok), "d": higher(d), "t": shown(x)}, guard)
        for x, ok, d in ((0.8, False, 0.7), (0.9, False, 0.65), (0.78, True, 0.5))
    ]
    made = accept(runs, [{}, {}, {}], {}, {})
    assert made.judged["ssim"]["value"] == 0.8 and made.judged["ssim"]["seen"] == [0.78, 0.9]
    assert made.judged["ssim"]["tolerance"] == pytest.approx(0.2)
    assert made.shown == {"t": 0.8} and made.judged["d"]["tolerance"] is None
    told = weak(made)
    assert [line.partition(":")[0] for line in told] == ["ok", "d"]  # both broke in a repeat


@pytest.mark.parametrize("path", ACCEPTED, ids=lambda path: path.stem)
def test_every_accepted_number_can_fail(path):
    old = read_accepted(path)
    assert weak(old) == []
    assert old.repeats[0]["environment"] == regression.NATIVE and old.repeats[0]["switches"] == {}
    for name, one in old.judged.items():
        value, allowed, better = one["value"], one["tolerance"], one["better"]
        if allowed is not None and not isinstance(value, bool | str):
            worse = value + (-1.01 if better == "higher" else 1.01) * allowed
            worse += -1e-9 if better == "higher" else 1e-9
            assert judge(better, value, worse, allowed) == "failed", name


def test_after_accepting_the_run_passes(tmp_path, run, without_kernel):
    notebook(tmp_path)
    status, printed, _ = run()
    assert status == 0 and "Not compared." in printed and not (tmp_path / "b").exists()
    status, printed, _ = run(accept=True)
    assert status == 0 and "accepted: 3 judged numbers" in printed
    stored = tmp_path / "b" / "00_one-quick.json"
    made = json.loads(stored.read_text())
    one = made["judged"]["ours/rate"]
    assert one["value"] == 0.2 and one["seen"] == [0.2, pytest.approx(0.221)]
    assert one["tolerance"] == pytest.approx(0.042)  # the other seed's, on another machine
    assert one["guard"] == {"sentence": "faces are not matched", "noticed": 0.1}
    repeats = [(a["environment"], a["seed"]) for a in made["repeats"]]
    assert repeats == [("native", 0), ("sse41", 1), ("avx2-1-thread", 2)]
    assert made["repeats"][1]["switches"]["ONEDNN_MAX_CPU_ISA"] == "SSE41"
    assert made["provenance"]["cpu"]["model"] and len(made["provenance"]["weights"]["dlib-resnet"]) == 64
    made["provenance"]["packages"]["torch"] = "1.0"
    stored.write_text(json.dumps(made))
    status, printed, again = run(parameters=["SEED=5"])  # 0.25 is beyond
    assert status == 1 and "failed ours/rate: 0.2 → 0.25" in printed
    assert "No: 1 of 3 judged numbers do not hold." in printed
    summary = json.loads((again / "metrics.json").read_text())
    assert summary["notebooks"]["00_one"]["failed"] == ["ours/rate"]
    page = (again / "index.html").read_text()
    assert "torch 1.0 →" in page and 'src="00_one/face.png"' in page
    assert run(parameters=["SEED=3"], environment="sse41")[0] == 0
    assert run(parameters=["LEAKS=1"])[1].count("not compared: parameters differ (LEAKS)") == 1


def test_a_notebook_or_a_repeat_that_fails_is_never_accepted(tmp_path, run, without_kernel, monkeypatch):
    monkeypatch.setattr(regression, "REPEATS", (("native", 1),))
    notebook(tmp_path, RECORD + "1 / (SEED - 1)")
    status, printed, _ = run(accept=True)
    assert status == 1 and "native, SEED 1: ZeroDivisionError" in printed
    assert not (tmp_path / "b").exists()


def test_damaged_accepted_numbers_stop_before_the_work(tmp_path, run, without_kernel):
    notebook(tmp_path)
    (tmp_path / "b").mkdir()
    good = vars(accepted({"x": higher(1)}, {"x": as_accepted(S)}))
    bad = [good | {"judged": [1]}, good | {"judged": {"x": {"value": 1}}}, good | {"provenance": 1}]
    for text in ("{", "[]", '{"metrics": {}}', *map(json.dumps, bad)):
        (tmp_path / "b" / "00_one-quick.json").write_text(text)
        with pytest.raises(InputDamaged, match="00_one-quick"):
            run()
    assert not (tmp_path / "runs").exists()
