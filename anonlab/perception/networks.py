"""The five small networks that look at an aligned face: 68 points, the expression, glasses and where
they are, and the map in one pass.

Each learned on generated faces (`python -m anonlab train landmarks`, `expression`, `glasses`, `rims`,
`perception`) and needs no package at run time. They are differentiable, so that training can ask a
new face to keep the old one's expression and glasses.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import TypeVar

import torch
import torch.nn.functional as F
from torch import nn

from ..images import FACE_SIZE, grey, resize
from ..recognizers import crop
from ..weights import store

COUNT = 68  # points, in the order of iBUG 300-W
# The point that each one becomes in a mirror.
MIRROR = (
    *range(16, -1, -1), *range(26, 16, -1), *range(27, 31), *range(35, 30, -1),
    45, 44, 43, 42, 47, 46, 39, 38, 37, 36, 41, 40,
    54, 53, 52, 51, 50, 49, 48, 59, 58, 57, 56, 55, 64, 63, 62, 61, 60, 67, 66, 65,
)  # fmt: skip
WINDOW = (48, 76, 208, 164)  # left, top, right, bottom: brows, both eyes and the rims' lower edges
EXPRESSIONS = ("angry", "disgusted", "fearful", "happy", "sad", "surprised", "neutral")
# Of an aligned side of 512, and how its teacher weighs colours
EXPRESSION_BOX, EXPRESSION_LUMA = (96.0, 120.0, 416.0, 440.0), (0.2989, 0.587, 0.114)
GLASSES = (24, 72, 232, 168)  # the same with the temples


def conv_step(in_channels: int, out_channels: int, stride: int = 1) -> nn.Sequential:
    """Make a 3×3 convolution, group norm and SiLU; `stride` 2 halves the picture."""
    return nn.Sequential(
        nn.Conv2d(in_channels, out_channels, 3, stride, 1), nn.GroupNorm(8, out_channels), nn.SiLU()
    )


def level(in_channels: int, out_channels: int) -> nn.Sequential:
    """Halve the picture in one step, and look at it in another."""
    return nn.Sequential(conv_step(in_channels, out_channels, 2), conv_step(out_channels, out_channels))


def join_skips(x: torch.Tensor, ups: Iterable[tuple[nn.Module, torch.Tensor]]) -> torch.Tensor:
    """Go up in a U-Net: double the picture, put what the same size was on the way down beside it."""
    for up, skip in ups:
        x = up(torch.cat([F.interpolate(x, scale_factor=2.0), skip], 1))
    return x


class LandmarkNetwork(nn.Module):
    """68 points: heat maps of 32×32 on a picture of 128×128, and the centre of each (soft-argmax).

    dlib, whose points it learned, stays the judge.
    """

    resolution = 128

    def __init__(self) -> None:
        super().__init__()
        self.to_32 = nn.Sequential(conv_step(3, 32, 2), conv_step(32, 64, 2), conv_step(64, 64))
        self.to_16 = level(64, 96)
        self.to_8 = nn.Sequential(conv_step(96, 128, 2), conv_step(128, 128), conv_step(128, 96))
        self.up_16 = conv_step(96, 64)
        self.up_32 = nn.Sequential(conv_step(64, 64), nn.Conv2d(64, COUNT, 1))

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


class ExpressionNetwork(nn.Module):
    """Seven expressions, from a grey crop of 64 px, learned from mini-Xception."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(
            conv_step(1, 8), level(8, 16), level(16, 32), level(32, 48), level(48, 48)
        )
        self.says = nn.Linear(48 * 4 * 4, len(EXPRESSIONS))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Map aligned `images (N, 3, S, S)` in [-1, 1] to logits `(N, 7)` of `EXPRESSIONS`, mean 0."""
        says = self.says(self.features(grey_face(images)).flatten(1))
        return says - says.mean(1, keepdim=True)


def grey_face(images: torch.Tensor) -> torch.Tensor:
    """Cut what networks of expressions see of aligned `images (N, 3, S, S)`: `(N, 1, 64, 64)`."""
    return crop(grey(images, EXPRESSION_LUMA), EXPRESSION_BOX, 64)


class GlassesNetwork(nn.Module):
    """Whether glasses are worn: a window of 160×88 around both eyes to one number.

    The labels were given by eye (`data/labels.json`).
    """

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(
            conv_step(3, 16, 2), conv_step(16, 32, 2), conv_step(32, 32),
            conv_step(32, 48, 2), conv_step(48, 48), conv_step(48, 64, 2), conv_step(64, 64),
        )  # fmt: skip
        self.says = nn.Linear(2 * 64, 1)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Map aligned `images (N, 3, S, S)` in [-1, 1] to logits `(N,)`: positive where glasses or
        sunglasses are worn. Best with S ≥ 256: a thin rim is a pixel or two wide there."""
        return self.read(window(images))

    def read(self, windows: torch.Tensor) -> torch.Tensor:
        """Map what `window` cut, `(N, 3, 88, 160)`, to logits `(N,)`."""
        x = self.features(windows)
        # a rim is seen somewhere (the maximum), skin is seen everywhere (the mean)
        return self.says(torch.cat([x.mean((2, 3)), x.amax((2, 3))], 1)).flatten()


