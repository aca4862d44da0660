"""What is measured: one documented function a number, grouped by the question it answers.

`privacy` asks who is still found, `similarity` what the picture lost, `utility` whether the face
can still be used, `eyes` what became of glasses and eye colour, `realism` whether it is a face at
all, `intervals` how sure a number is.
"""

from .eyes import eyes_lightened, glasses_changed, glasses_flips
from .intervals import bootstrap, exact_interval, interval
from .privacy import (
    area_under_roc,
    calibrated_threshold,
    collapse_rate,
    collapse_ratio,
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
from .utility import POSE_NAMES, head_pose

__all__ = [
    "POSE_NAMES",
    "Features",
    "area_under_roc",
    "bootstrap",
    "calibrated_threshold",
    "changed_share",
    "collapse_rate",
    "collapse_ratio",
    "conditional_leakage",
    "equal_error_rate",
    "exact_interval",
    "eyes_lightened",
    "frechet_distance",
    "fused",
    "glasses_changed",
    "glasses_flips",
    "head_pose",
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
