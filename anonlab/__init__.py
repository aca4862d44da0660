"""anonlab: high-similarity, controllable face anonymization.

    from anonlab import Anonymizer
    result = Anonymizer.load()("photo.jpg", mask_area=0.4, seed=0)

The method is eleven files, in this order:

    pipeline                  the three stages and the check: `Anonymizer.attempt`
    perception/attribution    stage 1: which pixels a recogniser needs to know this person
    perception/masks          stage 1: the mask that is regenerated
    identity/population       stage 2: the reference population
    identity/virtual          stage 2: which new identity a person gets
    encoding/linear           stage 2: the linear initialisation of the codes
    encoding/encoder          stage 2: the feature selection and preservation network
    encoding/correction       stage 2: codes corrected by what their picture lacks
    regeneration/regenerate   stage 3: from codes to pictures
    regeneration/optimize     stage 3: latent optimisation, the slow reference
    regeneration/compose      stage 3: the new face joined to the photo

The names below are those that notebooks and scripts use; a room is loaded when a name of it is.
"""

from __future__ import annotations

import importlib
import os
from typing import TYPE_CHECKING, Any

from . import errors

if TYPE_CHECKING:
    from .controls import Controls as Controls
    from .pipeline import Anonymizer as Anonymizer

# Before torch is loaded: its threads sleep while they wait for one another. Spinning beside other
# programs, they took 3 times the processor time (a convolution: 63 ms instead of 20).
os.environ.setdefault("OMP_WAIT_POLICY", "passive")
os.environ.setdefault("KMP_BLOCKTIME", "0")

__version__ = "0.1.0"

_NAMES = {
    "pipeline": "Anonymizer",
    "controls": "Controls",
    "selection": "Selection",
    "images": "blurred pasted resize",
    "photo.photos": "read_photo write_photo",
    "photo.detection": "Detector",
    "photo.faces": "align paste",
    "generators": "load_generator",
    "generators.base": "draw_z",
    "notebook.samples": "open_photo",
    "recognizers": "centred crop distance jittered load_recognizer",
    "recognizers.perceptual": "load_stlpips",
    "identity.population": "Population",
    "identity.virtual": "identity_path",
    "perception.perception": "AlignedFace Perception as_map",
    "perception.attribution": "integrated_gradients",
    "perception.networks": "landmark_error load_landmarks",
    "perception.masks": "build_mask mask_from_attribution mask_of_regions",
    "perception.regions": "share_of_face whole_face",
    "encoding.linear": "LinearInitialization",
    "encoding.encoder": "load_encoder",
    "regeneration.optimize": "LatentOptimConfig optimize_latents",
    "regeneration.compose": "apply_blend measure_blend",
}
_ROOMS = {name: room for room, names in _NAMES.items() for name in names.split()}
__all__ = ["__version__", "errors", *_ROOMS]


def __getattr__(name: str) -> Any:
    if name in _ROOMS:
        return getattr(importlib.import_module(f".{_ROOMS[name]}", __name__), name)
    raise AttributeError(f"module 'anonlab' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
