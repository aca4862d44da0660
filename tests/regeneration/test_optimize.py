"""Every term of the latent optimisation does what it is for, seen alone on a toy that can be solved.

Its generator paints the four quarters of a picture, its recogniser reads their mean colours, and the
mask is the lower half.
"""

import pytest
import torch
import torch.nn.functional as F

from anonlab.identity.virtual import Identity
from anonlab.images import pasted
from anonlab.recognizers import distance
from anonlab.regeneration.optimize import LatentOptimConfig, optimize_latents

SIZE, ROWS = 64, 2  # a toy needs no more pixels
OFF = dict.fromkeys(
    ("pixels", "colours", "perceptual", "identity", "source", "distance", "spread", "prior"), 0.0
)


class Quarters:
    """`ws (1, 2, 12)` to a picture whose four quarters have the colours of the mean row."""

    num_ws, w_avg, w_std = ROWS, torch.zeros(12), torch.ones(12)

    def synthesis(self, ws, resolution):
        return F.interpolate(ws.mean(1).view(-1, 3, 2, 2), size=(resolution, resolution))


class Colours:
    """The mean colours of the quarters, `(N, 12)`; also a perceptual distance by them."""

    metric, threshold, mean = "euclidean", 0.6, torch.zeros(12)

    def embed(self, images):
        return F.adaptive_avg_pool2d(images, 2).flatten(1)

    def features(self, images):
        return [self.embed(images)]

    def compare(self, a, b):
        return (a[0] - b[0]).square().mean(1)


@pytest.fixture(autouse=True)
def small(monkeypatch):
    monkeypatch.setattr("anonlab.regeneration.optimize.FACE_SIZE", SIZE)


@pytest.fixture
def photo() -> torch.Tensor:
    codes = torch.linspace(0.3, 0.8, 12).expand(1, ROWS, 12)
    return Quarters().synthesis(codes, SIZE)


@pytest.fixture
def mask() -> torch.Tensor:
    mask = torch.zeros(1, 1, SIZE, SIZE)
    mask[..., SIZE // 2 :, :] = 1
    return mask


def half(values: torch.Tensor, row: int) -> torch.Tensor:
    """Of numbers `(…, 12)` those of the upper quarters (0) or of the lower ones (1), `(…, 6)`."""
    return values.unflatten(-1, (3, 2, 2))[..., row, :].flatten(-2)


def solved(photo, mask, start=None, steps=40, target=None, wanted=None, cosine=-1.0, **weights):
    """The codes `(1, 2, 12)` that these terms alone lead to."""
    source = Colours().embed(photo)
    target = source if target is None else target
    identity = Identity(target, torch.zeros(1, 12), cosine)
    return optimize_latents(
        Quarters(), Colours(), Colours(), photo, mask, identity,
        torch.zeros(1, ROWS, 12) if start is None else start, steps, wanted,
        LatentOptimConfig(**OFF | weights),
    )  # fmt: skip


def composite_embedding(photo, mask, ws) -> torch.Tensor:
    return Colours().embed(pasted(photo, Quarters().synthesis(ws, SIZE), mask))


def test_pixels_are_fitted_outside_the_mask_and_not_under_it(photo, mask):
    ws = solved(photo, mask, pixels=4.0).mean(1)
    wanted = Colours().embed(photo)
    assert (half(ws, 0) - half(wanted, 0)).abs().max() < 0.1
    assert half(ws, 1).abs().max() < 1e-6


@pytest.mark.parametrize(("term", "weight", "miss"), [("colours", 1.0, 0.1), ("perceptual", 3.0, 0.2)])
def test_colours_are_fitted_everywhere(photo, mask, term, weight, miss):
    ws = solved(photo, mask, **{term: weight}).mean(1)
    assert (ws - Colours().embed(photo)).abs().max() < miss


def test_the_identity_is_approached_as_far_as_its_goal(photo, mask):
    source = Colours().embed(photo)
    sign = torch.where(torch.arange(12).view(3, 2, 2).flatten(1) % 4 < 2, 1.0, -1.0).flatten()
    target = source * sign  # the upper half as it is, the lower one reversed
    before = F.cosine_similarity(composite_embedding(photo, mask, torch.zeros(1, ROWS, 12)), target)
    ws = solved(photo, mask, target=target, identity=1.0, goal=0.95)
    after = F.cosine_similarity(composite_embedding(photo, mask, ws), target)
    assert before < 0.8 and after > 0.9
    content = solved(photo, mask, target=target, identity=1.0, goal=0.5)
    assert content.abs().max() < 1e-6  # near enough from the start


def test_the_person_is_left_as_far_as_the_identity_is(photo, mask):
    source = Colours().embed(photo)
    own = source.expand(1, ROWS, 12)
    away = solved(photo, mask, start=own, source=1.0)
    assert F.cosine_similarity(composite_embedding(photo, mask, away), source) < 0.8
    allowed = solved(photo, mask, start=own, cosine=1.0, source=1.0)
    torch.testing.assert_close(allowed, own)  # an identity that is as near may be


@pytest.mark.parametrize("wanted", [0.3, 0.9])
def test_a_distance_that_was_asked_for_is_held(photo, mask, wanted):
    source = Colours().embed(photo)
    ws = solved(photo, mask, start=source.expand(1, ROWS, 12), wanted=wanted, distance=4.0, steps=80)
    reached = distance(Colours(), composite_embedding(photo, mask, ws), source).item()
    assert reached == pytest.approx(wanted, abs=0.1)


def test_rows_come_together_and_codes_go_to_the_average(photo, mask):
    rows = torch.stack([torch.full((12,), 1.0), torch.full((12,), -0.5)])[None]
    together = solved(photo, mask, start=rows, spread=1.0)
    assert (together[:, 0] - together[:, 1]).abs().max() < 0.5
    assert together.mean().item() == pytest.approx(0.25, abs=0.05)
    average = solved(photo, mask, start=rows, prior=1.0)
    assert average.abs().max() < 0.5


def test_without_any_term_nothing_moves(photo, mask):
    start = torch.linspace(-1, 1, 24).view(1, ROWS, 12)
    torch.testing.assert_close(solved(photo, mask, start=start), start)
