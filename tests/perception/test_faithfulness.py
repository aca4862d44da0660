"""Tests of maps: what deletion, insertion, rank correlation and stability measure."""

import pytest
import torch
from small import seeded

from anonlab.images import blurred
from anonlab.metrics.faithfulness import (
    compare_methods,
    deletion_curve,
    disc_ranking,
    insertion_curve,
    random_ranking,
    stability,
)
from anonlab.recognizers import distance


def grey(image: torch.Tensor) -> torch.Tensor:
    """A map that moves exactly with the picture."""
    return image.mean(1, keepdim=True)


def test_deletion_goes_from_the_face_to_its_blur_and_insertion_back(recognizer, face):
    with torch.no_grad():
        whole = distance(recognizer, recognizer.embed(blurred(face, 16)), recognizer.embed(face)).item()
    assert whole > recognizer.threshold
    disc = disc_ranking(256)
    deleted = deletion_curve(recognizer, face, disc, [0, 0.1, 1])
    inserted = insertion_curve(recognizer, face, disc, [0, 0.1, 1])
    assert deleted == pytest.approx([0, deleted[1], whole], abs=1e-5)
    assert inserted == pytest.approx([whole, inserted[1], 0], abs=1e-5)
    assert 0.1 < deleted[1] < whole
    assert 0.1 < inserted[1] < whole


def test_a_map_that_moves_with_the_picture_is_stable_and_a_random_one_is_not(face):
    rng = seeded(5)
    assert stability(grey, face, seeded(0)) > 0.999
    assert abs(stability(lambda _: random_ranking(256, rng), face, seeded(0))) < 0.05


class Centre:
    """A recogniser that sees only the middle of the face."""

    metric, threshold = "euclidean", 1.0

    def embed(self, images: torch.Tensor) -> torch.Tensor:
        return images[..., 108:172, 96:160].flatten(1)


class Stand:
    """Stage 1 with two methods: one moves with the picture, one likes the rim."""

    recognizer = Centre()

    def __call__(self, image: torch.Tensor, method: str) -> torch.Tensor:
        return {"grey": grey(image), "rim": -disc_ranking(256)}[method]


def test_methods_are_compared_with_a_disc_and_with_chance(face):
    areas = (0.05, 0.2)
    table = compare_methods(Stand(), [face], ["grey", "rim"], areas)
    assert list(table) == ["grey", "rim", "disc in the centre", "random"]
    disc, rim = table["disc in the centre"], table["rim"]
    deleted = deletion_curve(Centre(), face, disc_ranking(256), [*areas, 0.1])
    inserted = insertion_curve(Centre(), face, disc_ranking(256), areas)
    assert disc["deletion_at_10"] == pytest.approx(deleted[2], rel=1e-5)
    assert disc["deletion"] == pytest.approx((deleted[0] + deleted[1]) / 2, rel=1e-5)
    assert disc["insertion"] == pytest.approx((inserted[0] + inserted[1]) / 2, rel=1e-5)
    assert disc["deletion"] > table["random"]["deletion"] > rim["deletion"]
    assert disc["insertion"] < table["random"]["insertion"] < rim["insertion"]
    assert table["grey"]["stability"] > 0.999 > 0.05 > abs(table["random"]["stability"])
    won = {name: row["beats_disc"] for name, row in table.items()}
    assert won == {"grey": 0, "rim": 0, "disc in the centre": 0, "random": 0}
