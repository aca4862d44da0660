"""What a picture's file holds beside its pixels, read from the container itself: everything that is not
on a short list of harmless parts is named, so an unknown part is a leak, too.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from struct import unpack_from

from PIL import Image
from PIL.ExifTags import IFD, TAGS

from ...files import open_file
from ...photo.metadata import FIRST, GROUPS

PNG_PARTS = set(b"IHDR PLTE IDAT IEND tRNS iCCP sRGB gAMA cHRM sBIT pHYs bKGD cICP eXIf".split())
WEBP_PARTS = {b"VP8 ", b"VP8L", b"VP8X", b"ALPH", b"ICCP", b"EXIF"}
BOXES = {b"ftyp", b"meta", b"mdat"}
BEHIND = "bytes behind the picture"
JFIF, ADOBE, ICC, EXIF = b"JFIF\0", b"Adobe", b"ICC_PROFILE\0", b"Exif\0\0"
JFIF_BYTES = 14  # without a thumbnail
MARKER = re.compile(rb"\xff[^\x00\xd0-\xd7]")  # of a segment behind a scan
LAYOUT = {  # fields of a TIFF or EXIF directory that say how pixels lie, and nothing of the world
    *(254, 256, 257, 258, 259, 262, 266, 273, 274, 277, 278, 279, 282, 283, 284, 296, 301, 317, 318),
    *(319, 320, 322, 323, 324, 325, 338, 339, 347, 529, 530, 531, 532, 34675),
    *(0x8769, 0x8825, 0x9000, 0x9101, 0xA000, 0xA001, 0xA002, 0xA003, 0xA005),
}


def hidden_parts(path: Path, kept: Sequence[str] = ()) -> list[str]:
    """List what else is in the file, one short line each; nothing for a clean one.

    `kept` names groups of EXIF fields that were asked for (see `anonlab.photo.metadata`). Bytes between
    the parts of a TIFF or behind a PPM are not seen. Raises `InputMissing`.
    """
    with open_file(path) as file:
        data = file.read()
        file.seek(0)
        try:
            with Image.open(file) as image:
                found, kind = _of_image(image, kept), image.format
        except Exception:
            return ["cannot be read as a picture"]
    readers = {
        "JPEG": _of_jpeg, "MPO": _of_jpeg, "PNG": _of_png, "WEBP": _of_webp, "AVIF": _of_boxes,
        "HEIF": _of_boxes, "GIF": lambda data: [] if data.endswith(b";") else [BEHIND],
        "BMP": lambda data: [BEHIND] if len(data) > unpack_from("<I", data, 2)[0] else [],
    }  # fmt: skip
    found += readers[kind](data) if kind in readers else []
    return list(dict.fromkeys(found))


def _of_image(image: Image.Image, kept: Sequence[str]) -> list[str]:
    """List what Pillow tells of any format: frames, comments, XMP, EXIF fields."""
    found = ["more than one picture"] if getattr(image, "is_animated", False) else []
    blocks = ("XML:com.adobe.xmp", "comment", "photoshop", "xmp")
    found += [f"{name} block" for name in blocks if image.info.get(name)]
    exif = image.getexif()
    for directory in (FIRST, IFD.Exif, IFD.GPSInfo):
        allowed = {tag for group in kept for tag in GROUPS.get(group, {}).get(directory, ())}
        unknown = {*(exif.get_ifd(directory) if directory else exif)} - allowed
        if directory == IFD.GPSInfo:
            found += ["place (GPS)"] if unknown else []
        else:
            found += [f"EXIF {TAGS.get(tag, hex(tag))}" for tag in sorted(unknown - LAYOUT)]
    return found + (["EXIF thumbnail"] if exif.get_ifd(IFD.IFD1) else [])


def _of_jpeg(data: bytes) -> list[str]:
    """Walk through segments: FF, a number, two bytes of length; in scans 0 or RST follows FF."""
    found, at = [], 2
    while at + 4 <= len(data) and data[at] == 0xFF and data[at + 1] != 0xD9:
        number, length = unpack_from(">BH", data, at + 1)
        content = data[at + 4 : at + 2 + length]
        if number == 0xE0 and content.startswith(JFIF):
            found += ["JFIF thumbnail"] if len(content) > JFIF_BYTES else []
        elif 0xE0 <= number <= 0xEF and not content.startswith((JFIF, ADOBE, ICC, EXIF)):
            found.append(f"APP{number - 0xE0} segment")  # EXIF is looked at field by field
        elif number == 0xFE:
            found.append("comment")
        at += 1 if number == 0xFF else 2 + length  # FF alone fills
        if number == 0xDA:
            following = MARKER.search(data, at)
            at = following.start() if following else len(data)
    return found + ([BEHIND] if data[at + 2 :].strip(b"\0") else [])


def _of_png(data: bytes) -> list[str]:
    """Walk through chunks: length, name, content, checksum."""
    found, at, name = [], 8, b""
    while at + 12 <= len(data) and name != b"IEND":
        length, name = unpack_from(">I4s", data, at)
        found += [f"{name.decode('latin-1').strip()} chunk"] if name not in PNG_PARTS else []
        at += 12 + length
    return found + ([BEHIND] if data[at:] else [])


def _of_webp(data: bytes) -> list[str]:
    """Walk through chunks: name, length, content, padded to even."""
    found, at, end = [], 12, 8 + unpack_from("<I", data, 4)[0]
    while at + 8 <= min(end, len(data)):
        name, length = unpack_from("<4sI", data, at)
        found += [f"{name.decode('latin-1').strip()} chunk"] if name not in WEBP_PARTS else []
        at += 8 + length + length % 2
    return found + ([BEHIND] if data[end:].strip(b"\0") else [])


def _of_boxes(data: bytes) -> list[str]:
    """Walk through boxes of AVIF and HEIC: length (1: 8 more bytes, 0: the rest), name, content."""
    at = 0
    while at + 8 <= len(data):
        length, name = unpack_from(">I4s", data, at)
        if name not in BOXES:
            return [BEHIND if at else f"{name!r} box"]
        if length == 1:
            length = int.from_bytes(data[at + 8 : at + 16], "big")
        at += max(length, 8) if length else len(data)
    return [BEHIND] if at < len(data) else []
