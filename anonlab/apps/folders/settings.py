"""The file of controls that the explorer saves and `anonymize --settings` reads."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from ...controls import make_controls
from ...errors import InputDamaged, InputMissing, UnknownOption

KEY_BYTES = 16  # of a secret, at least


@dataclass(frozen=True)
class Settings:
    """What `anonlab anonymize --settings FILE` reads: some controls by name, and perhaps a secret."""

    controls: dict[str, object]
    key: str | None = None  # of which the virtual identities are made; None: not in the file

    def to_json(self) -> str:
        """Write as the file has it; the key only where there is one."""
        return json.dumps(self.controls | ({"key": self.key} if self.key else {}), indent=2) + "\n"


def check_key(key: object, where: str) -> None:
    """Raise `InputDamaged` for a key that is neither text nor bytes, or shorter than `KEY_BYTES`."""
    key = key.encode() if isinstance(key, str) else key
    size = len(key) if isinstance(key, bytes) else 0
    if size < KEY_BYTES:
        raise InputDamaged(f"{where} holds {size} bytes; a secret needs at least {KEY_BYTES}")


def read_settings(path: Path) -> Settings:
    """Read the controls that a JSON file sets, and its key, checked. Raises `InputMissing`,
    `InputDamaged` or `UnknownOption` with the file's name."""
    try:
        given = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputMissing(f"{path} cannot be read ({error.strerror}); choose another file") from None
    except ValueError as error:
        raise InputDamaged(f"{path} is not JSON ({error}); save it again from the explorer") from None
    if not isinstance(given, dict):
        raise InputDamaged(f"{path} holds no object of controls; save it again from the explorer")
    key = given.pop("key", None)
    if key is not None:
        check_key(key, f"the key in {path}")
    try:
        make_controls(given)
    except UnknownOption as error:
        raise UnknownOption(f"{path}: {error}") from None
    return Settings(given, key)
