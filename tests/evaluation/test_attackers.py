"""What attackers find, on made-up people of whom it is known what can be found."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from anonlab.evaluation.judging import Judge
from anonlab.evaluation.learned import fine_tune, guessed_distances, learn_ridge
from anonlab.evaluation.pictures import BASE, EDGE, OPTIONAL, surroundings, with_what_stays
from anonlab.evaluation.privacy import (
    ANOTHER,
    ATTACKS,
    KEYED,
    attacks,
    found,
    recognition,
    strangers,
    told,
    united,
)
from anonlab.evaluation.tables import headline
from anonlab.metrics import privacy as metrics
from anonlab.metrics.privacy import linkage

JUDGE = Judge("stranger", SimpleNamespace(metric="cosine", threshold=0.3, far=0.001), False)
DIM, PEOPLE = 24, 40


def noise(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.fixture(scope="module")
def secret() -> torch.Tensor:
    """What a tool does to every embedding: a rotation that is always the same."""
    return torch.linalg.qr(noise(DIM, DIM, seed=5)).Q


@pytest.fixture(scope="module")
def crowd() -> tuple[torch.Tensor, torch.Tensor]:
    """Two photos each of PEOPLE that nobody learned from, `(PEOPLE, DIM)`."""
    own = noise(PEOPLE, DIM, seed=1)
    return own, own + 0.2 * noise(PEOPLE, DIM, seed=2)


def test_a_rotation_that_is_always_the_same_is_learned_and_undone(secret, crowd):
    before = noise(300, DIM, seed=3)
    learned = learn_ridge(before @ secret + 3.0, before)
    first, second = crowd
    results = first @ secret + 3.0
    assert linkage(guessed_distances(learned, results, second)) >= 0.95
    assert linkage(1 - F.cosine_similarity(results[:, None], second[None], dim=2)) <= 0.15


def sighted(told: float, seed: int) -> torch.Tensor:
    """What the layer is given of everybody: who it is, and as many loud numbers about nothing."""
    own = told * noise(PEOPLE, DIM, seed=1)
    return torch.cat(
        [own + 0.3 * noise(PEOPLE, DIM, seed=seed), 4 * noise(PEOPLE, DIM, seed=50 + seed)], 1
    )


@pytest.mark.parametrize(("tells", "gain"), [(1.0, 0.2), (0.0, -0.1)])
def test_fine_tuning_learns_what_tells_people_apart_if_anything_does(tells, gain):
    known, results = [sighted(tells, seed) for seed in range(10, 16)], sighted(tells, 30)
    layer = torch.nn.Linear(2 * DIM, 2 * DIM, bias=False)  # mixes what tells people apart with noise
    torch.nn.init.eye_(layer.weight)
    directions = fine_tune(
        layer, torch.cat(known), torch.arange(PEOPLE).repeat(6),
        sighted(tells, 20), torch.arange(PEOPLE), torch.Generator().manual_seed(0),
    )  # fmt: skip
    after = linkage(1 - F.normalize(layer(results), dim=1) @ directions.T)
    means = torch.stack([F.normalize(one, dim=1) for one in known]).sum(0)
    before = linkage(1 - F.normalize(results, dim=1) @ F.normalize(means, dim=1).T)
    assert after >= before + gain and (tells or after <= 0.1)


@pytest.fixture(scope="module")
def scene(secret, crowd) -> dict[str, torch.Tensor]:
    """People whose results are a fixed rotation of them, whatever the key, and a little noise; another
    seed and area give anything; every result with the user's key is the same."""
    first, second = crowd
    third = torch.full((PEOPLE, DIM), torch.nan)
    third[10:20] = (first @ secret)[10:20] + 0.1 * noise(10, DIM, seed=10)
    return {
        "photo": first,
        "other photo": second,
        "result": first @ secret,
        "other photo, other key": second @ secret + 2 * noise(PEOPLE, DIM, seed=6),
        "other photo, other settings": noise(PEOPLE, DIM, seed=7),
        "other photo, same key": first @ secret,
        OPTIONAL: third,
        **{name: noise(PEOPLE, DIM, seed=20 + i) for i, name in enumerate(BASE) if "surr" in name},
        "stranger": noise(PEOPLE, DIM, seed=12),
        "blur": second,
    }


