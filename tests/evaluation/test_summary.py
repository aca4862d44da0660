"""From results to sentences: hand-made people on whom every number is known."""

from __future__ import annotations

import copy
import json
import math
import re
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from anonlab.evaluation import judging, recorded
from anonlab.evaluation.evaluate import Evaluation, PersonResult
from anonlab.evaluation.figures import table
from anonlab.evaluation.judging import HOW_TO_ADD, Judge, load_judges
from anonlab.evaluation.methods import Protocol
from anonlab.evaluation.recorded import numbers
from anonlab.evaluation.summary import failures, headline, nearness, points, summarise
from anonlab.measured import SHOWN, Measured, as_accepted, flatten, guarded, reference, to_json
from anonlab.metrics import exact_interval
from anonlab.runner import regression

MAIN = Protocol().main
GUIDE = Judge("guide", SimpleNamespace(metric="euclidean", threshold=0.6, far=0.01), True)
UNSEEN = Judge("stranger", SimpleNamespace(metric="cosine", threshold=0.3, far=0.001), False)
SECOND = Judge("second", SimpleNamespace(metric="cosine", threshold=0.3, far=0.001), False)
JUDGES = (GUIDE, UNSEEN, SECOND)
PLAIN = {"st_lpips": 0.0, "detected": 1.0, "landmark_error": 0.0, "tone_difference": 0.0}
CHANGED = {"st_lpips": 0.08, "detected": 1.0, "landmark_error": 0.05, "tone_difference": 2.0}


def person(number: int, kept: bool, gallery: bool = True, lpips: float = 0.08) -> PersonResult:
    """Embeddings are unit vectors, another axis for each person. The guide is not fooled, `second`
    always is; `stranger` still sees the person where he is `kept`, else his opposite."""
    own = torch.eye(128)[number]
    tensors = {}
    for judge, after in ((GUIDE, own), (UNSEEN, own if kept else -own), (SECOND, -own)):
        tensors[f"probe/{judge.name}/original"] = own
        tensors[f"probe/{judge.name}/{MAIN}"] = after
        if gallery:
            tensors[f"gallery/{judge.name}/original"] = own
            tensors[f"attacker/{judge.name}/{MAIN}"] = own
            tensors[f"attacker with key/{judge.name}/{MAIN}"] = after
    for method, shift in (("original", 0.0), (MAIN, 2.0), ("another photo", 0.0)):
        tensors[f"features/{method}"] = torch.tensor([number % 4, number % 3, number % 5]) + shift
    measured = {"original": PLAIN, MAIN: CHANGED | {"st_lpips": lpips}, "another photo": PLAIN}
    return PersonResult(
        f"person {number}", measured, {"mask_area": [0.25, 0.2 + 0.01 * number]}, tensors
    )


@pytest.fixture(scope="module")
def twelve() -> Evaluation:
    """Of twelve people the numbers 2, 7 and 9 are still known to `stranger`."""
    return Evaluation([person(number, number in (2, 7, 9)) for number in range(12)], [{"person": "x"}])


@pytest.fixture(scope="module")
def summary(twelve, population) -> dict:
    return summarise(twelve, JUDGES, population)


def test_without_an_unseen_recogniser_nothing_is_claimed(twelve, population):
    found = summarise(twelve, [GUIDE], population)
    line = headline(found, Protocol())
    assert line.startswith("no unseen recogniser: privacy not established")
    assert HOW_TO_ADD in line
    assert "--download facenet-vggface2" in line and "--unseen" in line
    assert "%" not in line and found["unseen_recognisers"] == 0


def test_without_second_photos_nothing_is_claimed(population):
    results = [person(number, False, gallery=False) for number in range(4)]
    found = summarise(Evaluation(results), JUDGES, population)
    assert found["people_in_gallery"] == 0
    assert "privacy not established; add photos of the same people" in headline(found, Protocol())


def test_the_headline_quotes_unseen_recognisers_only(summary):
    line = headline(summary, Protocol())
    assert "guide" not in line and "100.0% of" not in line
    assert "stranger still matches 25.0% of 12 people" in line
    assert "second still matches 0.0% of 12 people" in line
    assert "(95 %: 0.0% to 26.5%; before: 100.0%" in line  # the exact interval of 0 of 12
    assert "132 impostor pairs, too few for a FAR of 1e-3" in line
    assert line.endswith("ST-LPIPS 0.080")


