"""Which way is better travels with a number, from where it is defined to the gate."""

import pytest

from anonlab.notebook.measured import (
    Measured,
    UndeclaredMetric,
    as_accepted,
    at_least,
    flatten,
    from_json,
    higher,
    lower,
    reference,
    shown,
    to_json,
)


def test_nested_metrics_become_flat_names():
    """A declaration covers what is inside, unless that declares itself."""
    metrics = {"a": {"b": {"c": higher(1)}, "d": lower(None)}, "f": shown([0.5, "x"]), "g": {}}
    assert flatten(metrics) == {
        "a/b/c": Measured(1, "higher"),
        "a/d": Measured(None, "lower"),
        "f/0": Measured(0.5, "shown"),
        "f/1": Measured("x", "shown"),
    }
    found = flatten(reference({"peer": {"ssim": 0.9}, "seconds": shown(3.0)}, cases=8))
    assert found == {"peer/ssim": Measured(0.9, "reference", 8), "seconds": Measured(3.0, "shown")}


@pytest.mark.parametrize(
    ("metrics", "name"),
    [({"a": 1.0}, "a"), ({"a": {"b": 1}, "c": higher(1)}, "a/b"), ({"a": Measured(1, "up")}, "a")],
)
def test_a_number_without_a_direction_is_named(metrics, name):
    with pytest.raises(UndeclaredMetric, match=f"the metric {name} "):
        flatten(metrics)


def test_json_and_back():
    metrics = {"a": {"rate": lower(0.5, cases=8)}, "name": reference("x"), "none": shown(None)}
    assert to_json(metrics)["a/rate"] == {"value": 0.5, "better": "lower", "cases": 8}
    assert from_json(to_json(metrics)) == flatten(metrics)
    for damaged in ({"a": 0.5}, {"a": {"value": 1}}, {"a": {"value": 1, "better": "up"}}):
        with pytest.raises(UndeclaredMetric, match="the metric a "):
            from_json(damaged)


def test_a_guard_travels_with_its_number():
    judged = {"a/rate": as_accepted("few are matched", noticed=0.1), "gap": at_least(0.6, "far away")}
    recorded = to_json({"a": {"rate": lower(0.5)}, "gap": higher(0.7)}, judged)
    assert recorded["gap"]["guard"] == {"sentence": "far away", "low": 0.6}
    assert {name: one.guard for name, one in from_json(recorded).items()} == judged
    with pytest.raises(UndeclaredMetric, match="'psnr'"):  # a guard of what is not recorded
        flatten({"ssim": higher(0.9)}, {"psnr": at_least(30, "it stays")})
