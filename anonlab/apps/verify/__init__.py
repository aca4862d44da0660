"""Whether anonymized photos leak: faces, metadata, hidden pictures, photos that are missing."""

from .checks import PhotoCheck, report, verify_pairs
from .pairs import pair_photos

__all__ = ["PhotoCheck", "pair_photos", "report", "verify_pairs"]
