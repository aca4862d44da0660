"""Where eyes, brows, nose, mouth and jaw are: 68 points in the order of iBUG 300-W.

A small network that learned dlib's points on generated faces (`python -m anonlab train landmarks`).
It is differentiable, so that training can ask a new face to keep the old one's expression, and it
needs no package at run time. dlib itself stays the judge.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

from ..images import resize
from ..weights import store
from .layers import conv_step

COUNT = 68
# The point that each one becomes in a mirror.
MIRROR = (
    *range(16, -1, -1), *range(26, 16, -1), *range(27, 31), *range(35, 30, -1),
    45, 44, 43, 42, 47, 46, 39, 38, 37, 36, 41, 40,
    54, 53, 52, 51, 50, 49, 48, 59, 58, 57, 56, 55, 64, 63, 62, 61, 60, 67, 66, 65,
)  # fmt: skip


class LandmarkNetwork(nn.Module):
    """Heat maps of 32×32 on a picture of 128×128, and the centre of each (soft-argmax)."""

    resolution = 128

    def __init__(self, channels: int = 32):
        super().__init__()
        c = channels

        self.to_32 = nn.Sequential(conv_step(3, c, 2), conv_step(c, 2 * c, 2), conv_step(2 * c, 2 * c))
        self.to_16 = nn.Sequential(conv_step(2 * c, 3 * c, 2), conv_step(3 * c, 3 * c))
        self.to_8 = nn.Sequential(
            conv_step(3 * c, 4 * c, 2), conv_step(4 * c, 4 * c), conv_step(4 * c, 3 * c)
        )
        self.up_16 = conv_step(3 * c, 2 * c)
        self.up_32 = nn.Sequential(conv_step(2 * c, 2 * c), nn.Conv2d(2 * c, COUNT, 1))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Map aligned `images (N, 3, S, S)` to points `(N, 68, 2)`, x and y in [0, 1] of the side."""
        at_32 = self.to_32(resize(images, self.resolution))
        at_16 = self.to_16(at_32)
        x = self.up_16(at_16 + F.interpolate(self.to_8(at_16), scale_factor=2.0))
        heat = self.up_32(at_32 + F.interpolate(x, scale_factor=2.0))
        side = heat.shape[-1]
        share = heat.flatten(2).softmax(2).unflatten(2, (side, side))
        centres = (torch.arange(side, device=heat.device) + 0.5) / side
        return torch.stack([(share.sum(2) * centres).sum(2), (share.sum(3) * centres).sum(2)], 2)


def load_landmarks(device: torch.device | str = "cpu") -> LandmarkNetwork:
    """Load the one that ships, frozen. Raises `WeightsMissing` or `WeightsCorrupt`."""
    model = LandmarkNetwork()
    model.load_state_dict(store.load_shipped("landmarks"))
    return model.eval().requires_grad_(False).to(device)


def interocular(points: torch.Tensor) -> torch.Tensor:
    """Measure the distance between the outer corners of the eyes, `(N, 68, 2)` to `(N,)`."""
    return (points[:, 36] - points[:, 45]).norm(dim=1)


def landmark_error(points: torch.Tensor, reference: torch.Tensor) -> torch.Tensor:
    """Compute the mean distance of the 68 points over the reference's inter-ocular distance, `(N,)`.

    The normalised mean error of 300-W (Sagonas et al. 2013).
    """
    return (points - reference).norm(dim=2).mean(1) / interocular(reference)


def openings(points: torch.Tensor) -> torch.Tensor:
    """Measure how far mouth, right and left eye are open, over the inter-ocular distance: `(N, 3)`.

    Mean gap of the three inner lip pairs, and of the two lid pairs of each eye.
    """

    def gap(pairs: tuple[tuple[int, int], ...]) -> torch.Tensor:
        return torch.stack([(points[:, a] - points[:, b]).norm(dim=1) for a, b in pairs]).mean(0)

    mouth = gap(((61, 67), (62, 66), (63, 65)))
    right, left = gap(((37, 41), (38, 40))), gap(((43, 47), (44, 46)))
    return torch.stack([mouth, right, left], 1) / interocular(points)[:, None]
