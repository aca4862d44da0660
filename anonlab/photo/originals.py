"""How a photo's file was written, so that the result is written alike: tables of a JPEG, bit depth,
palette, compression, resolution. What cannot stay is named in `notes`, which go into the record."""

from __future__ import annotations

import shlex
import struct
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, JpegImagePlugin, PngImagePlugin

from ..errors import SeveralPictures, UnreadableImage
from .containers import RAW
from .metadata import Fields, read_fields

FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "DIB", "TIFF", "GIF", "PPM", "AVIF", "HEIF")  # no other decoder
QUALITY = {"WEBP": 95, "AVIF": 90, "HEIF": 90}  # where a file does not say its own
MAX_SCANS = 64  # of a progressive JPEG; each goes over the whole picture
MAX_PAGES = 16  # of a TIFF that are looked at
REDUCED = 1  # bit of TIFF's NewSubfileType: a smaller version of another page
SUBFILE, BITS, COMPRESSION, PHOTOMETRIC, PLANES, SAMPLE_FORMAT = 254, 258, 259, 262, 284, 339
STRIPS, SAMPLES, STRIP_ROWS, PALETTE, TILE_SIZE, TILES = 273, 277, 278, 320, (322, 323), 324
YCBCR = 6
SRGB = ((1, 2), (1, 2, 6, 13))  # primaries and transfers that are shown as sRGB, or say nothing
DNG_VERSION, RAW_COLOURS = 0xC612, (32803, 34892)  # a mosaic of colours, linear raw
FORMAT_NAMES = {1: "whole", 2: "signed", 3: "floating-point"}
Opened = Any  # a `PIL.Image.Image`, which has other attributes by every format
ALIASES = {"MPO": "JPEG", "DIB": "BMP"}
ALSO_DEFLATE = ("group3", "group4", "tiff_ccitt", "tiff_raw_16", "tiff_deflate")  # the same pixels
TIFF_COMPRESSIONS = ("raw", "tiff_lzw", "tiff_adobe_deflate", "packbits", "zstd", "lzma", "jpeg")


