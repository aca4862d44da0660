"""Accepted numbers: what is worse than chance allows is rejected, whatever way worse is."""

from __future__ import annotations

import json
import math
import shutil
from pathlib import Path

import nbformat
import pytest

from anonlab.cli import main
from anonlab.errors import DamagedAccepted, UndeclaredMetric, UnknownOption
from anonlab.measured import Measured, flatten, higher, lower, reference, shown
from anonlab.runner import regression, report
from anonlab.runner.regression import Accepted, compare, judge, read_accepted
from anonlab.runner.trend import read_past, trends

ACCEPTED = sorted((Path(__file__).parents[1] / "accepted").glob("*.json"))

NAN = float("nan")
RECORD = """
import json, pathlib, zlib, struct
from anonlab.measured import lower, shown, to_json
def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
png = b"\\x89PNG\\r\\n\\x1a\\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", 1, 1, 8, 0, 0, 0, 0))
png += chunk(b"IDAT", zlib.compress(bytes([0, 128]))) + chunk(b"IEND", b"")
pathlib.Path(OUTPUT, "face.png").write_bytes(png)
rate = RATE + 0.01 * SEED
metrics = {
    "ours": {"match_rate": lower(rate)}, "matched": lower(MATCHED), "seconds": shown(SEED + 1.5)
}
pathlib.Path(OUTPUT, "metrics.json").write_text(json.dumps(to_json(metrics)))
"""


def notebook(folder: Path, name: str = "00_one", code: str = RECORD, **anonlab) -> None:
    node = nbformat.v4.new_notebook()
    node.metadata = {
        "kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"},
        "anonlab": anonlab,
    }
    source = "RATE = 0.2\nMATCHED = False\nSEED = 0\nAREA = 0.25\nOUTPUT = '.'"
    parameters = nbformat.v4.new_code_cell(source)
    parameters.metadata["tags"] = ["parameters"]
    node.cells = [parameters, nbformat.v4.new_code_cell(code)]
    nbformat.write(node, folder / f"{name}.ipynb")


def accepted(metrics: dict, tolerance: dict | None = None, **changes) -> Accepted:
    """Accepted numbers whose leaves say which way is better."""
    flat = flatten(metrics)
    given = {"provenance": {}, "parameters": {}, "seeds": [], **changes}
    return Accepted(
        metrics={name: one.value for name, one in flat.items()},
        better={name: one.better for name, one in flat.items()},
        tolerance=tolerance or {},
        **given,
    )


def verdicts(was: dict, now: dict, tolerance: dict | None = None) -> dict[str, str]:
    comparison = compare(accepted(was, tolerance), now, {})
    return {row.name: row.verdict for row in comparison.rows}


@pytest.fixture
def run(tmp_path, capsys, without_kernel):
    """Run the notebooks of tmp_path; (status, what was printed, folder of the run)."""

    def run(**options) -> tuple[int, str, Path]:
        before = set((tmp_path / "runs").glob("2*"))
        capsys.readouterr()
        options = {"out": tmp_path / "runs", "folder": tmp_path, "accepted": tmp_path / "b"} | options
        status = report.run(**options)
        [folder] = set((tmp_path / "runs").glob("2*")) - before
        return status, capsys.readouterr().out, folder

    return run


def stored(tmp_path: Path) -> dict:
    return json.loads((tmp_path / "b" / "00_one-quick.json").read_text())


def tamper(tmp_path: Path, name: str, value: object) -> None:
    changed = stored(tmp_path)
    changed["metrics"][name] = value
    (tmp_path / "b" / "00_one-quick.json").write_text(json.dumps(changed))


def test_a_tolerance_is_three_sample_deviations_over_the_seeds():
    assert regression.tolerance([11.0, 12.0, 13.0]) == pytest.approx(3.0)  # deviation 1
    assert regression.tolerance([1.1, 1.1, 1.4]) == pytest.approx(3 * math.sqrt(0.03))


def test_what_no_seed_moves_may_be_off_by_a_fiftieth_and_a_share_by_one_case():
    assert regression.tolerance([40.0]) == pytest.approx(0.8)
    assert regression.tolerance([0.5, 0.5, 0.5]) == pytest.approx(0.01)
    assert regression.tolerance([240]) == 0  # a count is exact
    assert regression.tolerance([0.25], cases=40) == pytest.approx(1 / 40)


