"""Which EXIF fields may stay on request, by groups; everything else never does.

A field is copied by its number, and only short text or a few numbers: never a thumbnail, a MakerNote, a
serial number or an owner's name.
"""

from __future__ import annotations

import contextlib
import math
import warnings
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from PIL import Image
from PIL.ExifTags import GPSTAGS, IFD, TAGS

from ..errors import check_choice

MAX_TEXT = 200  # characters
MAX_NUMBERS = 8
FIRST = 0  # the directory of the picture itself
DATE, ARTIST, COPYRIGHT, MAKE, MODEL = 0x0132, 0x013B, 0x8298, 0x010F, 0x0110
GROUPS: dict[str, dict[int, tuple[int, ...]]] = {
    "date": {  # taken, digitised and changed, with offsets and fractions
        FIRST: (DATE,),
        IFD.Exif: (0x9003, 0x9004, 0x9010, 0x9011, 0x9012, 0x9290, 0x9291, 0x9292),
    },
    "camera": {  # camera, lens, exposure
        FIRST: (MAKE, MODEL),
        IFD.Exif: (
            *(0x829A, 0x829D, 0x8822, 0x8827, 0x8830, 0x9201, 0x9202, 0x9203, 0x9204, 0x9205, 0x9207),
            *(0x9208, 0x9209, 0x920A, 0xA402, 0xA403, 0xA404, 0xA405, 0xA406),
            *(0xA432, 0xA433, 0xA434),
        ),
    },
    "copyright": {FIRST: (ARTIST, COPYRIGHT)},  # author and rights
    "gps": {IFD.GPSInfo: tuple(range(0x20))},  # where it was taken
}
Fields = dict[tuple[int, int], object]  # by directory and number


class Text(str):
    """Text of EXIF whose bytes are written as they were: Pillow would write `?` for all but ASCII."""

    def encode(self, *_: object) -> bytes:
        """Its bytes in the file, which Pillow has read as Latin-1."""
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


def _places(names: Iterable[str]) -> list[tuple[int, int]]:
    """List directory and number of the fields of some groups."""
    groups = (GROUPS[name].items() for name in names)
    return [(directory, tag) for group in groups for directory, tags in group for tag in tags]


def _harmless(value: object) -> object | None:
    """Return a short text, a number, a few numbers or bytes; None for anything else."""
    if isinstance(value, str):
        text = Text(value.rstrip("\0 "))
        try:
            read = text.encode().decode()
        except UnicodeDecodeError:
            read = text
        parts = read.split("\0")  # a copyright has two: of the photographer, of the editor
        bare = all(one >= " " and one != "\x7f" for part in parts for one in part)
        return text if 0 < len(read) <= MAX_TEXT and len(parts) <= 2 and bare else None
    if isinstance(value, bytes):
        return value if 0 < len(value) <= MAX_NUMBERS else None
    if isinstance(value, tuple):
        few = len(value) <= MAX_NUMBERS and all(_is_number(one) for one in value)
        return value if value and few else None
    return value if _is_number(value) else None


def _is_number(value: Any) -> bool:
    try:
        return not isinstance(value, (str, bytes)) and math.isfinite(value)
    except (TypeError, ValueError, ZeroDivisionError, OverflowError):
        return False


def kept_exif(fields: Fields, names: Sequence[str]) -> tuple[Image.Exif | None, list[str]]:
    """Make new EXIF of the fields of the named groups only (None if there are none), and a note for each
    field that could not be kept as it is."""
    check_groups(names)
    kept: Fields = {}
    notes = []
    for place in dict.fromkeys(_places(names)):
        fit = _harmless(fields.get(place))
        if fit is not None and _survives(place, fit):
            kept[place] = fit
        elif place in fields:
            name = (GPSTAGS if place[0] == IFD.GPSInfo else TAGS).get(place[1], hex(place[1]))
            notes.append(f"its EXIF field {name} could not be kept as it is")
    return (_exif(kept) if kept else None), notes


def _exif(fields: Fields) -> Image.Exif:
    exif = Image.Exif()
    for (directory, tag), value in fields.items():
        (exif if directory == FIRST else exif.setdefault(directory, {}))[tag] = value
    return exif


def _survives(place: tuple[int, int], value: Any) -> bool:
    """Tell whether a reader gets of one field what is written; not if it cannot be written."""
    again, (directory, tag) = Image.Exif(), place
    try:
        again.load(_exif({place: value}).tobytes())
        found: Any = (again if directory == FIRST else again.get_ifd(directory)).get(tag)
        if isinstance(value, str):
            return found.rstrip("\0") == value
        if isinstance(value, bytes):
            return found == value
        return np.allclose(np.float64(value), np.float64(found), rtol=1e-6, atol=1e-6)
    except Exception:  # a value that its field does not take
        return False
