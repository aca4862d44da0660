"""What a choice of the virtual identity costs, asked of its targets."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from anonlab.evaluation.choice import (
    KEYS,
    agreement,
    by_agreement,
    choice_figure,
    in_blocks,
    partly_alone,
    point,
    targets,
    untouched,
)


@pytest.fixture(scope="module")
def views(population) -> torch.Tensor:
    """Thirty of the population, two views each, with a little noise between: `(30, 2, 128)`."""
    people = population.embeddings[::60][:30]
    noise = torch.randn(30, 128, generator=torch.Generator().manual_seed(0))
    return torch.stack([people, people + 0.01 * noise], 1)


def test_people_whose_views_agree_match_themselves_and_few_others(views):
    found = untouched(views, 0.5)
    assert found["consistency"] == 1
    assert 0 <= found["collapse"] < 0.2


def test_the_more_of_it_is_the_keys_alone_the_more_people_collapse(population, views):
    found = [point(population, views, 0.5, partly_alone(share), KEYS[:2]) for share in (0.0, 0.7, 1.0)]
    collapse = [one["collapse"] for one in found]
    assert collapse == sorted(collapse) and collapse[0] < 0.05 and collapse[2] > 0.4
    assert all(one["consistency"] > 0.9 for one in found)


def test_a_direction_of_the_key_alone_still_differs_between_keys(population, views):
    a, b = (targets(population, views[:, 0], key, partly_alone(1.0)) for key in KEYS[:2])
    assert (a - b).norm(dim=1).min() > 0.3


def test_blocks_keep_distances_and_the_spread_of_every_block(population):
    people = torch.randn(6, 64, generator=torch.Generator().manual_seed(0)) * population.spread
    axes = people @ population.directions
    turned = torch.stack([in_blocks(16)(population, axis, KEYS[0], 0) for axis in axes])
    torch.testing.assert_close(torch.pdist(turned), torch.pdist(axes), rtol=1e-4, atol=1e-5)
    back = turned @ population.directions.T
    for start in range(0, 64, 16):
        part = slice(start, start + 16)
        torch.testing.assert_close(back[:, part].norm(dim=1), people[:, part].norm(dim=1))
        assert F.cosine_similarity(back[:, part], people[:, part], dim=1).abs().mean() < 0.6


def test_what_differs_between_views_is_shrunk(population):
    """Views that differ in one component only: it agrees least, and no longer counts."""
    people = population.embeddings[:50]
    moved = 3 * population.spread[5] / len(population.embeddings) ** 0.5 * population.directions[5]
    views = torch.stack([people - moved, people + moved], 1)
    found = agreement(population, views)
    assert found[5] == pytest.approx(0.02)
    assert (found[torch.arange(64) != 5] > 0.99).all()
    draw = by_agreement(found, 4)
    one, other = (draw(population, view, KEYS[0], 0) for view in views[0])
    plain, far = (by_agreement(found, 0)(population, view, KEYS[0], 0) for view in views[0])
    assert (one - other).norm() < 1e-3 * (plain - far).norm()


def test_the_figure_marks_the_default_once_on_each_side():
    about = {"consistency": 0.5, "collapse": 0.01, "linkage": 0.1}
    found = {
        "people": 9, "views": 2, "untouched": about,
        "targets": [{"family": "x", "name": str(i), "default": i == 1} | about for i in range(3)],
        "drawn": [{"name": str(i), "default": i == 0, "st_lpips": 0.06, "linkage_auc": 0.7,
                   "people": 60} | about for i in range(2)],
    }  # fmt: skip
    for axis in choice_figure(found).axes:
        stars = [line for line in axis.lines if line.get_marker() == "*"]
        assert len(stars) == 1
