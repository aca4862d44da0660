"""What stands before a face or is worn stays the photo's: sleeves, microphones, hats, glasses, beards.

A generator draws a bare face. So where it shows skin and the photo shows something that is not of this
person's skin colour, something is in front. What is smaller than a coin beside the face is not seen this
way, nor what has the colour of skin (`perception/hands.py` finds bare hands). Glasses are found by a
network, beards and moustaches as what is darker around the mouth than the new face.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch
from skimage.color import rgb2lab
from skimage.measure import label
from skimage.morphology import closing, dilation, disk, opening

from ..encoding.start import brightened
from ..images import FACE_SIZE, blurred, resize, to_uint8
from ..perception.networks import GlassesNetwork, RimNetwork, load_glasses, load_rims
from ..perception.regions import around_the_mouth, face_band, region_masks
from ..perception.texture import facial_hair
from ..weights import store

SIZE = 128  # pixels at which colours are compared
OTHER = 22.0  # CIELAB distance from the person's skin of what is something else …
SKIN = 22.0  # … and within which the new face's is skin; lightness counts half, for shadows
THIN = 2  # pixels; what is narrower (frames of glasses, wrinkles) is of the face
GAPS = 3  # pixels that are closed (a logo on a mask)
SMALLEST = 0.015  # share of the face
OF_FEATURES = 0.04  # the same of what lies on eyes, brows or mouth: pupils, teeth, open mouths
FOREHEAD = 0.9  # height above the brows, in distances from brow to nose tip
EDGE = 1.0  # Gaussian of its outline, in pixels
DARKER, DOUBT = 0.12, 0.1  # than the new face facial hair is, of 2; and more by each logit below 0
# The Gaussian under which it is, half of what is a line (the edge of a jaw) and no beard, and what is
# taken around it, in pixels of 256; and the least share of the picture: the shadows of lips have less
GRAIN, LINE, ROOTS, LEAST = 2.0, 2, 2, 0.0045


def in_front(image: torch.Tensor, generated: torch.Tensor, points: torch.Tensor) -> torch.Tensor:
    """Find what covers the face of the photo `image (1, 3, S, S)`, whose 68 points are
    `points (1, 68, 2)`: `(1, 1, SIZE, SIZE)` in [0, 1]. `generated` is the new face, not yet pasted."""
    at = points[0].detach().cpu().numpy() * SIZE
    band = face_band(points, SIZE)[0, 0].numpy() > 0
    rows = np.arange(SIZE)[:, None]
    brows, eyes, tip = at[17:27, 1], at[36:48, 1], at[30, 1]
    cheeks = band & (rows > eyes.max()) & (rows < at[33, 1])
    if not cheeks.any():
        return image.new_zeros(1, 1, SIZE, SIZE)
    band &= rows > brows.min() - FOREHEAD * (tip - at[19:25, 1].mean())
    photo, new = (_from_skin(picture, cheeks) for picture in (image, generated))
    other = closing(opening(band & (photo > OTHER) & (new < SKIN), disk(THIN)), disk(GAPS)) & band
    regions = region_masks(points, SIZE)
    features = torch.cat([regions[name] for name in ("eyes", "brows", "mouth")]).amax((0, 1)).numpy() > 0
    pieces, face = label(other), band.sum()
    sizes = np.bincount(pieces.flatten())  # by piece; 0 is what is no piece
    on_features = np.bincount(pieces[features], minlength=len(sizes))
    keep = (on_features < sizes / 2) | (sizes > OF_FEATURES * face)
    keep &= (sizes > SMALLEST * face) & (np.arange(len(sizes)) > 0)
    kept = dilation(keep[pieces], disk(1))  # its own edge is of both colours
    return blurred(torch.from_numpy(kept).float()[None, None], EDGE).to(image)


@lru_cache
def _networks(device: torch.device) -> tuple[GlassesNetwork, RimNetwork]:
    return load_glasses(device), load_rims(device)


@torch.no_grad()
def glasses(image: torch.Tensor) -> torch.Tensor:
    """Find frames, dark lenses and reflections on `image (1, 3, S, S)`: `(1, 1, 256, 256)` in [0, 1], 0
    on a face that the readout of glasses calls bare."""
    worn, rims = _networks(image.device)
    if worn(brightened(image)) < 0:
        return image.new_zeros(1, 1, FACE_SIZE, FACE_SIZE)
    return rims(image)


@lru_cache
def _readout(device: torch.device) -> torch.Tensor:
    return store.load_shipped("correction")["facial_hair"].to(device).float()


def beard(image: torch.Tensor, generated: torch.Tensor, points: torch.Tensor) -> torch.Tensor:
    """Find moustache, beard and stubble on the face of `image (1, 3, S, S)` that `generated`, the new
    face in its place and light, has not: `(1, 1, 256, 256)` in [0, 1].

    A readout says how likely facial hair is worn: the less likely, the darker it must be.
    """
    photo, new = (resize(one, FACE_SIZE) for one in (image, generated))
    doubt = -facial_hair(photo, _readout(image.device)).clamp_max(0)
    darker = blurred((new - photo).mean(1, keepdim=True), GRAIN) > DARKER + DOUBT * doubt
    below_nose = around_the_mouth(points, FACE_SIZE)[0, 0].numpy() > 0
    pieces = label(opening(darker[0, 0].cpu().numpy() & below_nose, disk(LINE)))
    pieces[(np.bincount(pieces.flatten()) < LEAST * pieces.size)[pieces]] = 0
    seen = dilation(pieces > 0, disk(ROOTS)) & below_nose
    return blurred(torch.from_numpy(seen).float()[None, None].to(photo), EDGE)


def _from_skin(image: torch.Tensor, cheeks: np.ndarray) -> np.ndarray:
    """Compute the distance `(SIZE, SIZE)` of each pixel from the median colour of the cheeks."""
    lab = rgb2lab(to_uint8(resize(image, SIZE)))
    away = (lab - np.median(lab[cheeks], axis=0)) * (0.5, 1, 1)
    return np.sqrt((away**2).sum(-1))
