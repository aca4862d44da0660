"""Facial regions as masks, drawn from 68 points: where the eyes are, and what is left of the face."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch
from scipy.ndimage import distance_transform_edt
from skimage.draw import polygon2mask, polygon_perimeter
from skimage.morphology import dilation, disk
from skimage.morphology.convex_hull import convex_hull_image

from ..controls import REGIONS
from ..images import resize
from .eyes import EYES

MARGIN = 0.02  # by which eyes, brows and mouth are widened, in shares of the side
LID_RIM = 0.14  # of what belongs to an eye around the lids, over the eye's width
FOREHEAD = 0.6  # height of the forehead above the brows, in distances from brow to nose tip
KEPT = 32  # drawings, of .1 to .5 MB, because every stage asks for the same ones of a face


def region_masks(points: torch.Tensor, size: int = 256) -> dict[str, torch.Tensor]:
    """Draw all of `REGIONS` from one face's points `(1, 68, 2)`: masks `(1, 1, size, size)` of 0 and 1.

    They do not overlap, wherever the points are: the first one named below gets what two share. Forehead
    is what of the face lies above the brows, jaw what lies below the mouth, cheeks the rest.
    """
    return dict(zip(REGIONS, _regions(_key(points), size, FOREHEAD).clone(), strict=True))


@lru_cache(KEPT)
def _regions(points: bytes, size: int, forehead: float) -> torch.Tensor:
    """Draw `REGIONS` from points as `_key` writes them: `(7, 1, 1, size, size)`."""
    at, wider = _at(points) * size, max(1, round(MARGIN * size))
    parts = {
        "eyes": _hull(at[36:42], size, wider) | _hull(at[42:48], size, wider),
        "brows": _hull(at[17:22], size, wider) | _hull(at[22:27], size, wider),
        "mouth": _hull(at[48:60], size, wider),
        "nose": _hull(np.concatenate([at[27:36], at[[39, 42]]]), size),
    }
    up = (at[19:25].mean(0) - at[30]) * forehead  # from the tip of the nose to the brows, and on
    face = _hull(np.concatenate([at[:17], at[17:27] + up]), size)
    rows = np.arange(size)[:, None]
    parts["forehead"] = face & (rows < at[17:27, 1].max())
    parts["jaw"] = face & (rows > at[48:60, 1].max())
    parts["cheeks"] = face
    taken = np.zeros((size, size), bool)
    masks = {}
    for name, part in parts.items():  # the first one named gets what they share
        masks[name] = part & ~taken
        taken |= part
    return torch.from_numpy(np.stack([masks[name] for name in REGIONS])).float()[:, None, None]


def whole_face(points: torch.Tensor, size: int = 256, forehead: float = FOREHEAD) -> torch.Tensor:
    """Draw all regions of one face together, from its chin to `forehead` distances from brow to nose tip
    above the brows: `(1, 1, size, size)` of 0 and 1."""
    return _regions(_key(points), size, forehead).sum(0)


def around_the_mouth(points: torch.Tensor, size: int = 256) -> torch.Tensor:
    """Draw what of one face lies below its nose, without the lips: `(1, 1, size, size)` of 0 and 1."""
    at = points[0].detach().cpu().numpy() * size
    across, (x, y) = at[45] - at[36], at[33]  # from eye to eye; the nose's base
    columns, rows = np.meshgrid(np.arange(size), np.arange(size))
    below = across[0] * (rows - y) > across[1] * (columns - x)
    below &= ~polygon2mask((size, size), at[48:60, ::-1])
    return whole_face(points, size) * torch.from_numpy(below).float()


def share_of_face(mask: torch.Tensor, face: torch.Tensor) -> float:
    """Measure how much of a `face`, as `whole_face` draws it, a `mask (1, 1, S, S)` covers, 0–1. (Its
    mean is its share of the aligned picture, of which the face fills about a third.)"""
    mask = resize(mask, face.shape[-1]).to(face)
    return ((mask * face).sum() / face.sum().clamp_min(1)).item()


def face_band(points: torch.Tensor, size: int = 256, wider: float = 0.0) -> torch.Tensor:
    """Draw what lies between the sides of one face and above its chin: `(1, 1, size, size)` of 0 and 1.

    The jaw line of `points (1, 68, 2)`, continued upwards along the face from both ends, because no
    point says where hair begins. `wider` moves the line outwards, in shares of the face's width.
    """
    return _band(_key(points), size, wider).clone()


@lru_cache(KEPT)
def _band(points: bytes, size: int, wider: float) -> torch.Tensor:
    at = _at(points) * size
    jaw, across = at[:17], at[16] - at[0]
    up = np.array([across[1], -across[0]]) * size / max(np.hypot(*across), 1e-6)  # as long as a side
    middle = (at[0] + at[16]) / 2
    jaw = middle + (jaw - middle) * (1 + 2 * wider)
    corners = np.concatenate([jaw, [jaw[-1] + up, jaw[0] + up]])
    inside = polygon2mask((size, size), corners[:, ::-1])
    return torch.from_numpy(inside).float()[None, None]


def between_lids(points: torch.Tensor, size: int) -> torch.Tensor:
    """Find both eyes as far as the lids' rims, from `points (1, 68, 2)`: `(1, 1, size, size)` in [0, 1].

    1 between the lids and half a rim around them, and from there soft; a shut eye is its line of lashes.
    """
    eyes = torch.zeros(1, 1, size, size)
    for eye in EYES:
        corners = points[0, list(eye)].detach().cpu().numpy() * size
        rim = LID_RIM * np.ptp(corners[:, 0])
        beyond = (corners.max(0) < 0).any() or (corners.min(0) > size - 1).any()  # the picture
        if beyond or not np.isfinite(corners).all() or rim <= 0:
            continue
        first = np.floor(corners.min(0) - 2 * rim).astype(int).clip(0, size)  # farther it is 0
        last = np.ceil(corners.max(0) + 2 * rim + 1).astype(int).clip(0, size)
        shape = (*(last - first)[::-1],)
        inside = polygon2mask(shape, (corners - first)[:, ::-1])
        inside[polygon_perimeter(*(corners - first).T[::-1], shape=shape, clip=True)] = True
        if inside.any():
            soft = (1.5 - distance_transform_edt(~inside) / rim).clip(0, 1)
            window = eyes[..., first[1] : last[1], first[0] : last[0]]
            window[:] = torch.maximum(window, torch.from_numpy(soft).float())
    return eyes


def heat_of_regions(heat: torch.Tensor, points: torch.Tensor) -> dict[str, float]:
    """Compute the mean of `heat (1, 1, S, S)` in each of `REGIONS` over that in the whole face; a region
    without pixels has none."""
    masks, face = region_masks(points, heat.shape[-1]), whole_face(points, heat.shape[-1])
    average = (heat * face).sum() / face.sum()
    return {
        name: ((heat * mask).sum() / mask.sum() / average).item()
        for name, mask in masks.items()
        if mask.any()
    }


def _key(points: torch.Tensor) -> bytes:
    """Write the points of one face `(1, 68, 2)` as what drawings are kept by."""
    return points[0].detach().cpu().float().numpy().tobytes()


def _at(points: bytes) -> np.ndarray:
    """Read them back: `(68, 2)`."""
    return np.frombuffer(points, np.float32).reshape(-1, 2)


def _hull(points: np.ndarray, size: int, wider: int = 0) -> np.ndarray:
    """Draw the convex hull of `points (P, 2)`, x and y in pixels, and what is within `wider` pixels of
    it, as booleans `(size, size)`."""
    at = np.clip(np.round(points).astype(int), 0, size - 1)
    first, last = np.maximum(at.min(0) - wider, 0), np.minimum(at.max(0) + wider + 1, size)
    x, y = (at - first).T
    inside = np.zeros((last - first)[::-1], bool)
    inside[y, x] = True
    inside = convex_hull_image(inside)
    result = np.zeros((size, size), bool)
    window = result[first[1] : last[1], first[0] : last[0]]
    window[:] = dilation(inside, disk(wider)) if wider else inside
    return result
