"""anonlab: high-similarity, controllable face anonymization.

from anonlab import Anonymizer
result = Anonymizer.load()("photo.jpg", mask_area=0.25, seed=0)
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from . import errors

if TYPE_CHECKING:
    from .controls import Controls
    from .pipeline import Anonymizer

__version__ = "0.1.0"
__all__ = ["Anonymizer", "Controls", "__version__", "errors"]


def __getattr__(name: str):
    # Loaded when first used: `python -m anonlab --help` should not wait for torch.
    if name in ("Anonymizer", "Controls"):
        from . import pipeline

        return getattr(pipeline, name)
    raise AttributeError(f"module 'anonlab' has no attribute {name!r}")
