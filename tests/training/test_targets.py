"""Virtual identities of many faces at once are those of one after the other."""

import math

import pytest
import torch

from anonlab.controls import KEEP
from anonlab.identity.population import Attributes, Population
from anonlab.identity.virtual import TURN, identity_path, identity_paths, random_orthogonal
from anonlab.training.targets import wanted_identities

COUNT = 12


def attributes(population, embeddings, pictures) -> list[Attributes]:
    pairs = zip(embeddings.split(1), pictures.split(1), strict=True)
    return [population.attributes(*pair) for pair in pairs]


@pytest.fixture(scope="module")
def people() -> tuple[Population, torch.Tensor, torch.Tensor]:
    """The population, embeddings near some of its people, and pictures of several tones."""
    population, rng = Population.load(), torch.Generator().manual_seed(0)
    noise = 0.05 * torch.randn(COUNT, population.embeddings.shape[1], generator=rng)
    pictures = torch.rand(COUNT, 3, 256, 256, generator=rng) * 0.4
    pictures = pictures + torch.linspace(-0.8, 0.5, COUNT)[:, None, None, None]
    return population, population.embeddings[:COUNT] + noise, pictures


def test_each_row_is_the_identity_of_that_person(people) -> None:
    population, embeddings, pictures = people
    turn = 2 * torch.rand(COUNT, 1, generator=torch.Generator().manual_seed(1))
    alone = attributes(population, embeddings, pictures)
    rotation = random_orthogonal(64, b"key", 0)[None]
    for keep in (KEEP, ("age",), ("gender", "look"), ()):
        together = identity_paths(
            population, embeddings, population.labels(embeddings, alone), rotation, keep, turn
        )
        for i, one in enumerate(embeddings.split(1)):
            path = identity_path(population, one, alone[i], b"key", 0, keep, turn[i].item())
            torch.testing.assert_close(together.origin[i : i + 1], path.origin, atol=1e-5, rtol=1e-4)
            target = together.targets()[i : i + 1]
            torch.testing.assert_close(target, path.at(1.0).target, atol=1e-4, rtol=1e-4)


def test_the_first_is_a_users_and_the_others_are_of_a_wider_family(people) -> None:
    population, embeddings, pictures = people
    found = wanted_identities(population, embeddings, pictures, seed=0)
    assert found.shape == (COUNT, 4, embeddings.shape[1])
    assert torch.equal(found, wanted_identities(population, embeddings, pictures, seed=0))
    assert not torch.equal(found, wanted_identities(population, embeddings, pictures, seed=1))
    alone = attributes(population, embeddings, pictures)
    labels = population.labels(embeddings, alone)
    origins = identity_paths(population, embeddings, labels, torch.eye(64)[None]).origin
    away = torch.nn.functional.normalize(embeddings - origins, dim=1)[:, None]
    new = torch.nn.functional.normalize(found - origins[:, None], dim=2)
    cosines = (away * new).sum(2)
    usual = math.cos(math.pi - TURN)  # but for what is kept
    torch.testing.assert_close(cosines[:, 0].mean(), torch.tensor(usual), atol=0.05, rtol=0)
    assert cosines[:, 0].std() < 0.1 < 0.3 < cosines[:, 1:].std()
