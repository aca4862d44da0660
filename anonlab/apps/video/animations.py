"""Animated GIF, WebP, PNG and AVIF by Pillow: durations, transparency and the loop as they were."""

from __future__ import annotations

import itertools
import math
import struct
import warnings
import zlib
from collections.abc import Iterable, Iterator
from functools import cached_property
from pathlib import Path

import numpy as np
from PIL import Image, ImageSequence

from ...errors import OutputNotWritable, UnreadableImage
from .frames import Frame, Segment

MAX_PIXELS = 50_000_000  # of one frame
DEFAULT_DURATION = 100  # milliseconds of a frame that says none, as browsers show it
KINDS = {".gif": "GIF", ".webp": "WEBP", ".png": "PNG", ".apng": "PNG", ".avif": "AVIF"}
OPTIONS = {"GIF": {"disposal": 2}, "WEBP": {"exact": True}, "AVIF": {"quality": 90}, "PNG": {}}
# what Pillow's decoders raise for damaged files
DAMAGE = (OSError, ValueError, SyntaxError, EOFError, LookupError, TypeError, ArithmeticError,
          struct.error, zlib.error, MemoryError, Image.DecompressionBombError)  # fmt: skip
LOSSLESS, LOSSY = {"lossless": True}, {"quality": 90}


class Animation:
    """A picture of several frames. See `Clip`. Raises `UnreadableImage` for one of a single frame."""

    def __init__(self, path: Path, out: Path, start: float = 0.0, end: float = math.inf):
        self.path, self.start, self.end = path, start, end
        self.kind = KINDS.get(out.suffix.lower())
        if self.kind is None:
            raise OutputNotWritable(
                f"{out} is no animation; {path.name} can become: {', '.join(sorted(KINDS))}"
            )
        with self._open() as image:
            if image.width * image.height > MAX_PIXELS:
                raise UnreadableImage(
                    f"{path} has frames of more than {MAX_PIXELS // 10**6} megapixels; scale it down"
                )
            self.loop, self.icc_profile = image.info.get("loop"), image.info.get("icc_profile")
            try:
                self.total = getattr(image, "n_frames", 1)
            except DAMAGE as error:
                raise self._unreadable(error) from None
            # what a PNG shows where animations are unknown is not one of its frames
            self.hidden = int(bool(getattr(image, "default_image", False)))
            if self.total - self.hidden < 2:
                raise UnreadableImage(
                    f"{path} is a picture of one frame; use: python -m anonlab anonymize {path}"
                )
            kept = {"exif", "xmp", "comment", "XML:com.adobe.xmp"} & {*image.info}
            self.left_out = [f"metadata ({', '.join(sorted(kept))})"] if kept else []
            self.left_out += ["the still picture of the file"] * self.hidden
        self.options = dict(OPTIONS[self.kind])
        if self.kind == "WEBP":
            self.options |= LOSSY if b"VP8 " in path.read_bytes() else LOSSLESS
        self.lost = 0

    @cached_property
    def count(self) -> int:
        """How many frames are wanted and can be decoded."""
        count = sum(1 for _ in self.frames())
        if self.lost:
            self.left_out.append(f"some {self.lost} frames that cannot be decoded")
        return count

    def frames(self) -> Iterator[Frame]:
        """Decode every wanted frame; its `native` is `(duration in ms, alpha (H, W) or None)`."""
        clock, number, seen = 0.0, 0, self.hidden
        with self._open() as image:
            try:
                for one in itertools.islice(ImageSequence.Iterator(image), self.hidden, None):
                    one.load()  # only now some formats know the duration
                    seen += 1
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
            except DAMAGE as error:
                if not number:
                    raise self._unreadable(error) from None
                self.lost = max(1, self.total - seen)

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
        kept = [*segments]
        pictures = [pixels for one in kept for pixels in one["pixels"]]
        durations = [round(ms) for one in kept for ms in one["durations"].tolist()]
        channels = 3 if all((one[..., 3] == 255).all() for one in pictures) else 4
        first, *rest = (Image.fromarray(one[..., :channels]) for one in pictures)
        options = self.options | {"duration": durations, "append_images": rest}
        if self.loop is not None:
            options["loop"] = self.loop
        if self.icc_profile and self.kind != "GIF":
            options["icc_profile"] = self.icc_profile
        try:
            first.save(partial, self.kind, save_all=True, **options)
        except (OSError, ValueError, KeyError, struct.error) as error:
            raise OutputNotWritable(f"{partial} cannot be written ({error}); try .png") from None

    def _open(self) -> Image.Image:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", Image.DecompressionBombWarning)
                return Image.open(self.path)
        except DAMAGE as error:
            raise self._unreadable(error) from None

    def _unreadable(self, error: Exception) -> UnreadableImage:
        return UnreadableImage(f"{self.path} is damaged or not an animation ({error}); save it again")
