"""Judges that guide nothing: named estimators of what stays of a person, and a strong recogniser.

`mesh` reads geometry, gaze and light, `worn` glasses, facial hair and hats, `reading` asks all of them
about aligned pictures. Their files come from `metrics.packages`.
"""

from .mesh import Mesh as Mesh
from .reading import FaceRes as FaceRes
from .reading import Judges as Judges
from .reading import Reading as Reading
from .reading import load_mobilefacenet as load_mobilefacenet