def test_every_privacy_number_of_twelve_known_people(summary):
    found = summary["methods"][MAIN]["privacy"]["stranger"]
    expected = {
        "pairs": 12, "match_rate_own": 0.25, "match_rate_other": 0.25, "protection": 0.75,
        "match_rate_other_published": 0.25, "distance_other": 1.5, "chance_rank_1": 1 / 12,
        "chance_rank_5": 5 / 12, "linkage_rank_1": 0.25, "linkage_rank_5": 0.25, "auc": 0.25,
        "collapse_ratio": pytest.approx(1, abs=0.1), "linkage_rank_1_same_tool": 0.25,
        "linkage_rank_1_same_tool_with_key": 1, "match_rate_same_tool_with_key": 1,
    }  # fmt: skip
    assert {name: found[name] for name in expected} == pytest.approx(expected)
    low, high = found["match_rate_other_interval"]
    assert 0 <= low < 0.25 < high < 0.6
    second = summary["methods"][MAIN]["privacy"]["second"]
    assert second["match_rate_other_interval"] == exact_interval(0, 12)
    before = summary["methods"]["original"]["privacy"]
    for judge in JUDGES:
        assert before[judge.name]["distance_own"] == pytest.approx(0, abs=1e-6)
        assert (before[judge.name]["linkage_rank_1"], before[judge.name]["protection"]) == (1, 0)


def test_a_method_tried_on_few_has_to_hide_them_among_all(population):
    """Four of twelve were tried; the first looks most like one of the other eight."""
    results = [person(number, kept=True) for number in range(12)]
    for result in results[4:]:
        del result.numbers[MAIN]
        result.tensors = {name: value for name, value in result.tensors.items() if MAIN not in name}
    results[0].tensors[f"probe/stranger/{MAIN}"] = torch.eye(128)[0] + 2 * torch.eye(128)[11]
    found = summarise(Evaluation(results), JUDGES, population)["methods"][MAIN]
    privacy = found["privacy"]["stranger"]
    assert found["people"] == privacy["pairs"] == 4
    assert privacy["chance_rank_1"] == found["undone"]["chance_rank_1"] == 1 / 12
    assert privacy["linkage_rank_1"] == 0.75  # it would be 1 in a gallery of four
    assert privacy["linkage_rank_5"] == 1


def test_who_was_seen_is_said_of_every_recogniser(summary):
    seen = {name: one["seen"] for name, one in summary["recognizers"].items()}
    assert seen == {"guide": True, "stranger": False, "second": False}
    assert summary["unseen_recognisers"] == 2
    assert summary["recognizers"]["guide"]["threshold_far"] == pytest.approx(2**0.5)
    assert summary["recognizers"]["stranger"]["impostor_pairs"] == 132


def test_judges_are_the_guide_and_what_took_no_part(recognizer, tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))  # where no FaceNet was downloaded
    assert [(one.name, one.seen) for one in load_judges(recognizer)] == [("dlib", True)]


def test_means_are_over_people_and_shares_have_exact_intervals(population):
    results = [person(number, False, lpips=number / 10) for number in range(5)]
    found = summarise(Evaluation(results), JUDGES, population)["methods"][MAIN]["means"]
    assert found["st_lpips"]["mean"] == pytest.approx(0.2)
    assert found["st_lpips"]["interval"][0] < 0.2 < found["st_lpips"]["interval"][1]
    assert found["detected"] == {"mean": 1.0, "interval": [*exact_interval(5, 5)]}


def test_realism_needs_five_people_and_says_when_the_set_is_small(twelve, summary, population):
    found = summary["methods"][MAIN]["realism"]
    assert found["pictures"] == 12 and found["small_sample"]
    assert found["frechet"] == pytest.approx(12, rel=1e-4)  # three features moved by two
    assert summary["methods"]["original"]["realism"]["frechet"] == pytest.approx(0, abs=1e-6)
    few = summarise(Evaluation(twelve.results[:4]), JUDGES, population)
    assert few["methods"][MAIN]["realism"] == {}
    assert not re.search(r"\bfid\b", json.dumps(summary).lower())