@pytest.mark.parametrize(
    ("better", "accepted", "now", "allowed", "verdict"),
    [
        ("lower", 0.2, 0.25, 0.06, "ok"),
        ("lower", 0.2, 0.25, 0.04, "failed"),
        ("lower", 0.2, 0.15, 0.04, "better"),
        ("lower", 0.0, 0.01, 0.0, "failed"),
        ("higher", 0.9, 0.8, 0.05, "failed"),
        ("higher", 0.9, 1.0, 0.05, "better"),
        ("reference", 0.25, 0.24, 0.001, "failed"),
        ("reference", 0.25, 0.26, 0.001, "failed"),
        ("reference", 0.25, 0.26, 0.02, "ok"),
        ("lower", False, True, 0.0, "failed"),
        ("lower", False, False, 0.0, "ok"),
        ("lower", True, 1, 1.0, "failed"),  # a truth value is no number
        ("reference", "mobile", "stylegan2", 0.0, "failed"),
        ("lower", None, None, 0.0, "ok"),
        ("lower", 0.1, None, 9.0, "failed"),
        ("higher", NAN, NAN, 0.0, "ok"),
        ("higher", 0.9, NAN, 9.0, "failed"),
        ("higher", 0.9, math.inf, 9.0, "failed"),
        ("higher", math.inf, math.inf, 0.0, "ok"),
        ("higher", math.inf, -math.inf, 0.0, "failed"),
    ],
)
def test_verdicts(better, accepted, now, allowed, verdict):
    assert judge(better, accepted, now, allowed) == verdict


def test_a_person_no_longer_recognised_in_the_mirror_is_worse():
    """The name begins like a distance that should be large."""
    old = read_accepted(ACCEPTED[0])
    now = {name: Measured(value, old.better[name]) for name, value in old.metrics.items()}
    near = accepted({"distance_mirrored": lower(0.12)}, {"distance_mirrored": 0.0024})
    assert old.better["distance_mirrored"] == near.better["distance_mirrored"]
    worse = Measured(0.206, old.better["distance_mirrored"])
    [row] = compare(near, {"distance_mirrored": worse}, {}).rows
    assert row.verdict == "failed"
    assert str(row).endswith("accepted 0.12, now 0.206, tolerance 0.0024 (lower is better)")
    assert not compare(old, now, old.parameters).named("failed")


def test_a_metric_that_is_gone_fails_and_a_new_one_is_shown():
    made = verdicts({"ssim": higher(0.9)}, {"psnr": higher(30.0)})
    assert made == {"ssim": "failed", "psnr": "new"}


def test_what_is_only_shown_is_never_judged():
    was = {"seconds": shown(1.0), "noise": shown({"x": 1.0}), "noisy": reference(1)}
    now = {"seconds": shown(9.0), "noise": shown({"x": 9.0}), "noisy": reference(2), "mib": shown(1.0)}
    made = verdicts(was, now)
    assert made == {"noisy": "failed", "seconds": "shown", "noise/x": "shown", "mib": "shown"}


def test_another_direction_has_to_be_accepted_like_a_number():
    """Else a run that is worse passes by calling it better."""
    assert verdicts({"ssim": higher(0.9)}, {"ssim": lower(0.9)}) == {"ssim": "failed"}
    assert verdicts({"ssim": higher(0.9)}, {"ssim": shown(0.1)}) == {"ssim": "failed"}


def test_a_metric_without_a_direction_is_an_error_that_names_it():
    with pytest.raises(UndeclaredMetric, match="faceres/match_rate "):
        compare(accepted({}), {"faceres": {"match_rate": 0.1}, "ssim": higher(0.9)}, {})
    old = accepted({"ssim": higher(0.9)})
    del old.better["ssim"]
    with pytest.raises(UndeclaredMetric, match="ssim "):
        compare(old, {"ssim": higher(0.9)}, {})
    with pytest.raises(UndeclaredMetric, match="psnr "):
        regression.accept([{"psnr": 30.0}], [], {}, {})


def test_failures_come_first():
    was = {"a": reference(1.0), "ssim": higher(0.5), "z": reference(1.0)}
    now = {"a": reference(1.0), "ssim": higher(0.9), "z": reference(2.0)}
    assert list(verdicts(was, now)) == ["z", "ssim", "a"]


