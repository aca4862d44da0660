"""The same person, the same new face, in every photo of a folder."""

from .album import Album
from .people import Person, group

__all__ = ["Album", "Person", "group"]
