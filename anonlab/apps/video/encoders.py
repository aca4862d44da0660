"""Encoders of video: which one is taken for a clip, and how it is set."""

from __future__ import annotations

import itertools
import math
import os
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av

from .frames import Orientation, sample_type

os.environ.setdefault("SVT_LOG", "1")  # this encoder prints, whatever the level
av.logging.set_level(av.logging.PANIC)  # what decoders think of damaged files is in our errors
ERRORS = (av.error.FFmpegError, ValueError, OverflowError, MemoryError)  # what PyAV raises
CODECS = tomllib.loads(Path(__file__).with_suffix(".toml").read_text(encoding="utf-8"))
ENCODERS = {codec: one.get("encoder", codec) for codec, one in CODECS.items()}
OPTIONS = {ENCODERS[codec]: one.get("options", {}) for codec, one in CODECS.items()}
STRICT = {ending for one in CODECS.values() for ending in one.get("shown_in", ())}
FALLBACK = {".webm": "libvpx-vp9", ".mpg": "mpeg2video", ".mpeg": "mpeg2video", ".wmv": "wmv2"}
FALLBACK |= {".ogv": "libvpx", ".vob": "mpeg2video"}
MPEG = {"mpeg1video", "mpeg2video"}
WHOLE, NTSC = (24, 25, 30, 50, 60), (24, 30, 60)
MPEG_RATES = [*map(Fraction, WHOLE), *(Fraction(1000 * one, 1001) for one in NTSC)]
QUALITY_UNIT = 118  # FF_QP2LAMBDA
TOP_FIRST, BOTTOM_FIRST = 2, (3, 5)  # AVFieldOrder


@dataclass(frozen=True)
class Shape:
    """How a picture is stored: its size in samples, of which each is `aspect` as wide as high."""

    width: int
    height: int
    aspect: Fraction
    orientation: Orientation
    matrix: tuple[int, ...]  # the display matrix; empty where it turns nothing

    def upright(self) -> Shape:
        """The same picture stored as a player shows it."""
        sides = self.width, self.height, self.aspect
        if self.orientation[1] % 2:
            sides = self.height, self.width, 1 / self.aspect
        return Shape(*sides, (False, 0), ())

    def area(self) -> float:
        """How much of a screen it takes."""
        return math.prod((self.width, self.height, self.aspect))


@dataclass(frozen=True)
class Settings:
    """How a clip is encoded. `colours` are tags by the names that a codec context has for them."""

    encoder: str
    pixel_format: str
    shape: Shape
    even: bool  # sides are padded to even numbers
    fields: int  # AVFieldOrder of interlaced frames, else 0
    rate: Fraction
    colours: dict[str, int]

    def size(self) -> tuple[int, int]:
        """Width and height of what is encoded."""
        width, height = self.shape.width, self.shape.height
        return (width + width % 2, height + height % 2) if self.even else (width, height)

    def set_up(self, context: av.CodecContext) -> None:
        """Set a new codec context."""
        flags, rate = av.codec.context.Flags, self.rate
        if self.encoder in MPEG:  # which knows no others
            rate = min(MPEG_RATES, key=lambda one: abs(one - rate))
        context.width, context.height = self.size()
        context.pix_fmt, context.sample_aspect_ratio = self.pixel_format, self.shape.aspect
        context.framerate, context.time_base = rate, 1 / rate
        for name, value in self.colours.items():
            setattr(context, name, value)
        context.flags |= flags.global_header | flags.bitexact
        if self.fields:
            context.flags |= flags.interlaced_dct | flags.interlaced_me
            context.field_order = self.fields
        options = dict(OPTIONS.get(self.encoder, {}))
        if self.encoder == "prores_ks" and "444" in self.pixel_format:
            options["profile"] = "4444"
        if self.encoder == "libx264" and self.fields in BOTTOM_FIRST:
            options["x264-params"] = "bff=1"  # else its headers say the other order
        if "qscale" in options:
            context.flags |= flags.qscale
            context.global_quality = QUALITY_UNIT * int(options.pop("qscale"))
        context.options = options

    def marking(self, context: av.CodecContext) -> av.filter.Graph:
        """A filter graph that marks frames as interlaced, as encoders want them."""
        graph, mode = av.filter.Graph(), "bff" if self.fields in BOTTOM_FIRST else "tff"
        sizes = {"width": context.width, "height": context.height}
        source = graph.add_buffer(**sizes, format=context.format, time_base=context.time_base)
        marks = graph.add("setfield", f"mode={mode}")
        graph.link_nodes(source, marks, graph.add("buffersink")).configure()
        return graph


def candidates(clip: Any, first: Any, fields: int, colours: dict[str, int]) -> Iterator[Settings]:
    """Ways to encode a `clip` (`VideoFile`) like its frame `first` (`Decoded`), best first.

    Its own codec comes first where players show it in that container; then one that they do, with sides
    and frames as they know them.
    """
    ending, codec, shape, kind = clip.out.suffix.lower(), clip.codec, first.shape, first.native.format
    own, other = ENCODERS.get(codec), FALLBACK.get(ending, "libx264")
    if ending in STRICT and ending not in CODECS.get(codec, {}).get("shown_in", ()):
        own = None
    odd = (False, True) if shape.width % 2 or shape.height % 2 else (False,)
    shapes = (shape, shape.upright()) if shape.matrix else (shape,)
    for encoder in dict.fromkeys(one for one in (own, other) if one):
        pixel_format = _pixel_format(encoder, kind) if encoder == own else "yuv420p"
        for even, order, one in itertools.product(odd, dict.fromkeys((fields, 0)), shapes):
            yield Settings(encoder, pixel_format, one, even, order, clip.rate, colours)


def _pixel_format(encoder: str, kind: av.VideoFormat) -> str:
    """The clip's own where it has one component a plane and the encoder takes it, else the nearest."""
    known = [one.name for one in av.Codec(encoder, "w").video_formats or [] if sample_type(one.name)]
    if kind.name in known or not known:
        return kind.name if known else "yuv420p"
    alpha = any(one.is_alpha for one in kind.components)
    best, _ = av.codec.find_best_pix_fmt_of_list(known, kind, alpha)
    return best.name if best else "yuv420p"
