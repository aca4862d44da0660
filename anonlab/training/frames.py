"""Draw glasses onto faces: frames, tinted lenses and reflections whose place is known."""

from __future__ import annotations

import math

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from ..images import FACE_SIZE

FINER = 4  # times as large are frames drawn, so that their edges are smooth


def draw_frame(
    points: np.ndarray, rng: np.random.Generator
) -> tuple[list[np.ndarray], list[tuple[np.ndarray, float]]]:
    """Shape a frame for a face with 68 `points (68, 2)` in [0, 1]: full, half or without rims.

    Returns outlines of the lenses `(P, 2)`; and bridge, temples and rims as points `(P, 2)` and a width;
    all in `FINER` pixels of a face of 256.
    """
    at = points * FACE_SIZE * FINER
    eyes = at[36:42].mean(0), at[42:48].mean(0)
    across = eyes[1] - eyes[0]
    unit = float(np.hypot(*across))
    along, down = across / unit, np.array([-across[1], across[0]]) / unit
    width = unit * math.exp(rng.uniform(math.log(0.018), math.log(0.12)))
    inner, outer = rng.uniform(0.1, 0.28), rng.uniform(1.1, 1.45)  # of the outer corners' distances
    ratio, power, flat = rng.uniform(0.5, 1.05), rng.uniform(2, 5), rng.uniform(0.7, 1)
    lower, style = rng.uniform(-0.05, 0.25), rng.choice(3, p=(0.65, 0.2, 0.15))
    bridge, hinge, rise = rng.uniform(0, 0.5), rng.uniform(0, 0.6), rng.uniform(0, 0.25)
    turn = np.linspace(0, 2 * math.pi, 49)
    circle = np.stack([np.cos(turn), np.sin(turn)], 1)
    shape = np.sign(circle) * np.abs(circle) ** (2 / power)
    lenses, lines, ends = [], [], []
    for side, eye, corner, ear in ((-1, eyes[0], at[36], at[0]), (1, eyes[1], at[45], at[16])):
        reach = abs(float((corner - at[27]) @ along))
        half = reach * (outer - inner) / 2
        height = half * ratio
        middle = at[27] + side * along * reach * (outer + inner) / 2
        middle = middle + down * (float((eye - middle) @ down) + lower * height)
        tall = np.where(shape[:, 1] < 0, flat, 1.0) * shape[:, 1] * height
        lens = middle + shape[:, :1] * half * along + tall[:, None] * down
        lenses.append(lens)
        if style == 0:
            lines.append((lens, width))
        elif style == 1:
            lines.append((lens[24:], width))  # the upper half
        ends.append(middle - side * along * half - down * bridge * height)
        if reach > 0.4 * unit:  # else the temple is behind the face
            start = middle + side * along * half * 0.97 - down * hinge * height
            end = ear + side * along * 0.15 * unit - down * rng.uniform(0, 0.3) * unit
            lines.append((np.stack([start, end]), width * rng.uniform(0.6, 1.2)))
    share = np.linspace(0, 1, 9)[:, None]
    arc = ends[0] + share * (ends[1] - ends[0]) - 4 * share * (1 - share) * rise * unit * 0.3 * down
    lines.append((arc, width * rng.uniform(0.7, 1.2)))
    return lenses, lines


def put_on(
    image: np.ndarray, points: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Draw glasses onto a face `image (256, 256, 3)` in [0, 1] with these `points (68, 2)`.

    Returns the picture, and where the photo would have to stay for them `(256, 256)` in [0, 1]: frames,
    dark lenses and bright reflections, not clear lenses.
    """
    lenses, lines = draw_frame(points, rng)
    canvases = [Image.new("L", (FACE_SIZE * FINER, FACE_SIZE * FINER)) for _ in range(2)]
    rims, glass = map(ImageDraw.Draw, canvases)
    for line, width in lines:
        rims.line([tuple(one) for one in line], fill=255, width=max(2, round(width)), joint="curve")
    for outline in lenses:
        glass.polygon([tuple(one) for one in outline], fill=255)
    rim, lens = (np.asarray(one.reduce(FINER), np.float32) / 255 for one in canvases)
    tint = rng.choice((rng.uniform(0, 0.15), rng.uniform(0.15, 0.5), rng.uniform(0.7, 0.97)),
                      p=(0.75, 0.1, 0.15))  # fmt: skip
    colours = {"lens": rng.uniform(0, 0.35, 3) * rng.choice((0.4, 1.0)), "light": rng.uniform(0.7, 1, 3)}
    metal = rng.uniform() < 0.4
    grey = rng.uniform(0.3, 0.9) if metal else rng.uniform(0, 0.25)
    colours["rim"] = (
        (grey * rng.uniform(0.75, 1.25, 3)).clip(0, 1) if rng.uniform() < 0.85 else rng.uniform(0, 1, 3)
    )
    rows, columns = np.mgrid[:FACE_SIZE, :FACE_SIZE]
    slope, phase, period = rng.uniform(-1.5, 1.5), rng.uniform(0, 1), rng.uniform(18, 60)
    wave = np.cos(2 * math.pi * ((columns + slope * rows) / period + phase))
    shine = lens * (wave > rng.uniform(0.3, 0.95)) * rng.uniform(0.15, 0.8) * (rng.uniform() < 0.35)
    shine = _soft(shine, rng.uniform(0.5, 3))
    shadow = _soft(np.roll(rim, round(rng.uniform(0, 4)), 0), rng.uniform(1, 3)) * rng.uniform(0, 0.35)
    gloss = (1 + rng.uniform(0, 0.5) * wave)[..., None] if metal else 1.0
    opaque = rim * rng.uniform(0.65, 1)
    seen = image * (1 - shadow)[..., None]
    for alpha, colour in (
        (lens * tint, colours["lens"]),
        (shine, colours["light"]),
        (opaque, colours["rim"] * gloss),
    ):
        seen = seen + alpha[..., None] * (colour - seen)
    there = np.maximum.reduce([rim, lens * (tint > 0.5), (shine > 0.25).astype(np.float32)])
    return seen.clip(0, 1).astype(np.float32), there


def _soft(mask: np.ndarray, sigma: float) -> np.ndarray:
    canvas = Image.fromarray((255 * mask).clip(0, 255).astype(np.uint8))
    return np.asarray(canvas.filter(ImageFilter.GaussianBlur(sigma)), np.float32) / 255
