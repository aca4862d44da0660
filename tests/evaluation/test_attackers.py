"""Attackers on hand-made people, of whom it is known what can be found."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from types import SimpleNamespace
from typing import ClassVar

import pytest
import torch
import torch.nn.functional as F

from anonlab.errors import InputMissing
from anonlab.evaluation.attackers import pairs as pairs_module
from anonlab.evaluation.attackers.attacks import UNION, WITH_KEY, Attack, attacks, united
from anonlab.evaluation.attackers.learned import guessed_distances, learn_network, learn_ridge
from anonlab.evaluation.attackers.pairs import Pairs, make_pairs
from anonlab.evaluation.attackers.sightings import surroundings
from anonlab.evaluation.attackers.table import collapse, consistency, line, numbers, sentence, worst
from anonlab.evaluation.judging import Judge
from anonlab.evaluation.methods import Protocol
from anonlab.evaluation.people import Person
from anonlab.evaluation.results import PersonResult
from anonlab.measured import SHOWN, as_accepted, guarded, to_json
from anonlab.metrics import linkage
from anonlab.runner import regression

METHOD = Protocol().main
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


@pytest.mark.parametrize("kind", ["ridge", "network"])
def test_a_rotation_that_is_always_the_same_is_learned_and_undone(kind, secret, crowd):
    before = noise(300, DIM, seed=3)
    after = before @ secret + 3.0
    learned = {
        "ridge": lambda: learn_ridge(after, before),
        "network": lambda: learn_network(after, before, torch.Generator().manual_seed(0)),
    }[kind]()
    first, second = crowd
    results = first @ secret + 3.0
    assert linkage(guessed_distances(learned, results, second)) >= 0.95
    assert linkage(1 - F.cosine_similarity(results[:, None], second[None], dim=2)) <= 0.15


@pytest.mark.parametrize("kind", ["ridge", "network"])
def test_from_results_that_say_nothing_nothing_is_learned(kind, crowd):
    before, after = noise(300, DIM, seed=3), noise(300, DIM, seed=4)
    learned = {
        "ridge": lambda: learn_ridge(after, before),
        "network": lambda: learn_network(after, before, torch.Generator().manual_seed(0)),
    }[kind]()
    results = torch.cat([noise(PEOPLE, DIM, seed=seed) for seed in range(10, 15)])
    gallery = torch.cat([crowd[1] + 0.01 * noise(PEOPLE, DIM, seed=seed) for seed in range(20, 25)])
    assert linkage(guessed_distances(learned, results, gallery)) <= 0.04  # of 200


def test_the_same_pairs_teach_the_same(secret):
    before = noise(60, DIM, seed=3)
    both = [
        learn_network(before @ secret, before, torch.Generator().manual_seed(1))(before[:5])
        for _ in range(2)
    ]
    assert torch.equal(*both)


@pytest.fixture(scope="module")
def scene(secret, crowd):
    """People whose results are a fixed rotation of them, whatever the key, and a little noise; another
    seed and area give anything; every result with the user's key is the same."""
    first, second = crowd
    tensors = {
        "probe/stranger/original": first,
        f"probe/stranger/{METHOD}": first @ secret,
        "gallery/stranger/original": second,
        f"attacker/stranger/{METHOD}": second @ secret + 2 * noise(PEOPLE, DIM, seed=6),
        f"attacker with key/stranger/{METHOD}": first @ secret,
    }
    drawn = {
        "other settings/stranger": noise(PEOPLE, DIM, seed=7),
        "surroundings/stranger/probe": noise(PEOPLE, DIM, seed=8),
        "surroundings/stranger/gallery": noise(PEOPLE, DIM, seed=9),
        "cluster/stranger/probe": first @ secret,
        "cluster/stranger/gallery": first @ secret,
        "album/stranger/0": first @ secret + 0.1 * noise(PEOPLE, DIM, seed=10),
    }

    def people(table: dict[str, torch.Tensor]) -> list[PersonResult]:
        return [
            PersonResult(str(i), {}, {}, {name: rows[i] for name, rows in table.items()})
            for i in range(PEOPLE)
        ]

    before = noise(300, DIM, seed=3)
    pairs = Pairs(before, before @ secret, noise(300, DIM, seed=11))
    results, seen = people(tensors), {one.person: one for one in people(drawn)}
    return results, seen, attacks(JUDGE, METHOD, results, seen, pairs, None)


def rank_1(found: list[Attack]) -> dict[str, float]:
    return {one.name: line(one).rank_1 for one in found}


