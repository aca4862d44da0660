"""Whether anonymized photos leak: faces, metadata, hidden pictures, photos that are missing."""

from .checks import FaceCheck, PhotoCheck, verify_pairs
from .page import report
from .pairs import Pair, not_compared, pair_photos, pairs_of_record

__all__ = [
    "FaceCheck",
    "Pair",
    "PhotoCheck",
    "not_compared",
    "pair_photos",
    "pairs_of_record",
    "report",
    "verify_pairs",
]
