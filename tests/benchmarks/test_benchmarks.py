"""The benchmarks' arithmetic, their file and their table of cases, on workloads that do nothing."""

from __future__ import annotations

import json

import bench
import pytest
import stylegan2_reference as slow
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


def test_torch_keeps_its_threads_while_it_is_timed():
    seen = []
    timed(lambda: seen.append(torch.get_num_threads()), 1e-4)
    assert {*seen} == {torch.get_num_threads()}


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


@pytest.mark.usefixtures("compiler")
def test_a_stylegan2_is_timed_at_the_size_that_it_has(tmp_path, monkeypatch):
    monkeypatch.setattr(bench, "cpu_precisions", lambda: ())
    path = tmp_path / "random-64.pkl"
    path.write_bytes(slow.nvidia_pickle(slow.raw_tensors(64, [6, 5, 4, 4, 3])))
    found = bench.variants(CPU, path)
    ways = ("contiguous", "channels_last", "torch.compile")
    assert {name for name in found if name.startswith("StyleGAN2")} == {f"StyleGAN2, {w}" for w in ways}
    assert "StyleGAN2, float16" in bench.variants(torch.device("cuda"), path)
    cases = bench.generators(found, (256, 1024), (2,))
    parts = bench.Parts(CPU, found)
    one, two = (
        next(case for case in cases if case.name == f"StyleGAN2, {way}, 64 px").prepare(parts)()
        for way in ways[:2]
    )
    assert one.shape == (2, 3, 64, 64)
    torch.testing.assert_close(one, two, atol=1e-4, rtol=0)  # the same picture in another layout


def test_only_the_groups_that_are_named_run(tmp_path, monkeypatch):
    monkeypatch.setattr(bench, "variants", lambda *_: {})
    monkeypatch.setattr(bench, "explorer", lambda: [case("overlay")])
    options = ["--only", "group", "--device", "cpu", "--min-seconds", "1e-4", "--out", str(tmp_path)]
    assert bench.main(options) == 0
    written = json.loads((tmp_path / "bench.json").read_text())
    assert [row["name"] for row in written["rows"]] == ["overlay"]
    assert written["settings"] == {"min_seconds": 1e-4, "quick": False, "only": ["group"]}


def test_an_unknown_group_is_refused(tmp_path, capsys):
    with pytest.raises(SystemExit) as stopped:
        bench.main(["--only", "speed", "--out", str(tmp_path)])
    assert stopped.value.code == 2 and "explorer" in capsys.readouterr().err
    assert not any(tmp_path.iterdir())
