"""The benchmark's arithmetic, files and table of cases, on workloads that do nothing."""

from __future__ import annotations

import json
import sys

import numpy as np
import pytest
import stylegan2_reference as slow
import torch
from PIL import Image

from anonlab import cli
from anonlab.bench import Case, all_cases, measure, run
from anonlab.bench import cases as bench_cases
from anonlab.bench import variants as bench_variants
from anonlab.bench.figures import AXES, memory_figure, view_figure
from anonlab.bench.measure import PeakMemory
from anonlab.errors import OutputNotWritable, UnknownOption

CPU = torch.device("cpu")


def case(
    view: str = "synthesis", panel: str = "256 px", series: str = "a", x: float = 1, **more
) -> Case:
    return Case(view, panel, series, x, more.pop("images", 4), lambda parts: lambda: parts, **more)


def ticking(*durations: float):
    """A clock by which the repeats take these times."""
    moments = [0.0]
    for duration in durations:
        moments += [moments[-1] + duration, moments[-1] + duration]
    return iter(moments).__next__


def test_the_warm_up_is_not_timed_and_the_median_is_the_middle():
    calls = []
    one = Case("v", "p", "s", 1, 4, lambda parts: lambda: calls.append(parts))
    row = measure(one, "parts", 3, CPU, ticking(2.0, 0.5, 1.0))
    assert row["seconds"] == {"median": 1.0, "min": 0.5, "max": 2.0}
    assert row["images_per_second"] == 4.0 and row["repeats"] == 3
    assert calls == ["parts"] * 4


def test_a_case_may_ask_for_fewer_repeats_and_add_numbers():
    one = case(repeats=1, check=lambda parts, result: {"error_max": parts + result})
    row = measure(one, 21, 5, CPU, ticking(1.0))
    assert row["repeats"] == 1 and row["error_max"] == 42.0


def test_memory_is_the_peak_and_not_what_remains():
    with PeakMemory(CPU) as peak:
        np.ones(50 * 2**20, np.uint8).sum()  # freed again at once
    assert 40 * 2**20 < peak.growth < 500 * 2**20
    with PeakMemory(CPU) as nothing:
        pass
    assert nothing.growth < 5 * 2**20


def test_numbers_and_figures_are_written_and_a_failure_stops_only_itself(tmp_path):
    def broken(parts):
        raise RuntimeError("out of memory")

    cases = [
        *(case(series=name, x=x) for name in "ab" for x in (1, 2, 4)),
        Case("pipeline", "one photo", "broken", 1, 1, broken),
        case("pipeline", "one photo", "whole"),
    ]
    result = run(tmp_path / "bench", "cpu", 3, cases=cases, parts=0)
    written = json.loads((tmp_path / "bench" / "bench.json").read_text())
    assert written == result
    assert written["settings"] == {"repeats": 3, "quick": False, "cases": 8}
    assert {"commit", "packages", "cores", "device"} <= set(written["provenance"])
    assert written["provenance"]["device"]["threads"] == torch.get_num_threads()
    failed = [row for row in written["rows"] if "error" in row]
    assert [row["series"] for row in failed] == ["broken"]
    assert failed[0]["error"] == "RuntimeError: out of memory"
    for row in written["rows"]:
        assert {"view", "panel", "series", "x", "images"} <= set(row)
        if row not in failed:
            assert row["seconds"]["min"] <= row["seconds"]["median"] <= row["seconds"]["max"]
            assert row["images_per_second"] == pytest.approx(4 / row["seconds"]["median"])
            assert row["memory_mb"] >= 0
    assert sorted(path.name for path in (tmp_path / "bench").iterdir()) == [
        "bench.json", "memory.png", "pipeline.png", "synthesis.png",
    ]  # fmt: skip
    for name in ("synthesis", "pipeline"):
        with Image.open(tmp_path / "bench" / f"{name}.png") as picture:
            assert np.asarray(picture.convert("L")).std() > 5  # something is drawn


def test_a_figure_shows_speed_or_time_of_every_row_that_worked():
    def row(series: str, x: float, **seconds: float) -> dict:
        return {"panel": "p", "series": series, "x": x, "images": 2, "seconds": seconds}

    times = {"median": 0.5, "min": 0.25, "max": 1.0}
    rows = [row("a", x, **times) | {"view": "synthesis"} for x in (1, 4)]
    rows += [row(name, 1, **times) | {"view": "pipeline"} for name in ("x", "y")]
    rows += [{"view": "pipeline", "panel": "p", "series": "z", "x": 1, "images": 1, "error": "no"}]
    [lines] = view_figure("synthesis", rows).axes
    assert lines.containers[0].lines[0].get_ydata().tolist() == [4.0, 4.0]  # 2 pictures in 0.5 s
    low, high = lines.containers[0].lines[2][0].get_segments()[0][:, 1]
    assert (low, high) == (2.0, 8.0)
    [bars] = view_figure("pipeline", rows).axes
    assert [label.get_text() for label in bars.get_yticklabels()] == ["x", "y"]
    assert [bar.get_width() for bar in bars.patches] == [0.5, 0.5]
    assert "nothing was measured" in view_figure("faces", rows).axes[0].texts[0].get_text()


def test_memory_is_drawn_where_there_is_some():
    names = {"view": "v", "panel": "p", "series": "s"}
    rows = [names | {"x": x, "memory_mb": mb} for x, mb in ((1, 0.2), (2, 30.0), (4, 60.0))]
    [axis] = memory_figure([*rows, names | {"x": 8, "error": "no"}]).axes
    assert [bar.get_width() for bar in axis.patches] == [30.0, 60.0]
    assert [label.get_text() for label in axis.get_yticklabels()] == ["v: p, s, 2", "v: p, s, 4"]


