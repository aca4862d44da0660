"""An anonymizer for the tests that is instant: it paints over the middle of a photo.

Photos with `kills` in their name end the process that works on them: each time, or the first time.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np

from anonlab.apps.scale import anonymize_set
from anonlab.controls import Controls
from anonlab.errors import AnonlabError, NoFaceFound
from anonlab.photo.photos import Photo

KEY = "0123456789abcdef0123456789abcdef"
PAINT = (255, 0, 255)
FACE = {"number": 1, "box": [16.0, 16.0, 48.0, 48.0], "distance": 0.75, "matched": False}


def painted(pixels: np.ndarray) -> np.ndarray:
    """A copy of `pixels (H, W, 3)` with the middle half of both sides in `PAINT`."""
    height, width, _ = pixels.shape
    pixels = pixels.copy()
    pixels[height // 4 : -height // 4, width // 4 : -width // 4] = PAINT
    return pixels


def load(generator: str, method: str, device: str, key: bytes, *_: object):
    """As `Anonymizer.load`."""
    assert len(key) >= 16

    def anonymize(photo: Photo, controls: Controls, *, faces: str, fallback: str) -> SimpleNamespace:
        time.sleep(0.01)
        path = Path(photo.name)
        begun = path.with_suffix(".begun")
        if "kills always" in photo.name or ("kills once" in photo.name and not begun.exists()):
            with open(begun, "a") as file:
                file.write(".")
            os.kill(os.getpid(), signal.SIGKILL)
        if "nobody" in photo.name:
            raise NoFaceFound(f"{photo.name} shows no face; choose another photo")
        records = [FACE | ({"covered": fallback} if "covered" in photo.name else {})]
        return SimpleNamespace(image=photo.image(painted(photo.pixels)), records=lambda: records)

    return anonymize


def main() -> None:
    """Run a job in this process, which a test can kill: `painter.py '{"source": …, "out": …, …}'`."""
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
