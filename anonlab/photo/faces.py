"""Cut faces out in FFHQ's alignment, and put them back without a visible seam.

Geometry only: `detection` finds them. The alignment is the one that the FFHQ data set describes
(Karras et al. 2019, appendix), from five points.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image

from ..errors import NoFaceFound
from ..images import pasted, to_tensor, to_uint8
from .photos import STRIP, Photo

ALIGNED_SIZE = 1024
# The side of a face's square in the photo, up to which so many aligned pixels lose nothing that is seen.
OWN_SIZES = ((200.0, 256), (560.0, 512))
# Side of a face, in pixels, from which on a recogniser's verdict means something: dlib takes 9.8 % of
# different people (LFW) for one person at 16 pixels, 1.3 % at 28.
JUDGED = 28
MAX_OUTSIDE = 0.4  # share of the face oval that may lie beyond the frame, …
MOST_OUTSIDE = 0.72  # … and where it is only looked for


@dataclass(frozen=True)
class Face:
    """One detected face, in pixels of the photo."""

    box: tuple[float, float, float, float]  # left, top, right, bottom
    points: np.ndarray  # (5, 2): right eye, left eye, nose, mouth corners, as seen from the camera
    confidence: float

    @property
    def area(self) -> float:
        """Area of the box, in square pixels."""
        return (self.box[2] - self.box[0]) * (self.box[3] - self.box[1])

    @property
    def side(self) -> float:
        """Side of the aligned square, in pixels of the photo."""
        return float(np.hypot(*self.to_photo(1)[:, 0]))

    @property
    def own_size(self) -> int:
        """How many pixels a side the aligned square needs for what the photo shows: 256, 512 or 1024.
        What is more costs time and is averaged away in the photo."""
        return next((size for most, size in OWN_SIZES if self.side <= most), ALIGNED_SIZE)

    @property
    def turn(self) -> float:
        """How far the head is turned to a side: the nose's distance from the middle between the eyes,
        over the distance of the eyes, in the aligned square. 0 is straight, .3 some 30°."""
        matrix = self.to_photo(1)
        right, left, nose = np.linalg.solve(matrix[:, :2], (self.points[:3] - matrix[:, 2]).T).T
        return float(abs(nose[0] - (right[0] + left[0]) / 2) / max(left[0] - right[0], 1e-6))

    @property
    def roll(self) -> float:
        """How far the face is from upright, in degrees: 0–180."""
        across = self.to_photo(1)[:, 0]
        return float(abs(np.degrees(np.arctan2(across[1], across[0]))))

    def to_photo(self, size: int = ALIGNED_SIZE) -> np.ndarray:
        """Build the `(2, 3)` matrix from pixels of the aligned square of side `size` to the photo's."""
        eyes, mouth = self.points[:2].mean(0), self.points[3:].mean(0)
        eye_to_eye = self.points[1] - self.points[0]
        eye_to_mouth = mouth - eyes
        # The horizontal axis averages the eye line and the perpendicular of the face's midline.
        axis = eye_to_eye + np.array([eye_to_mouth[1], -eye_to_mouth[0]])
        half = max(2.0 * np.hypot(*eye_to_eye), 1.8 * np.hypot(*eye_to_mouth))
        x = axis / np.hypot(*axis) * half
        y = np.array([-x[1], x[0]])
        corner = eyes + 0.1 * eye_to_mouth - x - y
        return np.stack([2 * x / size, 2 * y / size, corner], 1)


def face_oval(size: int) -> np.ndarray:
    """Draw a feathered ellipse over the face of an aligned square: `(size, size)` in [0, 1]."""
    v, u = (np.mgrid[:size, :size] + 0.5) / size
    r = np.hypot((u - 0.5) / 0.34, (v - 0.55) / 0.42)
    t = np.clip((1 - r) / 0.25, 0, 1)
    return t * t * (3 - 2 * t)


def visible_share(photo: Photo, face: Face) -> float:
    """Measure how much of the face oval lies inside the frame, in [0, 1]."""
    oval = face_oval(64)
    v, u = np.mgrid[:64, :64] + 0.5
    x, y = np.einsum("ij,jhw->ihw", face.to_photo(64), np.stack([u, v, np.ones_like(u)]))
    inside = (x >= 0) & (y >= 0) & (x <= photo.size[0]) & (y <= photo.size[1])
    return float((oval * inside).sum() / oval.sum())


