"""What the explorer computes: one face on the bench, and a view of it for every setting.

No widgets here. Everything that does not change when a slider moves is computed once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import torch
from matplotlib.figure import Figure
from PIL import Image

from ...controls import Controls
from ...errors import NoFaceFound, StaleRequest
from ...figures.plots import gallery
from ...images import blurred, pasted, resize
from ...perception.attribution import BLUR_SIGMA
from ...perception.masks import build_mask, masked_face
from ...perception.regions import share_of_face, whole_face
from ...photo.faces import Face, align
from ...photo.photos import Photo, read_photo
from ...pipeline import Anonymizer, Watch
from ...recognizers import distance
from ...results import Result
from .figures import View, mask_figure, preview_figure

SIZE = 256  # pixels of everything that must answer at once
KEPT = 8  # attributions of one face that are remembered


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

    def open(self, source: str | Path | Image.Image) -> None:
        """Put a photo on the bench, with its largest face that is not cut off by the frame.

        Raises `UnreadableImage` or `NoFaceFound`; then the bench is empty.
        """
        self.clear()
        photo = read_photo(source)
        faces = self.anonymizer.detector(photo)
        for number in range(1, len(faces) + 1):
            try:
                self._look(photo, faces, number)
                return
            except NoFaceFound:
                if number == len(faces):
                    raise

    def choose(self, number: int) -> None:
        """Put another face of the photo on the bench. Raises `NoFaceFound`; then the old one stays."""
        assert self.photo is not None
        self._look(self.photo, self.faces, number)

    def _look(self, photo: Photo, faces: Sequence[Face], number: int) -> None:
        image = resize(align(photo, faces[number - 1]), SIZE)
        with torch.no_grad():
            points = self.anonymizer.perception.landmarks(image)
        self.photo, self.faces, self.number = photo, faces, number
        self.image, self.points, self.whole = image, points, whole_face(points)
        self.face = self.anonymizer.analyze(image)
        self.blurred = blurred(image, BLUR_SIGMA)
        self.attributions = {}

    def attribution(self, method: str) -> torch.Tensor:
        """The face's map by one method, computed once: `(1, 1, 256, 256)`."""
        if method not in self.attributions:
            if len(self.attributions) >= KEPT:
                self.attributions.pop(next(iter(self.attributions)))
            self.attributions[method] = self.anonymizer.perception(self.image, method)
        return self.attributions[method]

    def view(self, controls: Controls) -> View:
        """Mask, what stays of the face, and how far that is from the person."""
        heat = self.attribution(controls.perception)
        mask = build_mask(heat, controls, self.points)
        recognizer = self.anonymizer.recognizer
        with torch.no_grad():
            hidden = pasted(self.image, self.blurred, mask)
            away = distance(recognizer, recognizer.embed(hidden), self.face.embedding).item()
        return View(
            self.image,
            heat,
            mask,
            masked_face(self.image, mask),
            mask.mean().item(),
            share_of_face(mask, self.whole),
            away,
            recognizer.threshold,
        )

    def preview(
        self, view: View, controls: Controls, current: Callable[[], bool] = lambda: True
    ) -> View:
        """The view with its regenerated face in one pass: as the codes start, without refinement.

        `current` is asked between the steps; raises `StaleRequest` when it says no.
        """
        regenerator = self.anonymizer.regenerator
        path = self.anonymizer.path(self.face, controls)
        if not current():
            raise StaleRequest("the setting has changed")
        ws = regenerator.start(self.image, view.mask, path.source, path.aim(controls.strength))
        _, composite = regenerator.pictures(ws, self.image, view.mask, own_eyes=controls.own_eyes)
        if not current():
            raise StaleRequest("the setting has changed")
        recognizer = self.anonymizer.recognizer
        with torch.no_grad():
            away = distance(recognizer, recognizer.embed(composite), self.face.embedding).item()
        return replace(view, preview=composite, preview_distance=away)

    def seeds(
        self,
        controls: Controls,
        seeds: Sequence[int],
        watch: Watch = lambda _, __: None,
    ) -> Figure:
        """The same setting with several virtual identities. What `watch` raises ends the work."""
        view = self.view(controls)
        found = []
        for seed in seeds:
            watch(f"drawing seed {seed}", len(found) / len(seeds))
            found.append(self.preview(view, replace(controls, seed=seed)))
        titles = [
            f"seed {seed}: {one.preview_distance:.2f}" for seed, one in zip(seeds, found, strict=True)
        ]
        return gallery([one.preview for one in found], titles, columns=len(found))

    def render(self, controls: Controls, part: str = "mask") -> Figure:
        """The figure of one setting, `mask` or `preview`: the same on the page and in the panel."""
        view = self.view(controls)
        if part == "mask":
            return mask_figure(view)
        return preview_figure(self.preview(view, controls))

    def anonymize(
        self, controls: Controls, everybody: bool = True, watch: Watch = lambda _, __: None
    ) -> Result:
        """The whole photo, as the command line would do it: slow, full size and checked.

        `everybody` in it, or only the face on the bench. `watch` as the `Anonymizer` takes it. Raises
        `StillRecognised`, `NoFaceFound`.
        """
        assert self.photo is not None
        return self.anonymizer(
            self.photo, controls, faces="all" if everybody else (self.number,), watch=watch
        )
