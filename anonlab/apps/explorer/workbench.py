"""What the explorer computes: one face on the bench, and a view of it for every setting.

No widgets here. Everything that does not change when a slider moves is computed once.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO

import torch
from PIL import Image

from ...controls import Controls
from ...errors import NoFaceFound
from ...images import FACE_SIZE, blurred, pasted, resize
from ...perception.attribution import BLUR_SIGMA
from ...perception.masks import build_mask, masked_face
from ...perception.regions import share_of_face, whole_face
from ...photo.faces import Face, align
from ...photo.photos import Photo, read_photo
from ...pipeline import Anonymizer
from ...recognizers import distance
from ...watch import Watch, quiet
from .figures import SHARP, View

LARGEST_AREA = 0.6  # of a mask by threshold; more leaves nothing of a face
STEPS = 32  # of the strength, for a preview at a distance


class Workbench:
    """A photo, one of its faces, and the parts that look at it. `photo` is None while it is empty."""

    def __init__(self, anonymizer: Anonymizer):
        self.anonymizer = anonymizer
        self.clear()

    def clear(self) -> None:
        """Take the photo away."""
        self.photo: Photo | None = None
        self.faces: Sequence[Face] = ()  # largest first
        self.number = 0  # of the face on the bench; the largest has 1
        self.attributions: dict[str, torch.Tensor] = {}

    def open(self, source: str | Path | BinaryIO | Image.Image) -> None:
        """Put a photo on the bench, with its largest face that is not cut off by the frame.

        Raises `UnreadableImage` or `NoFaceFound`; then the bench is empty.
        """
        self.clear()
        photo = read_photo(source)
        faces = self.anonymizer.detector(photo)
        for number in range(1, len(faces) + 1):
            try:
                return self._look(photo, faces, number)
            except NoFaceFound:
                if number == len(faces):
                    raise

    def choose(self, number: int) -> None:
        """Put another face of the photo on the bench. Raises `NoFaceFound`; then the old one stays."""
        assert self.photo is not None
        self._look(self.photo, self.faces, number)

    def _look(self, photo: Photo, faces: Sequence[Face], number: int) -> None:
        aligned = align(photo, faces[number - 1])
        image = resize(aligned, FACE_SIZE)
        with torch.no_grad():
            points = self.anonymizer.perception.landmarks(image)
        self.photo, self.faces, self.number = photo, faces, number
        self.image, self.points, self.whole = image, points, whole_face(points)
        self.sharp = resize(aligned, SHARP)
        hands = self.anonymizer.perception.hands(photo, faces[number - 1])
        self.face = replace(self.anonymizer.analyze(image), hands=hands)
        self.blurred = blurred(image, BLUR_SIGMA)
        self.attributions = {}

    def attribution(self, method: str) -> torch.Tensor:
        """Compute the face's map by one method, once: `(1, 1, 256, 256)`."""
        if method not in self.attributions:
            self.attributions[method] = self.anonymizer.perception(self.image, method)
        return self.attributions[method]

    def linked(self, controls: Controls) -> tuple[float, float]:
        """Say one mask in both ways: `mask_area` and `mask_threshold` for this face's map."""
        heat = self.attribution(controls.perception).flatten()
        area, threshold = controls.mask_area, controls.mask_threshold
        if threshold is not None:
            found = (heat > threshold).float().mean().item()
            if found <= LARGEST_AREA:
                return found, threshold
            area = LARGEST_AREA
        count = round(area * len(heat))
        if not count:
            return area, 1.0
        return area, heat.kthvalue(max(len(heat) - count, 1)).values.clamp(0, 1).item()

    def view(self, controls: Controls) -> View:
        """Compute the mask, what stays of the face, and how far that is from the person."""
        heat = self.attribution(controls.perception)
        mask = self.face.without_hands(build_mask(heat, controls, self.points))
        masked, recognizer = masked_face(self.image, mask), self.anonymizer.recognizer
        return View(
            self.image, heat, mask, masked, mask.mean().item(), share_of_face(mask, self.whole),
            self._away(pasted(self.image, self.blurred, mask)), recognizer.threshold, recognizer.name,
        )  # fmt: skip

    @torch.no_grad()
    def preview(
        self, view: View, controls: Controls, watch: Watch = quiet, side: int = FACE_SIZE
    ) -> View:
        """Add the regenerated face to a view, in one pass: as the codes start, without refinement. Its
        shares are of what is new, which is the mask without what `controls` give back.

        `side`, 256 or 512, is that of the composite. With `target_distance` the strength is searched to
        a 32nd. `watch` is called between the steps, without words: what it raises ends them.
        """
        regenerator = self.anonymizer.regenerator
        path = self.anonymizer.path(self.face, controls)

        def drawn(strength: float, side: int = FACE_SIZE) -> tuple[torch.Tensor, torch.Tensor, float]:
            watch("", 0.0)
            ws = regenerator.start(self.image, view.mask, path.source, path.aim(strength))
            watch("", 0.0)
            image = self.image if side == FACE_SIZE else self.sharp
            mask = resize(view.mask, side)
            _, composite, part = regenerator.pictures(ws, image, mask, controls=controls)
            return composite, part, self._away(composite)

        strength, wanted = controls.strength, controls.target_distance
        if wanted is not None:
            steps = range(1, STEPS)
            found = bisect_left(steps, wanted, key=lambda step: drawn(step / STEPS)[2])
            strength = (1 + found) / STEPS
        composite, part, away = drawn(strength, side)
        watch("", 1.0)
        return replace(
            view, preview=composite, preview_distance=away, strength=strength, share=part.mean().item(),
            share_of_face=share_of_face(resize(part, FACE_SIZE), self.whole),
        )  # fmt: skip

    @torch.no_grad()
    def _away(self, image: torch.Tensor) -> float:
        """Measure the recogniser's distance from the face on the bench."""
        recognizer = self.anonymizer.recognizer
        return distance(recognizer, recognizer.embed(image), self.face.embedding).item()