def test_every_attacker_finds_what_there_is_to_find(scene):
    found = rank_1(scene[2])
    assert found["learned, ridge"] >= 0.95 and found["learned, network"] >= 0.95
    for name in ("originals", "same tool, other area and seed", "surroundings only"):
        assert found[name] <= 0.15, name
    assert 0.2 < found["same tool, another key"] < 1
    assert found[WITH_KEY] == 1


def test_only_the_guide_is_asked_what_only_its_population_knows(scene):
    assert not {"turn undone", "kept attributes only"} & {one.name for one in scene[2]}


def test_the_album_stands_among_everybody(scene, secret, crowd):
    """Of ten people there are further photos: the gallery still holds all forty."""
    results, seen, _ = scene
    rest = {
        name: PersonResult(name, {}, {}, {k: x for k, x in one.tensors.items() if "album" not in k})
        for name, one in seen.items()
    }
    rest |= {name: seen[name] for name in list(seen)[10:20]}
    pairs = Pairs(*(noise(60, DIM, seed=seed) for seed in (3, 4, 11)))
    found = {one.name: one.distances for one in attacks(JUDGE, METHOD, results, rest, pairs, None)}
    assert found["album, mean against originals"].shape == (10, PEOPLE)
    expected = (
        results[10].tensors[f"probe/stranger/{METHOD}"] + seen["10"].tensors["album/stranger/0"]
    ) / 2
    away = 1 - F.cosine_similarity(expected, results[10].gallery("stranger"), dim=0)
    assert found["album, mean against originals"][0, 0].item() == pytest.approx(away.item(), abs=1e-5)


def test_two_recognisers_together_find_more_than_each():
    own = noise(200, DIM, seed=1)
    two = [
        Attack("originals", name, scale * torch.cdist(own + 2 * noise(200, DIM, seed=seed), own))
        for name, seed, scale in (("a", 2, 1.0), ("b", 3, 100.0))  # one has other units
    ]
    [both] = united([*two, Attack("turn undone", "a", two[0].distances)])  # one alone is no union
    assert both.recognizer == UNION
    assert line(both).rank_1 > 1.2 * max(line(one).rank_1 for one in two)


def test_a_match_is_a_match_at_the_attackers_own_false_accepts():
    """Forty people, 1,560 pairs of different ones: the threshold is the second smallest of them."""
    away = 1 + torch.arange(1600.0).reshape(40, 40) / 1600
    away.fill_diagonal_(9.0)
    away[0, 1] = away[5, 7] = 0.5
    away[0, 0], away[1, 1], away[2, 2] = 0.49, 0.5, 0.51
    found = line(Attack("x", "y", away))
    assert (found.match_rate, found.rank_1, found.chance) == pytest.approx((1 / 40, 3 / 40, 1 / 40))
    assert found.rank_1_interval[0] <= 3 / 40 <= found.rank_1_interval[1]


def test_the_worst_attacker_is_quoted_and_the_owner_of_the_key_is_none():
    lines = [
        {"attacker": WITH_KEY, "recognizer": "a", "rank_1": 0.9, "genuine": False},
        {"attacker": "learned", "recognizer": "b", "rank_1": 0.3, "genuine": True,
         "rank_1_interval": (0.2, 0.4), "probes": 40, "gallery": 50, "chance": 0.02,
         "match_rate": 0.1},
    ]  # fmt: skip
    assert worst({"lines": lines})["attacker"] == "learned"
    assert sentence({"lines": lines}) == (
        "the worst attacker (learned, by b) finds 30.0% of 40 people first among 50 (95 %: 20.0% to "
        "40.0%; chance 2.0%)"
    )
    assert "nobody could be attacked" in sentence({})


def test_collapse_counts_pairs_of_different_people():
    """Six people, of whom two get the same face: 2 of 30 ordered pairs."""
    rows = torch.eye(DIM)[:6]
    after = rows.clone()
    after[1] = after[0]
    results = [
        PersonResult(str(i), {}, {}, {
            "probe/stranger/original": rows[i], f"probe/stranger/{METHOD}": after[i],
            "gallery/stranger/original": rows[i],
        })
        for i in range(6)
    ]  # fmt: skip
    assert collapse(JUDGE, METHOD, results) == {"results": pytest.approx(2 / 30), "people": 0}


def test_consistency_tells_one_key_from_two(scene):
    results, seen, _ = scene
    found = consistency(JUDGE, METHOD, results, seen)
    assert found["one_key"] == found["one_key_album"] == 1
    assert found["two_keys"] < 0.7 < found["photos"]


