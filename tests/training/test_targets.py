"""Virtual identities of many faces at once are those of one after the other."""

import pytest
import torch

from anonlab.controls import KEEP
from anonlab.identity.virtual import identity_paths, random_orthogonal

COUNT = 12


@pytest.mark.parametrize("keep", [KEEP, ("age",), ("gender", "look"), ()])
def test_each_row_is_the_identity_of_that_person(population, keep, rng):
    noise = torch.randn(COUNT, population.embeddings.shape[1], generator=rng())
    embeddings = population.embeddings[:COUNT] + 0.05 * noise
    labels, rotation = population.read(embeddings), random_orthogonal(64, b"key", 0)[None]
    turn = 2 * torch.rand(COUNT, 1, generator=rng(1))
    together = identity_paths(population, embeddings, labels, rotation, keep, turn)
    rows = zip(embeddings.split(1), labels.split(1), turn.split(1), strict=True)
    alone = [identity_paths(population, *row[:2], rotation, keep, row[2]) for row in rows]
    for found, one_by_one in (
        (together.origin, torch.cat([one.origin for one in alone])),
        (together.targets(), torch.cat([one.targets() for one in alone])),
    ):
        torch.testing.assert_close(found, one_by_one, atol=1e-4, rtol=1e-4)
