"""The grain of a photo on what was painted into it, so that a noisy photo has no smooth face."""

from __future__ import annotations

import numpy as np
from scipy.ndimage import binary_dilation, convolve, uniform_filter

# Immerkær 1996, "Fast noise variance estimation": blind to planes and edges along the axes; noise of
# standard deviation s comes out as s.
RESIDUE = np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]], np.float32) / 6
TO_DEVIATION = 1 / 0.6745  # of a normal distribution, from its median absolute deviation
# The same from the upper quartile: compression sets most of the finest noise to zero, and what it leaves
# stands far out, so that the median sees half of it.
UPPER, FROM_UPPER = 0.75, 1 / 1.1503
# Grey levels of 255: less grain cannot be seen, and in the dark, below BRIGHT, a share of it
LEAST, BRIGHT, DARK_SHARE = 1.5, 100.0, 0.25
AROUND = 9  # pixels beside the painted ones in which the photo's grain is measured, too
LOCAL = 7  # side of the square in which the painted pixels' own grain is measured


def grain(channel: np.ndarray, where: np.ndarray) -> float:
    """Measure the standard deviation of the noise of `channel (H, W)` at `where (H, W)`."""
    return float(np.median(np.abs(_residue(channel)[where])) * TO_DEVIATION) if where.any() else 0.0


def _residue(channel: np.ndarray) -> np.ndarray:
    return convolve(channel.astype(np.float32), RESIDUE, mode="mirror")


def _deviation(residue: np.ndarray, where: np.ndarray) -> float:
    return float(np.quantile(np.abs(residue[where]), UPPER) * FROM_UPPER) if where.any() else 0.0


def match_grain(before: np.ndarray, after: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Add noise to `after (H, W, 3)` uint8 where it differs from `before`, as strong as `before` has it.

    That is what the pixels that changed or those around them had, whichever is less (pores and stubble
    are no noise), and only as much as is missing. Photos with less than 1.5 grey levels of noise (in the
    dark: of less) stay as they are. The channels' noise is correlated as it is in `before`.
    """
    differs = before != after
    changed = differs[..., 0] | differs[..., 1] | differs[..., 2]  # eight times as fast as `any(2)`
    rows, columns = (np.flatnonzero(changed.any(axis)) for axis in (1, 0))
    if not len(rows):
        return after
    window = tuple(slice(max(0, line[0] - AROUND), line[-1] + 1 + AROUND) for line in (rows, columns))
    changed, old, new = changed[window], before[window], after[window]
    ring = binary_dilation(changed, iterations=AROUND) & ~changed
    noise = np.stack([_residue(old[..., channel]) for channel in range(3)], 2)
    places = [changed, ring] if ring.any() else [changed]
    wanted = [min(_deviation(noise[..., channel], place) for place in places) for channel in range(3)]
    least = LEAST * float(np.clip(np.median(old[changed]) / BRIGHT, DARK_SHARE, 1))
    if max(wanted) < least:
        return after
    together = _correlation(noise[changed | ring], np.array(wanted))
    field = rng.standard_normal(old.shape, np.float32) @ np.linalg.cholesky(together).T
    if (old == old[..., :1]).all():
        field[:] = field[..., :1]  # grey to the last bit
    result = after.copy()
    for channel, deviation in enumerate(wanted):
        if deviation < least:
            continue
        local = uniform_filter(_residue(new[..., channel]) ** 2, LOCAL, mode="mirror")
        missing = np.sqrt(np.clip(deviation**2 - local, 0, None))
        noisy = np.rint(new[..., channel] + missing * field[..., channel])
        result[window][..., channel][changed] = noisy.clip(0, 255).astype(np.uint8)[changed]
    return result


def _correlation(residue: np.ndarray, deviation: np.ndarray) -> np.ndarray:
    """Correlate the noise of the channels, `(3, 3)`, from residues `(N, 3)`, of which edges,
    beyond three of the deviations `(3,)`, are left out."""
    flat = residue[(np.abs(residue) <= 3 * deviation.clip(DARK_SHARE * LEAST)).all(1)].astype(np.float64)
    covariance = flat.T @ flat + 1e-6 * np.eye(3)
    scale = np.sqrt(np.diag(covariance))
    return (covariance / np.outer(scale, scale) + 1e-6 * np.eye(3)).astype(np.float32)
