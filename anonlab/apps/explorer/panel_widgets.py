"""The widgets of the mask explorer, and where they stand on its page; `panel` says what they do."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib.resources import files
from pathlib import Path

import ipywidgets as widgets

from ...controls import KEY_BYTES, Controls
from .face_picker import FacePicker
from .mask_controls import SLIDER, MaskControls


class PanelWidgets:
    """Every widget is an attribute; none of them does anything yet.

    The mask's controls call `refresh()`, faces that are clicked `choose(number)`.
    """

    def __init__(
        self,
        photos: Sequence[str],
        photo: str,
        controls: Controls,
        refresh: Callable[[], None],
        choose: Callable[[int], None],
    ):
        choices = photos if photo in photos else [*photos, photo]
        self.photo = widgets.Dropdown(
            options=[(Path(one).name, one) for one in choices], value=photo, description="photo",
            layout={"width": "auto"},
        )  # fmt: skip
        self.upload = widgets.FileUpload(
            accept="image/*", description="your photo", tooltip="JPEG or PNG, up to 200 MB"
        )
        self.mask = MaskControls(controls, refresh)
        self.strength = widgets.FloatSlider(
            controls.strength, min=0, max=1, step=0.05, description="strength", **SLIDER
        )
        self.seed = widgets.IntSlider(controls.seed, min=0, max=99, description="seed", **SLIDER)
        self.key = widgets.Text(
            description="key", continuous_update=False, layout={"width": "auto"},
            tooltip=f"the secret of the new faces, {KEY_BYTES} letters or more",
        )  # fmt: skip
        self.with_key = widgets.Checkbox(False, description="the key in saved settings", indent=False)
        self.show_seeds = widgets.Button(description="six seeds", icon="users")
        self.make = widgets.Button(description="full quality", icon="magic", button_style="primary")
        self.everybody = widgets.Checkbox(True, description="everybody in the photo", indent=False)
        self.everybody.layout.width = "auto"
        self.save_picture, self.save_settings, self.save_key = (widgets.HTML() for _ in range(3))
        self.progress = widgets.FloatProgress(min=0, max=1, layout={"width": "200px"})
        self.cancel = widgets.Button(description="cancel", icon="times", layout={"width": "90px"})
        self.working = widgets.HBox([self.progress, self.cancel])
        self.status = widgets.HTML()
        self.people = FacePicker(choose)
        self.mask_image, self.preview_image = widgets.Image(), widgets.Image()
        self.seeds_image, self.full_image = widgets.Image(), widgets.Image(format="jpeg")

    def laid_out(self) -> widgets.Widget:
        """All of them, in the order in which they are used."""

        def box(name: str, *children: widgets.Widget, kind: type = widgets.VBox) -> widgets.Box:
            made = kind(children)
            made.add_class(f"anonlab-{name}")
            return made

        def title(text: str) -> widgets.HTML:
            return widgets.HTML(f"<h4>{text}</h4>")

        style = files(__package__).joinpath("panel.css").read_text(encoding="utf-8")
        self.status.add_class("anonlab-status")
        left = box(
            "left",
            title("photo"), self.photo, self.upload,
            title("mask"), self.mask.box,
            title("new face"), self.strength, self.seed, self.key, self.with_key,
        )  # fmt: skip
        actions = box(
            "actions",
            self.show_seeds, self.make, self.everybody, self.working,
            self.save_picture, self.save_settings, self.save_key,
            kind=widgets.HBox,
        )  # fmt: skip
        pictures = box(
            "pictures",
            self.full_image, self.seeds_image, self.people.box, self.mask_image, self.preview_image,
        )  # fmt: skip
        panel = box("panel", left, box("right", actions, self.status, pictures), kind=widgets.HBox)
        return widgets.VBox([widgets.HTML(f"<style>{style}</style>"), panel])
