"""Animated GIF, WebP, PNG and AVIF by Pillow: durations, transparency and the loop as they were."""

from __future__ import annotations

import contextlib
import itertools
import math
import struct
import warnings
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
from PIL import Image, ImageSequence

from ...errors import OutputNotWritable, UnreadableImage
from .frames import Frame, Segment

MAX_PIXELS = 50_000_000  # of one frame
DEFAULT_DURATION = 100  # milliseconds of a frame that says none, as browsers show it
KINDS = {".gif": "GIF", ".webp": "WEBP", ".png": "PNG", ".apng": "PNG", ".avif": "AVIF"}
OPTIONS = {"GIF": {"disposal": 2}, "WEBP": {"exact": True}, "AVIF": {"quality": 90}, "PNG": {}}
LOSSLESS, LOSSY = {"lossless": True}, {"quality": 90}  # WebP
METADATA = {"exif", "xmp", "comment", "XML:com.adobe.xmp"}
# what Pillow's decoders raise for damaged files
DAMAGE = (OSError, ValueError, SyntaxError, EOFError, LookupError, TypeError, ArithmeticError,
          struct.error, zlib.error, MemoryError, Image.DecompressionBombError)  # fmt: skip


class Animation:
    """A picture of several frames. See `Clip`. Raises `UnreadableImage` for one of a single frame."""

    def __init__(self, path: Path, out: Path, start: float = 0.0, end: float = math.inf):
        self.path, self.start, self.end, self.lost = path, start, end, 0
        self.kind = KINDS.get(out.suffix.lower(), "")
        if not self.kind:
            known = ", ".join(sorted(KINDS))
            raise OutputNotWritable(f"{out} is no animation; {path.name} can become: {known}")
        with self._opened() as image:
            if image.width * image.height > MAX_PIXELS:
                raise UnreadableImage(
                    f"{path} has frames of more than {MAX_PIXELS // 10**6} megapixels; scale it down"
                )
            # what a PNG shows where animations are unknown is not one of its frames
            self.hidden = int(bool(getattr(image, "default_image", False)))
            self.total = getattr(image, "n_frames", 1) - self.hidden
            if self.total < 2:
                raise UnreadableImage(
                    f"{path} is a picture of one frame; use: python -m anonlab anonymize {path}"
                )
            kept, travels = METADATA & {*image.info}, {"loop", "icc_profile"} & {*image.info}
            self.left_out = [f"metadata ({', '.join(sorted(kept))})"] if kept else []
            self.left_out += ["the still picture of the file"] * self.hidden
            self.options = OPTIONS[self.kind] | {name: image.info[name] for name in travels}
        if self.kind == "WEBP":
            self.options |= LOSSY if b"VP8 " in path.read_bytes() else LOSSLESS
        self.count = sum(1 for _ in self.frames())
        if self.lost:
            self.left_out.append(f"some {self.lost} frames that cannot be decoded")

    def frames(self) -> Iterator[Frame]:
        """Decode every wanted frame; its `native` is `(duration in ms, alpha (H, W))`."""
        clock, number, seen = 0.0, 0, 0
        with self._opened() as image:
            try:
                for one in itertools.islice(ImageSequence.Iterator(image), self.hidden, None):
                    one.load()  # only now some formats know the duration
                    duration = one.info.get("duration") or DEFAULT_DURATION
                    begin, clock, seen = clock, clock + duration / 1000, seen + 1
                    if begin >= self.end - 1e-9:
                        return
                    if begin >= self.start - 1e-9:
                        whole = np.asarray(one.convert("RGBA"))
                        native = duration, whole[..., 3].copy()
                        yield Frame(number, begin, whole[..., :3].copy(), native)
                        number += 1
            except DAMAGE:
                if not number:
                    raise
                self.lost = max(1, self.total - seen)

    def encode(self, frames: Iterable[tuple[Frame, np.ndarray]]) -> Segment:
        """Give one segment: pixels `(N, H, W, 4)` and durations `(N,)`."""
        kept = [(np.dstack([pixels, frame.native[1]]), frame.native[0]) for frame, pixels in frames]
        pixels, durations = zip(*kept, strict=True)
        return {"pixels": np.stack(pixels), "durations": np.array(durations, np.float64)}

    def join(self, segments: Iterable[Segment], partial: Path) -> None:
        """Write all segments as one animation. Raises `OutputNotWritable`."""
        kept = [*segments]
        pictures = [pixels for one in kept for pixels in one["pixels"]]
        durations = [round(ms) for one in kept for ms in one["durations"].tolist()]
        channels = 3 if all((one[..., 3] == 255).all() for one in pictures) else 4
        first, *rest = (Image.fromarray(one[..., :channels]) for one in pictures)
        options = {"save_all": True, "append_images": rest, "duration": durations}
        try:
            first.save(partial, self.kind, **options, **self.options)
        except (OSError, ValueError, KeyError, struct.error) as error:
            raise OutputNotWritable(f"{partial} cannot be written ({error}); try .png") from None

    @contextlib.contextmanager
    def _opened(self) -> Iterator[Image.Image]:
        """Open the file. Raises `UnreadableImage` for what the decoder raises."""
        try:
            # bombs are measured
            with warnings.catch_warnings(action="ignore", category=Image.DecompressionBombWarning):
                image = Image.open(self.path)
            with image:
                yield image
        except DAMAGE as error:
            raise UnreadableImage(
                f"{self.path} is damaged or not an animation ({error}); save it again"
            ) from None
