"""What a file is that is no photo, told by its first bytes and its name."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence
from pathlib import Path

from PIL import Image

CLIPS = {
    *(".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".3gp", ".3g2", ".ts", ".mts", ".m2ts", ".mpg"),
    *(".mpeg", ".vob", ".flv", ".wmv", ".asf", ".ogv", ".mxf", ".nut", ".insv", ".360", ".lrv"),
}
RAWS = {
    *(".dng", ".cr2", ".cr3", ".crw", ".nef", ".nrw", ".arw", ".srf", ".sr2", ".orf", ".rw2", ".raf"),
    *(".pef", ".srw", ".x3f", ".raw", ".rwl", ".3fr", ".fff", ".iiq", ".mrw", ".erf", ".gpr", ".kdc"),
}
PHOTO_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"mif2", b"msf1")
AVIF_BRANDS = (b"avif", b"avis")
PHOTOS = (b"\xff\xd8\xff", b"\x89PNG\r\n", b"GIF8")
BOXES = (b"moov", b"mdat", b"wide", b"free", b"skip", b"pnot")  # of a QuickTime file without ftyp
RAW = ("a raw file of a camera", "export it as JPEG or TIFF first")
CLIP = ("a clip", "anonymize it with: python -m anonlab video CLIP --out FOLDER")
DAMAGED = (
    "damaged or not an image (no photo format that is known)",
    "open and re-save it in a photo editor",
)
STARTS = (  # (offset, bytes, what it is)
    *((0, start, "clip") for start in (b"\x1aE\xdf\xa3", b"FLV\1", b"OggS", b"nut/multimedia")),
    *((0, start, "clip") for start in (b"\0\0\1\xba", b"\0\0\1\xb3", b"0&\xb2u\x8ef\xcf\x11")),
    *((0, b"\x06\x0e+4\2\5\1\1", "clip"), (8, b"AVI ", "clip")),
    *((0, start, "raw") for start in (b"FUJIFILMCCD-RAW", b"FOVb", b"\0MRM", b"IIRO", b"IIRS", b"MMOR")),
    *((0, b"IIU\0", "raw"), (8, b"CR\2\0", "raw"), (6, b"HEAPCCDR", "raw"), (4, b"ftypcrx", "raw")),
    (0, b"8BPS", "a Photoshop file"),
    *((0, b"\xff\x0a", "a JPEG XL photo"), (4, b"JXL \r\n", "a JPEG XL photo")),
    *((4, b"jP  \r\n", "a JPEG 2000 photo"), (0, b"\xff\x4f\xff\x51", "a JPEG 2000 photo")),
    *((0, start, "a TIFF of a kind that cannot be read") for start in (b"II*\0", b"MM\0*", b"II+\0")),
    (0, b"%PDF", "a PDF"),
)
JPEG_SEGMENTS = (b"JFIF\0", b"Adobe", b"ICC_PROFILE\0", b"Exif\0\0")
PNG_CHUNKS = {
    *(b"IHDR", b"PLTE", b"IDAT", b"IEND", b"tRNS", b"iCCP", b"sRGB", b"gAMA", b"cHRM", b"pHYs", b"eXIf"),
    *(b"acTL", b"fcTL", b"fdAT"),  # of an animation, which has to be seen to be refused
}


def without_extras(data: bytes) -> bytes:
    """Strip a JPEG or PNG of the segments and chunks that no result has, and of damaged chunks of a
    PNG: any of them can stop Pillow, and none of them is needed. Other formats come back as they are."""
    kept, at = [], 0
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        kept, at = [data[:8]], 8
        while at + 12 <= len(data):
            end = at + 12 + int.from_bytes(data[at : at + 4], "big")
            name, check = data[at + 4 : at + 8], int.from_bytes(data[end - 4 : end], "big")
            if name in PNG_CHUNKS and (name.isupper() or zlib.crc32(data[at + 4 : end - 4]) == check):
                kept.append(data[at:end])
            at = end
    elif data.startswith(b"\xff\xd8"):
        kept, at = [data[:2]], 2
        while data[at : at + 1] == b"\xff" and data[at + 1 : at + 2] not in (b"\xda", b""):
            end = at + 2 + int.from_bytes(data[at + 2 : at + 4], "big")
            extra = 0xE0 <= data[at + 1] <= 0xEF or data[at + 1] == 0xFE
            if not extra or data[at + 4 : at + 16].startswith(JPEG_SEGMENTS):
                kept.append(data[at:end])
            at = end
    return b"".join(kept) + data[at:]


def orientation(exif: bytes) -> int | None:
    """Read the orientation in EXIF whose other fields may be damaged; None where there is none."""
    start = exif.removeprefix(b"Exif\0\0")
    order = {b"II": "<", b"MM": ">"}.get(start[:2])
    try:
        at = struct.unpack_from(f"{order}I", start, 4)[0] if order else len(start)
        for field in range(struct.unpack_from(f"{order}H", start, at)[0] if order else 0):
            tag, kind, count, value = struct.unpack_from(f"{order}HHIH", start, at + 2 + 12 * field)
            if (tag, kind, count) == (0x0112, 3, 1):
                return value
    except struct.error:
        pass
    return None


def what_else(start: bytes, name: str) -> tuple[str, str]:
    """Tell what a file is that no photo decoder takes: what, and what can be done with it.

    `start` is its first 512 bytes.
    """
    suffix = Path(name).suffix.lower()
    kind = next((kind for at, magic, kind in STARTS if start.startswith(magic, at)), "")
    brand = start[8:12] if start[4:8] == b"ftyp" else b""
    if brand in PHOTO_BRANDS and "HEIF" not in Image.OPEN:
        return "a HEIC photo", "read it with: pip install pillow-heif, or export it as JPEG"
    if brand in AVIF_BRANDS and "AVIF" not in Image.OPEN:
        return "an AVIF photo", "read it with: pip install -U pillow, or export it as JPEG"
    if brand in (*PHOTO_BRANDS, *AVIF_BRANDS):
        return DAMAGED
    if kind == "raw":
        return RAW
    packets = any(start[at::step][:2] == b"GG" for at, step in ((0, 188), (4, 192)))  # MPEG-TS
    if brand or kind == "clip" or start[4:8] in BOXES or packets or suffix in CLIPS:
        return CLIP
    if suffix in RAWS:
        return RAW
    return (kind, "export it as JPEG or PNG first") if kind else DAMAGED


def passed_over(path: Path, readable: Sequence[str]) -> tuple[str, str] | None:
    """Tell what a file of a folder is that is not done, and what can be done with it; None for one whose
    name says that it is a photo."""
    if path.name.startswith("."):
        return ("hidden", "")
    if path.suffix.lower() in readable:
        return None
    try:
        with open(path, "rb") as file:
            start = file.read(512)
    except (OSError, ValueError):
        start = b""
    if start.startswith(PHOTOS) or start[8:12] in (b"WEBP", *PHOTO_BRANDS, *AVIF_BRANDS):
        return ("a photo whose name does not say so", "rename it, for example to .jpg")
    what, remedy = what_else(start, path.name)
    return ("no photo", "") if (what, remedy) == DAMAGED else (what, remedy)
