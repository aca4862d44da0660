"""Which EXIF fields may stay on request, by groups; everything else never does.

A field is copied by its number, and only short text or a few numbers: never a thumbnail, a MakerNote, a
serial number or an owner's name.
"""

from __future__ import annotations

import contextlib
import math
import warnings
from collections.abc import Sequence
from typing import Any

from PIL import Image
from PIL.ExifTags import GPSTAGS, IFD, TAGS

from ..errors import check_choice

MAX_TEXT = 200  # characters
MAX_NUMBERS = 8
FIRST = 0  # the directory of the picture itself
GROUPS: dict[str, dict[int, tuple[int, ...]]] = {
    "date": {  # taken, digitised and changed, with offsets and fractions
        FIRST: (0x0132,),
        IFD.Exif: (0x9003, 0x9004, 0x9010, 0x9011, 0x9012, 0x9290, 0x9291, 0x9292),
    },
    "camera": {  # camera, lens, exposure
        FIRST: (0x010F, 0x0110),
        IFD.Exif: (
            *(0x829A, 0x829D, 0x8822, 0x8827, 0x8830, 0x9201, 0x9202, 0x9203, 0x9204, 0x9205, 0x9207),
            *(0x9208, 0x9209, 0x920A, 0xA402, 0xA403, 0xA404, 0xA405, 0xA406),
            *(0xA432, 0xA433, 0xA434),
        ),
    },
    "copyright": {FIRST: (0x013B, 0x8298)},  # author and rights
    "gps": {IFD.GPSInfo: tuple(range(0x20))},  # where it was taken
}
Fields = dict[tuple[int, int], Any]  # by directory and number


class Text(str):
    """Text of EXIF whose bytes are written as they were: Pillow would write `?` for all but ASCII."""

    def encode(self, *_: object) -> bytes:
        """Return its bytes in the file, which Pillow has read as Latin-1."""
        return super().encode("latin-1", "replace")


def check_groups(names: Sequence[str]) -> None:
    """Raise `UnknownOption` for a name that is not in `GROUPS`."""
    check_choice("metadata", names, GROUPS)


def read_fields(image: Image.Image) -> Fields:
    """Read the fields of all groups that an opened image has; damaged EXIF has none."""
    fields: Fields = {}
    for directory in (FIRST, IFD.Exif, IFD.GPSInfo):
        # Pillow tells of each damaged field, and whatever is in there is not kept
        with warnings.catch_warnings(action="ignore"), contextlib.suppress(Exception):
            exif = image.getexif()
            there = dict(exif.get_ifd(directory) if directory else exif)
            fields |= {(directory, tag): value for tag, value in there.items()}
    return {place: fields[place] for place in _places(GROUPS) if place in fields}


def kept_exif(fields: Fields, names: Sequence[str]) -> tuple[Image.Exif | None, list[str]]:
    """Make new EXIF of the fields of the named groups only (None if there are none), and a note for each
    field that could not be kept as it is."""
    check_groups(names)
    kept, notes = Image.Exif(), []
    for directory, tag in dict.fromkeys(_places(names)):
        value = fields.get((directory, tag))
        value = Text(value.rstrip("\0 ")) if isinstance(value, str) else value
        if value is not None and _harmless(value) and _survives(directory, tag, value):
            _put(kept, directory, tag, value)
        elif (directory, tag) in fields:
            name = (GPSTAGS if directory == IFD.GPSInfo else TAGS).get(tag, hex(tag))
            notes.append(f"its EXIF field {name} could not be kept as it is")
    return (kept if len(kept) else None), notes


def _places(names: Sequence[str] | dict[str, Any]) -> list[tuple[int, int]]:
    """List directory and number of the fields of some groups."""
    groups = (GROUPS[name].items() for name in names)
    return [(directory, tag) for group in groups for directory, tags in group for tag in tags]


def _harmless(value: Any) -> bool:
    """Tell whether it is a short printable text, a number, a few numbers or bytes."""
    if isinstance(value, Text):
        try:
            text = value.encode().decode()
        except UnicodeDecodeError:
            text = value
        parts = text.split("\0")  # a copyright has two: of the photographer, of the editor
        bare = all(one >= " " and one != "\x7f" for part in parts for one in part)
        return 0 < len(text) <= MAX_TEXT and len(parts) <= 2 and bare
    if isinstance(value, bytes):
        return 0 < len(value) <= MAX_NUMBERS
    numbers = value if isinstance(value, tuple) else (value,)
    try:
        return 0 < len(numbers) <= MAX_NUMBERS and all(map(math.isfinite, numbers))
    except (TypeError, ValueError, ZeroDivisionError, OverflowError):
        return False


def _survives(directory: int, tag: int, value: Any) -> bool:
    """Tell whether a reader gets of one field what is written; not if it cannot be written."""
    written, again = Image.Exif(), Image.Exif()
    try:
        _put(written, directory, tag, value)
        again.load(written.tobytes())
        found = (again.get_ifd(directory) if directory else again).get(tag)
    except Exception:  # a value that its field does not take
        return False
    return found == value or (isinstance(found, str) and found.rstrip("\0") == value)


def _put(exif: Image.Exif, directory: int, tag: int, value: Any) -> None:
    (exif.setdefault(directory, {}) if directory else exif)[tag] = value
