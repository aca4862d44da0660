"""Virtual identities: stable, keyed, different for different people, hard to undo."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from anonlab.controls import KEEP
from anonlab.errors import UnknownOption
from anonlab.identity.population import COLUMNS, LOOKS, MEMBERS, Attributes, Population, skin_tones
from anonlab.identity.virtual import (
    BEYOND,
    TURN,
    Identity,
    IdentityPath,
    identity_path,
    identity_paths,
    keyed,
    random_orthogonal,
)
from anonlab.weights import store

KEY = b"a secret of at least 16 bytes"


ROWS = list(range(0, 2000, 40))


@pytest.fixture(scope="module")
def everybody() -> dict[str, torch.Tensor]:
    return store.load_shipped("population")


@pytest.fixture(scope="module")
def population(everybody) -> Population:
    """The reference population without the fifty who play the users."""
    others = torch.ones(len(everybody["age"]), dtype=torch.bool)
    others[ROWS] = False
    return Population({key: x[others[: len(x)]] for key, x in everybody.items() if key != "mean"})


@pytest.fixture(scope="module")
def people(everybody):
    """Fifty of the population as users: embeddings and their attributes."""
    x = {key: value.float() for key, value in everybody.items()}
    read = [Attributes(*(x[name][i].item() for name in ("gender", "age", "tone"))) for i in ROWS]
    return [*zip(x["embeddings"][ROWS].split(1), read, strict=True)]


def virtual_identity(population, embedding, attributes, key, strength=1.0, **options) -> Identity:
    return identity_path(population, embedding, attributes, key, **options).at(strength)


def targets(population, people, **options) -> torch.Tensor:
    options = {"key": KEY} | options
    return torch.cat([virtual_identity(population, *person, **options).target for person in people])


def test_key_and_seed_draw_the_same_in_every_release():
    assert keyed(KEY, 7).initial_seed() == 393617554509238337
    known = [[0.5583, -0.1088, -0.8224], [-0.6789, 0.5098, -0.5284], [-0.4768, -0.8534, -0.2107]]
    torch.testing.assert_close(random_orthogonal(3, KEY, 7), torch.tensor(known), atol=1e-4, rtol=0)
    corner = random_orthogonal(64, KEY, 7)[:2, :2]  # of one as large as turns a person
    known = [[0.2907, 0.0817], [-0.1607, 0.0611]]
    torch.testing.assert_close(corner, torch.tensor(known), atol=1e-4, rtol=0)


def test_a_path_is_an_arc_whose_radius_grows_to_the_groups():
    """Of two people, at distances 2 and 5 from their mean, in a group of radius 4."""
    right, up = torch.tensor([[1.0, 0.0]] * 2), torch.tensor([[0.0, 1.0]] * 2)
    source, four = torch.tensor([[2.0, 1.0], [5.0, 1.0]]), torch.full((2, 1), 4.0)
    path = IdentityPath(source, up, right, up, torch.full((2, 1), math.pi / 2), four)
    half = math.sqrt(0.5)
    for at, expected in {
        (0.0, 0.0): source,
        (0.5, 0.0): torch.tensor([[3 * half, 1 + 3 * half], [5 * half, 1 + 5 * half]]),
        (1.0, 0.0): torch.tensor([[0.0, 5.0], [0.0, 6.0]]),
        (1.0, math.pi / 2): torch.tensor([[-4.0, 1.0], [-5.0, 1.0]]),
        (0.5, math.pi / 2): torch.tensor([[0.0, 4.0], [0.0, 6.0]]),
    }.items():
        torch.testing.assert_close(path.targets(*at), expected)
    assert torch.equal(path.targets(), path.targets(1.0, 0.0))
    assert torch.equal(path.aim(), path.targets(1.0, BEYOND))
    assert torch.equal(path.aim(0.5), path.targets(0.5, BEYOND))
    alone = IdentityPath(*(part[:1] for part in vars(path).values())).at(0.5)
    assert alone.cosine == pytest.approx(half) and torch.equal(alone.origin, up[:1])
    assert torch.equal(alone.target, path.targets(0.5)[:1])


@pytest.mark.parametrize("keep", [(), ("age",), KEEP])
def test_origin_direction_and_radius_are_those_of_the_formula(population, people, keep):
    (embedding, attributes), kept = people[4], [at for name in keep for at in COLUMNS[name]]
    path = identity_path(population, embedding, attributes, KEY, seed=3, keep=keep)
    members = population.membership(population.labels(embedding, [attributes]), keep)
    squares = (population.embeddings - path.origin).square().sum(1)
    assert path.group_radius.item() == pytest.approx((members @ squares).sqrt().item(), rel=1e-4)
    assert path.angle.item() == pytest.approx(math.pi - TURN)
    torch.testing.assert_close(path.axis, F.normalize(embedding - path.origin))
    assert path.direction.norm().item() == pytest.approx(1)
    assert abs((path.direction * path.axis).sum()) < 1e-3
    assert (path.direction @ population.readout)[:, kept].abs().sum() < 1e-3
    wanted = population.read(embedding)
    wanted[:, 0] = wanted[:, 0].abs().clamp_min(1) * math.copysign(1, attributes.gender)
    torch.testing.assert_close(
        population.read(path.origin)[:, kept], wanted[:, kept], atol=1e-3, rtol=1e-3
    )
    if not keep:
        torch.testing.assert_close(path.origin, members @ population.embeddings)
        whitened = path.axis @ population.directions.T / population.spread
        rotated = whitened @ random_orthogonal(len(population.spread), KEY, 3).T
        drawn = rotated * population.spread @ population.directions
        drawn = F.normalize(drawn - (drawn * path.axis).sum() * path.axis)
        torch.testing.assert_close(path.direction, drawn, atol=1e-4, rtol=0)


def test_people_have_the_paths_together_that_they_have_alone(population, people):
    embeddings = torch.cat([embedding for embedding, _ in people[:3]])
    labels = population.labels(embeddings, [attributes for _, attributes in people[:3]])
    rotation = random_orthogonal(64, KEY, 0)
    together = vars(identity_paths(population, embeddings, labels, rotation[None]))
    for at, person in enumerate(people[:3]):
        alone = vars(identity_path(population, *person, KEY))
        for name, part in together.items():
            torch.testing.assert_close(part[at : at + 1], alone[name], atol=1e-4, rtol=1e-4)


def test_same_key_and_seed_same_identity_else_another(population, people):
    first = targets(population, people[:5])
    assert torch.equal(first, targets(population, people[:5]))
    for other in ({"seed": 1}, {"key": b"another secret, also long"}):
        assert (first - targets(population, people[:5], **other)).norm(dim=1).min() > 0.3


def test_target_is_beyond_the_threshold_from_the_person(population, recognizer, people):
    sources = torch.cat([embedding for embedding, _ in people])
    away = (targets(population, people) - sources).norm(dim=1)
    assert (away > recognizer.threshold).float().mean() >= 0.85  # with the look kept; aims lie farther
    assert away.mean() > 0.65


def test_ten_seeds_are_ten_people(population, recognizer, people):
    ten = torch.cat([targets(population, people[3:4], seed=seed) for seed in range(10)])
    apart = torch.pdist(ten)
    assert apart.mean() > recognizer.threshold
    assert apart.min() > 0.4
    assert (ten - people[3][0]).norm(dim=1).min() > recognizer.threshold


def test_different_people_stay_different_with_one_seed(population, people):
    sources = torch.cat([embedding for embedding, _ in people])
    assert torch.pdist(targets(population, people)).mean() > 0.6 * torch.pdist(sources).mean()


def test_a_slightly_different_photo_gets_nearly_the_same_identity(population, recognizer, people):
    rng = torch.Generator().manual_seed(0)
    embedding, attributes = people[0]
    noise = torch.randn(1, 128, generator=rng)
    other = embedding + 0.3 * noise / noise.norm()  # two photos of one person
    pair = [virtual_identity(population, e, attributes, KEY).target for e in (embedding, other)]
    assert (pair[0] - pair[1]).norm() < recognizer.threshold


def test_strength_goes_from_the_person_to_the_identity(population, people):
    embedding, attributes = people[7]
    path = identity_path(population, embedding, attributes, KEY)
    away = [(path.at(x).target - embedding).norm().item() for x in (0.0, 0.25, 0.5, 0.75, 1.0)]
    assert away[0] < 1e-4
    assert away == sorted(away)


def test_kept_attributes_read_the_same_and_free_ones_do_not(population, people):
    read = population.read  # gender, age, tone, look
    own = read(torch.cat([embedding for embedding, _ in people]))
    kept = (read(targets(population, people)) - own).abs()
    assert kept[:, 1:].max() < 1e-3
    free = (read(targets(population, people, keep=())) - own).abs().mean(0)
    assert (free > torch.tensor([0.5, 5.0, 10.0] + LOOKS * [0.4])).all()
    for name in ("age", "look"):
        alone = (read(targets(population, people, keep=(name,))) - own).abs()
        assert alone[:, COLUMNS[name]].max() < 1e-3 < 0.3 < alone[:, 0].mean()


def test_a_kept_gender_is_a_whole_one(population, people):
    """A person in whom it is read as half of one gets an identity in which it is not."""
    gender = population.read(targets(population, people))[:, 0]
    theirs = torch.tensor([attributes.gender for _, attributes in people])
    assert (gender * theirs.sign() >= 0.999).all()
    read = population.read(torch.cat([embedding for embedding, _ in people]))[:, 0]
    assert read.abs().min() < 0.5  # so that it was asked of somebody
    assert (gender.abs() < read.abs().clamp_min(1) + 0.2).all()  # and no more
    embedding, attributes = people[0]
    for given, whole in ((-0.3, -1), (0.0, 1), (0.3, 1)):  # nor does half a label give half a one
        target = targets(population, [(embedding, replace(attributes, gender=given))])
        assert population.read(target)[0, 0] * whole >= 0.999


def test_who_knows_the_method_but_not_the_key_cannot_undo_it(population, people):
    """Reflect each target back about its group's mean and look it up among the people."""
    sources = torch.cat([embedding for embedding, _ in people])
    hits = []
    for key in (KEY, KEY * 2, KEY * 3, KEY * 4):
        for index, person in enumerate(people):
            identity = virtual_identity(population, *person, key)
            undone = identity.origin - identity.target
            hits.append(F.cosine_similarity(undone, sources - identity.origin).argmax().item() == index)
    # a plain reflection gives 1, chance is 0.02; this attacker knows the exact target, of which a photo
    # shows only an approximation
    assert np.mean(hits) <= 0.1