def align(photo: Photo, face: Face, size: int = ALIGNED_SIZE, *, cut: bool = False) -> torch.Tensor:
    """Cut the face out in FFHQ alignment: `(1, 3, size, size)` in [-1, 1].

    Beyond the photo's frame its mirror image goes on, as in FFHQ. Raises `NoFaceFound` when more than
    40 % of the face's oval lies there. Where it may be `cut` off, grey goes on, and 72 % may.
    """
    most, beyond = (MOST_OUTSIDE, "zeros") if cut else (MAX_OUTSIDE, "reflection")
    if 1 - visible_share(photo, face) > most:
        raise NoFaceFound(f"{photo.name} shows a face that is cut off by the frame; use a wider photo")
    matrix = face.to_photo(size)
    step = np.hypot(*matrix[:, 0])  # photo pixels for one aligned pixel
    # Only the part of the photo that is needed, so that 50 megapixels stay 8-bit.
    corners = np.array([[0, 0, 1], [size, 0, 1], [0, size, 1], [size, size, 1]]) @ matrix.T
    left, top = np.maximum(np.floor(corners.min(0)).astype(int) - 4, 0)
    right, bottom = np.ceil(corners.max(0)).astype(int) + 4
    crop = Image.fromarray(photo.pixels[top:bottom, left:right])
    scale = np.ones(2)
    if step > 1:  # average down first: bicubic sampling alone would alias
        small = [max(1, round(side / step)) for side in crop.size]
        scale = np.array(small) / np.array(crop.size)
        crop = crop.resize(small, Image.Resampling.LANCZOS)
    matrix = matrix.copy()
    matrix[:, 2] -= (left, top)
    source = to_tensor(np.asarray(crop))
    return _sample(source, matrix * scale[:, None], (size, size), beyond).clamp(-1, 1)


def paste(photo: Photo, face: Face, aligned: torch.Tensor, mask: torch.Tensor) -> np.ndarray:
    """Put `aligned (1, 3, S, S)` back through `mask (1, 1, S, S)`, at the photo's resolution.

    Returns `(H, W, 3)` uint8. Pixels where the mask is zero are the photo's, bit for bit.
    """
    size = aligned.shape[-1]
    matrix = face.to_photo(size)
    corners = np.array([[0, 0, 1], [size, 0, 1], [0, size, 1], [size, size, 1]]) @ matrix.T
    width, height = photo.size
    left, top = np.clip(np.floor(corners.min(0)).astype(int), 0, (width, height))
    right, bottom = np.clip(np.ceil(corners.max(0)).astype(int), 0, (width, height))
    step = np.hypot(*matrix[:, 0])
    both = torch.cat([aligned, mask.to(aligned)], 1)
    small = size
    if step < 1:  # the photo's face is smaller than the aligned one
        small = max(8, round(size * step))
        both = F.interpolate(both, size=(small, small), mode="bicubic", antialias=True)
    # From a pixel of the photo's window to one of the aligned square.
    linear = np.linalg.inv(matrix[:, :2]) * (small / size)
    inverse = np.concatenate([linear, (linear @ ([left, top] - matrix[:, 2]))[:, None]], 1)
    result = photo.pixels.copy()
    for row in range(top, bottom, STRIP):  # a face of 50 megapixels must not become gigabytes
        end = min(row + STRIP, bottom)
        strip = inverse.copy()
        strip[:, 2] += inverse[:, 1] * (row - top)
        shape = (end - row, right - left)
        window = _sample(both, strip, shape)
        x, y = _grid(strip, shape, window.dtype)
        inside = (x >= 0) & (y >= 0) & (x <= small) & (y <= small)
        weight = window[:, 3:].clamp(0, 1) * inside
        weight = torch.where(weight < 1 / 512, 0.0, weight)  # too little to change a pixel
        original = to_tensor(photo.pixels[row:end, left:right])
        result[row:end, left:right] = to_uint8(pasted(original, window[:, :3].clamp(-1, 1), weight))
    return result


def _grid(matrix: np.ndarray, shape: tuple[int, int], dtype) -> tuple[torch.Tensor, torch.Tensor]:
    """Compute where each output pixel's centre falls in the source, in source pixels: two `(H, W)`."""
    v = torch.arange(shape[0], dtype=dtype)[:, None] + 0.5
    u = torch.arange(shape[1], dtype=dtype)[None] + 0.5
    (a, b, c), (d, e, f) = matrix.tolist()
    return a * u + b * v + c, d * u + e * v + f


def _sample(
    source: torch.Tensor, matrix: np.ndarray, shape: tuple[int, int], beyond: str = "border"
) -> torch.Tensor:
    """Take bicubic samples of `source (1, C, H, W)`; `matrix` maps output to source pixels, and `beyond`
    the source is `border` (its edge goes on), `reflection` or `zeros`."""
    x, y = _grid(matrix, shape, source.dtype)
    grid = torch.stack([x / source.shape[3] * 2 - 1, y / source.shape[2] * 2 - 1], -1)[None]
    return F.grid_sample(source, grid, "bicubic", beyond, align_corners=False)