def test_a_change_is_told_in_standard_deviations():
    was = {"found": reference(4), "exact": reference(4), "name": reference("a")}
    now = {"found": reference(3), "exact": reference(3), "name": reference("b")}
    rows = compare(accepted(was, {"found": 0.375}), now, {}).rows
    changes = {row.name: row.change for row in rows}
    assert changes == {"found": "4 → 3 (−8 σ)", "exact": "4 → 3", "name": "a → b"}


def test_a_tolerance_as_large_as_its_number_is_none_and_the_number_is_shown():
    assert regression.tolerance([0.0, 0.0, 0.1]) is None  # 0.033 ± 0.17
    assert regression.tolerance([0.125], cases=8) is None
    assert regression.tolerance([0.0], cases=8) == pytest.approx(1 / 8)  # from 0 to 2 of 8 fails
    made = regression.accept([{"rate": lower(x)} for x in (0.0, 0.0, 0.1)], [0, 1, 2], {}, {})
    assert made.tolerance == {"rate": None} and not made.judged("rate")
    [row] = compare(made, {"rate": lower(1.0)}, {}).rows
    assert row.verdict == "shown"


@pytest.mark.parametrize("path", ACCEPTED, ids=lambda path: path.stem)
def test_every_accepted_tolerance_can_fail(path):
    old = read_accepted(path)
    assert old.better.keys() == old.metrics.keys() >= old.tolerance.keys()
    judged = [name for name in old.metrics if old.judged(name)]
    assert len(judged) > 0.8 * len(old.metrics)
    for name in judged:
        value = old.metrics[name]
        if isinstance(value, bool) or not isinstance(value, int | float):
            continue
        allowed = old.tolerance[name]  # a KeyError is a number that nothing was measured for
        assert allowed < abs(value) or (value == 0 and allowed < 1), name
        worse = (
            value - 1.01 * allowed - 1e-9
            if old.better[name] == "higher"
            else (value + 1.01 * allowed + 1e-9)
        )
        assert judge(old.better[name], value, worse, allowed) == "failed", name


def test_other_parameters_are_not_compared():
    old = accepted({"ssim": higher(0.9)}, parameters={"SEED": 0, "AREA": 0.25})
    made = compare(old, {"ssim": higher(0.1)}, {"SEED": 1, "AREA": 0.25, "STEPS": 4})
    assert made.differing == ("SEED", "STEPS") and not made.rows


def test_what_several_seeds_made_holds_for_any_seed():
    old = accepted({"ssim": higher(0.9)}, parameters={"SEED": 0, "AREA": 0.25}, seeds=[0, 1])
    [row] = compare(old, {"ssim": higher(0.1)}, {"SEED": 7, "AREA": 0.25}).rows
    assert row.verdict == "failed"


def test_accepting_seeds_takes_means_and_leaves_out_what_they_disagree_on():
    runs = [
        {"ssim": higher(ssim), "matched": lower(matched), "name": reference("a")}
        for ssim, matched in ((0.8, False), (0.9, True))
    ]
    made = regression.accept(runs, [0, 1], {}, {})
    assert made.metrics == {"ssim": pytest.approx(0.85), "name": "a"}
    assert made.better == {"ssim": "higher", "name": "reference"}
    assert made.tolerance == {"ssim": pytest.approx(3 * math.sqrt(0.005))}


def test_a_share_may_be_off_by_one_of_its_cases():
    metrics = {"rank_1": lower(0.1, cases=40), "ssim": higher(0.5), "rate": lower(0.5, cases=8)}
    made = regression.accept([metrics], [], {}, {}).tolerance
    assert made == pytest.approx({"rank_1": 1 / 40, "ssim": 0.01, "rate": 1 / 8})


def test_accepting_one_run_keeps_the_tolerances_of_repeated_ones():
    was = {"ssim": higher(0.9), "gone": reference(1.0), "rate": lower(0.1)}
    old = accepted(was, {"ssim": 0.03, "gone": 0.5, "rate": None})
    now = {"ssim": higher(0.8), "psnr": higher(30.0), "rate": lower(0.2)}
    made = regression.accept([now], [], {}, {}, old)
    assert made.tolerance == {"ssim": 0.03, "psnr": pytest.approx(0.6), "rate": None}
    assert regression.difference(old, made) == [
        "ssim: 0.9 → 0.8",
        "gone: 1 → missing",
        "psnr: missing → 30",
        "better gone: reference → missing",
        "better psnr: missing → higher",
        "tolerance gone: 0.5 → missing",
        "tolerance psnr: missing → 0.6",
    ]
    assert regression.difference(made, made) == ["no change"]
    shrunk = regression.accept([{"ssim": higher(0.02)}], [], {}, {}, old)
    assert shrunk.tolerance == {"ssim": None}  # the kept one would be larger than the number