def test_group_is_people_of_that_kind(population):
    labels = torch.tensor([[1.0, 60.0, 20.0, *population.look[7].tolist()], [-1, 30, 40, *LOOKS * [0]]])
    weights = population.membership(labels, KEEP)
    torch.testing.assert_close(weights.sum(1), torch.ones(2))
    torch.testing.assert_close(weights[:1], population.membership(labels[:1], KEEP))  # each row alone
    weight = weights[0]
    assert (weight * (population.gender < 0)).sum() < 0.1
    assert (weight * population.age).sum() > population.age.mean() + 10
    away = (population.look - population.look[7]).norm(dim=1)
    assert (weight * away).sum() < 0.8 * away.mean()
    assert 1 / weight.square().sum() >= MEMBERS  # few are 60, but the group is no single person
    everybody = population.membership(labels[:1], ())
    torch.testing.assert_close(everybody, torch.full_like(everybody, 1 / len(population.age)))


@pytest.mark.parametrize("options", [{"strength": 1.5}, {"strength": -0.1}, {"keep": ("hair",)}])
def test_unknown_options_are_refused(population, people, options):
    with pytest.raises(UnknownOption):
        virtual_identity(population, *people[0], KEY, **options)


def test_skin_tone_is_high_for_light_skin():
    def face(rgb):
        return (torch.tensor(rgb)[None, :, None, None] / 127.5 - 1).expand(1, 3, 256, 256)

    light, dark = skin_tones(torch.cat([face([236.0, 205.0, 185.0]), face([95.0, 62.0, 42.0])]))
    assert light > 41  # "light" in Chardon's classes
    assert dark < -20  # "dark"
