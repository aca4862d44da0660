"""What the explorer shows of one face under one setting: by the workbench for `figures`."""

from __future__ import annotations

from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class View:
    """One face under one setting."""

    image: torch.Tensor  # (1, 3, 256, 256)
    attribution: torch.Tensor  # (1, 1, 256, 256)
    mask: torch.Tensor  # (1, 1, 256, 256)
    masked: torch.Tensor  # (1, 3, 256, 256), what stays
    share: float  # of the aligned picture that is regenerated
    share_of_face: float  # the same of the face, which fills about a third of that picture
    distance: float  # to the person, when the masked part is blurred
    threshold: float
    preview: torch.Tensor | None = None  # (1, 3, 256, 256), the composite in one pass
    preview_distance: float | None = None  # to the person

    @property
    def shares(self) -> str:
        """Both shares that the mask covers, each with its name."""
        return f"{self.share:.0%} of the aligned picture, {self.share_of_face:.0%} of the face"

    def __str__(self) -> str:
        """The numbers in a sentence."""
        text = f"mask: {self.shares}; distance {self.distance:.2f} blurred"
        if self.preview_distance is not None:
            text += f", {self.preview_distance:.2f} in the preview"
        return f"{text}; a match is below {self.threshold:g}"
