"""What is measured: one documented function a number, grouped by the question it answers.

`privacy` asks which people are still found, `similarity` what the picture lost, `realism` whether it is
a face at all, `intervals` how sure a number is.
"""

from .intervals import bootstrap as bootstrap
from .intervals import exact_interval as exact_interval
from .intervals import interval as interval
from .privacy import area_under_roc as area_under_roc
from .privacy import calibrated_threshold as calibrated_threshold
from .privacy import collapse_rate as collapse_rate
from .privacy import conditional_leakage as conditional_leakage
from .privacy import equal_error_rate as equal_error_rate
from .privacy import fused as fused
from .privacy import linkage as linkage
from .privacy import linked as linked
from .privacy import pairwise as pairwise
from .privacy import protection as protection
from .privacy import roc as roc
from .privacy import true_accept_rate as true_accept_rate
from .privacy import undone_distances as undone_distances
from .privacy import unlinkability as unlinkability
from .realism import FEATURES as FEATURES
from .realism import frechet_distance as frechet_distance
from .realism import load_features as load_features
from .realism import precision_recall as precision_recall
from .similarity import changed_share as changed_share
from .similarity import psnr as psnr
from .similarity import ssim_map as ssim_map
