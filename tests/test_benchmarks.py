"""The benchmarks' arithmetic, their file and their table of cases, on workloads that do nothing."""

import json

import pytest
import torch
from timing import Case, run, timed

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