@pytest.fixture(scope="module")
def asked(scene, secret) -> dict[str, torch.Tensor]:
    before = noise(300, DIM, seed=3)
    pairs = {"photo": before, "result": before @ secret, "surroundings": noise(300, DIM, seed=11)}
    return attacks(JUDGE, scene, pairs)


def test_every_attacker_finds_what_there_is_to_find(asked):
    rank_1 = {name: linkage(distances) for name, distances in asked.items()}
    assert rank_1["learned"] >= 0.95
    for name in (ANOTHER, "same tool, other key and settings", "surroundings", "surroundings, learned"):
        assert rank_1[name] <= 0.15, name
    assert 0.2 < rank_1["same tool, another key"] < 1
    assert rank_1[KEYED] == 1
    assert rank_1["least similar"] < 0.2
    assert not {"turn undone", "kept attributes only"} & {*rank_1}  # only the guide's population knows


def test_the_album_stands_among_everybody(asked, scene):
    album = asked["two results, against photos"]
    assert album.shape == (10, PEOPLE)
    mean = (scene["result"][10] + scene[OPTIONAL][10]) / 2
    away = 1 - F.cosine_similarity(mean, scene["other photo"][10], dim=0)
    assert album[0, 0].item() == pytest.approx(away.item(), abs=1e-5)


def test_a_match_is_at_the_photos_threshold_or_at_the_attacks_own_false_accepts():
    """Forty people, 1,560 pairs of different ones: the threshold is the second smallest of them."""
    away = 1 + torch.arange(1600.0).reshape(40, 40) / 1600
    away.fill_diagonal_(9.0)
    away[0, 1] = away[5, 7] = 0.5
    away[0, 0], away[1, 1], away[2, 2] = 0.49, 0.5, 0.51
    said = told({ANOTHER: away, "surroundings": away}, 0.505)
    assert said["surroundings"]["match_own"] == pytest.approx(1 / 40)
    assert said["surroundings"]["rank_1"] == pytest.approx(3 / 40)
    assert said[ANOTHER]["match"] == pytest.approx(2 / 40) and "match" not in said["surroundings"]
    low, high = said[ANOTHER]["rank_1_interval"]
    assert low <= 3 / 40 <= high
    assert told({ANOTHER: away[:9, :9]}, 0.5)[ANOTHER]["match_own"] is None  # 72 pairs cannot show it


def test_everything_by_one_recogniser_is_of_this_set_alone(asked, scene):
    said = found(JUDGE, scene, asked, {"original": "photo", "result": "result", "blur": "blur"})
    untouched = metrics.pairwise(JUDGE.recognizer, scene["photo"], scene["other photo"])
    assert (strangers(untouched) < said["threshold"]).float().mean() <= 1e-3
    assert said["methods"]["original"]["distance_own"] == pytest.approx(0, abs=1e-5)
    assert said["methods"]["original"]["match_rate_other"] == 1 == said["methods"]["blur"]["rank_1"]
    assert said["methods"]["result"]["protection"] > 0.9
    assert said["methods"]["result"]["rank_1_same_tool"] == linkage(asked["same tool, another key"])
    assert said["collapse"]["people"] <= 0.02
    collapsed = scene | {"result": scene["result"][:1].expand(PEOPLE, -1)}
    assert found(JUDGE, collapsed, asked, {})["collapse"]["results"] == 1