def test_accept_says_what_changes_and_then_the_run_passes(tmp_path, run):
    notebook(tmp_path)
    status, printed, _ = run()
    assert status == 0 and not (tmp_path / "b").exists()
    status, printed, _ = run(accept=True)
    assert status == 0 and "accepted for the first time: 3 metrics" in printed
    made = stored(tmp_path)
    assert made["metrics"] == {"ours/match_rate": 0.2, "matched": False, "seconds": 1.5}
    assert made["tolerance"] == {"ours/match_rate": pytest.approx(0.004)}
    assert made["parameters"] == {"RATE": 0.2, "MATCHED": False, "SEED": 0, "AREA": 0.25}
    assert made["seeds"] == made["provenance"]["seeds"] == [0]
    assert len(made["provenance"]["weights"]["dlib-resnet"]) == 64

    tamper(tmp_path, "ours/match_rate", 0.1)
    status, printed, _ = run(accept=True)
    assert status == 0 and "  ours/match_rate: 0.1 → 0.2\n" in printed
    status, printed, _ = run(accept=True)
    assert status == 0 and "  no change\n" in printed
    status, printed, folder = run()
    assert status == 0 and "failed" not in printed
    assert "2 ok" in (folder / "index.html").read_text()


def test_a_tampered_number_is_rejected_in_one_line_and_in_red(tmp_path, run):
    notebook(tmp_path)
    run(accept=True)
    tamper(tmp_path, "ours/match_rate", 0.1)
    status, printed, folder = run()
    assert status == 1
    assert (
        "  failed ours/match_rate: accepted 0.1, now 0.2, tolerance 0.004 (lower is better)\n" in printed
    )
    page = (folder / "index.html").read_text()
    assert '<tr class="failed"><td>ours/match_rate</td><td>0.1</td><td>0.2</td>' in page
    assert page.index('<tr class="failed">') < page.index('<tr class="ok">')
    line = "FAILED: 00: ours/match_rate 0.1 → 0.2 (+75 σ)"
    assert f"{line}\n" in printed and f'<p class="verdict failed">{line}</p>' in page
    summary = json.loads((folder / "metrics.json").read_text())
    assert summary["notebooks"]["00_one"]["failed"] == ["ours/match_rate"]
    tamper(tmp_path, "ours/match_rate", 0.3)
    status, printed, _ = run()
    assert status == 0 and "  better than accepted: ours/match_rate; renew" in printed
    status, printed, folder = run(parameters=["AREA=0.4"])
    assert status == 0 and "not compared: parameters differ (AREA)" in printed
    assert "not compared: parameters differ (AREA)" in (folder / "index.html").read_text()


def test_a_notebook_that_fails_is_never_accepted(tmp_path, run):
    notebook(tmp_path, code="1 / 0")
    status, _, _ = run(accept=True)
    assert status == 1 and not (tmp_path / "b").exists()


def test_tolerances_from_three_seeds(tmp_path, run):
    notebook(tmp_path)
    status, _, folder = run(accept=True, seeds=(0, 1, 2))
    assert status == 0
    made = stored(tmp_path)
    assert made["seeds"] == [0, 1, 2]
    assert made["metrics"]["ours/match_rate"] == pytest.approx(0.21)
    assert made["tolerance"] == {"ours/match_rate": pytest.approx(0.03)}
    assert [(folder / f"seed-{seed}" / "00_one.html").is_file() for seed in (0, 1, 2)] == [True] * 3
    page = (folder / "index.html").read_text()
    assert 'href="seed-0/00_one.html"' in page and 'src="seed-0/00_one/face.png"' in page
    assert run(parameters=["SEED=3"])[0] == 0  # 0.23
    assert run(parameters=["SEED=5"])[0] == 1  # 0.25


def test_one_seed_that_fails_is_the_notebooks_failure(tmp_path, run):
    notebook(tmp_path, code=RECORD + "1 / (SEED - 1)")
    status, _, folder = run(accept=True, seeds=(0, 1))
    one = json.loads((folder / "metrics.json").read_text())["notebooks"]["00_one"]
    assert (status, one["status"]) == (1, "failed")
    assert one["error"].startswith("SEED 1: ZeroDivisionError")
    assert not (tmp_path / "b").exists()


