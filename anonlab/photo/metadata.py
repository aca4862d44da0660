"""Which EXIF fields may stay when somebody asks for it, by groups; everything else never does.

A field is copied by its number and only if its value is short text or a few numbers, so that nothing
hides in it: never a thumbnail, a MakerNote, a serial number or an owner's name.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping, Sequence

from PIL import Image
from PIL.ExifTags import IFD

from ..errors import UnknownOption

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
Fields = dict[str, dict[int, dict[int, object]]]  # by group, directory and number


def check_groups(names: Sequence[str]) -> None:
    """Raises `UnknownOption` for a name that is not in `GROUPS`."""
    unknown = sorted(set(names) - set(GROUPS))
    if unknown:
        raise UnknownOption(
            f"metadata {', '.join(unknown)} does not exist; choose from: {', '.join(GROUPS)}"
        )


def read_fields(image: Image.Image) -> Fields:
    """The fields of every group that an opened image has. Damaged EXIF has none."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow tells of each damaged field
            exif = image.getexif()
            directories = {
                FIRST: dict(exif),
                **{one: exif.get_ifd(one) for one in (IFD.Exif, IFD.GPSInfo)},
            }
    except Exception:  # whatever is in there is not kept
        return {}
    found: Fields = {}
    for group, numbers in GROUPS.items():
        for directory, tags in numbers.items():
            values = {tag: _harmless(directories[directory].get(tag)) for tag in tags}
            values = {tag: value for tag, value in values.items() if value is not None}
            if values:
                found.setdefault(group, {})[directory] = values
    return found


def _harmless(value: object) -> object | None:
    """A short text, a number, a few numbers or bytes; None for anything else."""
    if isinstance(value, str):
        text = value.strip("\0 ")
        return text if 0 < len(text) <= MAX_TEXT and text.isprintable() else None
    if isinstance(value, bytes):
        return value if 0 < len(value) <= MAX_NUMBERS else None
    if isinstance(value, tuple):
        few = len(value) <= MAX_NUMBERS and all(_is_number(one) for one in value)
        return value if value and few else None
    return value if _is_number(value) else None


def _is_number(value: object) -> bool:
    try:
        return not isinstance(value, (str, bytes)) and math.isfinite(value)
    except (TypeError, ValueError, ZeroDivisionError, OverflowError):
        return False


def kept_exif(fields: Mapping, names: Sequence[str]) -> Image.Exif | None:
    """New EXIF with the fields of the named groups only; None if there are none."""
    check_groups(names)
    directories: dict[int, dict[int, object]] = {}
    for name in names:
        for directory, values in fields.get(name, {}).items():
            directories.setdefault(directory, {}).update(values)
    if not directories:
        return None
    exif = Image.Exif()
    for tag, value in directories.pop(FIRST, {}).items():
        exif[tag] = value
    for directory, values in directories.items():
        exif[directory] = values
    return exif
