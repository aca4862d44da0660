"""The anonymizer without networks for a job, and the job in a process of its own, which a test can kill.

Photos with `kills` in their name end the process that works on them: each time, or the first time.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from dataclasses import replace
from pathlib import Path

from faked import Inverter

from anonlab.apps.scale import anonymize_set
from anonlab.controls import Controls
from anonlab.errors import AnonlabError
from anonlab.photo.photos import Photo
from anonlab.results import CoveredFace, Result

KEY = "0123456789abcdef0123456789abcdef"


class Painter(Inverter):
    """Says of photos with `covered` in their name that the face is."""

    def __call__(self, photo: Photo, controls: Controls, *, faces: str, fallback: str) -> Result:
        time.sleep(0.01)
        begun = Path(photo.name).with_suffix(".begun")
        if "kills always" in photo.name or ("kills once" in photo.name and not begun.exists()):
            with open(begun, "a") as file:
                file.write(".")
            os.kill(os.getpid(), signal.SIGKILL)
        result = super().__call__(photo, controls)
        if "covered" not in photo.name:
            return result
        covered = CoveredFace(1, result.faces[0].box, fallback, "turned too far", 0.75, 0.6)
        return replace(result, faces=[], covered=[covered])


def load(generator: str, method: str, device: str, key: bytes, *_: object) -> Painter:
    """Load as `Anonymizer.load` does."""
    assert len(key) >= 16
    return Painter()


def main() -> None:
    """Run a job: `painter.py '{"source": …, "out": …, …}'`."""
    import painter  # whose name workers know

    given = {"load": painter.load, "key": KEY} | json.loads(sys.argv[1])
    source, out, key = (given.pop(name) for name in ("source", "out", "key"))
    try:
        found = anonymize_set(Path(source), Path(out), key.encode(), **given)
    except AnonlabError as error:
        sys.exit(f"{type(error).__name__}: {error}")
    print(json.dumps(found))


if __name__ == "__main__":
    main()
