"""Whether the pictures look like pictures of faces, as a set: Fréchet distance, precision, recall.

The numbers depend on the feature space and on the number of pictures, so both are always named. Only
features of the Inception network of Heusel et al. 2017 make a "FID"; here they are ST-LPIPS's VGG's.
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import nn
from torchmetrics.image.fid import FrechetInceptionDistance

from ..images import resize
from ..weights import store

VGG_SIDE = 128  # pixels: a face's texture is there, and 2 cores take a tenth of a second
FEATURES = f"ST-LPIPS VGG, last layer, means over {VGG_SIDE} px pictures"
NEIGHBOURS = 3  # of precision and recall, as in the paper


def load_features() -> Callable[[torch.Tensor], torch.Tensor]:
    """Load the feature space `FEATURES`: images `(N, 3, S, S)` to `(N, 512)`.

    Raises `WeightsMissing` or `WeightsCorrupt`.
    """
    store.locate("stlpips-vgg")
    from stlpips_pytorch import stlpips

    with contextlib.redirect_stdout(io.StringIO()):  # it prints what it loads
        network = stlpips.LPIPS(net="vgg", variant="shift_tolerant", verbose=False)
    network = network.eval().requires_grad_(False).to(memory_format=torch.channels_last)

    @torch.no_grad()
    def embed(images: torch.Tensor) -> torch.Tensor:
        layers = network.net(network.scaling_layer(resize(images.cpu(), VGG_SIDE)))
        return F.normalize(layers[-1].mean((2, 3)), dim=1)

    return embed


def frechet_distance(real: torch.Tensor, made: torch.Tensor) -> float:
    """Return the Fréchet distance of two sets of features `(N, D)` and `(M, D)` as Gaussians.

    Heusel et al. 2017, by torchmetrics. It is biased upwards for few pictures: compare only numbers of
    equally many, and see what two sets of real pictures have.
    """
    given = nn.Identity()  # features go in, features come out
    given.num_features = real.shape[1]
    metric = FrechetInceptionDistance(feature=given).set_dtype(torch.float64)
    metric.update(real.double(), real=True)
    metric.update(made.double(), real=False)
    return max(0.0, metric.compute().item())


def precision_recall(
    real: torch.Tensor, made: torch.Tensor, neighbours: int = NEIGHBOURS
) -> tuple[float, float]:
    """Return the share of made pictures that look real, and of real ones that could be made.

    Kynkäänniemi et al. 2019: a picture is inside a set when it is nearer to one of its members
    than that one's third-nearest neighbour. Features `(N, D)` and `(M, D)`, more than `neighbours`.
    """

    def share(members: torch.Tensor, asked: torch.Tensor) -> float:
        reach = torch.cdist(members, members).kthvalue(neighbours + 1, dim=1).values  # 1st: itself
        return (torch.cdist(asked, members) <= reach).any(1).float().mean().item()

    real, made = real.double(), made.double()
    return share(real, made), share(made, real)
