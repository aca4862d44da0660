"""Photo files in and out: decoding everything people have, writing nothing half-done.

Only pixels and the colour profile travel to the output. EXIF and its embedded thumbnail, which
shows the original face, do not.
"""

from __future__ import annotations

import os
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from ..errors import OutputNotWritable, UnreadableImage
from ..files import atomic_path

MAX_PIXELS = 178_000_000
MIN_SIDE = 32  # nothing smaller can hold a face that any detector finds
READABLE = {".jpg", ".jpeg", ".jpe", ".png", ".webp", ".bmp", ".tif", ".tiff", ".gif", ".ppm"}


@dataclass(frozen=True)
class Photo:
    """A decoded photo: upright RGB pixels, and what is needed to write it back as it was."""

    pixels: np.ndarray  # (H, W, 3) uint8
    name: str  # file name, or a description of where it came from
    alpha: np.ndarray | None = None  # (H, W) uint8
    monochrome: bool = False
    icc_profile: bytes | None = None

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) in pixels."""
        return self.pixels.shape[1], self.pixels.shape[0]

    def image(self, pixels: np.ndarray) -> Image.Image:
        """`pixels (H, W, 3)` uint8 as a PIL image in this photo's manner (grey stays grey)."""
        image = Image.fromarray(pixels)
        if self.monochrome:
            image = image.convert("L")
            if self.alpha is None:
                return image
            image = image.convert("LA")
        if self.alpha is not None:
            image.putalpha(Image.fromarray(self.alpha))
        return image


def read_photo(source: str | os.PathLike | Image.Image | np.ndarray) -> Photo:
    """Decode a path, a PIL image or an `(H, W, 3)` uint8 array into an upright RGB `Photo`.

    EXIF orientation is applied; grey, palette, CMYK, 16-bit and transparent pictures become 8-bit
    RGB. Raises `UnreadableImage` with the file's name and the remedy.
    """
    if isinstance(source, np.ndarray):
        if source.dtype != np.uint8 or source.ndim != 3 or source.shape[2] != 3:
            raise UnreadableImage(
                f"an array must be (H, W, 3) uint8 RGB, not {source.shape} {source.dtype}"
            )
        return _checked(Photo(source.copy(), "array"))
    if isinstance(source, Image.Image):
        name = str(getattr(source, "filename", "") or "image")
        try:
            return _decode(source, name)
        except UnreadableImage:
            raise
        except Exception as error:
            raise UnreadableImage(
                f"{name} is damaged or not an image ({error}); open and re-save it in a photo editor"
            ) from None
    path = Path(source)
    try:
        if path.is_dir():
            raise UnreadableImage(f"{path} is a folder; name a photo in it, or use the command line")
        if not path.exists():
            raise UnreadableImage(f"{path} does not exist; check the spelling")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            with Image.open(path) as image:
                return _decode(image, str(path))
    except UnreadableImage:
        raise
    except Image.DecompressionBombError:
        raise UnreadableImage(
            f"{path} has more than {MAX_PIXELS // 10**6} megapixels; scale it down first"
        ) from None
    except PermissionError:
        raise UnreadableImage(f"{path} cannot be opened; check its permissions") from None
    except Exception as error:  # Pillow's decoders raise almost anything on damaged files
        raise UnreadableImage(
            f"{path} is damaged or not an image ({error}); open and re-save it in a photo editor"
        ) from None


def _decode(image: Image.Image, name: str) -> Photo:
    if image.width * image.height > MAX_PIXELS:
        raise UnreadableImage(
            f"{name} has more than {MAX_PIXELS // 10**6} megapixels; scale it down first"
        )
    icc_profile = image.info.get("icc_profile")
    image.load()
    image = ImageOps.exif_transpose(image)
    alpha = None
    if image.mode.startswith("I;16"):
        image.info.pop("transparency", None)  # one grey value of 65536
    if "A" in image.getbands() or "transparency" in image.info:
        image = image.convert("RGBA")
        alpha = np.array(image.getchannel("A"))
    if image.mode.startswith("I") or image.mode == "F":
        values = np.asarray(image, dtype=np.float64)
        deep = image.mode.startswith("I;16") or values.max() > 255
        top = 65535.0 if deep else 255.0 if values.max() > 1 else 1.0
        pixels = np.repeat((values / top * 255).round().clip(0, 255).astype(np.uint8)[..., None], 3, 2)
    else:
        if image.mode == "CMYK":
            icc_profile = None  # it describes inks, and the output is RGB
        pixels = np.array(image.convert("RGB"))
    grey_profile = icc_profile is None or icc_profile[16:20] == b"GRAY"
    monochrome = grey_profile and bool((pixels == pixels[..., :1]).all())
    return _checked(Photo(pixels, name, alpha, monochrome, icc_profile))


def _checked(photo: Photo) -> Photo:
    if min(photo.size) < MIN_SIDE:
        width, height = photo.size
        raise UnreadableImage(
            f"{photo.name} is only {width}×{height} pixels; a photo of a face needs at least "
            f"{MIN_SIDE} on each side"
        )
    return photo


def write_photo(image: Image.Image, path: Path, icc_profile: bytes | None = None) -> None:
    """Write `image` to `path` at once or not at all, without metadata.

    The format follows the file name; JPEG is written at quality 95. Raises `OutputNotWritable`.
    """
    options: dict = {"icc_profile": icc_profile} if icc_profile else {}
    kind = Image.registered_extensions().get(path.suffix.lower())
    if kind in ("JPEG", "MPO"):
        image = image.convert("L" if image.mode in ("L", "LA") else "RGB")
        kind = "JPEG"
        options |= {"quality": 95, "subsampling": 0}
    elif kind == "WEBP":
        options |= {"quality": 95}
    if kind is None or kind not in Image.SAVE:
        raise OutputNotWritable(
            f"{path} would be in a format that cannot be written; convert the photo to .png first"
        )
    image.info.clear()
    with atomic_path(path) as partial:
        image.save(partial, format=kind, **options)
