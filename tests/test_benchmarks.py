"""The benchmarks' arithmetic, their file and their table of cases, on workloads that do nothing."""

from __future__ import annotations

import json

import bench
import pytest
import torch
from timing import Case, run, timed

from anonlab.controls import PERCEPTIONS

CPU = torch.device("cpu")


def case(name: str, work=lambda: None, images: int = 1) -> Case:
    return Case("group", name, lambda _: work, images)


def test_median_and_interquartile_range_are_those_of_the_calls():
    now, durations = [0.0], [9.0, 1.0, 2.0, 3.0, 4.0, 5.0]  # seconds; the first call warms up
    calls = iter(durations)

    def work() -> None:
        now[0] += next(calls)

    found = timed(work, min_seconds=15, clock=lambda: now[0])
    assert found == {"seconds": 3.0, "iqr": 2.0, "calls": 5}


def test_a_failure_is_written_and_stops_only_itself(tmp_path, capsys):
    def broken() -> None:
        raise RuntimeError("out of memory")

    cases = [case("one"), case("broken", broken), case("four", images=4)]
    assert run(cases, None, 1e-4, tmp_path / "bench.json", CPU, quick=True) == 1
    written = json.loads((tmp_path / "bench.json").read_text())
    assert {"commit", "packages", "cores", "model"} <= {*written["provenance"]}
    assert written["settings"] == {"min_seconds": 1e-4, "quick": True}
    one, failed, four = written["rows"]
    assert failed["error"] == "RuntimeError: out of memory" and "seconds" not in failed
    assert one["seconds_per_image"] == one["seconds"]
    assert four["seconds_per_image"] == pytest.approx(four["seconds"] / 4)
    shown = capsys.readouterr().out
    assert "broken" in shown and "out of memory" in shown and "four × 4" in shown
    assert run(cases[:1], None, 1e-4, tmp_path / "bench.json", CPU) == 0


@pytest.fixture
def compiler(monkeypatch):
    """Whether this machine has one must not decide."""
    monkeypatch.setattr(bench, "has_compiler", lambda: True)


def names(cases: list[Case], group: str) -> set[str]:
    return {one.name for one in cases if one.group == group}


@pytest.mark.usefixtures("compiler")
def test_every_stage_method_map_and_backend_is_covered(monkeypatch):
    monkeypatch.setattr(bench, "cpu_precisions", lambda: ("f32", "bf16"))
    monkeypatch.setattr(bench, "find_stylegan2", lambda _: None)
    found = bench.variants(CPU)
    cases, quick = bench.all_cases(CPU, found), bench.all_cases(CPU, found, quick=True)
    assert len({one.title for one in cases}) == len(cases)
    assert {one.title for one in quick} < {one.title for one in cases}
    groups = {"attribution", "encoding", "generators", "explorer", "photos", "methods"}
    assert {one.group for one in cases} == {one.group for one in quick} == groups
    assert names(cases, "attribution") == {*PERCEPTIONS}
    assert names(cases, "explorer") == {"overlay", "preview"}
    assert {"one-pass", "optimize"} <= names(cases, "methods")
    assert "optimize" not in names(quick, "methods")  # a minute a face
    backends = ("contiguous", "channels_last", "torch.compile", "OpenVINO f32", "OpenVINO bf16")
    assert names(cases, "generators") == {
        f"mobile, {backend}, {size} px" for backend in backends for size in (256, 512, 1024)
    }
    assert not any("compile" in name for name in names(quick, "generators"))  # it starts slowly
    assert not any("OpenVINO" in name for name in bench.variants(torch.device("cuda")))
