"""Numbers over time, made smooth, and filled in where they are missing."""

from __future__ import annotations

import numpy as np

CENTRE, SHAPE = 1.0, 3.0  # frames; of a face's place, and of its size, angle and proportions
FARTHEST = 0.25  # of the mean distance of a face's points from their centre
REACH = 3.5  # of a Gaussian, in its own width
MOTION = 5  # frames from which the speed at an end of a track is read


def gaussian_line(at: np.ndarray, known_at: np.ndarray, values: np.ndarray, sigma: float) -> np.ndarray:
    """Local linear regression under a Gaussian: `values (K, …)` known at `known_at (K,)`, read at `at
    (T,)`, `(T, …)`.

    At every place a line is fitted to the values around it (Cleveland 1979). Unlike a plain Gaussian
    mean it has no lag at the ends and leaves a steady motion as it is.
    """
    flat = values.reshape(len(values), -1).astype(np.float64)
    result = np.empty((len(at), flat.shape[1]))
    for row, place in enumerate(at):
        away = known_at - place
        near = np.abs(away) <= REACH * sigma
        if not near.any():
            near = np.abs(away) <= np.abs(away).min() + 1e-9
        x, y = away[near], flat[near]
        weight = np.exp(-(x**2) / (2 * sigma**2))
        weight = weight / weight.sum()
        centre, mean = weight @ x, weight @ y
        spread = weight @ (x - centre) ** 2
        slope = (weight * (x - centre)) @ (y - mean) / spread if spread > 1e-12 else 0.0
        result[row] = mean - slope * centre
    return result.reshape(len(at), *values.shape[1:])


def filled(at: np.ndarray, known_at: np.ndarray, values: np.ndarray) -> np.ndarray:
    """`values (K, …)` known at `known_at (K,)`, linearly between and with the last speed beyond, at `at
    (T,)`."""
    flat = values.reshape(len(values), -1).astype(np.float64)
    result = np.stack([np.interp(at, known_at, column) for column in flat.T], 1)
    ends = (slice(None, MOTION), known_at[0], at < known_at[0]), (
        slice(-MOTION, None), known_at[-1], at > known_at[-1],
    )  # fmt: skip
    for near, end, beyond in ends:
        x, y = known_at[near], flat[near]
        if beyond.any() and len(x) > 1:
            slope = (x - x.mean()) @ (y - y.mean(0)) / ((x - x.mean()) ** 2).sum()
            result[beyond] += (at[beyond] - end)[:, None] * slope
    return result.reshape(len(at), *values.shape[1:])


def steady_points(at: np.ndarray, known_at: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Five points of a face `(K, 5, 2)` found at `known_at (K,)`, for a steady crop at `at (T,)`.

    Their centre is smoothed a little, and what they are around it (size, angle, proportions) more, as
    "Stitch it in Time" does with crops (Tzaban et al. 2022). Both axes are in frames. No point is moved
    by more than `FARTHEST`: where a face jumps, its crop jumps with it.
    """
    whole = filled(at, known_at, points)
    centre = whole.mean(1, keepdims=True)
    shape = gaussian_line(at, at, whole - centre, SHAPE)
    size = np.hypot(*np.moveaxis(whole - centre, -1, 0)).mean(1)[:, None, None]
    moved = gaussian_line(at, at, centre, CENTRE) + shape - whole
    return whole + np.clip(moved, -FARTHEST * size, FARTHEST * size)