def test_linkability_is_none_of_one_distribution_and_whole_of_two_apart():
    a, b = torch.randn(2, 4000, generator=torch.Generator().manual_seed(0))
    # of N(-1, 1) and N(0, 1): the integral of max(0, p (p - q) / (p + q))
    x = np.linspace(-8, 8, 20001)
    p, q = np.exp(-((x + 1) ** 2) / 2), np.exp(-(x**2) / 2)
    true = np.trapezoid(p * np.maximum(0, (p - q) / (p + q)), x) / np.sqrt(2 * np.pi)
    for apart, expected in ((0, 0), (1, true), (12, 1)):
        assert metrics.unlinkability(a - apart, b) == pytest.approx(expected, abs=0.03)


def test_rates_need_enough_pairs_of_strangers():
    said = recognition(noise(80, 80) - 20 * torch.eye(80))  # people are 20 standard deviations nearer
    assert said["tar_0.01"] == said["tar_0.001"] == said["rank_1"] == said["auc"] == 1
    assert said["tar_0.0001"] is None  # 6,320 pairs cannot show 1 in 10,000
    assert said["chance"] == 1 / 80
    assert {name for pair in ATTACKS.values() for name in pair} <= set(BASE) - {OPTIONAL}


def test_surroundings_are_what_no_mask_touches():
    image = 0.2 + noise(1, 3, 8, 8).abs()
    mask = torch.zeros(1, 1, 8, 8)
    mask[..., 2:5, 2:5], mask[..., 5, 5] = 1.0, 0.01  # the softest edge is changed as well
    hidden = (mask > 0).expand_as(image)
    assert torch.equal(surroundings(image, mask), image * ~hidden)


@pytest.mark.parametrize(("prefix", "result"), [("", "result"), ("other ", "other photo, same key")])
def test_eyes_that_a_result_keeps_are_surroundings(prefix, result):
    """A face from 60 to 200, its eyes at 100, a pixel of the mask's edge that is the same by chance."""
    rng = torch.Generator().manual_seed(0)
    was = torch.randint(0, 100, (256, 256, 3), dtype=torch.uint8, generator=rng)
    now, hidden, strict = was.clone(), was.clone(), was.clone()
    face, eyes, edge = (
        (slice(*x), slice(*y)) for x, y in (((60, 200),) * 2, ((100, 110), (80, 180)), ((60, 61),) * 2)
    )
    now[face] += 100
    now[eyes], now[edge] = was[eyes], was[edge]
    hidden[face], strict[40:220, 40:220] = 128, 128
    names = f"{prefix}photo", result, f"{prefix}surroundings", f"strict {prefix}surroundings"
    found = with_what_stays(dict(zip(names, (was, now, hidden, strict), strict=True)))
    assert torch.equal(found[names[0]], was) and torch.equal(found[result], now)
    hidden[eyes], hidden[edge], strict[eyes] = was[eyes], was[edge], was[eyes]
    assert torch.equal(found[names[2]], hidden) and torch.equal(found[names[3]], strict) and EDGE < 40
    assert torch.equal(with_what_stays({"photo": was})["photo"], was)


def test_two_recognisers_together_find_more_than_each():
    own = noise(200, DIM, seed=1)
    two = [
        {ANOTHER: scale * torch.cdist(own + 2 * noise(200, DIM, seed=seed), own)}
        for seed, scale in ((2, 1.0), (3, 100.0))  # one has other units
    ]
    two[0]["turn undone"] = two[0][ANOTHER]  # one alone is no union
    both = united(two)["attacks"]
    assert [*both] == [ANOTHER]
    assert both[ANOTHER]["rank_1"] > 1.2 * max(linkage(one[ANOTHER]) for one in two)


def test_the_worst_attack_is_quoted_and_the_owner_of_the_key_is_none(asked, scene):
    said = found(JUDGE, scene, asked, {})
    text = headline("lfw", {"people": 40, "found": {"stranger": said}})
    assert "(learned, by stranger)" in text and "40 people" in text
    seen = {"people": 40, "found": {"dlib": said | {"seen": True}}}
    assert headline("lfw", seen).startswith("no unseen recogniser: privacy not established")
