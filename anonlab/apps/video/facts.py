"""What a player needs to know of a video file, read from any file by name.

The same function reads the clip and a file written with the settings of the result; what differs is
named to the user.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from fractions import Fraction
from typing import Any

from .frames import Shape

UNTAGGED = (0, 2)  # values of a colour tag that say nothing
FULL = 2  # AVCOL_RANGE_JPEG
UPRIGHT = (1 << 16, 0, 0, 0, 1 << 16)  # how a display matrix begins that turns nothing
COLOUR_TAGS = {"matrix": "colorspace", "transfer": "color_trc", "primaries": "color_primaries"}
ATTACHED = ("SPHERICAL", "STEREO3D", "MASTERING_DISPLAY_METADATA", "CONTENT_LIGHT_LEVEL", "A53_CC",
            "DYNAMIC_HDR_PLUS", "DOVI_METADATA", "ICC_PROFILE")  # fmt: skip
# tags of a file that say nothing of its maker or its content
TECHNICAL = {"major_brand", "minor_version", "compatible_brands", "encoder", "handler_name",
             "vendor_id", "language", "duration", "rotate", "number_of_frames", "number_of_bytes", "bps",
             "alpha_mode", "software"}  # fmt: skip


def facts(container: Any, frame: Any, picture: Any, sounds: Sequence[int]) -> dict[str, object]:
    """Collect by name what a player needs; false where there is nothing to say.

    `frame` is the first of the stream `picture`, `sounds` are indices of streams.
    """
    kind, marks, aspect = frame.format, attached(frame), picture.sample_aspect_ratio or Fraction(1)
    shape = Shape(frame.width, frame.height, aspect, display_matrix(frame))
    colours = [one for one in kind.components if not one.is_alpha]
    wide, high = kind.chroma_width(8) // 2, 8 // kind.chroma_height(8)
    found: dict[str, object] = {
        "codec": picture.codec_context.codec.canonical_name,
        "orientation": shape.orientation,
        **shown_size(shape),
        "bits a colour": max((one.bits for one in colours), default=8),
        "samples of colour": len(colours) > 1 and f"4:{wide}:{wide if high == 1 else 0}",
        "transparency": len(colours) < len(kind.components) or picture.metadata.get("alpha_mode") == "1",
        "interlacing": bool(frame.interlaced_frame),
        "full range": not kind.is_rgb and (frame.color_range == FULL or "yuvj" in kind.name),
    }
    for name, tag in COLOUR_TAGS.items():
        found[f"colour {name}"] = getattr(frame, tag) not in UNTAGGED and getattr(frame, tag)
    found |= {name.replace("_", " ").lower(): name in marks for name in ATTACHED}
    for number, index in enumerate(sounds, 1):
        stream = container.streams[index]
        found[f"language of sound {number}"] = language(stream) != "und" and language(stream)
        found[f"role of sound {number}"] = len(sounds) > 1 and stream.disposition.name
    return found


def shown_size(shape: Shape) -> dict[str, object]:
    """Collect the facts of a picture's size, as a player shows it."""
    shown = shape.upright()
    return {"size": f"{shown.width}×{shown.height}", "pixel aspect": shown.aspect}


def changed(before: dict[str, object], after: dict[str, object]) -> Iterator[str]:
    """Name what a file says and its result does not, but for how its pictures are stored."""
    for name, value in before.items():
        now = after.get(name, False)
        if value and value != now and name != "orientation":
            yield name if value is True else f"{name} ({value} became {now or 'nothing'})"


def personal(container: Any) -> Iterator[str]:
    """Name what a file says of its maker and its content."""
    tags = {*container.metadata}.union(*(one.metadata for one in container.streams))
    tags = sorted(tag for tag in tags if tag.lower() not in TECHNICAL)
    if tags:
        yield f"metadata ({', '.join(tags)})"
    if container.chapters():
        yield "chapters"


def language(stream: Any) -> str:
    """Read the language of a stream, in three letters; `und` where it is not said."""
    return stream.metadata.get("language", "und")


def attached(frame: Any) -> dict[str, bytes]:
    """Read the data attached to a frame, by the name of its type."""
    data = [frame.side_data[row] for row in range(len(frame.side_data))]
    return {one.type.name: bytes(one) for one in data}


def display_matrix(frame: Any) -> tuple[int, ...]:
    """Read the nine numbers of a frame's display matrix; empty where it turns nothing."""
    data = attached(frame).get("DISPLAYMATRIX", b"")
    matrix = struct.unpack("=9i", data[:36]) if len(data) >= 36 else ()
    return () if matrix[:5] == UPRIGHT else matrix