def test_calibration_is_the_mean_and_the_mean_miss(summary):
    reached = 0.2 + 0.01 * np.arange(12)
    assert summary["calibration"]["mask_area"]["0.25"] == pytest.approx(
        {"reached": reached.mean(), "miss": abs(reached - 0.25).mean(), "people": 12}
    )


def test_failures_put_who_is_still_matched_first(twelve, summary):
    unseen = JUDGES[1:]  # the guide of these people matches everybody
    order = [result.person for result in failures(twelve, unseen, summary, MAIN)]
    assert set(order[:3]) == {"person 2", "person 7", "person 9"}
    assert sorted(order) == sorted(result.person for result in twelve.results)
    near = [nearness(one, unseen, summary, MAIN) for one in failures(twelve, unseen, summary, MAIN)]
    assert near == sorted(near) and near[2] < 1 < near[3]  # three are matched


def test_among_the_hidden_the_nearest_comes_first():
    """One recogniser, nobody matched: half of them turned by 130 degrees, the others by less."""
    results = []
    for number, degrees in enumerate((130, 100, 170, 120)):
        angle = math.radians(degrees)
        own, after = torch.zeros(8), torch.zeros(8)
        own[2 * number], after[2 * number : 2 * number + 2] = (
            1,
            torch.tensor([math.cos(angle), math.sin(angle)]),
        )
        tensors = {"probe/stranger/original": own, f"probe/stranger/{MAIN}": after}
        results.append(PersonResult(str(degrees), {}, {}, tensors))
    results.append(PersonResult("not tried", {}, {}, {"probe/stranger/original": torch.eye(8)[7]}))
    about = {"recognizers": {"stranger": {"threshold_far": None}}}
    order = [result.person for result in failures(Evaluation(results), [UNSEEN], about, MAIN)]
    assert order == ["100", "120", "130", "170", "not tried"]


def test_points_take_the_unseen_recogniser_that_sees_most(summary):
    found = {one["method"]: one for one in points(summary)}
    assert set(found) == {"original", MAIN}  # another photo is no method
    point = found[MAIN]
    assert point["st_lpips"] == pytest.approx(0.08)
    assert point["people"] == 12
    assert point["matched"] == 0.25
    assert point["matched_interval"][0] <= 0.25 <= point["matched_interval"][1]
    privacy = summary["methods"][MAIN]["privacy"]["stranger"]
    assert point["linkage"] == privacy["linkage_rank_1"]
    assert point["linkage_interval"] == privacy["linkage_rank_1_interval"]
    assert found["original"]["matched"] == 1


def test_points_fall_back_to_the_guide(twelve, population):
    found = {one["method"]: one for one in points(summarise(twelve, [GUIDE], population))}
    assert found[MAIN]["matched"] == 1


def test_the_table_has_unseen_rates_first_and_gaps_where_nothing_was_measured(summary):
    lines = table(summary)
    assert list(lines) == ["original", MAIN, "another photo"]
    assert list(lines[MAIN])[:3] == [
        "people",
        "stranger (unseen) matched",
        "stranger (unseen) rank 1",
    ]
    assert list(lines[MAIN])[5:7] == ["guide (seen) matched", "guide (seen) rank 1"]
    assert lines[MAIN]["stranger (unseen) matched"] == 0.25
    assert lines[MAIN]["guide (seen) matched"] == 1
    assert math.isnan(lines["another photo"]["guide (seen) matched"])
    assert math.isnan(lines[MAIN]["age error"])
    assert table(summary, ["ST-LPIPS"])[MAIN] == {"ST-LPIPS": pytest.approx(0.08)}


def test_recorded_numbers_are_plain_and_have_no_intervals(summary):
    found = numbers(summary)
    flat = to_json(found)
    assert json.loads(json.dumps(flat)) == flat
    assert not [name for name in flat if "interval" in name or "chance" in name]
    rate = {"value": 0.25, "better": "lower", "cases": 12}
    assert flat[f"{MAIN}/stranger/match_rate_other"] == rate
    assert flat[f"{MAIN}/st_lpips"] == {"value": pytest.approx(0.08), "better": "lower"}
    assert [flat[name]["value"] for name in ("people", "problems", f"{MAIN}/n")] == [12, 1, 12]


