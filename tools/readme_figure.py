"""Draw the README's picture: `python tools/readme_figure.py`.

It writes `data/pictures/stages.jpg`.
Only the astronaut (public domain) is shown; about a minute on 2 CPU cores.
"""

from __future__ import annotations

from anonlab.files import atomic_path
from anonlab.notebook.plots import stages_figure
from anonlab.notebook.samples import ASTRONAUT, sample_photo
from anonlab.pipeline import Anonymizer
from anonlab.weights import store

PATH = "pictures/stages.jpg"
KEY = b"the key of the README's picture"


def main() -> None:
    """Anonymize the astronaut and save its stages."""
    result = Anonymizer.load(key=KEY)(sample_photo(ASTRONAUT), progress=True)
    with atomic_path(store.data_folder() / PATH) as partial:
        stages_figure(result.faces).savefig(partial, format="jpg", dpi=90)


if __name__ == "__main__":
    main()
