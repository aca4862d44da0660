"""What a picture's file holds beside its pixels, read from the container itself.

Not a list of known secrets is looked for, but everything that is not on a short list of harmless parts
is named: an unknown part is a leak, too.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

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
    """What else is in the file, one short line each; nothing for a clean one.

    `kept` names groups of EXIF fields that were asked for (see `anonlab.photo.metadata`). Bytes between
    the parts of a TIFF or behind a PPM are not seen. Raises `InputMissing`.
    """
    with open_file(path) as file:
        data = file.read()
        file.seek(0)
        try:
            with Image.open(file) as image:
                found = _of_image(image, kept)
                kind = image.format
        except Exception:
            return ["cannot be read as a picture"]
    if kind in ("JPEG", "MPO"):
        found += _of_jpeg(data)
    elif kind == "PNG":
        found += _of_chunks(data, 8, PNG_PARTS, b"IEND")
    elif kind == "WEBP":
        found += _of_chunks(data, 12, WEBP_PARTS)
    elif (kind == "GIF" and not data.endswith(b";")) or (
        kind == "BMP" and len(data) > int.from_bytes(data[2:6], "little")
    ):
        found.append(BEHIND)
    elif kind in ("AVIF", "HEIF"):
        found += _of_boxes(data)
    return list(dict.fromkeys(found))


def _of_image(image: Image.Image, kept: Sequence[str]) -> list[str]:
    """What Pillow tells of any format: frames, comments, XMP, EXIF fields."""
    found = ["more than one picture"] if getattr(image, "is_animated", False) else []
    info = {key for key in ("comment", "xmp", "photoshop", "XML:com.adobe.xmp") if image.info.get(key)}
    found += sorted(f"{name} block" for name in info)
    exif = image.getexif()
    directories = {FIRST: dict(exif)} | {one: exif.get_ifd(one) for one in (IFD.Exif, IFD.GPSInfo)}
    for directory, values in directories.items():
        allowed = {tag for group in kept for tag in GROUPS.get(group, {}).get(directory, ())}
        unknown = [tag for tag in values if tag not in allowed]
        if directory == IFD.GPSInfo:
            found += ["place (GPS)"] if unknown else []
        else:
            found += [f"EXIF {TAGS.get(tag, hex(tag))}" for tag in unknown if tag not in LAYOUT]
    return found + (["EXIF thumbnail"] if exif.get_ifd(IFD.IFD1) else [])


def _of_jpeg(data: bytes) -> list[str]:
    """Segments are FF, a number, two bytes of length; in the scans FF is followed by 0 or RST."""
    found, at = [], 2
    while at + 4 <= len(data) and data[at] == 0xFF:
        number, length = data[at + 1], int.from_bytes(data[at + 2 : at + 4], "big")
        content = data[at + 4 : at + 2 + length]
        if number == 0xFF:  # fill
            at += 1
            continue
        if number == 0xD9:
            break
        if number == 0xE0 and content.startswith(JFIF) and len(content) > JFIF_BYTES:
            found.append("JFIF thumbnail")
        harmless = content.startswith((JFIF, ADOBE, ICC, EXIF))  # EXIF is looked at field by field
        if 0xE0 <= number <= 0xEF and not harmless:
            found.append(f"APP{number - 0xE0} segment")
        if number == 0xFE:
            found.append("comment")
        at += 2 + length
        if number == 0xDA:
            following = MARKER.search(data, at)
            at = following.start() if following else len(data)
    if data[at + 2 :].strip(b"\0"):
        found.append(BEHIND)
    return found


def _of_chunks(data: bytes, at: int, harmless: set[bytes], last: bytes = b"") -> list[str]:
    """PNG: length, name, content, checksum. WebP: name, length, content, padded to even."""
    found, end = [], len(data) if last else 8 + int.from_bytes(data[4:8], "little")
    while at + (12 if last else 8) <= end:
        first, second = data[at : at + 4], data[at + 4 : at + 8]
        name, length = (second, first) if last else (first, second)
        size = int.from_bytes(length, "big" if last else "little")
        if name not in harmless:
            found.append(f"{name.decode('latin-1').strip()} chunk")
        at += 12 + size if last else 8 + size + size % 2
        if name == last:
            end = at
    behind = data[at:] if last else data[end:].strip(b"\0")
    return found + ([BEHIND] if behind else [])


def _of_boxes(data: bytes) -> list[str]:
    """AVIF and HEIC: length (1: 8 more bytes of it, 0: the rest), name, content."""
    found, at = [], 0
    while at + 8 <= len(data):
        length, name = int.from_bytes(data[at : at + 4], "big"), data[at + 4 : at + 8]
        if length == 1:
            length = int.from_bytes(data[at + 8 : at + 16], "big")
        if name not in BOXES:
            return [*found, BEHIND if found or at else f"{name!r} box"]
        at += max(length, 8) if length else len(data)
    return found + ([BEHIND] if at < len(data) else [])
