"""Whether anonymized photos leak: faces, metadata, hidden pictures, photos that are missing."""

from .checks import PhotoCheck, report, verify_pairs
from .pairs import pair_photos, pairs_of_record

__all__ = ["PhotoCheck", "pair_photos", "pairs_of_record", "report", "verify_pairs"]
