"""Files of the explorer: what can be opened, uploads from a browser, and downloads to it."""

from __future__ import annotations

import base64
import io
import secrets
import tempfile
import warnings
from html import escape
from pathlib import Path

from PIL import Image, UnidentifiedImageError

from ...errors import UnreadableImage
from ...generators.samples import SAMPLES
from ...photo.photos import MAX_PIXELS, READABLE, Photo, write_photo
from ...results import Result
from ...weights.store import notebooks_folder

MEGABYTE = 10**6
LARGEST_UPLOAD = 200 * MEGABYTE  # the servers' own limit is in jupyter/, and higher
KINDS = {"json": "application/json", "key": "text/plain", "png": "image/png", "jpg": "image/jpeg"}


def photo_choices(folder: Path | None = None) -> list[str]:
    """List the sample faces, and the photos in `folder` (by default `data/photos`)."""
    folder = folder or notebooks_folder().parent / "data" / "photos"
    own = sorted(str(path) for path in folder.glob("*") if path.suffix.lower() in READABLE)
    return [*SAMPLES, *own]


def is_sample(photo: str) -> bool:
    """Whether a choice is a photo that comes with anonlab, which is no secret."""
    return photo.startswith(("astronaut", "synthetic-")) and not Path(photo).suffix


def as_text(key: bytes) -> str:
    """Return a key that was typed, or a new one in place of random bytes, which cannot be typed."""
    try:
        text = key.decode()
    except UnicodeDecodeError:
        return secrets.token_hex(32)
    return text if text.isprintable() else secrets.token_hex(32)


def open_upload(name: str, content: bytes) -> Image.Image:
    """The picture in an uploaded file; its `filename` is `name`, for whatever must be said about it.

    Raises `UnreadableImage` for a file that is too large, or no image.
    """
    if len(content) > LARGEST_UPLOAD:
        raise UnreadableImage(
            f"{name} is too large: {len(content) / MEGABYTE:.0f} MB, and "
            f"{LARGEST_UPLOAD // MEGABYTE} MB can be uploaded; save a smaller copy"
        )
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            image = Image.open(io.BytesIO(content))
    except UnidentifiedImageError:
        raise UnreadableImage(
            f"{name} is not an image that can be decoded; choose a JPEG or PNG"
        ) from None
    except Image.DecompressionBombError:
        raise UnreadableImage(
            f"{name} has more than {MAX_PIXELS // 10**6} megapixels; scale it down first"
        ) from None
    image.filename = name
    return image


def download_link(text: str, name: str, content: bytes, title: str) -> str:
    """HTML of a link that saves `content` as the file `name` when it is clicked.

    The browser does it, into its own folder of downloads, and never over a file that is there.
    """
    kind = KINDS.get(name.rpartition(".")[2].lower(), "application/octet-stream")
    data = base64.b64encode(content).decode()
    return (
        f'<a class="jupyter-button anonlab-download" download="{escape(name)}" title="{escape(title)}" '
        f'href="data:{kind};base64,{data}">{escape(text)}</a>'
    )


def finished_name(photo: str) -> str:
    """What a finished photo is called: `me-anonymized.jpg` of `/somewhere/me.jpg`."""
    path = Path(photo)
    suffix = path.suffix if path.suffix.lower() in READABLE else ".png"
    return f"{path.stem}-anonymized{suffix}"


def as_file(result: Result, name: str, photo: Photo) -> bytes:
    """The bytes that the command line would write for this result of `photo` under this name."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"picture{Path(name).suffix}"
        write_photo(result.image, path, result.icc_profile, photo)
        return path.read_bytes()
