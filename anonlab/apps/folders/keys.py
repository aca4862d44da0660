"""A user's secret key, in a file."""

from __future__ import annotations

import contextlib
import secrets
from pathlib import Path

from ...errors import InputDamaged, InputMissing
from ...files import atomic_path

KEY_BYTES = 16  # of a secret, at least


def checked_key(key: bytes, where: str) -> bytes:
    """Return a key without white space around it. Raises `InputDamaged` if it has less than
    `KEY_BYTES`."""
    key = key.strip()
    if len(key) < KEY_BYTES:
        raise InputDamaged(f"{where} holds {len(key)} bytes; a secret needs at least {KEY_BYTES}")
    return key


def read_key(path: Path) -> bytes:
    """Read the secret in a file. Raises `InputMissing`, or `InputDamaged` for one that is too short."""
    try:
        return checked_key(path.read_bytes(), f"key file {path}")
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
