"""Virtual identities of many faces at once are those of one after the other."""

import pytest
import torch

from anonlab.controls import KEEP
from anonlab.identity.population import Attributes, Population
from anonlab.identity.virtual import identity_path, identity_paths, random_orthogonal

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


def test_each_row_is_the_identity_of_that_person(people):
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