def test_seeds_need_a_notebook_that_has_one_and_accept(tmp_path, run):
    notebook(tmp_path)
    for options in (
        {"seeds": (0, 1)},
        {"seeds": (0,), "accept": True},
        {"seeds": (0, 0, 1), "accept": True},
        {"seeds": (0, 1), "accept": True, "parameters": ["SEED=3"]},
    ):
        with pytest.raises(UnknownOption, match="seeds"):
            run(**options)
    path = tmp_path / "00_one.ipynb"
    path.write_text(path.read_text().replace("SEED = 0", "SED = 0"))
    with pytest.raises(UnknownOption, match="SEED"):
        run(seeds=(0, 1), accept=True)
    assert not (tmp_path / "runs").exists()


def test_damaged_accepted_numbers_stop_before_the_work(tmp_path, run):
    notebook(tmp_path)
    (tmp_path / "b").mkdir()
    for text in ("{", "[]", '{"metrics": {}}', json.dumps(vars(accepted({})) | {"metrics": [1]})):
        (tmp_path / "b" / "00_one-quick.json").write_text(text)
        with pytest.raises(DamagedAccepted, match="00_one-quick"):
            run()
    assert not (tmp_path / "runs").exists()


def test_the_command_line(tmp_path, monkeypatch, capsys, without_kernel):
    monkeypatch.setattr("anonlab.weights.store.notebooks_folder", lambda: tmp_path)
    notebook(tmp_path)
    common = ["run", "--out", str(tmp_path / "runs"), "--accepted", str(tmp_path / "b")]
    assert main([*common, "--accept", "--seeds", "0,1"]) == 0
    assert stored(tmp_path)["seeds"] == [0, 1]
    tamper(tmp_path, "matched", True)
    assert main(common) == 1
    assert "failed matched: accepted True, now False" in capsys.readouterr().out
    assert main([*common, "--seeds", "0,1"]) == 2
    with pytest.raises(SystemExit):
        main([*common, "--seeds", "0,x"])


def test_pictures_stand_side_by_side_on_a_clean_clone(tmp_path, run):
    notebook(tmp_path)
    _, _, folder = run(accept=True)
    assert 'class="pair"' not in (folder / "index.html").read_text()
    assert [path.name for path in (tmp_path / "b" / "00_one-quick").iterdir()] == ["face.webp"]
    shutil.rmtree(tmp_path / "runs")  # what git does not keep
    (tmp_path / "runs").mkdir()
    _, _, folder = run()
    page = (folder / "index.html").read_text()
    pair = page[page.index('<div class="pair">') :]
    for caption, path in (("accepted", "accepted/00_one/face.webp"), ("new", "00_one/face.png")):
        assert f'<small>{caption}</small></figcaption><img src="{path}"' in pair
        assert (folder / path).is_file()
    (tmp_path / "b" / "00_one-quick" / "face.webp").unlink()
    _, _, folder = run()
    page = (folder / "index.html").read_text()
    assert "no accepted pictures" in page and 'class="pair"' not in page


def test_pictures_of_anything_but_the_samples_are_not_kept(tmp_path, run):
    """A photo that somebody names on the command line must not end up in the repository."""
    notebook(tmp_path)
    _, printed, _ = run(accept=True, parameters=["AREA=0.4"])
    assert "no pictures kept" in printed and not (tmp_path / "b" / "00_one-quick").exists()
    _, printed, _ = run(accept=True, profile="full")
    assert "no pictures kept" in printed and not (tmp_path / "b" / "00_one-full").exists()


def test_names_and_values_are_escaped(tmp_path, run):
    code = "import json; from anonlab.measured import reference, to_json\n"
    code += "open(OUTPUT + '/metrics.json', 'w').write(json.dumps(to_json({'<b>x': reference('<i>y')})))"
    notebook(tmp_path, code=code)
    run(accept=True)
    changed = stored(tmp_path)
    changed["metrics"]["<u>z"], changed["better"]["<u>z"] = "<s>w", "reference"
    (tmp_path / "b" / "00_one-quick.json").write_text(json.dumps(changed))
    _, _, folder = run()
    page = (folder / "index.html").read_text()
    assert "&lt;b&gt;x" in page and "&lt;s&gt;w" in page
    assert not any(tag in page for tag in ("<b>x", "<i>y", "<u>z", "<s>w"))


