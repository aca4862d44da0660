"""The grain of a photo on what was painted into it, so that a noisy photo has no smooth face."""

from __future__ import annotations

import numpy as np
from scipy.ndimage import binary_dilation, convolve, gaussian_filter, uniform_filter

# Immerkær 1996, "Fast noise variance estimation": blind to planes and edges along the axes; noise of
# standard deviation s comes out as s.
RESIDUE = np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]], np.float32) / 6
# Compression sets most of the finest noise to zero, so the median absolute deviation sees too little.
SHARE, TO_DEVIATION = 0.75, 1 / 1.1503  # quantile of the absolute residue, and from it a deviation
LEAST = 1.5  # grey levels of 255: less grain cannot be seen
AROUND = 9  # pixels beside the painted ones in which the photo's grain is measured, too
SCALES = (1, 2, 4)  # pixels: sides of the means in which noise is measured
FEWEST = 100  # means, from which on a deviation is known
LOCAL = 7  # side of the square in which the painted pixels' own grain is measured


def grain(channel: np.ndarray, where: np.ndarray) -> float:
    """Standard deviation of the noise of `channel (H, W)` at the pixels `where (H, W)`, in its units."""
    return _deviation(_residue(channel), where)


def _residue(channel: np.ndarray) -> np.ndarray:
    return convolve(channel.astype(np.float32), RESIDUE, mode="mirror")


def _deviation(residue: np.ndarray, where: np.ndarray) -> float:
    return float(np.quantile(np.abs(residue[where]), SHARE) * TO_DEVIATION) if where.any() else 0.0


def match_grain(before: np.ndarray, after: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Add noise to `after (H, W, 3)` uint8 where it differs from `before`, as strong as `before` has it.

    The noise is what both the pixels that changed and those around them had, whichever is less, so that
    pores and stubble do not count as noise; and only as much as is missing. Photos with less than 1.5
    grey levels of noise stay as they are. It is measured and made in single pixels and in means of 2 × 2
    and 4 × 4: compression takes the finest part of a dark photo's noise, and leaves blotches. The
    channels' noise goes together as it does in `before`: a grey photo gets grey noise, and a JPEG with
    coarse colours noise that its colours let through. Pixels that did not change stay.
    """
    changed = (before != after).any(2)
    rows, columns = (np.flatnonzero(changed.any(axis)) for axis in (1, 0))
    if not len(rows):
        return after
    window = tuple(slice(max(0, found[0] - AROUND), found[-1] + 1 + AROUND) for found in (rows, columns))
    inside, old = changed[window], before[window].astype(np.float32)
    ring = binary_dilation(inside, iterations=AROUND) & ~inside
    made = after[window].astype(np.float32)
    for scale, wanted, together in reversed(
        _measured(old, inside, ring)
    ):  # fine ones add what is missing
        field = _field(rng, old.shape, scale) @ together
        if (old == old[..., :1]).all():
            field[:] = field[..., :1]  # grey to the last bit
        now = _means(made, scale)
        for channel in np.flatnonzero(wanted >= LEAST):
            there = uniform_filter(_residue(now[..., channel]) ** 2, LOCAL, mode="mirror")
            missing = np.sqrt(np.clip(wanted[channel] ** 2 - there, 0, None))
            missing = np.kron(missing, np.ones((scale, scale), np.float32))
            beyond = np.subtract(inside.shape, missing.shape)
            missing = np.pad(missing, [(0, beyond[0]), (0, beyond[1])], "edge")
            made[..., channel] += missing * field[..., channel]
    result = after.copy()
    result[window][inside] = np.rint(made).clip(0, 255).astype(np.uint8)[inside]
    return result


def _measured(
    old: np.ndarray, inside: np.ndarray, ring: np.ndarray
) -> list[tuple[int, np.ndarray, np.ndarray]]:
    """Measure the noise of `old (H, W, 3)`: for each width of grains that has some, that width, the
    channels' deviations `(3,)`, less what finer noise leaves in such means, and how they go together,
    `(3, 3)`."""
    levels, finer = [], np.zeros(3)
    for scale in SCALES:
        at, around, was = (_means(one, scale) for one in (inside, ring, old))
        at, around = at == 1, around == 1
        if at.sum() < FEWEST:
            break
        noise = np.stack([_residue(was[..., channel]) for channel in range(3)], 2)
        places = [at, around] if around.any() else [at]
        wanted = np.array([min(_deviation(noise[..., c], one) for one in places) for c in range(3)])
        own = np.sqrt(np.clip(wanted**2 - finer / 4, 0, None))
        finer = wanted**2
        if own.max() >= LEAST:
            levels.append((scale, own, np.linalg.cholesky(_correlation(noise[at | around], wanted)).T))
    return levels


def _means(values: np.ndarray, side: int) -> np.ndarray:
    """Average `side × side` pixels of `(H, W)` or `(H, W, C)`; what is left over is dropped."""
    height, width = values.shape[0] // side, values.shape[1] // side
    blocks = values[: height * side, : width * side].reshape(height, side, width, side, -1)
    return blocks.mean((1, 3), dtype=np.float32).reshape(height, width, *values.shape[2:])


def _field(rng: np.random.Generator, shape: tuple[int, ...], scale: int) -> np.ndarray:
    """Draw noise `shape` (H, W, 3) of grains `scale` pixels wide, whose means of as many pixels have a
    deviation of 1."""
    drawn = rng.standard_normal(shape, np.float32)
    if scale == 1:
        return drawn
    drawn = gaussian_filter(drawn, (0.3 * scale, 0.3 * scale, 0), mode="mirror")
    return drawn / _means(drawn, scale).std()


def _correlation(residue: np.ndarray, deviation: np.ndarray) -> np.ndarray:
    """How the noise of the channels goes together, `(3, 3)`, from residues `(N, 3)`, of which edges,
    beyond three of the deviations `(3,)`, are left out."""
    flat = residue[(np.abs(residue) <= 3 * deviation.clip(LEAST)).all(1)].astype(np.float64)
    covariance = flat.T @ flat + 1e-6 * np.eye(3)
    scale = np.sqrt(np.diag(covariance))
    return (covariance / np.outer(scale, scale) + 1e-6 * np.eye(3)).astype(np.float32)
