"""Attribution by Captum: one contract for every method, and what each of them promises."""

from functools import partial

import pytest
import torch
from small import seeded

from anonlab.controls import PERCEPTIONS
from anonlab.errors import UnknownOption
from anonlab.images import blurred, resize
from anonlab.metrics.faithfulness import deletion_curve, random_ranking
from anonlab.perception import attribution
from anonlab.perception.attribution import AttributionInputs, identity_score
from anonlab.perception.perception import NEED_GRADIENTS, Perception, as_map
from anonlab.perception.regions import region_masks

ASKED = [method for method in PERCEPTIONS if method != "network"]


class Corner:
    """A recogniser without gradients that sees only the upper left quarter."""

    name, dim, metric, threshold = "corner", 768, "euclidean", 1.0
    far, differentiable, box = 0.0, False, (0, 0, 512, 512)
    mean = torch.zeros(768)

    def embed(self, images: torch.Tensor) -> torch.Tensor:
        half = images.shape[-1] // 2
        return resize(images.detach()[..., :half, :half], 16).flatten(1)


@pytest.fixture(scope="module")
def perception(recognizer, population):
    return Perception(recognizer, population)


@pytest.fixture(scope="module")
def points(perception, face):
    return perception.landmarks(face).detach()


@pytest.mark.parametrize("method", ASKED)
def test_every_method_maps_the_face_between_0_and_1_and_beats_chance(
    recognizer, face, points, perception, method
):
    heat = perception(face, method, steps=8)
    assert heat.shape == (1, 1, 256, 256) and torch.isfinite(heat).all()
    assert heat.min() >= 0 and heat.max() == 1
    if method == "layer_grad_cam":
        return  # its cells are many pixels wide
    inside = sum(region_masks(points).values())
    assert inside.mean() < 0.4
    assert (heat * inside).sum() > 0.75 * heat.sum()
    found, chance = (
        deletion_curve(recognizer, face, ranking, [0.1])[0]
        for ranking in (heat, random_ranking(256, seeded(0)))
    )
    assert found > 1.5 * chance


@pytest.mark.parametrize("baseline", ["blurred", "noise"])
def test_integrated_gradients_are_complete_whatever_the_baseline(recognizer, face, baseline):
    ask = partial(AttributionInputs, recognizer, face, baseline=baseline)  # each with the same noise
    start, score = ask().baseline_image(), ask().score()
    with torch.no_grad():
        difference = (score(face) - score(start)).item()
    assert difference > 0.5  # the person is not in the baseline
    total = attribution.integrated_gradients(ask(steps=40)).sum().item()
    assert abs(total - difference) <= 0.06 * difference


def test_occlusion_is_what_its_window_costs_and_zero_where_nobody_looks(face):
    recognizer = Corner()
    signed = attribution.occlusion(AttributionInputs(recognizer, face))
    hidden = face.clone()
    hidden[..., :32, :32] = blurred(face, 16)[..., :32, :32]
    score = identity_score(recognizer, recognizer.embed(face))
    # only the first window reaches the first 16 pixels, and the last ones to matter end at 144
    torch.testing.assert_close(
        signed[0, 0, 8, 8], (score(face) - score(hidden))[0], rtol=1e-3, atol=1e-7
    )
    assert signed[..., :128, :128].abs().max() > 1e-4
    assert signed[..., 144:, :].abs().max() < 1e-6
    assert signed[..., 144:].abs().max() < 1e-6


@pytest.mark.parametrize("method", sorted(NEED_GRADIENTS))
def test_asking_leaves_the_picture_and_the_recogniser_as_they_were(perception, face, method):
    before, recognizer = face.clone(), perception.recognizer
    perception(face, method, steps=8)
    assert torch.equal(face, before)
    assert not face.requires_grad and face.grad is None
    assert not any(weight.requires_grad for weight in recognizer.parameters())
    assert not any(part._forward_hooks or part._backward_hooks for part in recognizer.modules())


def test_without_impostors_the_slope_is_refused_with_the_reason(recognizer, face):
    for method in ("saliency", "input_x_gradient", "smooth_grad", "layer_grad_cam"):
        with pytest.raises(UnknownOption, match=r"gradient .* is zero; pass impostors"):
            Perception(recognizer)(face, method)


def test_a_recogniser_without_gradients_is_asked_only_what_needs_none(face):
    perception = Perception(Corner())
    for method in NEED_GRADIENTS:
        with pytest.raises(UnknownOption, match=f"corner has no gradients, which {method} needs"):
            perception(face, method)
    heat = perception(face, "occlusion")
    assert heat.max() == 1
    assert heat[..., :128, :128].sum() > 0.8 * heat.sum()


def test_grad_cam_is_refused_where_a_recogniser_names_no_layer(recognizer, population, face):
    class Bare(torch.nn.Module):
        name, differentiable, embed = "bare", True, recognizer.embed

    with pytest.raises(UnknownOption, match="bare has no layer for Grad-CAM"):
        Perception(Bare(), population)(face, "layer_grad_cam")


def test_the_network_answers_only_for_the_recogniser_it_learned_from(face):
    with pytest.raises(UnknownOption, match="learned from dlib"):
        Perception(Corner())(face, "network")


def test_a_map_is_the_sum_of_absolute_colours_over_its_maximum():
    signed = torch.zeros(1, 3, 16, 16)
    signed[0, :, 2, 3] = torch.tensor([1.0, -2.0, 1.0])
    signed[0, 0, 9, 9] = -1.0
    heat = as_map(signed, smoothing=0)
    assert heat[0, 0, 2, 3] == 1
    assert heat[0, 0, 9, 9] == 0.25
    assert heat.sum() == 1.25
    assert (as_map(torch.zeros(1, 3, 16, 16)) == 0).all()