def test_a_provenance_that_differs_is_told_by_the_package(tmp_path, run):
    notebook(tmp_path)
    run(accept=True)
    changed = stored(tmp_path)
    torch = changed["provenance"]["packages"]["torch"]
    changed["provenance"]["packages"]["torch"] = "1.0"
    (tmp_path / "b" / "00_one-quick.json").write_text(json.dumps(changed))
    _, _, folder = run()
    page = (folder / "index.html").read_text()
    assert f"not as in the accepted run: packages torch 1.0 → {torch}</small>" in page


def test_a_notebook_whose_number_has_no_direction_has_failed(tmp_path, run):
    notebook(tmp_path, code="open(OUTPUT + '/metrics.json', 'w').write('{\"ssim\": 0.9}')")
    status, _, folder = run(accept=True)
    one = json.loads((folder / "metrics.json").read_text())["notebooks"]["00_one"]
    assert status == 1 and one["error"].startswith("UndeclaredMetric: the metric ssim ")
    assert not (tmp_path / "b").exists()


def past_run(out: Path, name: str, metrics: dict, **changes) -> None:
    better = {name: "shown" if name == "seconds" else "higher" for name in metrics}
    one = {"status": "ok", "parameters": {"AREA": 0.25}, "metrics": metrics, "better": better, **changes}
    (out / name).mkdir()
    summary = {"profile": "quick", "notebooks": {"00_one": one}}
    (out / name / "metrics.json").write_text(json.dumps(summary))


def test_a_trend_over_runs_some_of_them_damaged(tmp_path):
    past_run(tmp_path, "2026-01-01_10-00-00-10", {"ssim": 0.7, "seconds": 3.0})
    past_run(tmp_path, "2026-01-01_10-00-00-2", {"ssim": 0.6, "ok": True})
    past_run(tmp_path, "2025-01-01_10-00-00", {"ssim": 0.5, "psnr": NAN})
    past_run(tmp_path, "2026-01-02_10-00-00", {"ssim": 0.1}, parameters={"AREA": 0.4})
    past_run(tmp_path, "2026-01-03_10-00-00", {"ssim": 0.2}, status="failed")
    past_run(tmp_path, "holiday", {"ssim": 0.3})
    (tmp_path / "2026-01-04_10-00-00").mkdir()
    for number, text in enumerate(("{", "[]", '{"notebooks": 3}')):
        folder = tmp_path / f"2026-01-05_10-00-0{number}"
        folder.mkdir()
        (folder / "metrics.json").write_text(text)
    past = read_past(tmp_path)
    assert past.skipped == 5
    [line] = trends(past, "00_one", "quick", {"AREA": 0.25})
    assert (line.name, line.values, line.band) == ("ssim", (0.5, 0.6, 0.7), None)
    held = accepted({"ssim": higher(0.5)}, {"ssim": 0.2})
    [line] = trends(past, "00_one", "quick", {"AREA": 0.25}, accepted=held)
    assert line.band == pytest.approx((0.3, 0.7))
    assert line.runs[-1] == "2026-01-01_10-00-00-10"
    chosen = trends(past, "00_one", "quick", {"AREA": 0.25}, ["sec*", "s*"])
    assert [one.name for one in chosen] == ["seconds", "ssim"]
    assert chosen[0].values == (None, None, 3.0)
    assert trends(past, "00_one", "full", {"AREA": 0.25}) == []


def test_the_page_draws_the_trend_and_marks_the_newest(tmp_path, run):
    notebook(tmp_path, trend=["*/match_rate"])
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "2020-01-01_00-00-00").mkdir()
    _, _, first = run()
    assert "<svg" not in (first / "index.html").read_text()
    _, _, newest = run(accept=True)
    assert "<rect" not in (newest / "index.html").read_text()
    shutil.rmtree(newest)
    _, _, newest = run()
    page = (newest / "index.html").read_text()
    assert page.count("<circle") == 2 and page.count('r="4" fill="#b03a2e"') == 1
    assert f"<title>{newest.name}: 0.2</title></circle></svg>" in page
    assert 'aria-label="ours/match_rate"' in page and "1 damaged or foreign folders" in page
