"""Photos that come with anonlab: a name is always one picture, and a view another of the same person."""

import pytest
import torch

from anonlab.errors import UnknownOption
from anonlab.metrics.privacy import linkage, pairwise
from anonlab.notebook.samples import sample_photo
from anonlab.photo.faces import align
from anonlab.photo.photos import read_photo
from anonlab.recognizers import distance


@pytest.fixture(scope="module")
def embedded(generator, recognizer, detector) -> tuple[torch.Tensor, torch.Tensor]:
    """Three generated people in both of their photos: embeddings `(3, dim)` each."""

    def embed(name: str) -> torch.Tensor:
        seen = read_photo(sample_photo(name, generator))
        return recognizer.embed(align(seen, detector(seen)[0], 512))

    with torch.no_grad():
        return tuple(
            torch.cat([embed(f"synthetic-{seed}{view}") for seed in (100, 101, 102)])
            for view in ("", "-1")
        )


def test_a_view_is_the_same_person(recognizer, embedded):
    first, second = embedded
    assert (distance(recognizer, first, second) < 0.6).all()
    assert linkage(pairwise(recognizer, second, first)) == 1


@pytest.mark.parametrize(
    "name", ["nobody", "synthetic-", "synthetic-x", "synthetic-1-2-3", "astronaut-1"]
)
def test_another_name_is_refused(generator, name):
    with pytest.raises(UnknownOption, match="does not exist"):
        sample_photo(name, generator)
