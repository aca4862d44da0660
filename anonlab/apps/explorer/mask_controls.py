"""Every control of the mask. Area and threshold are two ways to say one mask, so they move together.

Whichever was moved last is what the settings keep, and the other one follows it over the face's map.
"""

from __future__ import annotations

from collections.abc import Callable
from html import escape

import ipywidgets as widgets
import torch

from ...controls import MAX_SOFTNESS, PERCEPTIONS, REGIONS, Controls

LARGEST_AREA = 0.6  # of the slider; more leaves nothing of a face
SMALLEST_THRESHOLD = 0.001  # of the slider, which is logarithmic: maps have long tails
SLIDER = {"continuous_update": False, "layout": {"width": "auto"}}


class MaskControls:
    """The widgets, in `box`, and what they say. `changed` is called when a person moves one."""

    def __init__(self, controls: Controls, changed: Callable[[], None]):
        self.changed = changed
        self.ranked = torch.zeros(1)  # the map's values, largest first
        self.by_threshold = controls.mask_threshold is not None
        self.following = False  # while one slider is moved by the other
        self.perception = widgets.Dropdown(
            options=list(PERCEPTIONS), value=controls.perception, description="method",
            layout={"width": "auto"},
        )  # fmt: skip
        self.area = widgets.FloatSlider(
            min(controls.mask_area, LARGEST_AREA), min=0, max=LARGEST_AREA, step=0.01,
            description="mask area", **SLIDER,
        )  # fmt: skip
        self.threshold = widgets.FloatLogSlider(
            max(controls.mask_threshold or 0.1, SMALLEST_THRESHOLD), min=-3, max=0, step=0.01,
            readout_format=".3f", description="threshold", **SLIDER,
        )  # fmt: skip
        self.softness = widgets.FloatSlider(
            controls.softness, min=0, max=MAX_SOFTNESS, step=0.5, description="softness", **SLIDER
        )
        self.symmetric = widgets.Checkbox(controls.symmetric, description="symmetric", indent=False)
        regions = {"options": REGIONS, "rows": len(REGIONS), "layout": {"width": "auto"}}
        self.include = widgets.SelectMultiple(value=controls.include, **regions)
        self.exclude = widgets.SelectMultiple(value=controls.exclude, **regions)
        self.kept, self.note = widgets.HTML(), widgets.HTML()
        for control in (self.perception, self.softness, self.symmetric, self.include, self.exclude):
            control.observe(lambda _: self.changed(), "value")
        self.area.observe(lambda _: self._moved(by_threshold=False), "value")
        self.threshold.observe(lambda _: self._moved(by_threshold=True), "value")
        for lists in (self.include, self.exclude):
            lists.observe(lambda _: self._say_both(), "value")
        self._say_both()
        self._say_kept()
        columns = [
            widgets.VBox([widgets.Label(title), one], layout={"width": "50%"})
            for title, one in (("always change", self.include), ("never change", self.exclude))
        ]
        self.box = widgets.VBox(
            [
                self.perception, self.area, self.threshold, self.kept, self.softness, self.symmetric,
                widgets.HBox(columns), self.note,
            ]
        )  # fmt: skip

    def values(self) -> dict[str, object]:
        """The fields of `Controls` that these widgets set."""
        return {
            "perception": self.perception.value,
            "mask_area": self.area.value,
            "mask_threshold": self.threshold.value if self.by_threshold else None,
            "softness": self.softness.value,
            "symmetric": self.symmetric.value,
            "include": self.include.value,
            "exclude": self.exclude.value,
        }

    def follow(self, attribution: torch.Tensor) -> None:
        """Bring area and threshold in step for this map `(1, 1, H, W)`."""
        self.ranked = attribution.flatten().sort(descending=True).values
        self._follow()

    def _moved(self, by_threshold: bool) -> None:
        if self.following:
            return
        self.by_threshold = by_threshold
        self._say_kept()
        self.changed()

    def _follow(self) -> None:
        self.following = True
        try:
            if self.by_threshold:
                area = (self.ranked > self.threshold.value).float().mean().item()
                if area > LARGEST_AREA:  # the threshold goes as low as the area may be large
                    self.threshold.value = self._threshold_of(LARGEST_AREA)
                self.area.value = round(min(area, LARGEST_AREA), 3)
            else:
                self.threshold.value = self._threshold_of(self.area.value)
        finally:
            self.following = False

    def _threshold_of(self, area: float) -> float:
        """The value that the share `area` of the map exceeds."""
        count = round(area * len(self.ranked))
        if not count:
            return 1.0
        last = self.ranked[min(count, len(self.ranked) - 1)].item()
        return round(min(max(last, SMALLEST_THRESHOLD), 1.0), 4)

    def _say_kept(self) -> None:
        name = "threshold" if self.by_threshold else "area"
        self.kept.value = (
            f"<small>one mask, said twice; kept for the next photo and saved: the <b>{name}</b></small>"
        )

    def _say_both(self) -> None:
        both = [name for name in REGIONS if name in self.include.value and name in self.exclude.value]
        self.note.value = (
            f"<small class='anonlab-warning'>in both lists: {escape(', '.join(both))}. "
            "<i>Never change</i> wins.</small>"
            if both
            else ""
        )
