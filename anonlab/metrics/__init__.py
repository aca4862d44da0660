"""What is measured: one documented function a number, grouped by the question it answers.

`privacy` asks who is still found, `similarity` what the picture lost, `eyes` what became of glasses,
`realism` whether it is a face at all, `intervals` how sure a number is.
"""

from .eyes import glasses_changed, glasses_flips
from .intervals import bootstrap, exact_interval, interval
from .privacy import (
    area_under_roc,
    calibrated_threshold,
    collapse_rate,
    conditional_leakage,
    equal_error_rate,
    fused,
    linkage,
    linked,
    pairwise,
    protection,
    roc,
    true_accept_rate,
    undone_distances,
    unlinkability,
)
from .realism import Features, frechet_distance, load_features, precision_recall
from .similarity import changed_share, psnr, ssim_map

__all__ = [
    "Features",
    "area_under_roc",
    "bootstrap",
    "calibrated_threshold",
    "changed_share",
    "collapse_rate",
    "conditional_leakage",
    "equal_error_rate",
    "exact_interval",
    "frechet_distance",
    "fused",
    "glasses_changed",
    "glasses_flips",
    "interval",
    "linkage",
    "linked",
    "load_features",
    "pairwise",
    "precision_recall",
    "protection",
    "psnr",
    "roc",
    "ssim_map",
    "true_accept_rate",
    "undone_distances",
    "unlinkability",
]
