"""What a file is that is no photo, told by its first bytes and its name."""

from __future__ import annotations

import shlex
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


def what_else(start: bytes, name: str) -> tuple[str, str]:
    """Tell what a file is that no photo decoder takes: what, and what can be done with it.

    `start` is its first 512 bytes.
    """
    suffix = Path(name).suffix.lower()
    kind = next((kind for at, there, kind in STARTS if start.startswith(there, at)), "")
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
        clip = shlex.quote(name)
        return "a clip", f"anonymize it with: python -m anonlab video {clip} --out FOLDER"
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