@pytest.fixture(autouse=True)
def compiler(monkeypatch):
    """Whether this machine has one must not decide."""
    monkeypatch.setattr(bench_variants, "has_compiler", lambda: True)


def test_every_stage_size_and_growth_is_covered(monkeypatch):
    monkeypatch.setattr(bench_variants, "cpu_precisions", lambda: ("f32", "bf16"))
    for quick in (False, True):
        views = {one.view for one in all_cases(CPU, quick)}
        assert views == set(AXES)
    found = all_cases(CPU)
    assert len({one.name for one in found}) == len(found)

    def values(view: str, name: str) -> set:
        return {getattr(one, name) for one in found if one.view == view}

    assert (
        values("synthesis", "panel") == values("generators", "panel") == {"256 px", "512 px", "1024 px"}
    )
    assert values("synthesis", "series") == {"torch, channels_last", "OpenVINO f32"}
    assert values("synthesis", "x") == {1, 2, 4}
    assert values("generators", "series") == {
        "torch, contiguous", "torch, channels_last", "torch.compile", "OpenVINO f32", "OpenVINO bf16",
    }  # fmt: skip
    assert values("faces", "x") == {1, 2, 4} and values("pixels", "x") == {1, 4, 12}
    assert values("attribution", "panel") == {"integrated gradients", "network"}
    assert values("encoding", "panel") == {"first guess", "encoder"}
    quick = {one.series for one in all_cases(CPU, True) if one.view == "generators"}
    assert quick == values("generators", "series") - {"torch.compile"}  # it starts slowly
    [optimised] = [one for one in found if one.series.startswith("optimised")]
    assert optimised.repeats == 1


def test_variants_are_those_that_the_device_has(monkeypatch):
    monkeypatch.setattr(bench_variants, "cpu_precisions", lambda: ())
    plain = ["torch, contiguous", "torch, channels_last"]
    assert list(bench_variants.variants(CPU)) == [*plain, "torch.compile"]
    on_cuda = all_cases(torch.device("cuda"))
    assert {one.x for one in on_cuda if one.view == "synthesis"} == {1, 2, 4, 8, 16}
    assert {one.series for one in on_cuda if one.view == "generators"} == {
        "torch, contiguous", "torch, channels_last", "torch.compile",
    }  # fmt: skip
    monkeypatch.setattr(bench_variants, "has_compiler", lambda: False)
    assert list(bench_variants.variants(CPU)) == plain


@pytest.fixture(scope="module")
def stylegan2(tmp_path_factory):
    """A small random network of 64 px, as NVIDIA would have written it."""
    path = tmp_path_factory.mktemp("bench") / "random-64.pkl"
    path.write_bytes(slow.nvidia_pickle(slow.raw_tensors(64, [6, 5, 4, 4, 3])))
    return path


def test_a_stylegan2_is_timed_at_the_sizes_that_it_has(stylegan2, monkeypatch):
    monkeypatch.setattr(bench_variants, "cpu_precisions", lambda: ())
    more = bench_variants.stylegan2_variants(stylegan2)
    found = bench_variants.variants(CPU, more)
    ours = [name for name in found if name.startswith("StyleGAN2")]
    assert ours == ["StyleGAN2, contiguous", "StyleGAN2, channels_last", "StyleGAN2, torch.compile"]
    assert "StyleGAN2, torch.compile" in {one.series for one in all_cases(CPU, False, found)}
    cases = [one for one in all_cases(CPU, True, found) if one.series in ours]
    assert {(one.view, one.panel) for one in cases} == {
        ("synthesis", "64 px"), ("generators", "64 px"),
    }  # fmt: skip
    parts = bench_cases.Parts(CPU, found)
    [fast] = [one for one in cases if (one.view, one.series) == ("generators", ours[1])]
    row = measure(fast, parts, 1, CPU)
    assert 0 < row["error_max"] < 0.01  # compared with its own network, in another layout
    assert "StyleGAN2, float16" in bench_variants.variants(torch.device("cuda"), more)


def test_the_weights_are_an_option(stylegan2, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    assert bench_variants.stylegan2_variants() == {}
    out = ["--out", str(tmp_path / "bench")]
    assert cli.main(["bench", *out, "--generator-weights", str(tmp_path / "gone.pkl")]) == 1
    assert "gone.pkl" in capsys.readouterr().err
    seen = []

    def cases(device, quick, found):
        seen.extend(found)
        return [case()]

    monkeypatch.setattr(sys.modules["anonlab.bench.run"], "all_cases", cases)
    assert cli.main(["bench", *out, "--device", "cpu", "--generator-weights", str(stylegan2)]) == 0
    assert "StyleGAN2, contiguous" in seen


def test_every_variant_of_the_embedded_generator_loads():
    for name, one in bench_variants.variants(CPU).items():
        model = one.load(CPU)
        assert model.name == "mobile", name
        assert one.resolutions == model.resolutions


def test_one_pass_and_optimised_are_what_they_are_called():
    parts = bench_cases.Parts(CPU)
    assert parts.anonymizer.regenerator.one_pass
    assert not parts.optimizer.regenerator.one_pass
    assert parts.optimizer.generator is parts.anonymizer.generator


def test_bad_usage(tmp_path, capsys):
    with pytest.raises(SystemExit) as stopped:
        cli.main(["bench", "--device", "tpu", "--out", str(tmp_path)])
    assert stopped.value.code == 2
    with pytest.raises(UnknownOption, match="auto, cpu or cuda"):
        run(tmp_path, "tpu", cases=[])
    assert cli.main(["bench", "--repeats", "0", "--out", str(tmp_path)]) == 2
    assert "at least once" in capsys.readouterr().err
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputNotWritable, match="another output folder"):
        run(tmp_path / "file", "cpu", cases=[case()], parts=0)
