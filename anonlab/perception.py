"""Stage 1, perception: who is this, and where in the picture does a recogniser see it?

The question is put to a recogniser by Captum, along a path from a blurred face to the face
itself. The plain gradient of a face's similarity to itself is no answer: at the maximum of
similarity every slope is zero.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from captum.attr import IntegratedGradients
from torchvision.transforms.functional import gaussian_blur

from .errors import UnknownOption
from .recognizers import Recognizer, centred

ATTRIBUTION_SIZE = 256  # pixels of the aligned face on which attribution runs
BLUR_SIGMA = 16.0  # of the baseline, in those pixels: no recogniser knows anybody in it
SMOOTHING_SIGMA = 5.0  # of the attribution, in those pixels


def identity_score(
    recognizer: Recognizer, reference: torch.Tensor
) -> Callable[[torch.Tensor], torch.Tensor]:
    """The function `images (N, 3, S, S) -> (N,)`: cosine to the person in `reference (1, dim)`.

    Cosine of embeddings without their common mean: about 1 for the same photo, 0 for strangers.
    """
    target = centred(recognizer, reference.detach())

    def score(images: torch.Tensor) -> torch.Tensor:
        return (centred(recognizer, recognizer.embed(images)) * target).sum(1)

    return score


def blurred(images: torch.Tensor, sigma: float = BLUR_SIGMA) -> torch.Tensor:
    """`images (N, 3, S, S)` without the detail that makes a person; the path's starting point."""
    size = 2 * int(3 * sigma) + 1
    pad = size // 2
    padded = F.pad(images, (pad, pad, pad, pad), mode="replicate")
    return gaussian_blur(padded, [size, size], [sigma, sigma])[..., pad:-pad, pad:-pad]


def integrated_gradients(recognizer: Recognizer, image: torch.Tensor, steps: int = 24) -> torch.Tensor:
    """Signed attribution of the identity score, `(1, 3, S, S)`, for one aligned face.

    Integrated gradients (Sundararajan et al. 2017) from the blurred face, by Captum. Complete: the
    sum is the score of the face minus the score of its blurred copy, up to the quadrature error.
    """
    if not recognizer.differentiable:
        raise UnknownOption(
            f"recogniser {recognizer.name} has no gradients; use dlib or facenet for attribution"
        )
    score = identity_score(recognizer, recognizer.embed(image))
    method = IntegratedGradients(score)
    return method.attribute(
        image, blurred(image), n_steps=steps, method="gausslegendre", internal_batch_size=8
    ).to(image.dtype)


def attribute(
    recognizer: Recognizer,
    image: torch.Tensor,
    steps: int = 24,
    smoothing: float = SMOOTHING_SIGMA,
) -> torch.Tensor:
    """Where the identity is: `(1, 1, 256, 256)`, ≥ 0, for one aligned face `(1, 3, S, S)`.

    The absolute value of integrated gradients, summed over colours and smoothed by a Gaussian of
    `smoothing` pixels, scaled so that its maximum is 1.
    """
    signed = integrated_gradients(recognizer, resize(image, ATTRIBUTION_SIZE), steps)
    heat = signed.detach().abs().sum(1, keepdim=True)
    if smoothing > 0:
        heat = blurred(heat, smoothing)
    return heat / heat.amax((2, 3), keepdim=True).clamp_min(1e-12)


def mask_from_attribution(
    attribution: torch.Tensor, area: float, softness: float = 3.0, size: int | None = None
) -> torch.Tensor:
    """The share `area` of pixels with the highest attribution: `(N, 1, size, size)` in [0, 1].

    1 is identity-relevant, to be regenerated. `softness` is the Gaussian of the edge, in pixels of
    the attribution; the area of the soft mask (its mean) is `area` to within a pixel's width.
    Areas 0 and 1 are exact. Raises `UnknownOption` for an area outside [0, 1].
    """
    if not 0 <= area <= 1:
        raise UnknownOption(f"mask_area {area} is not between 0 and 1")
    n, _, height, width = attribution.shape
    if area in (0, 1):
        mask = torch.full_like(attribution, area)
    else:
        flat = attribution.flatten(1)
        count = round(area * flat.shape[1])
        # by rank and not by value: ties at zero must not flood the mask
        order = flat.argsort(dim=1, descending=True, stable=True)[:, :count]
        mask = torch.zeros_like(flat).scatter_(1, order, 1.0).view(n, 1, height, width)
        if softness > 0:
            mask = blurred(mask, softness)
    return mask if size is None else resize(mask, size).clamp(0, 1)


def masked_face(image: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """What stays: `image (N, 3, S, S)` with the mask painted mid-grey (0)."""
    return image * (1 - resize(mask, image.shape[-1]))


def resize(images: torch.Tensor, size: int) -> torch.Tensor:
    """`(N, C, S, S)` to `(N, C, size, size)`: means downwards, bilinear upwards."""
    if images.shape[-1] == size:
        return images
    if images.shape[-1] % size == 0:
        return F.avg_pool2d(images, images.shape[-1] // size)
    smaller = images.shape[-1] > size
    return F.interpolate(
        images, size=(size, size), mode="bilinear", align_corners=False, antialias=smaller
    )
