"""What texture and expression tell of a face, and what the dark may not."""

import math

import pytest
import torch

from anonlab.encoding.correction import NOISY
from anonlab.encoding.start import brightened, noise_of
from anonlab.errors import WeightsCorrupt, WeightsMissing
from anonlab.images import blurred, resize
from anonlab.metrics.estimators import ExpressionEstimator
from anonlab.perception.networks import EXPRESSIONS, load_expression, load_glasses
from anonlab.perception.texture import FAINT, texture
from anonlab.training.synthetic import draw_codes


def test_texture_is_contrast_and_not_light(astronaut_face):
    read = texture(astronaut_face)
    assert read.shape == (1, 1024)
    assert texture(0.5 * astronaut_face + 0.4).sub(texture(0.5 * astronaut_face)).abs().max() < 1e-3
    assert (texture(blurred(astronaut_face, 4.0)) <= read + 0.05).float().mean() > 0.95
    assert texture(torch.full_like(astronaut_face, 0.3)).sub(math.log(FAINT)).abs().max() < 1e-3


@torch.no_grad()
def test_the_network_of_expressions_says_what_its_teacher_says(generator, astronaut_face):
    said = load_expression()(astronaut_face)
    assert EXPRESSIONS[said.argmax()] == "happy" and said.mean().abs() < 1e-5  # she smiles
    try:
        teacher = ExpressionEstimator()
    except (WeightsMissing, WeightsCorrupt) as error:
        pytest.skip(str(error))
    ws = draw_codes(generator, 24, torch.Generator().manual_seed(77))
    faces = torch.cat([generator.synthesis(row[None], 256).clamp(-1, 1) for row in ws])
    happy = torch.stack(
        [one(faces)[:, EXPRESSIONS.index("happy")] for one in (load_expression(), teacher)]
    )
    assert torch.corrcoef(happy)[0, 1] > 0.8


@torch.no_grad()
def test_noise_of_the_dark_is_no_glasses(astronaut_face):
    rng, glasses = torch.Generator().manual_seed(0), load_glasses()
    assert torch.allclose(brightened(astronaut_face), astronaut_face, atol=1e-5)
    dark = (0.08 * (resize(astronaut_face, 512) + 1) - 1).expand(4, -1, -1, -1)
    noisy = (dark + 0.06 * torch.randn(dark.shape, generator=rng)).clamp(-1, 1)
    assert glasses(brightened(noisy)).mean() < -1 < glasses(noisy).mean()
    assert noise_of(astronaut_face) < NOISY < noise_of(noisy).min()