def window(images: torch.Tensor, box: tuple[int, int, int, int] = WINDOW) -> torch.Tensor:
    """Cut a box of 256 around both eyes of aligned `images (N, C, S, S)`: `(N, C, 88, 160)` by default,
    `(N, C, 96, 208)` for `GLASSES`; differentiable."""
    left, top, right, bottom = box
    return resize(images, FACE_SIZE)[:, :, top:bottom, left:right]


class RimNetwork(nn.Module):
    """Where glasses are: frames, dark lenses and reflections in a window of 208×96 around both eyes.

    A U-Net (Ronneberger et al. 2015) that learned from frames drawn onto generated faces.
    """

    def __init__(self) -> None:
        super().__init__()
        self.first = conv_step(3, 8)
        self.to_half, self.to_quarter = level(8, 16), level(16, 32)
        self.to_eighth = level(32, 48)
        self.up_quarter, self.up_half = conv_step(48 + 32, 32), conv_step(32 + 16, 16)
        self.up = nn.Sequential(conv_step(16 + 8, 8), nn.Conv2d(8, 1, 1))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Map aligned `images (N, 3, S, S)` in [-1, 1] to the chance of glasses, `(N, 1, 256, 256)`."""
        left, top, right, bottom = GLASSES
        found = self.read(window(images, GLASSES)).sigmoid()
        return F.pad(found, (left, FACE_SIZE - right, top, FACE_SIZE - bottom))

    def read(self, windows: torch.Tensor) -> torch.Tensor:
        """Map what `window` cut, `(N, 3, 96, 208)`, to logits `(N, 1, 96, 208)`."""
        full = self.first(windows)
        half = self.to_half(full)
        quarter = self.to_quarter(half)
        ups = (self.up_quarter, quarter), (self.up_half, half), (self.up, full)
        return join_skips(self.to_eighth(quarter), ups)


class PerceptionNetwork(nn.Module):
    """Stage 1 in one pass: a picture of 128×128 to the map of integrated gradients, of 64×64.

    A U-Net (Ronneberger et al. 2015), much narrower; integrated gradients stay the reference.
    """

    resolution = 128

    def __init__(self) -> None:
        super().__init__()
        self.to_64 = level(3, 24)
        self.to_32 = level(24, 48)
        self.to_16 = level(48, 96)
        self.to_8 = level(96, 144)
        self.to_4 = nn.Sequential(level(144, 144), conv_step(144, 144))
        self.up_8 = conv_step(144 + 144, 96)
        self.up_16 = conv_step(96 + 96, 48)
        self.up_32 = conv_step(48 + 48, 48)
        self.up_64 = nn.Sequential(conv_step(48 + 24, 24), nn.Conv2d(24, 1, 3, padding=1))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Map aligned `images (N, 3, S, S)` to the square root of their map, `(N, 1, 64, 64)`, ≥ 0.

        (The root, because the map's few peaks are a hundred times its median.)
        """
        at_64 = self.to_64(resize(images, self.resolution))
        at_32 = self.to_32(at_64)
        at_16 = self.to_16(at_32)
        at_8 = self.to_8(at_16)
        x = self.to_4(at_8)
        ups = (self.up_8, at_8), (self.up_16, at_16), (self.up_32, at_32), (self.up_64, at_64)
        return F.softplus(join_skips(x, ups))


Network = TypeVar("Network", bound=nn.Module)


def _shipped(make: Callable[[], Network], key: str, device: torch.device | str = "cpu") -> Network:
    """Fill a network with the weights that ship, frozen. Raises `WeightsMissing`, `WeightsCorrupt`."""
    model = make()
    model.load_state_dict(store.load_shipped(key))
    return model.eval().requires_grad_(False).to(device)


# Each is called with a device, "cpu" by default. The map is that of the recogniser `dlib`.
load_landmarks = partial(_shipped, LandmarkNetwork, "landmarks")
load_expression = partial(_shipped, ExpressionNetwork, "expression")
load_glasses = partial(_shipped, GlassesNetwork, "glasses")
load_rims = partial(_shipped, RimNetwork, "rims")
load_perception_network = partial(_shipped, PerceptionNetwork, "perception")


def interocular(points: torch.Tensor) -> torch.Tensor:
    """Measure the distance between the outer corners of the eyes, `(N, 68, 2)` to `(N,)`."""
    return (points[:, 36] - points[:, 45]).norm(dim=1)


def landmark_error(points: torch.Tensor, reference: torch.Tensor) -> torch.Tensor:
    """Compute the normalised mean error of 300-W (Sagonas et al. 2013): the mean distance of the 68
    points over the reference's inter-ocular distance, `(N,)`."""
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
