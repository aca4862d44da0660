"""Stage 1, perception: who is this, and where in the picture does a recogniser see it?

The question is put to a recogniser by Captum, along a path from a blurred face to the face
itself. The gradient of a face's similarity to itself is no answer: at the maximum of similarity
every slope is zero.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from captum.attr import IntegratedGradients

from .errors import UnknownOption
from .images import blurred, resize
from .recognizers import Recognizer, centred, distance

ATTRIBUTION_SIZE = 256  # pixels of the aligned face on which attribution runs
BLUR_SIGMA = 16.0  # of the baseline, in those pixels: no recogniser knows anybody in it
STEPS = 40  # of the path; 24 miss completeness by up to 20 %, 40 by up to 5 %
SMOOTHING_SIGMA = 5.0  # of the attribution, in those pixels


def identity_score(
    recognizer: Recognizer, reference: torch.Tensor
) -> Callable[[torch.Tensor], torch.Tensor]:
    """The function `images (N, 3, S, S) -> (N,)`: how much of the person in `reference (1, dim)`.

    The part of the embedding, without the mean of all people, that points towards the person, as
    a share of the person's own: 1 for the same photo, about 0 for strangers. (Not the cosine: a
    blurred face has nearly no embedding left, and dividing by its length bends the path.)
    """
    mean = recognizer.mean.to(reference)
    own = reference.detach() - mean

    def score(images: torch.Tensor) -> torch.Tensor:
        return ((recognizer.embed(images) - mean) * own).sum(1) / own.square().sum()

    return score


def cosine_score(
    recognizer: Recognizer, reference: torch.Tensor
) -> Callable[[torch.Tensor], torch.Tensor]:
    """The cosine between centred embeddings, `(N, 3, S, S) -> (N,)`: similarity as it is reported.

    Its gradient at the person's own face is zero: never attribute with it there.
    """
    target = centred(recognizer, reference.detach())
    return lambda images: (centred(recognizer, recognizer.embed(images)) * target).sum(1)


def integrated_gradients(
    recognizer: Recognizer, image: torch.Tensor, steps: int = STEPS
) -> torch.Tensor:
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
        image, blurred(image, BLUR_SIGMA), n_steps=steps, method="gausslegendre", internal_batch_size=8
    ).to(image.dtype)


def attribute(
    recognizer: Recognizer,
    image: torch.Tensor,
    steps: int = STEPS,
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


def deletion_curve(
    recognizer: Recognizer, image: torch.Tensor, ranking: torch.Tensor, areas: Sequence[float]
) -> list[float]:
    """Distance to the person when the top share of `ranking` is blurred, for each of `areas`.

    The deletion test of Petsiuk et al. 2018 with blurring as deletion: the faster it rises, the
    better the ranking (any attribution, `(1, 1, S, S)`) knows where the identity is.
    """
    with torch.no_grad():
        source, nobody = recognizer.embed(image), blurred(image, BLUR_SIGMA)
        hidden = torch.cat(
            [
                image + mask_from_attribution(ranking, area, 0, image.shape[-1]) * (nobody - image)
                for area in areas
            ]
        )
        return distance(recognizer, recognizer.embed(hidden), source).tolist()


def disc_ranking(size: int) -> torch.Tensor:
    """The ranking that needs no recogniser: the nearer to the face's centre the earlier."""
    v, u = torch.meshgrid(*[(torch.arange(size) + 0.5) / size] * 2, indexing="ij")
    return (2 - torch.hypot(u - 0.5, v - 0.55))[None, None]


def random_ranking(size: int, rng: torch.Generator) -> torch.Tensor:
    """The ranking that any other has to beat."""
    return torch.rand(1, 1, size, size, generator=rng)