def test_recorded_numbers_have_directions_and_a_stronger_attacker_fails_the_gate(scene):
    results, seen, found = scene
    summary = {
        "people": PEOPLE,
        "lines": [asdict(line(one)) for one in found],
        "collapse": {"stranger": collapse(JUDGE, METHOD, results)},
        "consistency": {"stranger": consistency(JUDGE, METHOD, results, seen)},
    }
    flat = to_json(numbers(summary))
    assert json.loads(json.dumps(flat)) == flat
    assert flat["originals/stranger/rank_1"]["better"] == "lower"
    assert flat[f"{WITH_KEY}/stranger/rank_1"]["better"] == "higher"
    guards = {name: as_accepted("") for name, one in flat.items() if one["better"] != SHOWN}
    accepted = regression.accept([guarded(numbers(summary), guards)], [], {}, {})
    stronger = json.loads(json.dumps(summary))
    for one in stronger["lines"]:
        if one["attacker"] == "originals":
            one["rank_1"] = 0.9
    failed = regression.compare(accepted, guarded(numbers(stronger), guards), {}).named("failed")
    assert {row.name for row in failed} == {"originals/stranger/rank_1"}


def test_surroundings_are_what_no_mask_touches():
    image = 0.2 + noise(1, 3, 8, 8).abs()
    mask = torch.zeros(1, 1, 8, 8)
    mask[..., 2:5, 2:5], mask[..., 5, 5] = 1.0, 0.01  # the softest edge is changed as well
    left = surroundings(image, mask)
    hidden = (mask > 0).expand_as(image)
    assert (left[hidden] == 0).all()
    assert torch.equal(left[~hidden], image[~hidden])


def test_nobody_who_is_evaluated_is_learned_from(tmp_path, monkeypatch):
    """A copy of a photo in another folder counts as the photo."""
    monkeypatch.setattr(pairs_module, "depends_on", lambda *_: {})
    monkeypatch.setattr(pairs_module, "fingerprints_of", lambda _: {})
    evaluated, copies = tmp_path / "a" / "somebody", tmp_path / "b" / "the same"
    for folder, name in ((evaluated, "1.jpg"), (copies, "one.jpg"), (copies, "two.jpg")):
        folder.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(name[:1].encode() if folder != copies else name[:3].encode())
    (copies / "one.jpg").write_bytes(b"1")
    person = Person("somebody", (evaluated / "1.jpg",))
    with pytest.raises(InputMissing, match="nobody to learn an attack from"):
        make_pairs(None, {str(tmp_path / "b"): None}, SimpleNamespace(judges=[JUDGE]), Protocol(),
                   [person], tmp_path / "state")  # fmt: skip


class Tool:
    """Stands for `Subject`, and notes the keys that it is given."""

    keys: ClassVar[list[bytes]] = []

    def __init__(self, anonymizer, image, seed):
        self.image = image

    def make(self, key: bytes, area: float) -> torch.Tensor:
        self.keys.append(key)
        return -self.image

    def mask(self, area: float) -> torch.Tensor:
        return torch.ones(1, 1, 8, 8)


def test_every_pair_has_its_own_key_and_is_drawn_once(tmp_path, monkeypatch):
    monkeypatch.setattr(pairs_module, "depends_on", lambda *_: {})
    monkeypatch.setattr(pairs_module, "fingerprints_of", lambda _: {})
    monkeypatch.setattr(pairs_module, "Subject", Tool)
    monkeypatch.setattr(Tool, "keys", [])
    faces = [(f"generated {i}", lambda i=i: torch.full((1, 3, 8, 8), 0.1 * i)) for i in range(6)]
    monkeypatch.setattr(pairs_module, "_generated", lambda _, count: faces[:count])
    judges = SimpleNamespace(judges=[JUDGE], embed=lambda image: {"stranger": image.flatten()[:2]})
    state: Path = tmp_path / "state"
    for count in (4, 6):
        found = make_pairs(None, {"generated": count}, judges, Protocol(), [], state)["stranger"]
        assert len(found.before) == count
    assert len(Tool.keys) == len(set(Tool.keys)) == 6  # the first four were kept
    assert not {Protocol().key(), Protocol().key(attacker=True)} & set(Tool.keys)
    assert found.after[3].allclose(-found.before[3], atol=0.01)
    assert (found.surroundings == found.surroundings[0]).all()  # all of it is hidden
