"""FaceNet (Schroff et al. 2015) as facenet-pytorch trains it: an optional second recogniser.

Its weights are a download of 110 MB that only happens when asked for:
`python -m anonlab doctor --download facenet-vggface2`.
"""

from __future__ import annotations

import os
from pathlib import Path

import torch
from torch import nn

from ..errors import WeightsCorrupt, WeightsMissing
from ..weights import store
from .base import Metric, crop

# MTCNN's box, on average over 346 photos, in an aligned image of side 512
FACE_BOX = (117.5, 97.3, 386.6, 468.4)


class FaceNet(nn.Module):
    """The recogniser: see `anonlab.recognizers.base.Recognizer` for the contract."""

    name, dim = "facenet-vggface2", 512
    metric: Metric = "euclidean"
    threshold = 1.1
    far = 0.01  # facenet's LFW protocol, order of magnitude; calibrate on your own photos
    differentiable = True
    box = FACE_BOX
    cam_layer = "network.repeat_2"
    mean: torch.Tensor

    def __init__(self, network: nn.Module):
        super().__init__()
        self.network = network
        self.register_buffer("mean", torch.zeros(self.dim))

    def embed(self, images: torch.Tensor) -> torch.Tensor:
        """Embed FFHQ-aligned `images (N, 3, S, S)` in [-1, 1] to embeddings `(N, 512)`, unit length."""
        return self.network(crop(images, FACE_BOX, 160))


def load_facenet(path: str | os.PathLike | None = None, device: torch.device | str = "cpu") -> FaceNet:
    """Load FaceNet from `path`, or from the file that `doctor --download` put into torch's cache.

    Raises `WeightsMissing` (never downloads by itself) or `WeightsCorrupt`.
    """
    from facenet_pytorch import InceptionResnetV1

    file = Path(path) if path else store.locate("facenet-vggface2")
    if not file.is_file():
        raise WeightsMissing(f"{file} (FaceNet weights) does not exist; check the path")
    network = InceptionResnetV1()
    try:
        state = torch.load(file, map_location="cpu", weights_only=True)
        # The files also hold the classifier of their training set, which is not the recogniser.
        state = {key: value for key, value in state.items() if not key.startswith("logits")}
        network.load_state_dict(state)
    except Exception as error:
        raise WeightsCorrupt(
            f"{file} does not hold FaceNet's weights ({str(error).splitlines()[0]}); "
            f"repair it with: {store.repair('facenet-vggface2')}"
        ) from None
    return FaceNet(network.eval()).requires_grad_(False).to(device)
