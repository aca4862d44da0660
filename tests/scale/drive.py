"""A job in a process of its own, which a test can kill: `drive.py '{"source": …, "out": …, …}'`."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from anonlab.errors import AnonlabError
from anonlab.scale import anonymize_set

if __name__ == "__main__":
    given = json.loads(sys.argv[1])
    source, out, key = Path(given.pop("source")), Path(given.pop("out")), given.pop("key", None)
    try:
        found = anonymize_set(source, out, key.encode() if key else None, **given)
    except AnonlabError as error:
        sys.exit(f"{type(error).__name__}: {error}")
    print(json.dumps(vars(found)))