@dataclass(frozen=True)
class Original:
    """What a file was like, beside its 8-bit pixels."""

    format: str  # Pillow's name: JPEG, PNG …
    options: dict = field(default_factory=dict)  # of `Image.save`, to write it alike
    notes: tuple[str, ...] = ()  # what the result cannot keep
    fields: Fields = field(default_factory=dict)  # EXIF that may stay when asked for, by group
    deep: np.ndarray | None = None  # (H, W) uint16 of a 16-bit grey picture
    indices: np.ndarray | None = None  # (H, W) uint8 of a GIF
    palette: tuple[int, ...] = ()  # of them, 3 numbers a colour

    def restored(self, image: Image.Image, before: np.ndarray) -> Image.Image:
        """Return `image` with every pixel that equals `before (H, W, 3)` as it was in the file.

        Changed pixels of a 16-bit picture have 8 bits' worth of values: finer ones would be those of
        the original face. Changed pixels of a GIF take colours of its palette, and what fits in beside.
        """
        if self.deep is not None:  # it is grey, so that one channel has everything
            grey = np.asarray(image if image.mode == "L" else image.getchannel(0))
            new = grey.astype(np.uint16) * 257
            return Image.fromarray(np.where(grey != before[..., 0], new, self.deep))
        if self.indices is None:
            return image
        pixels = np.asarray(image.convert("RGB"))
        return self._indexed(pixels, np.where((pixels != before).any(-1), np.int16(-1), self.indices))

    def _indexed(self, pixels: np.ndarray, indices: np.ndarray) -> Image.Image:
        """Put `pixels (H, W, 3)` into the palette, which takes in new colours where it has room; those
        with an index of 0 or more keep it."""
        changed = indices < 0
        palette = list(self.palette)
        room = 256 - len(palette) // 3
        if room and changed.any():
            colours = Image.fromarray(pixels[changed][None]).quantize(room)
            palette += (colours.getpalette("RGB") or [])[: 3 * room]
        transparent = self.options.get("transparency")
        usable = list(palette)
        if transparent is not None:  # no pixel of a new face may take this one
            other = 3 if transparent == 0 and len(usable) > 3 else 0
            usable[3 * transparent : 3 * transparent + 3] = usable[other : other + 3]
        colours = Image.new("P", (1, 1))
        colours.putpalette(usable)
        nearest = np.asarray(Image.fromarray(pixels).quantize(palette=colours))
        if transparent is not None:
            nearest = np.where(nearest == transparent, other // 3, nearest)
        indices = np.where(changed, nearest, indices).astype(np.uint8)
        result = Image.fromarray(indices, "L").convert("P")
        result.putpalette(palette)
        return result


def _check_frames(image: Opened, name: str) -> tuple[str, ...]:
    """Return nothing for a single picture, and a note where only previews are dropped.

    Raises `SeveralPictures` for animations, pages and views: never is one silently cut out.
    """
    if not getattr(image, "is_animated", False):
        return ()
    if image.format == "MPO":
        return _check_views(image, name)
    if image.format == "TIFF":
        return _check_pages(image, name)
    if image.format == "HEIF":
        raise SeveralPictures(f"{name} holds several pictures; export each as a file of its own")
    raise SeveralPictures(
        f"{name} is animated, and only its first frame would be anonymized; do all of them as a video: "
        f"python -m anonlab video {shlex.quote(name)}"
    )


def _check_views(image: Opened, name: str) -> tuple[str, ...]:
    """Tell previews, depth and gain maps of phones from the views of stereo cameras."""
    kinds = [picture["Attribute"]["MPType"] for picture in image.mpinfo[0xB002]]
    if any(str(kind).startswith("Multi-Frame") for kind in kinds[1:]):
        raise SeveralPictures(
            f"{name} holds {len(kinds)} views of one scene; export each as a file of its own"
        )
    return ("pictures behind the first (preview, depth or gain map) are dropped: they show the face",)


def _check_pages(image: Opened, name: str) -> tuple[str, ...]:
    try:
        for page in range(1, MAX_PAGES):
            image.seek(page)
            if not image.tag_v2.get(SUBFILE, 0) & REDUCED:
                raise SeveralPictures(
                    f"{name} has several pages; save each page as a file of its own first"
                )
    except EOFError:
        image.seek(0)
        return ("smaller copies in the file are dropped: they show the face",)
    raise SeveralPictures(f"{name} has {MAX_PAGES} pages or more; save each as a file of its own first")


def _check_scans(image: Opened, name: str) -> None:
    """Raise `UnreadableImage` for a progressive JPEG of so many scans that decoding takes minutes."""
    progressive = image.format in ("JPEG", "MPO") and image.info.get("progressive")
    scans = _start(image, -1).count(b"\xff\xda") if progressive else 0
    if scans > MAX_SCANS:
        raise UnreadableImage(f"{name} is stored in {scans} passes; re-save it in a photo editor")


def _check_layout(image: Opened, name: str) -> None:
    """Raise `UnreadableImage` for a TIFF that Pillow decodes wrongly, or of which it sees a preview."""
    if image.format != "TIFF":
        return
    tags = image.tag_v2
    if tags.get(SUBFILE, 0) & REDUCED or DNG_VERSION in tags or tags.get(PHOTOMETRIC) in RAW_COLOURS:
        raise UnreadableImage(f"{name} is {RAW[0]}; {RAW[1]}")
    bits, kinds = max(tags.get(BITS, (1,))), set(tags.get(SAMPLE_FORMAT, (1,)))
    raw, swapped = tags.get(COMPRESSION, 1) == 1, tags.prefix == b"MM"
    whole = kinds <= {1, 4} and bits in (1, 2, 4, 8, 16)
    planes = tags.get(PLANES, 1) == 2 and bits > 8 and raw
    parts, needed = len(tags.get(STRIPS) or tags.get(TILES) or ()), _parts_needed(image)
    if planes or not (whole or (kinds == {3} and bits == 32 and (raw or not swapped))):
        what = f"of {bits}-bit {FORMAT_NAMES.get(min(kinds), 'whole')} numbers{' in planes' * planes}"
    elif raw and tags.get(PHOTOMETRIC) == YCBCR:
        what = "of YCbCr without compression"
    elif max(tags.get(PALETTE) or (256,)) < 256:
        what = "whose palette has 8 bits a colour instead of 16"
    elif parts < needed:
        what = f"that holds {parts} of its {needed} parts"
    else:
        return
    raise UnreadableImage(
        f"{name} is a TIFF {what}, which cannot be read rightly; save it as RGB of 8 bits a channel"
    )


def _parts_needed(image: Opened) -> int:
    """Count the strips or tiles that a TIFF of this size has."""
    tags = image.tag_v2
    width, height = image.tag_v2[256], image.tag_v2[257]  # before it is turned
    across, down = (tags.get(one) for one in TILE_SIZE)
    across, down = across or width, down or min(tags.get(STRIP_ROWS) or height, height)
    planes = tags.get(SAMPLES, 1) if tags.get(PLANES, 1) == 2 else 1
    return -(-width // across) * -(-height // down) * planes


def describe(image: Opened, name: str) -> Original:
    """Describe how an opened image, not loaded yet, was written.

    Raises `UnreadableImage` or `SeveralPictures` for what would not be done, or not rightly.
    """
    _check_layout(image, name)
    notes, options = [*_check_frames(image, name)], dict[str, Any]()
    _check_scans(image, name)
    kind = ALIASES.get(image.format, image.format or "")
    suffix = Path(name).suffix.lower()
    meant = Image.registered_extensions().get(suffix, kind)
    if kind and ALIASES.get(meant, meant) != kind:
        notes.append(f"the name ends in {suffix} and the content is {kind}, which it stays")
    resolution = _resolution(image)
    if resolution and kind in ("JPEG", "PNG", "TIFF", "BMP"):
        options["dpi"] = resolution
    if kind == "JPEG":
        options |= _jpeg_options(image, notes)
    elif kind == "PNG":
        options |= _png_options(image)
    elif kind == "TIFF":
        options |= _tiff_options(image, notes)
    elif kind == "WEBP":
        lossless = _is_lossless_webp(image)
        options |= {"lossless": True, "exact": True} if lossless else {"quality": QUALITY["WEBP"]}
    elif kind == "GIF" and image.mode == "P" and "transparency" in image.info:
        options["transparency"] = image.info["transparency"]
    elif kind in QUALITY:
        options["quality"] = QUALITY[kind]
        _say_colours(image, options, notes)
    if _bits(image) > 8 and not image.mode.startswith(("I", "F")):
        notes.append("more than 8 bits a channel became 8")
    if image.mode in ("CMYK", "LAB"):
        notes.append(f"{image.mode} became RGB")
    if image.mode in ("P", "PA") and kind != "GIF":
        notes.append("its palette became RGB")
    if image.mode == "1":
        notes.append("black and white became grey")
    return Original(kind, options, tuple(notes), read_fields(image))


def _resolution(image: Image.Image) -> tuple[float, float] | None:
    try:
        x, y = (float(number) for number in image.info["dpi"])
    except (KeyError, TypeError, ValueError, ZeroDivisionError):
        return None
    return (x, y) if all(1 <= number <= 65535 for number in (x, y)) else None


def _jpeg_options(image: Image.Image, notes: list[str]) -> dict:
    options: dict = {"progressive": bool(image.info.get("progressive"))}
    tables = getattr(image, "quantization", {})
    if tables and image.mode != "CMYK":
        options["qtables"] = [list(tables[table]) for table in sorted(tables)][:4]
    else:
        options["quality"] = 95
    subsampling = JpegImagePlugin.get_sampling(image)
    if image.mode == "RGB" and subsampling < 0:
        notes.append("its chroma subsampling is rare, and became 4:4:4")
    options["subsampling"] = max(subsampling, 0)
    if image.mode == "RGB" and image.info.get("adobe_transform") == 0:
        options["keep_rgb"] = True
    return options


def _png_options(image: Image.Image) -> dict:
    """Keep the four small chunks that define the colours; text and everything else is left out."""
    chunks = PngImagePlugin.PngInfo()
    coding = _start(image, 4096).partition(b"\0\0\0\4cICP")[2][:4]
    if len(coding) == 4:
        chunks.add(b"cICP", coding)
    if isinstance(image.info.get("srgb"), int):
        chunks.add(b"sRGB", struct.pack(">B", image.info["srgb"] & 3))
    try:
        if image.info.get("gamma"):
            chunks.add(b"gAMA", struct.pack(">I", round(image.info["gamma"] * 100_000)))
        if image.info.get("chromaticity"):
            numbers = [round(number * 100_000) for number in image.info["chromaticity"]]
            chunks.add(b"cHRM", struct.pack(">8I", *numbers))
    except (struct.error, TypeError, ValueError):  # a value that no colour has
        pass
    return {"pnginfo": chunks} if chunks.chunks else {}


def _say_colours(image: Image.Image, options: dict, notes: list[str]) -> None:
    """Keep the colours (ITU-T H.273) that an AVIF or HEIC declares, or name them in `notes`."""
    coding = _start(image, 1 << 16).partition(b"colrnclx")[2][:4]
    if image.info.get("icc_profile") or len(coding) < 4:
        return
    primaries, transfer = struct.unpack(">HH", coding)
    if primaries in SRGB[0] and transfer in SRGB[1]:
        return
    if image.format == "HEIF":
        options |= {"color_primaries": primaries, "transfer_characteristics": transfer}
    else:
        notes.append(f"its colours (H.273: primaries {primaries}, transfer {transfer}) are called sRGB")


def _tiff_options(image: Image.Image, notes: list[str]) -> dict:
    compression = image.info.get("compression", "raw")
    if compression not in TIFF_COMPRESSIONS:
        if compression not in ALSO_DEFLATE:
            notes.append(f"its compression, {compression}, became deflate")
        compression = "tiff_adobe_deflate"
    return {"compression": compression} | ({"quality": 95} if compression == "jpeg" else {})


def _is_lossless_webp(image: Image.Image) -> bool:
    """Tell whether the picture is in a VP8L chunk; chunks are name, length, content, padded to even."""
    content, at = _start(image, 1 << 24), 12
    while at + 8 <= len(content) and content[at : at + 4] not in (b"VP8 ", b"VP8L"):
        at += 8 + (int.from_bytes(content[at + 4 : at + 8], "little") + 1) // 2 * 2
    return content[at : at + 4] == b"VP8L"


def _start(image: Opened, count: int) -> bytes:
    """Return the first bytes of the file."""
    if not getattr(image, "fp", None):
        return b""
    here = image.fp.tell()
    image.fp.seek(0)
    start = image.fp.read(count)
    image.fp.seek(here)
    return start


def _bits(image: Opened) -> int:
    """Count the bits of a channel in the file; 8 unless more are declared."""
    if image.format == "HEIF":
        return int(image.info.get("bit_depth") or 8)
    if image.format == "AVIF":  # byte 2 of the codec's configuration, bit 6
        configuration = _start(image, 4096).partition(b"av1C")[2]
        return 10 if len(configuration) > 2 and configuration[2] & 0x40 else 8
    for tile in () if image.format == "BMP" else getattr(image, "tile", ()):  # its 16 are of a pixel
        arguments = tile[3] if isinstance(tile[3], tuple) else (tile[3],)
        deep = [isinstance(one, str) and ";16" in one for one in arguments]
        deep += [image.format == "PPM" and isinstance(one, int) and one > 255 for one in arguments]
        if any(deep):
            return 16
    return 8
