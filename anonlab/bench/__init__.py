"""How fast every part is, and how much memory it takes: `python -m anonlab bench`."""

from .cases import Parts, all_cases
from .measure import Case, measure
from .run import run

__all__ = ["Case", "Parts", "all_cases", "measure", "run"]
