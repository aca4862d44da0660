"""Draw the README's picture: `python -m anonlab.notebook.readme_figure`.

It writes `data/pictures/stages.jpg`.
Only the astronaut (public domain) is shown; about a minute on 2 CPU cores.
"""

from __future__ import annotations

from ..files import atomic_path
from ..generators.samples import ASTRONAUT, sample_photo
from ..pipeline import Anonymizer
from ..weights import store
from .plots import stages_figure

PATH = "pictures/stages.jpg"
KEY = b"the key of the README's picture"


def main() -> None:
    """Anonymize the astronaut and save its stages."""
    result = Anonymizer.load(key=KEY)(sample_photo(ASTRONAUT), progress=True)
    with atomic_path(store.data_folder() / PATH) as partial:
        stages_figure(result.faces).savefig(partial, format="jpg", dpi=90)


if __name__ == "__main__":
    main()
