"""What stays of a person between two pictures: differences, and correlations over people.

A mean difference hides that a variation is not followed: faces that all get one expression are near
the mean of all people. So each number has a correlation beside it, and both are read beside `floor`
and another photo of the person.
"""

from __future__ import annotations

import io

import numpy as np
import torch
from PIL import Image, ImageFilter

from ...images import to_tensor, to_uint8, warp
from .reading import Reading
from .worn import MARGIN

CORRELATED = ("gaze_x", "gaze_y", "eye_opening", "mouth_opening", "mouth_width", "mouth_corners",
              "brow_height", "jaw", "yaw", "pitch", "happy", "happy_second", "age", "tone", "light_x",
              "light_y")  # fmt: skip
LABELS = ("expression", "emotion", "ethnicity", "gender")
TURN, ZOOM, SHIFT, BLUR, QUALITY = 2.0, 0.03, 2 / 256, 0.6, 80  # degrees, shares, pixels of 256, JPEG


def floor(images: torch.Tensor, seed: int = 0) -> torch.Tensor:
    """Unchanged faces `(N, 3, S, S)` as another camera would give them: turned by ±2°, scaled by
    ±3 %, moved by ±2 of 256 pixels, blurred by 0.6 pixels and saved as JPEG of quality 80.

    What an estimator says of these is its own noise, and no method can be better.
    """
    n, rng = len(images), torch.Generator().manual_seed(seed)
    turn, zoom, dx, dy = (2.0 * torch.randint(2, (4, n), generator=rng) - 1).unbind()
    angle, scale = torch.deg2rad(TURN * turn), 1 + ZOOM * zoom
    cos, sin = scale * angle.cos(), scale * angle.sin()
    rows = torch.stack([cos, -sin, 2 * SHIFT * dx, sin, cos, 2 * SHIFT * dy], 1).view(-1, 2, 3)
    made = []
    for image in warp(images.float(), rows):
        picture = Image.fromarray(to_uint8(image[None])).filter(ImageFilter.GaussianBlur(BLUR))
        picture.save(file := io.BytesIO(), "JPEG", quality=QUALITY)
        made.append(to_tensor(np.asarray(Image.open(file))))
    return torch.cat(made)


def differences(before: Reading, after: Reading) -> dict[str, torch.Tensor]:
    """One number a person `(N,)`: gaze in degrees, glasses kept of those who wear them and come to those
    who don't (NaN for the others), `mesh_error` in distances of the outer eye corners,
    `…_kept` 1 where the label stays, `age_change` in years with its sign."""
    a, b = before.numbers, after.numbers
    found = {
        "gaze_error": torch.hypot(b["gaze_x"] - a["gaze_x"], b["gaze_y"] - a["gaze_y"]),
        "eye_error": (b["eye_opening"] - a["eye_opening"]).abs(),
        "mouth_error": (b["mouth_opening"] - a["mouth_opening"]).abs(),
        "mesh_error": mesh_error(before.points, after.points),
        "yaw_error": (b["yaw"] - a["yaw"]).abs(),
        "age_change": b["age"] - a["age"],
        "age_error": (b["age"] - a["age"]).abs(),
        "tone_error": (b["tone"] - a["tone"]).abs(),
        "light_error": (after.light - before.light)[:, 1:4].norm(dim=1),
        "found": b["found"],
    }
    wore, wears = a["glasses"] > MARGIN, b["glasses"] > -MARGIN
    bare, came = a["glasses"] < -MARGIN, b["glasses"] > MARGIN
    found["glasses_kept"] = wears.float().where(wore, torch.nan)
    found["glasses_come"] = came.float().where(bare, torch.nan)
    for name in LABELS:
        same = before.labels[name].argmax(1) == after.labels[name].argmax(1)
        found[f"{name}_kept"] = same.float()
    return found


def mesh_error(before: torch.Tensor, after: torch.Tensor) -> torch.Tensor:
    """Mean distance of points `(N, 468, 3)` in the picture, the second mesh moved, turned and
    scaled onto the first, in distances of the outer eye corners: `(N,)`."""
    a, b = (torch.complex(one[..., 0], one[..., 1]) for one in (before, after))
    unit = (a[:, 33] - a[:, 263]).abs()
    a, b = a - a.mean(1, keepdim=True), b - b.mean(1, keepdim=True)
    factor = (b.conj() * a).sum(1, keepdim=True) / b.abs().square().sum(1, keepdim=True)
    return (factor * b - a).abs().mean(1) / unit


def correlation(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """Pearson's over people, the last axis of `a` and `b (…, N)`; 0 where one of them does not vary,
    because nothing is followed."""
    a, b = a - a.mean(-1, keepdim=True), b - b.mean(-1, keepdim=True)
    spread = a.norm(dim=-1) * b.norm(dim=-1)
    return torch.where(spread > 1e-9, (a * b).sum(-1) / spread.clamp_min(1e-9), 0.0)
