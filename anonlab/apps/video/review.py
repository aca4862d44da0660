"""The worst frames of a clip's tracks, as one picture to look at before the clip is written."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import numpy as np
from PIL import Image, ImageDraw

from .frames import Frame
from .painting import COVERED, WIDER, Painted
from .plans import TrackPlan

WORST = 6  # frames of a track
SIDE, LINE = 240, 16  # pixels of one picture, and of the line of text under it
AROUND = 1.8  # sides of a face's box that are shown
APART = 6  # frames between two that are shown, where there are so many
DONE = {WIDER: ", larger mask", COVERED: ", covered"}


def worst(faces: Sequence[Painted], count: int = WORST) -> list[Painted]:
    """Choose frames of one track, in the order of time: first those where its face was covered, then
    those with a larger mask, then the nearest to the person; neighbours only if there are no others."""

    def order(one: Painted) -> tuple[int, float]:
        return -one.done, -math.inf if math.isnan(one.distance) else one.distance

    chosen: list[Painted] = []
    for least in (APART, 1):
        for one in sorted(faces, key=order):
            if len(chosen) < count and all(abs(one.frame - other.frame) >= least for other in chosen):
                chosen.append(one)
    return sorted(chosen, key=lambda one: one.frame)


def contact_sheet(
    frames: Iterable[Frame], plans: Sequence[TrackPlan], faces: Sequence[Sequence[Painted]]
) -> Image.Image:
    """Draw the worst of each track's `faces`, a row each, from the finished `frames` of the clip."""
    chosen = enumerate(map(worst, faces))
    places = [(row, column, one) for row, some in chosen for column, one in enumerate(some)]
    sheet = Image.new("RGB", (WORST * SIDE, len(plans) * (SIDE + LINE)), "white")
    draw = ImageDraw.Draw(sheet)
    for frame in frames:
        for row, column, one in places:
            if one.frame != frame.number:
                continue
            at = column * SIDE, row * (SIDE + LINE)
            corners = np.reshape(plans[row].face(frame.number).box, (2, 2))
            half = AROUND * np.ptp(corners, axis=0).max() / 2
            first, last = corners.mean(0) - half, corners.mean(0) + half
            shown = Image.fromarray(frame.pixels).crop((*map(round, first), *map(round, last)))
            sheet.paste(shown.resize((SIDE, SIDE), Image.Resampling.LANCZOS), at)
            near = "" if math.isnan(one.distance) else f", distance {one.distance:.2f}"
            text = f"person {plans[row].person + 1}, {frame.time:.2f} s{near}{DONE.get(one.done, '')}"
            draw.text((at[0] + 3, at[1] + SIDE + 2), text, "black")
    return sheet
