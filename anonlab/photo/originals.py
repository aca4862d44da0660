"""How a photo's file was written, so that the result is written alike: tables of a JPEG, bit depth,
compression, resolution. What cannot stay is named in `notes`, which go into the record."""

from __future__ import annotations

import contextlib
import re
import shlex
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from PIL import Image, JpegImagePlugin

from ..errors import SeveralPictures, UnreadableImage
from .containers import RAW
from .metadata import Fields, read_fields

FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "DIB", "TIFF", "GIF", "PPM", "AVIF", "HEIF")  # no other decoder
ALIASES = {"MPO": "JPEG", "DIB": "BMP"}
OPTIONS: dict[str, dict[str, Any]] = {  # of `Image.save`, where a file does not say its own
    "JPEG": {"quality": 95, "subsampling": 0},
    "WEBP": {"quality": 95},
    "AVIF": {"quality": 90},
    "HEIF": {"quality": 90},
}
TIFF_COMPRESSIONS = ("raw", "tiff_lzw", "tiff_adobe_deflate", "packbits", "zstd", "lzma", "jpeg")
BECOMES = {  # by Pillow's mode
    "CMYK": "CMYK became RGB",
    "LAB": "LAB became RGB",
    "P": "its palette could not be kept",
    "PA": "its palette could not be kept",
    "1": "black and white became grey",
}
MAX_SCANS = 64  # of a progressive JPEG; each goes over the whole picture
HEAD = 1 << 22  # bytes in which the parts of a file are looked for
# PNG's, and AVIF's and HEIC's, unless their primaries are those of sRGB or say nothing (ITU-T H.273)
OTHER_COLOURS = re.compile(rb"cICP[^\1]|colrnclx\0[^\1\2]")
Opened = Any  # a `PIL.Image.Image`, which has other attributes by every format


@dataclass(frozen=True)
class Original:
    """What a file was like, beside its 8-bit pixels."""

    format: str  # Pillow's name: JPEG, PNG …
    options: dict = field(default_factory=dict)  # of `Image.save`, to write it alike
    notes: tuple[str, ...] = ()  # what the result cannot keep
    fields: Fields = field(default_factory=dict)  # EXIF that may stay when asked for


def describe(image: Opened, name: str) -> Original:
    """Describe how an opened image, not loaded yet, was written.

    Raises `UnreadableImage` or `SeveralPictures` for what would not be done, or not rightly.
    """
    kind, notes = ALIASES.get(image.format, image.format or ""), []
    if kind == "TIFF":
        _check_tiff(image, name)
    if getattr(image, "is_animated", False):
        if image.format in ("TIFF", "HEIF"):
            raise SeveralPictures(f"{name} holds several pictures; save each as a file of its own")
        if image.format != "MPO":
            raise SeveralPictures(
                f"{name} is animated, and only its first frame would be anonymized; do all of them as a "
                f"video: python -m anonlab video {shlex.quote(name)}"
            )
        notes.append("pictures behind the first (preview, depth or gain map) are dropped: they show the "
                     "face")  # fmt: skip
    scans = _head(image, -1).count(b"\xff\xda") if image.info.get("progressive") else 0
    if scans > MAX_SCANS:
        raise UnreadableImage(f"{name} is stored in {scans} passes; re-save it in a photo editor")
    suffix = Path(name).suffix.lower()
    meant = Image.registered_extensions().get(suffix, kind)
    if kind and ALIASES.get(meant, meant) != kind:
        notes.append(f"the name ends in {suffix} and the content is {kind}, which it stays")
    options = dict(OPTIONS.get(kind, {}))
    if kind == "JPEG":
        options = _jpeg_options(image)
    elif kind == "TIFF":
        used = image.info.get("compression", "raw")
        options["compression"] = used if used in TIFF_COMPRESSIONS else "tiff_adobe_deflate"
        if used == "jpeg":
            options["quality"] = 95
    elif kind == "WEBP" and b"VP8L" in _head(image):
        options = {"lossless": True, "exact": True}
    with contextlib.suppress(KeyError, TypeError, ValueError, ZeroDivisionError):
        resolution = tuple(float(number) for number in image.info["dpi"])
        if all(1 <= number <= 65535 for number in resolution):
            options["dpi"] = resolution
    deep = (image.info.get("bit_depth") or 8) > 8  # of a HEIC
    deep |= any(";16" in str(tile[3]) for tile in getattr(image, "tile", ()))
    if image.mode.startswith("I") or (deep and kind != "BMP"):  # a BMP's 16 are those of a pixel
        notes.append("more than 8 bits a channel became 8")
    if not image.info.get("icc_profile") and OTHER_COLOURS.search(_head(image)):
        notes.append("its colours are not those of sRGB, and are called so")
    if image.mode in BECOMES:
        notes.append(BECOMES[image.mode])
    return Original(kind, options, tuple(notes), read_fields(image))


def _check_tiff(image: Opened, name: str) -> None:
    """Raise `UnreadableImage` for a TIFF that Pillow may decode wrongly, or of which it sees a preview.

    Right are whole numbers of 1, 8 or 16 bits, all of whose strips or tiles are there.
    """
    tags = image.tag_v2
    colours, planes = tags.get(262), tags.get(284, 1) == 2
    if tags.get(254, 0) & 1 or 0xC612 in tags or colours in (32803, 34892):  # a preview, DNG, a mosaic
        raise UnreadableImage(f"{name} is {RAW[0]}; {RAW[1]}")
    bits, kinds = max(tags.get(258, (1,))), set(tags.get(339, (1,)))
    across, down = tags.get(322, tags[256]), tags.get(323) or min(tags.get(278, tags[257]), tags[257])
    needed = -(-tags[256] // across) * -(-tags[257] // down) * (tags.get(277, 1) if planes else 1)
    right = (
        bits in (1, 8, 16)
        and kinds <= {1, 4}  # unsigned, or not said
        and not (bits == 16 and (planes or colours == 0))
        and not (colours == 6 and tags.get(259, 1) == 1)  # YCbCr without compression
        and max(tags.get(320) or (256,)) >= 256  # a palette of 16 bits a colour
        and len(tags.get(273) or tags.get(324) or ()) >= needed
    )
    if not right:
        raise UnreadableImage(
            f"{name} is a TIFF of a kind that cannot be read rightly; save it as RGB of 8 bits a channel"
        )


def _jpeg_options(image: Opened) -> dict[str, Any]:
    options = {
        "progressive": bool(image.info.get("progressive")),
        "subsampling": max(0, JpegImagePlugin.get_sampling(image)),  # -1 is one that cannot be written
    }
    tables = getattr(image, "quantization", {})
    if not tables or image.mode == "CMYK":
        return options | {"quality": 95}
    return options | {"qtables": [list(tables[number]) for number in sorted(tables)][:4]}


def _head(image: Opened, count: int = HEAD) -> bytes:
    """Return the first bytes of the file."""
    if not getattr(image, "fp", None):
        return b""
    here = image.fp.tell()
    image.fp.seek(0)
    start = image.fp.read(count)
    image.fp.seek(here)
    return start
