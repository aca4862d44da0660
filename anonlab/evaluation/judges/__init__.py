"""Judges that guide nothing: named estimators of what stays of a person, and a strong recogniser.

`packages` says where their files come from, `networks` runs them, `mesh` reads geometry, gaze and
light, `reading` asks all of them about aligned pictures.
"""

from .mesh import Mesh, MeshReader, geometry, light
from .packages import PACKAGES, install, missing
from .reading import FaceRes, Judges, Reading, load_mobilefacenet

__all__ = [
    "PACKAGES",
    "FaceRes",
    "Judges",
    "Mesh",
    "MeshReader",
    "Reading",
    "geometry",
    "install",
    "light",
    "load_mobilefacenet",
    "missing",
]
