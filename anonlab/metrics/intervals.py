"""How sure a number is: 95 % intervals, drawn by person, because people are what was sampled."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.stats import binomtest

DRAWS, LEVEL = 2000, 0.95


def bootstrap(
    values: np.ndarray, statistic: Callable[..., np.ndarray] = np.mean, draws: int = DRAWS
) -> tuple[float, float]:
    """Return the percentile interval of `statistic` over people (Efron and Tibshirani 1993).

    `values (N,)` holds one number a person; NaNs are people to whom the question does not apply.
    """
    values = np.asarray(values, dtype=np.float64)
    values = values[~np.isnan(values)]
    if not len(values):
        return float("nan"), float("nan")
    rng = np.random.default_rng(0)
    drawn = values[rng.integers(len(values), size=(draws, len(values)))]
    low, high = np.quantile(statistic(drawn, axis=1), [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)


def interval(hits: np.ndarray) -> tuple[float, float]:
    """Return a share's interval: the bootstrap by person, or the exact binomial one (Clopper and Pearson
    1934, by SciPy) where the share is 0 or 1.

    A bootstrap of "0 of 12" says 0 to 0, which is not what twelve people can show.
    """
    hits = np.asarray(hits, dtype=np.float64)
    hits = hits[~np.isnan(hits)]
    if len(hits) and hits.min() == hits.max():
        found = binomtest(int(hits.sum()), len(hits)).proportion_ci(LEVEL, method="exact")
        return float(found.low), float(found.high)
    return bootstrap(hits)
