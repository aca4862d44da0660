"""Going on with work that was stopped, in one way for photos, clips and large jobs: a folder that is
locked, and settings that must be the same. What is kept there is theirs to say.
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


def fingerprint(key: bytes | None, salt: str | None = None) -> dict | None:
    """What is kept of a key: a salt, and 4 bytes of scrypt; None for a key that is not kept."""
    if key is None:
        return None
    salt = salt or secrets.token_hex(8)
    slow = hashlib.scrypt(key, salt=salt.encode(), n=1 << 14, r=8, p=1, dklen=FINGERPRINT_BYTES)
    return {"salt": salt, "scrypt": slow.hex()}


def salt_of(settings: Mapping) -> str | None:
    """The salt in settings of an earlier run, to take the fingerprint of a key again."""
    return (settings.get("key") or {}).get("salt")


def check_same(before: Mapping, now: Mapping, where: Path) -> None:
    """Raise `InputDamaged` if the work in `where` was begun with other settings."""
    differing = ", ".join(name for name in now if before.get(name) != now[name])
    if differing:
        raise InputDamaged(
            f"{where} was begun with another {differing}; use the same, or choose another output"
        )


def keep_settings(path: Path, settings: Mapping, key: bytes | None, resume: bool) -> bool:
    """Write settings and a key's fingerprint to a JSON file; with `resume` those of an earlier run must
    be the same. Returns whether there is something to go on with. Raises `InputDamaged`."""
    before = {}
    if resume and path.is_file():
        try:
            before = json.loads(path.read_text())
            salt = salt_of(before)
        except (ValueError, AttributeError):
            raise InputDamaged(f"{path} is damaged; choose another output") from None
        check_same(before, _plain(settings | {"key": fingerprint(key, salt)}), path.parent)
    else:
        write_json(path, _plain(settings | {"key": fingerprint(key)}))
    return bool(before)


def _plain(settings: Mapping) -> dict:
    """Settings as a file has them: lists for tuples."""
    return json.loads(json.dumps(settings))
