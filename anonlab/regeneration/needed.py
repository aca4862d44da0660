"""What of the mask has to be new: the rest of it stays the photo's.

Stage 1 asks of the photo where a recogniser sees the person. Once the new face is drawn, the change can
be asked: integrated gradients of the recogniser's squared distance, along the line from the photo to the
photo with the new face in all of the mask, say how much each pixel's change hides the person. Divided by
how much it changes the picture, that ranks pixels: the last of them are given back, so that moles,
make-up, stubble and light stay where they hide nothing (curves in `data/tried.md`).
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from captum.attr import IntegratedGradients

from ..controls import Controls
from ..images import FACE_SIZE, blurred, resize
from ..openvino_runtime import roughly
from ..perception.masks import mask_from_attribution, mask_of_regions
from ..perception.regions import FOREHEAD, face_band, whole_face
from ..recognizers import Recognizer

STEPS = 4  # of the path; eight rank alike
SMOOTH = 8.0  # Gaussian under which both are compared, in pixels of 256: no patches of single pixels
LITTLE = 0.15  # of a change (of 2) that is hardly seen, and does not make a pixel cheap
RIM, BESIDE = 6.0, 0.15  # Gaussian of the face's outline, in those pixels, and where it ends
EDGE = 1.0  # Gaussian of the part's end at cheeks and jaw; beyond, thin arcs of the new face would show
# Height above the brows, in distances from brow to nose tip. What is above stays within NEAR pixels of
# where another thing is shown, which a change by OTHER under a Gaussian FINE tells: new hair would meet
# old skin in spots
BROWS, NEAR, OTHER, FINE = 0.15, 10, 0.25, 3.0


def hiding(recognizer: Recognizer, photo: torch.Tensor, changed: torch.Tensor) -> torch.Tensor:
    """Attribute the squared distance of `changed (1, 3, 256, 256)` from `photo` to the change of each
    pixel: `(1, 1, 256, 256)`. Complete up to quadrature and rounding: the sum is that distance."""
    with roughly(photo.device):
        own = recognizer.embed(photo).detach()
        method = IntegratedGradients(lambda seen: (recognizer.embed(seen) - own).square().sum(1))
        share = method.attribute(
            changed, photo, n_steps=STEPS, method="riemann_middle", internal_batch_size=STEPS
        )
    return share.detach().sum(1, keepdim=True)


def needed_mask(
    recognizer: Recognizer,
    image: torch.Tensor,
    composite: torch.Tensor,
    mask: torch.Tensor,
    points: torch.Tensor,
    controls: Controls,
) -> torch.Tensor:
    """Return the part of `mask (1, 1, S, S)` through which `composite (1, 3, S, S)`, the new face in all
    of it, hides the person in `image (1, 3, S, S)` best for what it changes.

    The part is smaller by the share that `controls` give back; regions that they include are in it.
    `points (1, 68, 2)` are those of the image. With a recogniser without gradients, and where nothing is
    given back, it is `mask` itself.
    """
    if not controls.give_back or not recognizer.differentiable or not mask.any():
        return mask
    photo, changed = (resize(one, FACE_SIZE) for one in (image, composite))
    hides = blurred(hiding(recognizer, photo, changed), SMOOTH).clamp_min(0)
    change = (changed - photo).abs().mean(1, keepdim=True)
    cost = blurred(change, SMOOTH)
    other, side = (blurred(change, FINE) > OTHER).to(cost), 2 * NEAR + 1
    other = F.max_pool2d(other, (side, 1), 1, (NEAR, 0))  # one side after the other: a tenth of the time
    other = F.max_pool2d(other, (1, side), 1, (0, NEAR)) > 0
    low, whole = (
        blurred(whole_face(points, FACE_SIZE, height).to(cost), RIM) > BESIDE
        for height in (BROWS, FOREHEAD)
    )
    face = low | whole & ~other  # beside it hair and wall stay
    worth = hides / (cost + LITTLE) * face * (resize(mask, FACE_SIZE) > 0)
    area = min((1 - controls.give_back) * mask.mean().item(), (worth > 0).float().mean().item())
    band = blurred(face_band(points, FACE_SIZE).to(cost), EDGE)
    best = resize(mask_from_attribution(worth, area).minimum(band), mask.shape[-1])
    always = resize(mask_of_regions(points, controls.include).to(mask), mask.shape[-1])
    return mask.minimum(best.maximum(always))
