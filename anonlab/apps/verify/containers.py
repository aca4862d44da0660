"""What a picture's file holds beside its pixels, read from the container itself.

Not a list of known secrets is looked for, but everything that is not on a short list of harmless parts
is named: an unknown part is a leak, too.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from pathlib import Path

from PIL import Image
from PIL.ExifTags import IFD, TAGS

from ...files import open_file
from ...photo.metadata import FIRST, GROUPS

PNG_PARTS = {
    *(b"IHDR", b"PLTE", b"IDAT", b"IEND", b"tRNS", b"iCCP", b"sRGB", b"gAMA", b"cHRM", b"sBIT", b"pHYs"),
    *(b"bKGD", b"cICP"),
}
WEBP_PARTS = {b"VP8 ", b"VP8L", b"VP8X", b"ALPH", b"ICCP"}
BOXES = {b"ftyp", b"meta", b"mdat"}
BEHIND = "bytes behind the picture"
JFIF, ADOBE, ICC, EXIF = b"JFIF\0", b"Adobe", b"ICC_PROFILE\0", b"Exif\0\0"
JFIF_BYTES = 14  # without a thumbnail
LAYOUT = {  # fields of a TIFF or EXIF directory that say how pixels lie, and nothing of the world
    *(
        254,
        256,
        257,
        258,
        259,
        262,
        266,
        273,
        274,
        277,
        278,
        279,
        282,
        283,
        284,
        296,
        301,
        317,
        318,
        319,
    ),
    *(320, 322, 323, 324, 325, 338, 339, 347, 529, 530, 531, 532, 34675),
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
    try:
        if kind in ("JPEG", "MPO"):
            found += _of_jpeg(data)
        elif kind == "PNG":
            found += _of_png(data)
        elif kind == "WEBP":
            found += _of_webp(data)
        elif kind == "GIF":
            found += [] if data.endswith(b";") else [BEHIND]
        elif kind == "BMP":
            found += [BEHIND] if len(data) > int.from_bytes(data[2:6], "little") else []
        elif kind in ("AVIF", "HEIF"):
            found += _of_boxes(data)
    except (struct.error, IndexError):
        found.append("its parts cannot be told apart")
    return list(dict.fromkeys(found))


def _of_image(image: Image.Image, kept: Sequence[str]) -> list[str]:
    """What Pillow tells of any format: frames, comments, XMP, EXIF fields."""
    found = []
    if getattr(image, "is_animated", False):
        found.append("more than one picture")
    info = {key for key in ("comment", "xmp", "photoshop", "XML:com.adobe.xmp") if image.info.get(key)}
    found += sorted(f"{name} block" for name in info)
    allowed: dict[int, set[int]] = {}
    for group in kept:
        for directory, tags in GROUPS.get(group, {}).items():
            allowed.setdefault(directory, set()).update(tags)
    exif = image.getexif()
    directories = {FIRST: dict(exif)}
    for one in (IFD.Exif, IFD.GPSInfo, IFD.IFD1):
        directories[one] = exif.get_ifd(one)
    for directory, values in directories.items():
        if directory == IFD.IFD1 and values:
            found.append("EXIF thumbnail")
            continue
        if directory == IFD.GPSInfo and set(values) - allowed.get(directory, set()):
            found.append("place (GPS)")
            continue
        for tag in values:
            if tag not in allowed.get(directory, set()) and tag not in LAYOUT:
                found.append(f"EXIF {TAGS.get(tag, hex(tag))}")
    return found


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
            at = _behind_scan(data, at)
    if data[at + 2 :].strip(b"\0"):
        found.append(BEHIND)
    return found


def _behind_scan(data: bytes, at: int) -> int:
    """Where the next segment begins."""
    while True:
        at = data.find(b"\xff", at)
        if at < 0 or at + 1 >= len(data):
            return len(data)
        if data[at + 1] == 0 or 0xD0 <= data[at + 1] <= 0xD7:
            at += 2
        else:
            return at


def _of_png(data: bytes) -> list[str]:
    """Chunks are length, name, content, checksum. eXIf is looked at field by field."""
    found, at = [], 8
    while at + 12 <= len(data):
        length, name = int.from_bytes(data[at : at + 4], "big"), data[at + 4 : at + 8]
        if name not in PNG_PARTS | {b"eXIf"}:
            found.append(f"{name.decode('latin-1')} chunk")
        at += 12 + length
        if name == b"IEND":
            break
    return found + ([BEHIND] if data[at:] else [])


def _of_webp(data: bytes) -> list[str]:
    """Chunks are name, length, content, padded to even. EXIF is looked at field by field."""
    found, at = [], 12
    end = 8 + int.from_bytes(data[4:8], "little")
    while at + 8 <= end:
        name, length = data[at : at + 4], int.from_bytes(data[at + 4 : at + 8], "little")
        if name not in WEBP_PARTS | {b"EXIF"}:
            found.append(f"{name.decode('latin-1').strip()} chunk")
        at += 8 + length + length % 2
    return found + ([BEHIND] if data[end:].strip(b"\0") else [])


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
