"""Photo files in and out: decoding what people have, writing nothing half-done.

Only pixels, what says how to show them (colour profile, resolution), and the manner in which the file
was written travel to the output. EXIF and its embedded thumbnail, which shows the original face, do
not, nor anything else that a file may carry; see `metadata` for the fields that can be asked for.
"""

from __future__ import annotations

import contextlib
import io
import os
import shlex
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO

import numpy as np
from PIL import Image, ImageCms
from PIL.ExifTags import Base

from ..errors import InputMissing, OutputNotWritable, UnreadableImage
from ..files import atomic_path, open_file
from . import originals
from .containers import what_else
from .metadata import kept_exif
from .originals import Original

with contextlib.suppress(ImportError):  # `pip install anonlab[heic]`
    from pillow_heif import register_heif_opener

    register_heif_opener(thumbnails=False)

MAX_PIXELS = 178_000_000
MIN_SIDE = 32  # nothing smaller can hold a face that any detector finds
STRIP = 512  # rows of a large picture that are scaled or blended at once
MAX_PROFILE = 1 << 22  # bytes of a colour profile
READABLE = {
    *(".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".bmp", ".tif", ".tiff", ".gif"),
    *(".dib", ".ppm", ".pgm", ".pbm", ".pnm", ".avif", ".heic", ".heif", ".hif", ".mpo", ".apng"),
}
UPRIGHT = {  # what EXIF's orientation asks for; `ImageOps.exif_transpose` fails at damaged EXIF
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


@dataclass(frozen=True)
class Photo:
    """A decoded photo: upright RGB pixels, and what is needed to write it back as it was."""

    pixels: np.ndarray  # (H, W, 3) uint8
    name: str  # file name, or a description of where it came from
    alpha: np.ndarray | None = None  # (H, W) uint8
    monochrome: bool = False
    icc_profile: bytes | None = None
    original: Original | None = None  # how its file was written; None for an array

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) in pixels."""
        return self.pixels.shape[1], self.pixels.shape[0]

    def image(self, pixels: np.ndarray) -> Image.Image:
        """Make a PIL image of `pixels (H, W, 3)` uint8 in this photo's manner (grey stays grey)."""
        image = Image.fromarray(pixels)
        if self.monochrome:
            image = image.convert("L")
            if self.alpha is None:
                return image
            image = image.convert("LA")
        if self.alpha is not None:
            image.putalpha(Image.fromarray(self.alpha))
        return image


def read_photo(source: str | os.PathLike | BinaryIO | Image.Image | np.ndarray | Photo) -> Photo:
    """Decode a path, an open file, a PIL image or an `(H, W, 3)` uint8 array into an upright `Photo`.

    EXIF orientation is applied; grey, palette, CMYK, 16-bit and transparent pictures become 8-bit
    RGB, and what their file was like is in `original`. A `Photo` is returned as it is. Raises
    `UnreadableImage` with the file's name and the remedy, `SeveralPictures` for animations and pages.
    """
    if isinstance(source, Photo):
        return source
    if isinstance(source, np.ndarray):
        if source.dtype != np.uint8 or source.ndim != 3 or source.shape[2] != 3:
            raise UnreadableImage(
                f"an array must be (H, W, 3) uint8 RGB, not {source.shape} {source.dtype}"
            )
        return _checked(Photo(source.copy(), "array"))
    if isinstance(source, (str, os.PathLike)):
        try:
            with open_file(Path(source)) as file:
                return read_photo(file)
        except InputMissing as error:
            raise UnreadableImage(str(error)) from None
    if isinstance(source, Image.Image):
        name = str(getattr(source, "filename", "") or "image")
        with _named(name):
            return _decode(source, name)
    name = str(source.name)
    with _named(name), _opened(source, name) as image:
        return _decode(image, name)


@contextlib.contextmanager
def _named(name: str) -> Iterator[None]:
    """Raise every failure of a decoder as `UnreadableImage` with the file's name."""
    try:
        yield
    except UnreadableImage:
        raise
    except Image.DecompressionBombError:
        raise _too_large(name) from None
    except MemoryError:
        raise UnreadableImage(f"{name} is larger than the memory; scale it down first") from None
    except Exception as error:  # Pillow's decoders raise almost anything on damaged files
        reason = " ".join(str(error).split()) or type(error).__name__
        raise UnreadableImage(
            f"{name} is damaged or not an image ({reason}); open and re-save it in a photo editor"
        ) from None


def _too_large(name: str) -> UnreadableImage:
    return UnreadableImage(f"{name} has more than {MAX_PIXELS // 10**6} megapixels; scale it down first")


def _opened(file: BinaryIO, name: str) -> Image.Image:
    """Open a file by the decoders that are meant for photos: Pillow has others that start programs."""
    Image.init()
    known = [one for one in originals.FORMATS if one in Image.OPEN]
    try:
        with warnings.catch_warnings(action="ignore"):  # bombs are measured, damaged EXIF is dropped
            return Image.open(file, formats=known)
    except Image.UnidentifiedImageError:
        file.seek(0)
        what, remedy = what_else(file.read(12), name)
        remedy = remedy.replace("CLIP", shlex.quote(name))
        raise UnreadableImage(f"{name} is {what}; {remedy}") from None


def _decode(image: Image.Image, name: str) -> Photo:
    if image.width * image.height > MAX_PIXELS:
        raise _too_large(name)
    original = originals.describe(image, name)
    image.load()
    turn = None
    with contextlib.suppress(Exception):  # damaged EXIF says nothing
        turn = UPRIGHT.get(image.getexif().get(Base.Orientation, 1))
    image = image if turn is None else image.transpose(turn)
    profile, notes = image.info.get("icc_profile") or b"", list(original.notes)
    if profile and not _is_profile(profile):
        profile = b""
        notes.append("its colour profile is none, and is dropped")
    alpha = None
    if image.mode.startswith("I"):  # 16 bits of grey
        eight = ((np.asarray(image).astype(np.uint32) + 128) // 257).astype(np.uint8)
        pixels = np.repeat(eight[..., None], 3, 2)
    elif image.mode == "F":
        raise UnreadableImage(
            f"{name} holds fractions, and which is white is not known; save it with 8 bits a channel"
        )
    else:
        if image.has_transparency_data:
            image = image.convert("LA") if image.mode == "La" else image  # colours times alpha
            image = image.convert("RGBA")
            alpha = np.array(image.getchannel("A"))
        if image.mode == "CMYK" and profile:
            with contextlib.suppress(ImageCms.PyCMSError, OSError):  # else by the usual formula
                inks = ImageCms.ImageCmsProfile(io.BytesIO(profile))
                srgb = ImageCms.createProfile("sRGB")
                image = ImageCms.profileToProfile(image, inks, srgb, outputMode="RGB") or image
        pixels = np.array(image if image.mode == "RGB" else image.convert("RGB"))
    red, green, blue = np.moveaxis(pixels, -1, 0)
    grey = bool((red == green).all() and (green == blue).all())
    if profile[16:20] not in ((b"RGB ", b"GRAY") if grey else (b"RGB ",)):
        profile = b""  # it describes inks, or grey where colours are
    monochrome = grey and profile[16:20] != b"RGB "
    original = replace(original, notes=tuple(notes))
    return _checked(Photo(pixels, name, alpha, monochrome, profile or None, original))


def _is_profile(data: bytes) -> bool:
    """Tell whether it is a colour profile, and nothing else that is stored under its name."""
    whole = 128 <= len(data) <= MAX_PROFILE and int.from_bytes(data[:4], "big") == len(data)
    return whole and data[36:40] == b"acsp"


def _checked(photo: Photo) -> Photo:
    if min(photo.size) < MIN_SIDE:
        width, height = photo.size
        raise UnreadableImage(
            f"{photo.name} is only {width}×{height} pixels; a photo of a face needs at least "
            f"{MIN_SIDE} on each side"
        )
    return photo


def write_photo(
    image: Image.Image,
    path: Path,
    icc_profile: bytes | None = None,
    like: Photo | None = None,
    keep_metadata: Sequence[str] = (),
) -> list[str]:
    """Write `image` to `path` at once or not at all, without metadata.

    `like` the photo that it was made of: the same format, JPEG tables, subsampling and resolution, and
    of its EXIF the fields of `keep_metadata`. Without it the format follows the file name, and JPEG is
    written at quality 95. Returns what could not be kept. Raises `OutputNotWritable` and
    `UnknownOption`.
    """
    original = like.original if like else None
    if original and original.format:  # whatever the name says; a picture in memory has none
        kind, options = original.format, dict(original.options)
    else:
        suffix = path.suffix.lower()
        kind = Image.registered_extensions().get(suffix, "") if suffix in READABLE else ""
        kind = originals.ALIASES.get(kind, kind)
        options = dict(originals.OPTIONS.get(kind, {}))
    if kind not in Image.SAVE:
        raise OutputNotWritable(
            f"{path} would be in a format that cannot be written; convert the photo to .png first"
        )
    if kind == "JPEG":
        image = image.convert("L" if image.mode in ("L", "LA") else "RGB")
    if icc_profile:
        options["icc_profile"] = icc_profile
    exif, lost = kept_exif(original.fields if original else {}, keep_metadata)
    if exif and kind == "TIFF":
        options["tiffinfo"] = dict(exif)  # bytes of EXIF it would read, and write again as ASCII
    elif exif and kind in ("JPEG", "PNG", "WEBP", "AVIF", "HEIF"):
        options["exif"] = exif.tobytes()
    elif exif:
        lost.append(f"{kind} holds no metadata, also not what was to be kept")
    image = image.copy()  # without what an opened file brings along
    image.info.clear()
    with atomic_path(path) as partial:
        image.save(partial, format=kind, **options)
    return [*(original.notes if original else ()), *lost]
