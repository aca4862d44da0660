"""Accepted numbers: what is worse than chance allows is rejected, whatever way worse is."""

from __future__ import annotations

import json
import math
from pathlib import Path

import nbformat
import pytest

from anonlab.cli import main
from anonlab.errors import DamagedBaseline, UnknownOption
from anonlab.runner import regression, report
from anonlab.runner.regression import Baseline, compare, direction, flatten, judge, judged
from anonlab.runner.trend import read_past, trends

NAN = float("nan")
RECORD = """
import json, pathlib, zlib, struct
def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
png = b"\\x89PNG\\r\\n\\x1a\\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", 1, 1, 8, 0, 0, 0, 0))
png += chunk(b"IDAT", zlib.compress(bytes([0, 128]))) + chunk(b"IEND", b"")
pathlib.Path(OUTPUT, "face.png").write_bytes(png)
metrics = {"ours": {"match_rate": RATE + 0.01 * SEED}, "matched": MATCHED, "seconds": SEED + 1.5}
pathlib.Path(OUTPUT, "metrics.json").write_text(json.dumps(metrics))
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


def baseline(metrics: dict, tolerance: dict | None = None, **changes) -> Baseline:
    given = {"provenance": {}, "parameters": {}, "seeds": [], **changes}
    return Baseline(metrics=metrics, tolerance=tolerance or {}, **given)


def verdicts(accepted: dict, now: dict, tolerance: dict | None = None, **options) -> dict[str, str]:
    comparison = compare(baseline(accepted, tolerance), now, {}, **options)
    return {row.name: row.verdict for row in comparison.rows}


@pytest.fixture
def run(tmp_path, capsys):
    """Run the notebooks of tmp_path; (status, what was printed, folder of the run)."""

    def run(**options) -> tuple[int, str, Path]:
        before = set((tmp_path / "runs").glob("2*"))
        capsys.readouterr()
        options = {"out": tmp_path / "runs", "folder": tmp_path, "baselines": tmp_path / "b"} | options
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


def test_nested_metrics_become_flat_names():
    metrics = {"a": {"b": {"c": 1}, "d": None}, "e": True, "f": [0.5, "x"], "g": {}}
    assert flatten(metrics) == {"a/b/c": 1, "a/d": None, "e": True, "f/0": 0.5, "f/1": "x"}


def test_a_tolerance_is_three_sample_deviations_over_the_seeds():
    assert regression.tolerance([1.0, 2.0, 3.0]) == pytest.approx(3.0)  # deviation 1
    assert regression.tolerance([0.1, 0.1, 0.4]) == pytest.approx(3 * math.sqrt(0.03))


def test_what_no_seed_moves_may_be_off_by_a_fiftieth_and_a_share_by_one_case():
    assert regression.tolerance([40.0]) == pytest.approx(0.8)
    assert regression.tolerance([0.5, 0.5, 0.5]) == pytest.approx(0.01)
    assert regression.tolerance([240]) == 0  # a count is exact
    assert regression.tolerance([0.25], cases=40) == pytest.approx(1 / 40)


@pytest.mark.parametrize(
    ("name", "better"),
    [
        ("privacy/faceres/match_rate", "lower"),
        ("privacy/faceres/linkage/rank_5", "lower"),
        ("protection/auc", "lower"),  # the last part is asked first
        ("faceres/eer", "higher"),
        ("faceres/match_rate/threshold", "same"),
        ("similarity/st_lpips", "lower"),
        ("similarity/LPIPS_outside", "lower"),
        ("similarity/ssim/mean", "higher"),
        ("round_trip_psnr_db", "higher"),
        ("protection_success", "higher"),
        ("detection_rate", "higher"),
        ("collapse_ratio", "higher"),
        ("landmark_error", "lower"),
        ("saliency_deletion_at_10", "higher"),
        ("saliency_insertion", "lower"),
        ("network_stability", "higher"),
        ("distance", "higher"),
        ("distance_preview", "higher"),
        ("swap_distance/coarse", "same"),
        ("virtual_matched", "lower"),
        ("own_perceptual", "lower"),
        ("latent_last", "lower"),
        ("gender_kept", "higher"),
        ("frechet/vgg", "lower"),
        ("realism/precision", "higher"),
        ("realism/recall", "higher"),
        ("weights_fingerprint", "same"),
        ("mask_area", "same"),
    ],
)
def test_a_name_says_which_way_is_better(name, better):
    assert direction(name) == better


@pytest.mark.parametrize(
    ("name", "accepted", "now", "allowed", "verdict"),
    [
        ("match_rate", 0.2, 0.25, 0.06, "ok"),
        ("match_rate", 0.2, 0.25, 0.04, "failed"),
        ("match_rate", 0.2, 0.15, 0.04, "better"),
        ("match_rate", 0.0, 0.01, 0.0, "failed"),
        ("ssim", 0.9, 0.8, 0.05, "failed"),
        ("ssim", 0.9, 1.0, 0.05, "better"),
        ("mask_area", 0.25, 0.24, 0.001, "failed"),
        ("mask_area", 0.25, 0.26, 0.001, "failed"),
        ("matched", False, True, 0.0, "failed"),
        ("matched", False, False, 0.0, "ok"),
        ("matched", True, 1, 1.0, "failed"),  # a truth value is no number
        ("backend", "mobile", "stylegan2", 0.0, "failed"),
        ("smallest_area", None, None, 0.0, "ok"),
        ("smallest_area", 0.1, None, 9.0, "failed"),
        ("ssim", NAN, NAN, 0.0, "ok"),
        ("ssim", 0.9, NAN, 9.0, "failed"),
        ("ssim", 0.9, math.inf, 9.0, "failed"),
        ("psnr", math.inf, math.inf, 0.0, "ok"),
        ("psnr", math.inf, -math.inf, 0.0, "failed"),
    ],
)
def test_verdicts(name, accepted, now, allowed, verdict):
    assert judge(name, accepted, now, allowed) == verdict


def test_a_metric_that_is_gone_fails_and_a_new_one_is_shown():
    assert verdicts({"ssim": 0.9}, {"psnr": 30.0}) == {"ssim": "failed", "psnr": "new"}


def test_times_memory_and_what_is_ignored_are_never_judged():
    accepted = {"seconds": 1.0, "peak_gib": 2.0, "bench/load_seconds": 1.0, "noise/x": 1.0, "noisy": 1}
    now = {"seconds": 9.0, "peak_gib": 9.0, "noise": {"x": 9.0}, "noisy": 2, "cache_mib": 1.0}
    made = verdicts(accepted, now, ignore=["noise"])
    assert made.pop("noisy") == "failed"
    assert set(made.values()) == {"shown"} and len(made) == 5
    assert judged("noise/x") and not judged("noise/x", ["noise/*"])


def test_failures_come_first():
    accepted = {"a": 1.0, "ssim": 0.5, "z": 1.0}
    assert list(verdicts(accepted, {"a": 1.0, "ssim": 0.9, "z": 2.0})) == ["z", "ssim", "a"]


def test_a_tolerance_as_large_as_its_number_is_reported():
    accepted = {"st_lpips": 0.03, "ssim": 0.9, "match_rate": 0.0, "seconds": 1.0}
    allowed = {"st_lpips": 0.05, "ssim": 0.01, "match_rate": 0.02, "seconds": 2.0}
    made = compare(baseline(accepted, allowed), accepted, {})
    assert made.cannot_fail == ["st_lpips"]


def test_other_parameters_are_not_compared():
    old = baseline({"ssim": 0.9}, parameters={"SEED": 0, "AREA": 0.25})
    made = compare(old, {"ssim": 0.1}, {"SEED": 1, "AREA": 0.25, "STEPS": 4})
    assert made.differing == ("SEED", "STEPS") and not made.rows


def test_a_baseline_of_several_seeds_holds_for_any_seed():
    old = baseline({"ssim": 0.9}, parameters={"SEED": 0, "AREA": 0.25}, seeds=[0, 1])
    [row] = compare(old, {"ssim": 0.1}, {"SEED": 7, "AREA": 0.25}).rows
    assert row.verdict == "failed"


def test_accepting_seeds_takes_means_and_leaves_out_what_they_disagree_on():
    runs = [{"ssim": 0.8, "matched": False, "name": "a"}, {"ssim": 0.9, "matched": True, "name": "a"}]
    made = regression.accept(runs, [0, 1], {}, {})
    assert made.metrics == {"ssim": pytest.approx(0.85), "name": "a"}
    assert made.tolerance == {"ssim": pytest.approx(3 * math.sqrt(0.005))}


def test_a_share_may_be_off_by_one_of_the_cases_beside_it():
    metrics = {"n": 8, "faceres": {"n": 40, "linkage": {"rank_1": 0.1}, "ssim": 0.5}, "match_rate": 0.5}
    made = regression.accept([metrics], [], {}, {}).tolerance
    assert made["faceres/linkage/rank_1"] == pytest.approx(1 / 40)
    assert made["match_rate"] == pytest.approx(1 / 8)
    assert made["faceres/ssim"] == pytest.approx(0.01)


def test_accepting_one_run_keeps_the_tolerances_of_repeated_ones():
    old = baseline({"ssim": 0.9, "gone": 1.0}, {"ssim": 0.03, "gone": 0.5})
    made = regression.accept([{"ssim": 0.8, "psnr": 30.0}], [], {}, {}, old)
    assert made.tolerance == {"ssim": 0.03, "psnr": pytest.approx(0.6)}
    assert regression.difference(old, made) == [
        "ssim: 0.9 → 0.8",
        "gone: 1 → missing",
        "psnr: missing → 30",
        "tolerance gone: 0.5 → missing",
        "tolerance psnr: missing → 0.6",
    ]
    assert regression.difference(made, made) == ["no change"]


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
    assert "<tr class='failed'><td>ours/match_rate</td><td>0.1</td><td>0.2</td>" in page
    assert page.index("<tr class='failed'>") < page.index("<tr class='ok'>")
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
    assert "href='seed-0/00_one.html'" in page and "src='seed-0/00_one/face.png'" in page
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


def test_a_damaged_baseline_stops_before_the_work(tmp_path, run):
    notebook(tmp_path)
    (tmp_path / "b").mkdir()
    for text in ("{", "[]", '{"metrics": {}}', json.dumps(vars(baseline({})) | {"metrics": [1]})):
        (tmp_path / "b" / "00_one-quick.json").write_text(text)
        with pytest.raises(DamagedBaseline, match="00_one-quick"):
            run()
    assert not (tmp_path / "runs").exists()


def test_the_command_line(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("anonlab.weights.store.notebooks_folder", lambda: tmp_path)
    notebook(tmp_path)
    common = ["run", "--out", str(tmp_path / "runs"), "--baselines", str(tmp_path / "b")]
    assert main([*common, "--accept", "--seeds", "0,1"]) == 0
    assert stored(tmp_path)["seeds"] == [0, 1]
    tamper(tmp_path, "matched", True)
    assert main(common) == 1
    assert "failed matched: accepted True, now False" in capsys.readouterr().out
    assert main([*common, "--seeds", "0,1"]) == 2
    with pytest.raises(SystemExit):
        main([*common, "--seeds", "0,x"])


def test_pictures_stand_side_by_side(tmp_path, run):
    notebook(tmp_path)
    _, _, folder = run(accept=True)
    assert "class='pair'" not in (folder / "index.html").read_text()
    _, _, folder = run()
    page = (folder / "index.html").read_text()
    pair = page[page.index("<div class='pair'>") :]
    for caption, path in (("accepted", "accepted/00_one/face.png"), ("new", "00_one/face.png")):
        assert f"<small>{caption}</small></figcaption><img src='{path}'" in pair
        assert (folder / path).is_file()
    for picture in (tmp_path / "runs" / "accepted").rglob("*.png"):
        picture.unlink()
    _, _, folder = run()
    page = (folder / "index.html").read_text()
    assert "no accepted pictures on this machine" in page and "class='pair'" not in page


def test_names_and_values_are_escaped(tmp_path, run):
    code = "import json; open(OUTPUT + '/metrics.json', 'w').write(json.dumps({'<b>x': '<i>y'}))"
    notebook(tmp_path, code=code)
    run(accept=True)
    tamper(tmp_path, "<u>z", "<s>w")
    _, _, folder = run()
    page = (folder / "index.html").read_text()
    assert "&lt;b&gt;x" in page and "&lt;s&gt;w" in page
    assert not any(tag in page for tag in ("<b>x", "<i>y", "<u>z", "<s>w"))


def past_run(out: Path, name: str, metrics: dict, **changes) -> None:
    one = {"status": "ok", "parameters": {"AREA": 0.25}, "metrics": metrics, **changes}
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
    (tmp_path / "accepted").mkdir()
    (tmp_path / "2026-01-04_10-00-00").mkdir()
    for number, text in enumerate(("{", "[]", '{"notebooks": 3}')):
        folder = tmp_path / f"2026-01-05_10-00-0{number}"
        folder.mkdir()
        (folder / "metrics.json").write_text(text)
    past = read_past(tmp_path)
    assert past.skipped == 5
    [line] = trends(past, "00_one", "quick", {"AREA": 0.25})
    assert (line.name, line.values) == ("ssim", (0.5, 0.6, 0.7))
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
    _, _, newest = run()
    page = (newest / "index.html").read_text()
    assert page.count("<circle") == 2 and page.count("r='4' fill='#b03a2e'") == 1
    assert f"<title>{newest.name}: 0.2</title></circle></svg>" in page
    assert "aria-label='ours/match_rate'" in page and "1 damaged or foreign folders" in page
