"""anonlab: high-similarity, controllable face anonymization.

from anonlab import Anonymizer
result = Anonymizer.load()("photo.jpg", mask_area=0.25, seed=0)
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from . import errors

if TYPE_CHECKING:
    from .controls import Controls
    from .pipeline import Anonymizer

# Before torch is loaded: its threads sleep while they wait for one another. Spinning beside other
# programs, they took 3 times the processor time (a convolution: 63 ms instead of 20).
os.environ.setdefault("OMP_WAIT_POLICY", "passive")
os.environ.setdefault("KMP_BLOCKTIME", "0")

__version__ = "0.1.0"
__all__ = ["Anonymizer", "Controls", "__version__", "errors"]


def __getattr__(name: str):
    # Loaded when first used: `python -m anonlab --help` should not wait for torch.
    if name in ("Anonymizer", "Controls"):
        from . import pipeline

        return getattr(pipeline, name)
    raise AttributeError(f"module 'anonlab' has no attribute {name!r}")
