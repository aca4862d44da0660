"""The recognisers that judge, and how similar two pictures are."""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass

import numpy as np
import torch
from skimage.metrics import structural_similarity

from ..errors import NoFaceFound, UnknownOption, WeightsMissing
from ..images import resize, to_uint8
from ..metrics.estimators import AttributeEstimator, DlibLandmarks
from ..notebook.measured import Declaration, higher, lower, reference
from ..perception.networks import landmark_error, load_landmarks
from ..photo.detection import Detector
from ..photo.photos import Photo
from ..recognizers import OnnxRecognizer, Recognizer, check_options, load_recognizer
from ..recognizers.perceptual import PerceptualDistance, load_lpips, load_stlpips

VISIBLE = 2  # of 255: a smaller difference is rounding
SEEN_SIZE = 256  # pixels at which perceptual distances, SSIM and the detector look
HOW_TO_ADD = "`python -m anonlab doctor` names some, or name an embedding model (`--unseen FILE.onnx`)"


@dataclass(frozen=True)
class Judge:
    """Name a recogniser, and say whether attribution, loss or self-check ever used it."""

    name: str
    recognizer: Recognizer
    seen: bool


def load_judges(
    guide: Recognizer,
    unseen: str | os.PathLike | None = None,
    options: dict | None = None,
) -> list[Judge]:
    """Load the guide (seen), and of recognisers that took no part FaceNet where it was downloaded, and
    the ONNX model at `unseen` with `options` of `OnnxRecognizer`.

    Raises `WeightsMissing`, `WeightsCorrupt` or `UnknownOption` for a model that was asked for.
    """
    judges = [Judge(guide.name, guide, True)]
    with contextlib.suppress(WeightsMissing):
        judges.append(Judge("facenet", load_recognizer("facenet", device=guide.mean.device), False))
    if unseen:
        check_options(options or {})
        model = OnnxRecognizer(unseen, **(options or {}))
        if model.name in [one.name for one in judges]:
            raise UnknownOption(
                f"{unseen} has the name of another recogniser, {model.name}; give it its own name"
            )
        judges.append(Judge(model.name, model, False))
    return judges


BETTER: dict[str, Declaration] = {  # of what `Similarity` measures
    **dict.fromkeys(("detected", "ssim", "ssim_outside", "psnr_outside", "gender_kept"), higher),
    **dict.fromkeys(("st_lpips", "lpips", "landmark_error", "age_difference"), lower),
    "changed_share": reference,  # it is asked for, by mask_area
}
SHARES = ("detected", "gender_kept")  # each is 0 or 1 for a person


def ssim_map(before: torch.Tensor, after: torch.Tensor) -> np.ndarray:
    """Return every pixel's structural similarity between two pictures `(1, 3, S, S)`, `(S, S)`, 1 where
    nothing changed; its mean is SSIM (Wang et al. 2004, with their Gaussian window)."""
    _, similarity = structural_similarity(
        to_uint8(before), to_uint8(after), channel_axis=2, data_range=255, full=True,
        gaussian_weights=True, sigma=1.5, use_sample_covariance=False,
    )  # fmt: skip
    return similarity.mean(2)


def psnr(before: torch.Tensor, after: torch.Tensor, weight: np.ndarray | None = None) -> float:
    """Return the peak signal-to-noise ratio of two pictures `(1, 3, S, S)` in decibels, on 8-bit pixels;
    100 at most (for no change). `weight (S, S)` in [0, 1] says how much each pixel counts."""
    difference = to_uint8(before).astype(np.float64) - to_uint8(after)
    squared = (difference**2).mean(2)
    error = squared.mean() if weight is None else (squared * weight).sum() / weight.sum()
    return float(min(100.0, 10 * np.log10(255**2 / max(error, 1e-12))))


def changed_share(before: torch.Tensor, after: torch.Tensor) -> float:
    """Return the share of pixels of which a colour changed by more than `VISIBLE`."""
    difference = np.abs(to_uint8(before).astype(int) - to_uint8(after))
    return float((difference.max(2) > VISIBLE).mean())


class Similarity:
    """Compare aligned pictures by what is installed with anonlab: perceptual distances, pixels,
    landmarks, the detector, gender and age. Some of these guide; `judges` are those that do not."""

    def __init__(self, detector: Detector, device: torch.device | str = "cpu"):
        self.detector, self.device = detector, device
        self.perceptual: dict[str, PerceptualDistance] = {"st_lpips": load_stlpips(device)}
        with contextlib.suppress(WeightsMissing):
            self.perceptual["lpips"] = load_lpips(device)
        self.landmarks, self.attributes = load_landmarks(), None
        with contextlib.suppress(WeightsMissing):
            self.landmarks, self.attributes = DlibLandmarks(), AttributeEstimator()

    def detected(self, image: torch.Tensor) -> bool:
        """Return whether the pipeline's detector finds a face in the middle of the aligned picture."""
        middle = image.shape[-1] / 2
        with contextlib.suppress(NoFaceFound):
            for face in self.detector.once(Photo(to_uint8(image), "aligned face")):
                left, top, right, bottom = face.box
                if left < middle < right and top < 1.1 * middle < bottom:
                    return True
        return False

    @torch.no_grad()
    def look(self, image: torch.Tensor) -> dict:
        """Read one picture `(1, 3, S, S)`, to be compared with others."""
        small = resize(image.cpu(), SEEN_SIZE)
        there = small.to(self.device)
        return {
            "small": small,
            "points": self.landmarks(small),
            "attributes": self.attributes(small) if self.attributes else None,
            "perceptual": {name: model.features(there) for name, model in self.perceptual.items()},
        }

    @torch.no_grad()
    def compare(self, was: dict, after: torch.Tensor, mask: torch.Tensor | None) -> dict[str, float]:
        """Measure `BETTER`, as far as it is installed, of `look(before)` and a picture `(1, 3, S, S)`.

        "Outside" is outside `mask (1, 1, S, S)`, the same for every method: what tells nothing of the
        identity should stay. Without a mask the pictures are two photos, and no pixels are compared.
        """
        now = self.look(after)
        before, small = was["small"], now["small"]
        numbers = {"detected": float(self.detected(small))}
        for name, model in self.perceptual.items():
            numbers[name] = model.compare(now["perceptual"][name], was["perceptual"][name]).item()
        numbers["landmark_error"] = landmark_error(now["points"], was["points"]).item()
        if self.attributes:
            (gender, age), (new_gender, new_age) = was["attributes"], now["attributes"]
            numbers["gender_kept"] = float(torch.equal(gender, new_gender))
            numbers["age_difference"] = (new_age - age).abs().item()
        if mask is not None:
            outside = 1 - resize(mask.float().cpu(), SEEN_SIZE)[0, 0].numpy().clip(0, 1)
            similarity = ssim_map(before, small)
            numbers["ssim"] = float(similarity.mean())
            numbers["ssim_outside"] = float(np.average(similarity, weights=outside))
            numbers["psnr_outside"] = psnr(before, small, outside)
            numbers["changed_share"] = changed_share(before, small)
        return numbers
