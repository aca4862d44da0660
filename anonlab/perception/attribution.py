"""Attribution methods, all by Captum: which pixels does a recogniser need to know this person?

Every method takes `AttributionInputs` and returns a signed map `(1, C, 256, 256)`. Of two questions one
is put against a *baseline image*: what makes the person appear, on the way from a face without identity?
The other against *impostors*: what tells the person from the most similar other people? The gradient of
a face's similarity to itself answers neither: at the maximum of similarity every slope is zero.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np
import torch
from captum.attr import (
    FeatureAblation,
    GradientShap,
    InputXGradient,
    IntegratedGradients,
    LayerGradCam,
    NoiseTunnel,
    Occlusion,
    Saliency,
)
from torch import nn

from ..controls import REGIONS
from ..errors import UnknownOption, check_choice
from ..images import blurred, resize
from ..recognizers import Recognizer, centred, crop
from .regions import region_masks

BLUR_SIGMA = 16.0  # of the baseline image, in pixels of 256: no recogniser matches anyone in it
STEPS = 40  # of the path; 24 miss completeness by up to 20 %, 40 by up to 5 %
AT_ONCE = 8  # pictures in the recogniser at a time, which keeps memory below 2 GB
IMPOSTORS = 8  # nearest people that the person is told from
WINDOW, STRIDE = 32, 16  # of occlusion, in pixels of 256


Score = Callable[[torch.Tensor], torch.Tensor]  # images (N, 3, S, S) to (N,)


@dataclass(frozen=True)
class AttributionInputs:
    """One question to one recogniser about one face."""

    recognizer: Recognizer
    image: torch.Tensor  # (1, 3, 256, 256)
    impostors: torch.Tensor | None = None  # (M, dim): the people among whom look-alikes are searched
    points: torch.Tensor | None = None  # (1, 68, 2): for methods that ask region by region
    mean_face: torch.Tensor | None = None  # (1, 3, S, S): for the baseline of that name
    rng: torch.Generator = field(default_factory=lambda: torch.Generator().manual_seed(0))
    steps: int = STEPS
    baseline: str = "blurred"

    def score(self) -> Score:
        """Make the person's `identity_score`."""
        return identity_score(self.recognizer, self.recognizer.embed(self.image).detach())

    def margin(self) -> Score:
        """Make the `impostor_score` of the look-alikes."""
        if self.impostors is None:
            raise UnknownOption(
                "this method compares with impostors, because the gradient of a face's similarity to "
                "itself is zero; pass impostors=population.embeddings"
            )
        own = self.recognizer.embed(self.image).detach()
        return impostor_score(self.recognizer, own, self.impostors)

    def baseline_image(self) -> torch.Tensor:
        """Make the start of a path: `(1, 3, 256, 256)`. Raises `UnknownOption`."""
        check_choice("baseline", self.baseline, BASELINES)
        return BASELINES[self.baseline](self)


def identity_score(recognizer: Recognizer, reference: torch.Tensor) -> Score:
    """Make the function `images (N, 3, S, S) -> (N,)`: how much of the person in `reference (1, dim)`.

    The part of the embedding, without the mean of all people, that points towards the person, as
    a share of the person's own: 1 for the same photo, about 0 for strangers. (The cosine
    runs alike from the blurred face to the sharp one. This score is linear in the embedding and has no
    maximum at the face, where the gradient of the cosine is zero.)
    """
    mean = recognizer.mean.to(reference)
    own = reference.detach() - mean

    def score(images: torch.Tensor) -> torch.Tensor:
        return ((recognizer.embed(images) - mean) * own).sum(1) / own.square().sum()

    return score


def cosine_score(recognizer: Recognizer, reference: torch.Tensor) -> Score:
    """Make the cosine between centred embeddings, `(N, 3, S, S) -> (N,)`: similarity as it is reported,
    without a gradient at the person's own face."""
    target = centred(recognizer, reference.detach())
    return lambda images: (centred(recognizer, recognizer.embed(images)) * target).sum(1)


def impostor_score(recognizer: Recognizer, reference: torch.Tensor, impostors: torch.Tensor) -> Score:
    """Make the distance of a picture to the eight of `impostors (M, dim)` that are most like the person:
    one minus the mean cosine. It has a slope at the person's own face, unlike the similarity to it."""
    own = centred(recognizer, reference.detach())
    others = centred(recognizer, impostors.to(reference))
    nearest = others[(others @ own[0]).topk(min(IMPOSTORS, len(others))).indices]
    return lambda images: 1 - (centred(recognizer, recognizer.embed(images)) @ nearest.T).mean(1)


def _blurred_face(inquiry: AttributionInputs) -> torch.Tensor:
    return blurred(inquiry.image, BLUR_SIGMA)


def _mean_face(inquiry: AttributionInputs) -> torch.Tensor:
    if inquiry.mean_face is None:
        raise UnknownOption(
            "the baseline mean needs a mean face; pass mean_face=population.thumbnails.mean(0)[None]"
        )
    return resize(inquiry.mean_face.to(inquiry.image), inquiry.image.shape[-1])


def _masked_noise(inquiry: AttributionInputs) -> torch.Tensor:
    """Put noise of the face's own colours where the recogniser looks; the picture elsewhere."""
    image, size = inquiry.image, inquiry.image.shape[-1]
    left, top, right, bottom = (round(side * size / 512) for side in inquiry.recognizer.box)
    face = image[..., top:bottom, left:right]
    mean, std = face.mean((2, 3), keepdim=True), face.std((2, 3), keepdim=True)
    noise = torch.randn(face.shape, generator=inquiry.rng).to(image)
    result = image.clone()
    result[..., top:bottom, left:right] = (mean + std * noise).clamp(-1, 1)
    return blurred(result, 2.0)


