"""Photo files in and out: decoding everything people have, writing nothing half-done.

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
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO

import numpy as np
from PIL import Image, ImageCms
from PIL.ExifTags import Base

from ..errors import InputMissing, OutputNotWritable, SeveralPictures, UnreadableImage
from ..files import atomic_path, open_file
from . import originals
from .containers import orientation, what_else, without_extras
from .metadata import kept_exif
from .originals import Original

with contextlib.suppress(ImportError):  # `pip install anonlab[heic]`
    from pillow_heif import register_heif_opener

    register_heif_opener(thumbnails=False)

MAX_PIXELS = 178_000_000
MIN_SIDE = 32  # nothing smaller can hold a face that any detector finds
STRIP = 512  # rows of a large picture that are converted, scaled or blended at once
MAX_PROFILE = 1 << 22  # bytes of a colour profile
READABLE = {
    *(".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".bmp", ".tif", ".tiff", ".gif"),
    *(".dib", ".ppm", ".pgm", ".pbm", ".pnm", ".avif", ".heic", ".heif", ".hif", ".mpo", ".apng"),
}
UPRIGHT = {  # what EXIF's orientation asks for
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


def read_photo(
    source: str | os.PathLike | BinaryIO | Image.Image | np.ndarray | Photo,
) -> Photo:
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
    if isinstance(source, Image.Image):
        name = str(getattr(source, "filename", "") or "image")
        with _named(name):
            return _decode(source, name)
    if isinstance(source, (str, os.PathLike)):
        path = Path(source)
        try:
            file = open_file(path)
        except InputMissing as error:
            raise UnreadableImage(str(error)) from None
        with file:
            return read_photo(file)
    name = str(source.name)
    try:
        with _named(name), _opened(source, name) as image:
            return _decode(image, name)
    except UnreadableImage as error:  # because of something that is dropped anyway?
        source.seek(0)
        if isinstance(error, SeveralPictures) or source.read(2) not in (b"\xff\xd8", b"\x89P"):
            raise
        source.seek(0)
        bare = without_extras(source.read())
        if len(bare) == source.tell():
            raise
        with _named(name), _opened(io.BytesIO(bare), name) as image:
            return _decode(image, name)


@contextlib.contextmanager
def _named(name: str):
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
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # bombs are measured, damaged EXIF is dropped
            return Image.open(file, formats=known)
    except Image.UnidentifiedImageError:
        file.seek(0)
        what, remedy = what_else(file.read(512), name)
        remedy = remedy.replace("CLIP", shlex.quote(name))
        raise UnreadableImage(f"{name} is {what}; {remedy}") from None


def _decode(image: Image.Image, name: str) -> Photo:
    if image.width * image.height > MAX_PIXELS:
        raise _too_large(name)
    original = originals.describe(image, name)
    image.load()
    notes: list[str] = []
    tags = getattr(image, "tag_v2", None) or {}
    inverted = image.mode.startswith("I;16") and tags.get(originals.PHOTOMETRIC) == 0  # white is zero
    indices = np.array(image) if original.format == "GIF" and image.mode == "P" else None
    palette = tuple(image.getpalette("RGB") or ()) if indices is not None else ()
    turn = _turn(image)
    if turn is not None:  # else it would be copied
        image = image.transpose(turn)
        indices = np.array(image) if indices is not None else None
    alpha = deep = None
    icc_profile = _profile(image, notes)
    transparent = "transparency" in image.info
    if transparent and image.mode.startswith("I;16"):
        notes.append("its transparent grey became opaque")  # one value of 65536
    elif transparent or image.mode in ("RGBA", "LA", "PA", "RGBa", "La"):
        image = image.convert("LA") if image.mode == "La" else image  # colours times alpha
        image = image.convert("RGBA")
        alpha = np.array(image.getchannel("A"))
    if image.mode.startswith("I") or image.mode == "F":
        values, top = _scaled(np.asarray(image), name)
        if top > 255:
            deep = values.astype(np.uint16)  # a copy; no file of these kinds has more
            values = deep = 65535 - deep if inverted else deep
        else:
            notes.append("more than 8 bits a channel became 8")
        pixels = np.empty((*values.shape, 3), np.uint8)
        for row in range(0, len(values), STRIP):  # eight bytes a pixel would be gigabytes
            grey = (values[row : row + STRIP] / top * 255).round().clip(0, 255)
            pixels[row : row + STRIP] = grey[..., None]
    else:
        if image.mode == "CMYK" and icc_profile:
            image = _without_inks(image, icc_profile)
        if icc_profile and icc_profile[16:20] not in (b"RGB ", b"GRAY"):
            icc_profile = None  # it describes inks, and the output is RGB
        pixels = _rgb(image)
    monochrome = (icc_profile is None or icc_profile[16:20] == b"GRAY") and _is_grey(pixels)
    if icc_profile and icc_profile[16:20] == b"GRAY" and not monochrome:
        icc_profile = None
        notes.append("its colour profile is for grey, and is dropped")
    original = replace(
        original, notes=(*original.notes, *notes), deep=deep, indices=indices, palette=palette
    )
    return _checked(Photo(pixels, name, alpha, monochrome, icc_profile, original))


def _rgb(image: Image.Image) -> np.ndarray:
    """Convert to `(H, W, 3)` uint8, in pieces: 178 megapixels must not be in memory four times."""
    pixels = np.empty((image.height, image.width, 3), np.uint8)
    for top in range(0, image.height, STRIP):
        strip = image.crop((0, top, image.width, min(top + STRIP, image.height)))
        pixels[top : top + STRIP] = np.asarray(strip.convert("RGB"))
    return pixels


def _turn(image: Image.Image) -> Image.Transpose | None:
    """Find what turns the picture upright, also where another field of EXIF is damaged."""
    try:
        said = image.getexif().get(Base.Orientation)
    except Exception:
        said = None
    said = said or orientation(image.info.get("exif") or b"")
    return UPRIGHT.get(said) if isinstance(said, int) else None


def _profile(image: Image.Image, notes: list[str]) -> bytes | None:
    """Return the colour profile, unless something else is stored under its name."""
    profile = image.info.get("icc_profile")
    if not profile:
        return None
    whole = len(profile) >= 128 and int.from_bytes(profile[:4], "big") == len(profile)
    if whole and profile[36:40] == b"acsp" and len(profile) <= MAX_PROFILE:
        return profile
    notes.append("its colour profile is none, and is dropped")
    return None


def _without_inks(image: Image.Image, profile: bytes) -> Image.Image:
    """Convert a CMYK picture by its own profile, or by the usual formula where that fails."""
    try:
        inks = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        srgb = ImageCms.createProfile("sRGB")
        return ImageCms.profileToProfile(image, inks, srgb, outputMode="RGB") or image
    except (ImageCms.PyCMSError, OSError):
        return image


def _scaled(values: np.ndarray, name: str) -> tuple[np.ndarray, float]:
    """Return numbers of more than 8 bits, and which of them is white. Raises `UnreadableImage` for
    numbers whose white cannot be known."""
    if values.dtype != np.float32:
        return values, 65535.0
    values = np.nan_to_num(values, posinf=0, neginf=0)
    low, most = float(values.min()), float(values.max())
    if low >= 0 and most <= 1:
        return values, 1.0
    if low >= 0 and most <= 255 and (values == values.round()).all():
        return values, 255.0
    raise UnreadableImage(
        f"{name} holds numbers from {low:.3g} to {most:.3g}, and which is white is not known; save it "
        f"with 8 or 16 bits a channel"
    )


def _is_grey(pixels: np.ndarray) -> bool:
    """Tell whether all three channels are equal, in pieces."""
    strips = (pixels[top : top + STRIP] for top in range(0, len(pixels), STRIP))
    return all((rows == rows[..., :1]).all() for rows in strips)


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

    `like` the photo that it was made of: the same format, JPEG tables and subsampling, bit depth,
    palette and resolution, every pixel that did not change as it was in the file, and of its EXIF the
    fields of `keep_metadata`. Without it the format follows the file name, and JPEG is written at
    quality 95. Returns what could not be kept. Raises `OutputNotWritable` and `UnknownOption`.
    """
    original = like.original if like else None
    suffix = path.suffix.lower()
    kind = Image.registered_extensions().get(suffix, "") if suffix in READABLE else ""
    kind = originals.ALIASES.get(kind, kind)
    if original and original.format in Image.SAVE:  # whatever the name says
        kind = original.format
    if kind not in Image.SAVE:
        raise OutputNotWritable(
            f"{path} would be in a format that cannot be written; convert the photo to .png first"
        )
    notes = list(original.notes) if original else []
    if like and original and original.format == kind:
        options = dict(original.options)
        image = original.restored(image, like.pixels)
    else:
        options = {"quality": 95, "subsampling": 0} if kind == "JPEG" else {}
        options |= {"quality": originals.QUALITY[kind]} if kind in originals.QUALITY else {}
    if kind == "JPEG":
        image = image.convert("L" if image.mode in ("L", "LA") else "RGB")
    if icc_profile:
        options["icc_profile"] = icc_profile
    exif, lost = kept_exif(original.fields if original else {}, keep_metadata)
    notes += lost
    if exif and kind == "TIFF":
        options["tiffinfo"] = dict(exif)  # bytes of EXIF it would read, and write again as ASCII
    elif exif and kind in ("JPEG", "PNG", "WEBP", "AVIF", "HEIF"):
        options["exif"] = exif.tobytes()
    elif exif:
        notes.append(f"{kind} holds no metadata, also not what was to be kept")
    image = image.copy()  # without what an opened file brings along
    image.info.clear()
    with atomic_path(path) as partial:
        image.save(partial, format=kind, **options)
    return notes
