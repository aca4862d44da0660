"""Independent estimators, and what is read of 68 points."""

import pytest
import torch
from population import AgeEstimator, codes, even_tones

from anonlab.errors import WeightsMissing
from anonlab.metrics.estimators import AttributeEstimator
from anonlab.perception.networks import interocular, landmark_error, openings


@pytest.fixture
def closed() -> torch.Tensor:
    """68 points with closed mouth and eyes, 0.4 from eye to eye: `(1, 68, 2)`."""
    points = torch.rand(1, 68, 2, generator=torch.Generator().manual_seed(0))
    points[:, 36], points[:, 45] = torch.tensor([0.3, 0.5]), torch.tensor([0.7, 0.5])
    for one, other in ((61, 67), (62, 66), (63, 65), (37, 41), (38, 40), (43, 47), (44, 46)):
        points[:, other] = points[:, one]
    return points


def test_interocular_and_landmark_error_of_known_points(closed):
    assert interocular(closed).tolist() == pytest.approx([0.4])
    moved = torch.cat([closed, closed + torch.tensor([0.03, 0.04])])  # by 0.05
    error = landmark_error(moved, closed.expand(2, -1, -1))
    assert error.tolist() == pytest.approx([0, 0.125], abs=1e-6)


def test_openings_of_a_lowered_lip_and_of_one_opened_eye(closed):
    assert openings(closed).tolist() == [[0, 0, 0]]
    lip, eye = closed.clone(), closed.clone()
    lip[:, 65:68, 1] += 0.08
    eye[:, 40:42, 1] += 0.04
    torch.testing.assert_close(openings(lip), torch.tensor([[0.08 / 0.4, 0, 0]]), rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(openings(eye), torch.tensor([[0, 0.04 / 0.4, 0]]), rtol=1e-4, atol=1e-6)
    assert landmark_error(lip, closed).item() == pytest.approx(3 / 68 * 0.08 / 0.4, rel=1e-4)


def test_estimators_read_the_population_as_it_was_labelled(exact, population):
    with torch.no_grad():
        images = [exact.synthesis(exact.broadcast(w), 256) for w in codes(exact, 3).split(1)]
    drawn = torch.cat(images).clamp(-1, 1)
    assert torch.equal(AttributeEstimator()(drawn)[0], population.gender[:3])
    try:
        estimate = AgeEstimator()
    except WeightsMissing as error:
        pytest.skip(str(error))
    torch.testing.assert_close(estimate(drawn), population.age[:3], rtol=0, atol=0.5)


def test_people_are_chosen_evenly_over_the_tones_that_their_codes_tell(generator):
    w = codes(generator, 20_000)
    tones = ((w - generator.w_avg) / generator.w_std).mean(1)  # told exactly
    chosen = even_tones(w, tones[:500], generator)
    assert chosen.min() >= 500 and len(chosen.unique()) == len(chosen) > 300
    usual, even = (numbers.histc(4) for numbers in (tones[500:], tones[chosen]))
    assert even.max() / even.min() < 1.5 < usual.max() / usual.min()