def test_only_anonlab_can_become_better_or_worse(summary):
    """A peer that scores otherwise has been measured otherwise."""
    for name, one in flatten(numbers(summary)).items():
        method = name.split("/")[0]
        if method == "original" or method in summary["recognizers"]:
            assert one.better == "reference", name
    better = {name: one.better for name, one in flatten(numbers(summary)).items()}
    assert better[f"{MAIN}/stranger/distance_own"] == better[f"{MAIN}/detected"] == "higher"
    assert better["another photo/landmark_error"] == "shown"
    assert better["calibration/mask_area/0.25/reached"] == "reference"


def test_accepted_directions_are_the_declared_ones():
    """What is in the file was declared by the tables beside the numbers."""
    path = Path(__file__).parents[1] / "accepted" / "05_evaluate-quick.json"
    tables = judging.BETTER | recorded.PRIVACY | recorded.UNDONE | recorded.REALISM
    tables |= {"n": reference}
    found = {}
    for name, one in json.loads(path.read_text())["judged"].items():
        leaf = name.split("/")[-1]
        if name.startswith("anonlab"):
            found[leaf] = one["better"]
            assert tables[leaf](0).better == one["better"], name
    assert len(found) > 8


def all_judged(metrics: dict) -> dict[str, Measured]:
    """Guard every number that has a direction."""
    flat = flatten(metrics)
    return guarded(flat, {name: as_accepted("") for name, one in flat.items() if one.better != SHOWN})


# from a face that is kept to one that is not
HARM = {
    "detected": (1.0, 0.5), "gender_kept": (1.0, 0.5), "ssim_outside": (0.99, 0.7),
    "psnr_outside": (45.0, 20.0), "st_lpips": (0.06, 0.2), "lpips": (0.05, 0.2),
    "landmark_error": (0.04, 0.2), "tone_difference": (2.0, 9.0), "age_error": (3.0, 12.0),
    "mouth_opening_difference": (0.02, 0.1), "eye_opening_difference": (0.02, 0.1),
    "glasses_changed": (0.1, 0.5), "eyes_lightened": (0.1, 0.5),
}  # fmt: skip


@pytest.mark.parametrize("name", HARM)
def test_harm_fails_the_gate_and_its_mending_is_better(name):
    kept, lost = (all_judged({name: judging.BETTER[name](value)}) for value in HARM[name])
    for was, now, verdict in ((kept, lost, "failed"), (lost, kept, "better")):
        [row] = regression.compare(regression.accept([was], [], {}, {}), now, {}).rows
        assert (row.name, row.verdict) == (name, verdict)


def test_a_recogniser_gone_blind_fails_the_gate(twelve, population):
    """It matches nobody any more, which is what every method is praised for."""
    rng = torch.Generator().manual_seed(0)
    blind = copy.deepcopy(twelve)
    for result in blind.results:
        for name, tensor in result.tensors.items():
            if name.split("/")[0] in ("probe", "gallery", "attacker", "attacker with key"):
                result.tensors[name] = F.normalize(torch.randn(tensor.shape, generator=rng), dim=0)
    seeing, unseeing = (
        all_judged(numbers(summarise(one, JUDGES, population))) for one in (twelve, blind)
    )
    accepted = regression.accept([seeing], [], {}, {})
    comparison = regression.compare(accepted, unseeing, {})
    failed = {row.name for row in comparison.named("failed")}
    better = {row.name for row in comparison.named("better")}
    for judge in ("guide", "stranger", "second"):
        assert {f"{judge}/auc_before", f"original/{judge}/match_rate_other"} <= failed
    assert f"{MAIN}/guide/match_rate_other" in better  # by the method alone it would have passed
    assert not regression.compare(accepted, seeing, {}).named("failed")


def test_the_same_rows_give_the_same_summary(twelve, summary, population):
    assert summarise(twelve, JUDGES, population) == summary
