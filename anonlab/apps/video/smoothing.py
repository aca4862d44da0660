"""Numbers over time, made smooth, and filled in where they are missing."""

from __future__ import annotations

import numpy as np
from scipy.interpolate import make_smoothing_spline

CENTRE, SHAPE = 1.0, 3.0  # frames; of a face's place, and of its size, angle and proportions
HALF = 1.18  # a Gaussian of this width lets half of a wave of 2π frames through, as a spline of weight 1
FARTHEST = 0.25  # of the mean distance of a face's points from their centre
MOTION = 5  # frames from which the speed at an end of a track is read


def smooth(at: np.ndarray, values: np.ndarray, sigma: float) -> np.ndarray:
    """Smooth `values (T, …)` at `at (T,)` by a cubic spline about as much as a Gaussian of `sigma` does.

    Unlike a Gaussian it has no lag at the ends and leaves a steady motion as it is.
    """
    if len(at) < 5:  # fewer than a spline takes
        return values
    return make_smoothing_spline(at, values, lam=(sigma / HALF) ** 4)(at)


def filled(at: np.ndarray, known_at: np.ndarray, values: np.ndarray) -> np.ndarray:
    """`values (K, …)` known at `known_at (K,)`, linearly between and with the last speed beyond, at `at
    (T,)`."""
    flat = values.reshape(len(values), -1).astype(np.float64)
    result = np.stack([np.interp(at, known_at, column) for column in flat.T], 1)
    first, last = known_at[[0, -1]]
    for end, beyond, near in (
        (first, at < first, slice(MOTION)),
        (last, at > last, slice(-MOTION, None)),
    ):
        if beyond.any() and len(known_at) > 1:
            speed = np.polyfit(known_at[near], flat[near], 1)[0]
            result[beyond] += np.outer(at[beyond] - end, speed)
    return result.reshape(len(at), *values.shape[1:])


def steady_points(at: np.ndarray, known_at: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Five points of a face `(K, 5, 2)` found at `known_at (K,)`, for a steady crop at `at (T,)`.

    Their centre is smoothed a little, and what they are around it (size, angle, proportions) more, as
    "Stitch it in Time" does with crops (Tzaban et al. 2022). Both axes are in frames. No point is moved
    by more than `FARTHEST`: where a face jumps, its crop jumps with it.
    """
    whole = filled(at, known_at, points)
    centre = whole.mean(1, keepdims=True)
    shape = whole - centre
    size = np.hypot(*np.moveaxis(shape, -1, 0)).mean(1)[:, None, None]
    moved = smooth(at, centre, CENTRE) + smooth(at, shape, SHAPE) - whole
    return whole + np.clip(moved, -FARTHEST * size, FARTHEST * size)
