"""What the explorer shows of one face under one setting, and its pictures for the page."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image
from scipy.ndimage import binary_erosion

from ...images import FACE_SIZE, resize
from ...notebook.plots import overlay

SHARP = 512  # pixels of a face on the page: twice as many as a screen's own where it is shown
SHOWN = 1600  # pixels of the longer side of a whole photo on the page; the file has all of them


@dataclass(frozen=True)
class View:
    """One face under one setting."""

    image: torch.Tensor  # (1, 3, 256, 256)
    attribution: torch.Tensor  # (1, 1, 256, 256)
    mask: torch.Tensor  # (1, 1, 256, 256)
    masked: torch.Tensor  # (1, 3, 256, 256), what stays
    share: float  # of the aligned picture that is regenerated
    share_of_face: float  # the same of the face, which fills about a third of that picture
    distance: float  # to the person, when the masked part is blurred
    threshold: float
    recognizer: str = "dlib"
    preview: torch.Tensor | None = None  # (1, 3, S, S), the composite in one pass
    preview_distance: float | None = None  # to the person
    strength: float | None = None  # of the preview

    @property
    def shares(self) -> str:
        """Name both shares that are regenerated."""
        return f"{self.share:.0%} of the aligned picture, {self.share_of_face:.0%} of the face"

    def measured(self, what: str, distance: float) -> dict[str, object]:
        """Give a distance to the person with its `verdict` in words, for the page."""
        matched = distance < self.threshold
        verdict = (
            f"{self.recognizer} {'still' if matched else 'no longer'} recognises {what}: distance "
            f"{distance:.2f}, a match is below {self.threshold:g}"
        )
        return {"distance": distance, "limit": self.threshold, "matched": matched, "verdict": verdict}


def mask_overlay_with_heat(view: View, side: int = FACE_SIZE) -> np.ndarray:
    """Draw a face under its heat map, with the mask's edge in white: `(side, side, 3)` uint8."""
    drawn = overlay(view.image, view.attribution, side).copy()
    drawn[mask_edge(view.mask, side)] = 255
    return drawn


def mask_edge(mask: torch.Tensor, side: int) -> np.ndarray:
    """Find the line round a mask `(1, 1, S, S)`: `(side, side)` bool, 2 of 256 pixels wide."""
    inside = resize(mask, side)[0, 0].cpu().numpy() > 0.5
    return inside ^ binary_erosion(inside, iterations=side // 128)


def data_uri(pixels: np.ndarray | Image.Image, quality: int = 85) -> str:
    """Write a picture as a JPEG, or with transparency as a PNG, for the page."""
    image = Image.fromarray(pixels) if isinstance(pixels, np.ndarray) else pixels
    kind = "png" if "A" in image.mode else "jpeg"
    buffer = io.BytesIO()
    image.save(buffer, kind, quality=quality, compress_level=1)
    return f"data:image/{kind};base64,{base64.b64encode(buffer.getvalue()).decode()}"


def small(image: Image.Image) -> str:
    """Write a whole photo as large as a page shows it."""
    image.thumbnail((SHOWN, SHOWN), reducing_gap=2)
    return data_uri(image, 90)


def layers(mask: torch.Tensor) -> dict[str, str]:
    """Write a mask `(1, 1, S, S)` to be laid over a face: its `edge` in white, and what is `grey`."""
    edge = (mask_edge(mask, SHARP) * 255).astype(np.uint8)
    grey = (mask[0, 0].cpu().clamp(0, 1).numpy() * 255).astype(np.uint8)
    return {
        "edge": data_uri(np.dstack([np.full_like(edge, 255), edge])),
        "grey": data_uri(np.dstack([np.full_like(grey, 128), grey])),
    }
