"""Stage 1, perception: where in the picture does a recogniser see the identity?

Every method gives the same kind of answer, a map between 0 and 1; `Perception` asks any of `PERCEPTIONS`
and has at hand what they need.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch

from ..controls import PERCEPTIONS
from ..errors import UnknownOption, check_choice
from ..identity.population import Attributes, Population
from ..images import FACE_SIZE, blurred, resize
from ..recognizers import Recognizer
from . import attribution
from .attribution import AttributionInputs
from .hands import Hands
from .networks import LandmarkNetwork, PerceptionNetwork, load_landmarks, load_perception_network

MAP_STEPS = 16  # of the path: the map ranks as with 80 to 0.9999, though its sum is less exact
SMOOTHING_SIGMA = 5.0  # of the attribution, in pixels of 256
NEED_GRADIENTS = {*PERCEPTIONS} - {"occlusion", "feature_ablation", "network"}


def as_map(signed: torch.Tensor, smoothing: float = SMOOTHING_SIGMA) -> torch.Tensor:
    """Turn a signed attribution `(1, C, S, S)` into a map `(1, 1, S, S)` with maximum 1.

    Absolute values, summed over colours, under a Gaussian of `smoothing` pixels.
    """
    heat = signed.detach().abs().sum(1, keepdim=True)
    if smoothing > 0:
        heat = blurred(heat, smoothing)
    return heat / heat.amax((2, 3), keepdim=True).clamp_min(1e-12)


@dataclass(frozen=True)
class AlignedFace:
    """An aligned face, and what is read from it once."""

    image: torch.Tensor  # (1, 3, S, S)
    embedding: torch.Tensor  # (1, dim)
    attributes: Attributes
    hands: torch.Tensor | None = None  # (1, 1, 256, 256), 1 where a hand is before it

    def without_hands(self, mask: torch.Tensor) -> torch.Tensor:
        """Take the hands before the face out of a `mask (1, 1, S, S)`."""
        return mask if self.hands is None else mask * (1 - resize(self.hands, mask.shape[-1]).to(mask))


class Perception:
    """Stage 1 with what its methods need; the networks are loaded when first asked."""

    def __init__(self, recognizer: Recognizer, population: Population | None = None):
        self.recognizer, self.population = recognizer, population

    @cached_property
    def landmarks(self) -> LandmarkNetwork:
        """68 points of aligned faces."""
        return load_landmarks(self.recognizer.mean.device)

    @cached_property
    def hands(self) -> Hands:
        """Hands before faces of photos."""
        return Hands()

    @cached_property
    def network(self) -> PerceptionNetwork:
        """The map in one pass."""
        return load_perception_network(self.recognizer.mean.device)

    def __call__(
        self, image: torch.Tensor, method: str = "auto", steps: int = MAP_STEPS
    ) -> torch.Tensor:
        """Find where the identity is: `(1, 1, 256, 256)` between 0 and 1, for one aligned face.

        `auto` is the network for the recogniser that it learned from, else integrated gradients; `steps`
        are those of a path. Raises `UnknownOption`, with the reason, for a method that does not exist or
        that the recogniser cannot answer.
        """
        image = resize(image, FACE_SIZE)
        learned = self.recognizer.name == "dlib"  # whose maps the network learned
        if method == "auto":
            method = "network" if learned else "integrated_gradients"
        check_choice("method", method, PERCEPTIONS)
        if method in NEED_GRADIENTS and not self.recognizer.differentiable:
            raise UnknownOption(
                f"recogniser {self.recognizer.name} has no gradients, which {method} needs; use dlib "
                f"or facenet, or the method occlusion"
            )
        if method == "network":
            if not learned:
                raise UnknownOption("the network that ships learned from dlib; use another method")
            with torch.no_grad():
                heat = resize(self.network(image).square(), FACE_SIZE)
            return heat / heat.amax().clamp_min(1e-12)
        inquiry = AttributionInputs(
            self.recognizer,
            image,
            impostors=self.population.embeddings if self.population else None,
            points=self.landmarks(image).detach() if method == "feature_ablation" else None,
            steps=steps,
        )
        signed = getattr(attribution, method)(inquiry)
        # a region's number is already smooth
        return as_map(signed, 0 if method == "feature_ablation" else SMOOTHING_SIGMA)
