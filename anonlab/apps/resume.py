"""Going on with work that was stopped: settings and key must be those of before, by name.

In one way for folders, clips and large jobs; which parts of the work are finished is theirs to know.
"""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Mapping
from pathlib import Path

from ..errors import InputDamaged
from ..files import write_json

FINGERPRINT_BYTES = 4  # too few to guess a key by, enough to notice that it is another one


def same_settings(before: Mapping, settings: Mapping, key: bytes | None, where: Path) -> dict:
    """Return `settings` as a JSON file has them, with a fingerprint of the key: a salt and 4 bytes of
    scrypt. Raises `InputDamaged` if the work in `where` was begun with others; `before` may be empty."""
    salt, mark = (before.get("key") or {}).get("salt") or secrets.token_hex(8), None
    if key is not None:
        slow = hashlib.scrypt(key, salt=salt.encode(), n=1 << 14, r=8, p=1, dklen=FINGERPRINT_BYTES)
        mark = {"salt": salt, "scrypt": slow.hex()}
    now = json.loads(json.dumps({**settings, "key": mark}))  # lists for tuples
    differing = ", ".join(name for name in now if before and before.get(name) != now[name])
    if differing:
        raise InputDamaged(
            f"{where} was begun with another {differing}; use the same, or choose another output"
        )
    return now


def keep_settings(path: Path, settings: Mapping, key: bytes | None, resume: bool) -> bool:
    """Write settings and a key's fingerprint to a JSON file; with `resume` those of an earlier run must
    be the same. Returns whether there is something to go on with. Raises `InputDamaged`."""
    before = {}
    if resume and path.is_file():
        try:
            before = dict(json.loads(path.read_text()))
        except (ValueError, TypeError):
            raise InputDamaged(f"{path} is damaged; choose another output") from None
    now = same_settings(before, settings, key, path.parent)
    if not before:
        write_json(path, now)
    return bool(before)
