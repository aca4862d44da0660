"""Animated GIF, WebP and PNG by Pillow: durations, transparency and the loop as they were."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path

import numpy as np
from PIL import Image, ImageSequence

from ..errors import OutputNotWritable, UnreadableImage
from .clips import ANIMATIONS, Frame, Segment

MAX_PIXELS = 50_000_000  # of one frame
DEFAULT_DURATION = 100  # milliseconds of a frame that says none, as browsers show it
OPTIONS = {
    "GIF": {"disposal": 2},
    "WEBP": {"lossless": True, "exact": True},  # a lossy one would be encoded twice
    "PNG": {},
}
KINDS = {".gif": "GIF", ".webp": "WEBP", ".png": "PNG", ".apng": "PNG"}


class Animation:
    """A picture of several frames. See `Clip`. Raises `UnreadableImage` for one of a single frame."""

    def __init__(self, path: Path, out: Path, start: float = 0.0, end: float = math.inf):
        self.path, self.start, self.end = path, start, end
        self.kind = KINDS.get(out.suffix.lower())
        if self.kind is None:
            raise OutputNotWritable(
                f"{out} is no animation; {path.name} can become: {', '.join(sorted(ANIMATIONS))}"
            )
        with self._open() as image:
            if getattr(image, "n_frames", 1) < 2:
                raise UnreadableImage(
                    f"{path} is a picture of one frame; use: python -m anonlab anonymize {path}"
                )
            if image.width * image.height > MAX_PIXELS:
                raise UnreadableImage(
                    f"{path} has frames of more than {MAX_PIXELS // 10**6} megapixels; scale it down"
                )
            self.loop, self.icc_profile = image.info.get("loop"), image.info.get("icc_profile")
            self.hidden = int(bool(image.info.get("default_image")))  # before an APNG, never played
            self.total = image.n_frames - self.hidden
            kept = {"exif", "xmp", "comment", "XML:com.adobe.xmp"} & {*image.info}
            self.left_out = [f"metadata ({', '.join(sorted(kept))})"] if kept else []
            self.left_out += ["the picture that is shown where animations are not played"] * self.hidden
        whole = start <= 0 and math.isinf(end)
        self.count = self.total if whole else None

    def frames(self) -> Iterator[Frame]:
        """Every wanted frame; its `native` is `(duration in ms, alpha (H, W) or None)`."""
        clock, number = 0.0, 0
        with self._open() as image:
            try:
                for one in islice(ImageSequence.Iterator(image), self.hidden, None):
                    one.load()  # only now some formats know the duration
                    duration = one.info.get("duration") or DEFAULT_DURATION
                    begin, clock = clock, clock + duration / 1000
                    if begin < self.start - 1e-9:
                        continue
                    if begin >= self.end - 1e-9:
                        return
                    whole = np.asarray(one.convert("RGBA"))
                    alpha = None if (whole[..., 3] == 255).all() else whole[..., 3].copy()
                    yield Frame(number, begin, whole[..., :3].copy(), (duration, alpha))
                    number += 1
            except (OSError, ValueError, SyntaxError, EOFError) as error:
                raise self._unreadable(error) from None

    def encode(self, frames: Iterable[tuple[Frame, np.ndarray]]) -> Segment:
        """One segment: pixels `(N, H, W, 3 or 4)` and durations `(N,)`."""
        kept, durations = [], []
        for frame, pixels in frames:
            duration, alpha = frame.native
            opaque = np.full(pixels.shape[:2], 255, np.uint8)
            kept.append(np.dstack([pixels, opaque if alpha is None else alpha]))
            durations.append(duration)
        return {"pixels": np.stack(kept), "durations": np.array(durations, np.float64)}

    def join(self, segments: Iterable[Segment], partial: Path) -> None:
        """Write all segments as one animation. Raises `OutputNotWritable`."""
        images, durations = [], []
        for segment in segments:
            opaque = bool((segment["pixels"][..., 3] == 255).all())
            channels = 3 if opaque else 4
            images += [Image.fromarray(pixels[..., :channels]) for pixels in segment["pixels"]]
            durations += segment["durations"].tolist()
        options = OPTIONS[self.kind] | {"duration": [round(one) for one in durations]}
        if self.loop is not None:
            options["loop"] = self.loop
        if self.icc_profile and self.kind != "GIF":
            options["icc_profile"] = self.icc_profile
        first, *rest = images
        first.save(partial, self.kind, save_all=True, append_images=rest, **options)

    def _open(self) -> Image.Image:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", Image.DecompressionBombWarning)
                return Image.open(self.path)
        except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
            raise self._unreadable(error) from None

    def _unreadable(self, error: Exception) -> UnreadableImage:
        return UnreadableImage(f"{self.path} is damaged or not an animation ({error}); save it again")
