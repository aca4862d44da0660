"""Whether anonymized photos leak: faces, metadata, hidden pictures, photos that are missing."""

from .checks import PhotoCheck, verify_pairs
from .page import report
from .pairs import not_compared, pair_photos, pairs_of_record

__all__ = ["PhotoCheck", "not_compared", "pair_photos", "pairs_of_record", "report", "verify_pairs"]