BASELINES: dict[str, Callable[[AttributionInputs], torch.Tensor]] = {
    "blurred": _blurred_face,
    "mean": _mean_face,
    "noise": _masked_noise,
}


def integrated_gradients(inquiry: AttributionInputs) -> torch.Tensor:
    """Integrate the gradient along the straight line from the baseline (Sundararajan et al. 2017).

    Complete: the sum is the score of the face minus that of the baseline, up to the quadrature.
    """
    method = IntegratedGradients(inquiry.score())
    return method.attribute(
        inquiry.image, inquiry.baseline_image(), n_steps=inquiry.steps, method="gausslegendre",
        internal_batch_size=AT_ONCE,
    ).to(inquiry.image.dtype)  # fmt: skip


@contextmanager
def seeded(rng: torch.Generator) -> Iterator[None]:
    """Seed the global generators of torch and NumPy, from which Captum draws, and put them back."""
    seed, numpy_state = int(torch.randint(2**31, (1,), generator=rng)), np.random.get_state()
    try:
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            np.random.seed(seed)
            yield
    finally:
        np.random.set_state(numpy_state)


def _leaf(image: torch.Tensor) -> torch.Tensor:
    return image.detach().clone().requires_grad_(True)  # else Captum warns


def gradient_shap(inquiry: AttributionInputs) -> torch.Tensor:
    """Average gradients between noisy faces and noisy baselines (Lundberg and Lee 2017)."""
    baseline = inquiry.baseline_image()
    draws = torch.randn((4, *baseline.shape[1:]), generator=inquiry.rng).to(baseline)
    score, total, rounds = inquiry.score(), torch.zeros_like(inquiry.image), inquiry.steps // AT_ONCE
    with seeded(inquiry.rng):
        for _ in range(max(1, rounds)):
            total += GradientShap(score).attribute(
                inquiry.image, baseline + 0.05 * draws, n_samples=AT_ONCE, stdevs=0.02
            )
    return total / max(1, rounds)


def saliency(inquiry: AttributionInputs) -> torch.Tensor:
    """Return the slope of the distance to the look-alikes (Simonyan et al. 2014)."""
    return Saliency(inquiry.margin()).attribute(_leaf(inquiry.image), abs=False)


def input_x_gradient(inquiry: AttributionInputs) -> torch.Tensor:
    """Multiply that slope by the picture (Shrikumar et al. 2016)."""
    return InputXGradient(inquiry.margin()).attribute(_leaf(inquiry.image)).detach()


def smooth_grad(inquiry: AttributionInputs) -> torch.Tensor:
    """Average the slope around the picture, by Captum's NoiseTunnel (Smilkov et al. 2017)."""
    tunnel = NoiseTunnel(Saliency(inquiry.margin()))
    with seeded(inquiry.rng):
        return tunnel.attribute(
            _leaf(inquiry.image), nt_type="smoothgrad", nt_samples=inquiry.steps // 2,
            nt_samples_batch_size=AT_ONCE, stdevs=0.1, abs=False,
        )  # fmt: skip


def layer_grad_cam(inquiry: AttributionInputs) -> torch.Tensor:
    """Run Grad-CAM on the recogniser's `cam_layer` (Selvaraju et al. 2017), put back where the crop
    was."""
    recognizer, image = inquiry.recognizer, inquiry.image
    name = getattr(recognizer, "cam_layer", "")
    if not isinstance(recognizer, nn.Module) or not name:
        raise UnknownOption(f"recogniser {recognizer.name} has no layer for Grad-CAM; use occlusion")
    layer, box = recognizer.get_submodule(name), recognizer.box
    cam = LayerGradCam(inquiry.margin(), layer).attribute(image, relu_attributions=True).detach()
    # `crop` backwards: its gradient spreads the small map over the box that it was cut from
    where = torch.zeros_like(image[:, :1]).requires_grad_(True)
    cut = crop(where, box, 64)
    [spread] = torch.autograd.grad((cut * resize(cam, 64)).sum(), where)
    [weight] = torch.autograd.grad(crop(where, box, 64).sum(), where)
    smooth = blurred(weight, 4.0)
    return blurred(spread, 4.0) / (smooth + 0.1 * smooth.amax())  # little where hardly anything was cut


def occlusion(inquiry: AttributionInputs) -> torch.Tensor:
    """Measure what the score loses under a window of blur (Zeiler and Fergus 2014)."""
    with torch.no_grad():
        return Occlusion(inquiry.score()).attribute(
            inquiry.image, (3, WINDOW, WINDOW), (3, STRIDE, STRIDE), inquiry.baseline_image(),
            perturbations_per_eval=AT_ONCE,
        )  # fmt: skip


def feature_ablation(inquiry: AttributionInputs) -> torch.Tensor:
    """Measure what the score loses when a facial region is blurred: one number a region."""
    if inquiry.points is None:
        raise UnknownOption("this method asks region by region; pass points=landmarks(image)")
    size = inquiry.image.shape[-1]
    masks = region_masks(inquiry.points, size)
    features = torch.zeros(1, 1, size, size, dtype=torch.long)
    for number, name in enumerate(REGIONS, 1):
        features[masks[name] > 0] = number
    with torch.no_grad():
        lost = FeatureAblation(inquiry.score()).attribute(
            inquiry.image, inquiry.baseline_image(), feature_mask=features.to(inquiry.image.device),
            perturbations_per_eval=AT_ONCE,
        )  # fmt: skip
    # a region's loss is spread over its pixels: a small region that matters is hot
    share = torch.bincount(features.flatten(), minlength=len(REGIONS) + 1).clamp_min(1)
    return lost[:, :1] / share[features].to(lost)
