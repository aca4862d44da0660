"""Judges that guide nothing: named estimators of what stays of a person, and a strong recogniser.

`packages` says where their files come from, `networks` runs them, `mesh` reads geometry, gaze and
light, `reading` asks all of them about aligned pictures.
"""

from .mesh import Mesh as Mesh
from .packages import missing as missing
from .reading import FaceRes as FaceRes
from .reading import Judges as Judges
from .reading import Reading as Reading
from .reading import load_mobilefacenet as load_mobilefacenet
