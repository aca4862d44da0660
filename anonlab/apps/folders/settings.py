"""What the explorer saves and commands read: a file of controls, and a secret key."""

from __future__ import annotations

import contextlib
import json
import secrets
from collections.abc import Mapping
from pathlib import Path

from ...controls import make_controls
from ...errors import InputDamaged, InputMissing, UnknownOption
from ...files import atomic_path

KEY_BYTES = 16  # of a secret, at least


def settings_text(controls: Mapping[str, object], key: str | None = None) -> str:
    """Write controls, and perhaps a secret, as `anonlab anonymize --settings FILE` reads them."""
    return json.dumps({**controls, **({"key": key} if key else {})}, indent=2) + "\n"


def read_settings(path: Path) -> tuple[dict[str, object], bytes | None]:
    """Read the controls that a JSON file sets, by name, and its key, checked. Raises `InputMissing`,
    `InputDamaged` or `UnknownOption` with the file's name."""
    try:
        given = dict(json.loads(path.read_text(encoding="utf-8")))
        key = given.pop("key", None)
        make_controls(given)
    except OSError as error:
        raise InputMissing(f"{path} cannot be read ({error.strerror}); choose another file") from None
    except UnknownOption as error:
        raise UnknownOption(f"{path}: {error}") from None
    except (ValueError, TypeError) as error:
        raise InputDamaged(
            f"{path} holds no controls ({error}); save it again from the explorer"
        ) from None
    return given, None if key is None else checked_key(key, f"the key in {path}")


def checked_key(key: object, where: str) -> bytes:
    """Return a key, text or bytes, as bytes. Raises `InputDamaged` for one of less than `KEY_BYTES`."""
    found = key.encode() if isinstance(key, str) else key if isinstance(key, bytes) else b""
    if len(found) < KEY_BYTES:
        raise InputDamaged(f"{where} holds {len(found)} bytes; a secret needs at least {KEY_BYTES}")
    return found


def read_key(path: Path) -> bytes:
    """Read the secret in a file. Raises `InputMissing`, or `InputDamaged` for one that is too short."""
    try:
        return checked_key(path.read_bytes().strip(), f"key file {path}")
    except OSError as error:
        raise InputMissing(
            f"key file {path} cannot be read ({error.strerror}); make one with: "
            f'python -c "import secrets; print(secrets.token_hex(32))" > {path}'
        ) from None


def make_key(path: Path) -> bool:
    """Write a new secret to a file that only its owner can read, and return true, unless the file
    exists. Raises `OutputNotWritable`."""
    if path.exists():
        return False
    with atomic_path(path) as partial:
        partial.write_text(secrets.token_hex(32) + "\n")
    with contextlib.suppress(OSError):  # a stick or share has no permissions
        path.chmod(0o600)
    return True
