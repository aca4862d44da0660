"""What a file is that is no photo, told by its name and its first bytes."""

from __future__ import annotations

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
RAW = ("a raw file of a camera", "export it as JPEG or TIFF first")
CLIP = ("a clip", "anonymize it with: python -m anonlab video CLIP --out FOLDER")
DAMAGED = (
    "damaged or not an image (no photo format that is known)",
    "open and re-save it in a photo editor",
)
HEIC_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"mif2", b"msf1")
AVIF_BRANDS = (b"avif", b"avis")


def what_else(start: bytes, name: str) -> tuple[str, str]:
    """Tell what a file is that no photo decoder takes: what, and what can be done with it.

    `start` is its first 12 bytes.
    """
    suffix = Path(name).suffix.lower()
    brand = start[8:12] if start[4:8] == b"ftyp" else b""
    if brand in HEIC_BRANDS and "HEIF" not in Image.OPEN:
        return "a HEIC photo", "read it with: pip install pillow-heif, or export it as JPEG"
    if suffix in RAWS:
        return RAW
    return CLIP if suffix in CLIPS or (brand and brand not in HEIC_BRANDS + AVIF_BRANDS) else DAMAGED
