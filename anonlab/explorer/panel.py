"""The mask explorer: widgets over `Workbench`, which computes, and `figures`, which draws.

A control that moves shows its mask at once; the new face follows from the background, unless the
control has moved on.
"""

from __future__ import annotations

import html
import io
from collections.abc import Callable, Sequence
from pathlib import Path

import ipywidgets as widgets
from matplotlib.figure import Figure
from PIL import Image, UnidentifiedImageError

from ..controls import PERCEPTIONS, REGIONS, Controls
from ..errors import AnonlabError, UnreadableImage
from ..files import atomic_path
from ..generators.samples import SAMPLES, open_photo
from ..photo.photos import READABLE
from ..pipeline import Anonymizer
from .figures import mask_figure, preview_figure
from .latest_only import LatestOnlyQueue
from .view import View
from .workbench import Workbench

SEEDS = range(6)  # of the gallery


def png(figure: Figure) -> bytes:
    """A figure as PNG, quickly."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", pil_kwargs={"compress_level": 1})
    return buffer.getvalue()


def photo_choices(folder: Path = Path("../data/photos")) -> list[str]:
    """Sample faces, and the photos that somebody put into `data/photos`."""
    own = sorted(str(path) for path in folder.glob("*") if path.suffix.lower() in READABLE)
    return [*SAMPLES, *own]


class Explorer:
    """The panel. `explorer.panel` is what a notebook shows; every control is an attribute."""

    def __init__(
        self,
        anonymizer: Anonymizer,
        photos: Sequence[str] = SAMPLES,
        photo: str = SAMPLES[0],
        controls: Controls = Controls(perception="network"),
        out: str | Path = "../outputs/explorer",
    ):
        self.bench, self.latest, self.out = Workbench(anonymizer), LatestOnlyQueue(), Path(out)
        self.result: Image.Image | None = None
        quiet = {"continuous_update": False, "layout": {"width": "330px"}}
        self.photo = widgets.Dropdown(options=list(photos), value=photo, description="photo")
        self.upload = widgets.FileUpload(accept="image/*", description="your photo")
        self.perception = widgets.Dropdown(
            options=list(PERCEPTIONS), value=controls.perception, description="method"
        )
        self.mask_area = widgets.FloatSlider(
            controls.mask_area, min=0, max=0.6, step=0.01, description="mask area", **quiet
        )
        self.softness = widgets.FloatSlider(
            controls.softness, min=0, max=20, step=0.5, description="softness", **quiet
        )
        self.strength = widgets.FloatSlider(
            controls.strength, min=0, max=1, step=0.05, description="strength", **quiet
        )
        self.seed = widgets.IntSlider(controls.seed, min=0, max=99, description="seed", **quiet)
        self.symmetric = widgets.Checkbox(controls.symmetric, description="symmetric", indent=False)
        regions = {"options": REGIONS, "rows": len(REGIONS), "layout": {"width": "160px"}}
        self.include = widgets.SelectMultiple(value=controls.include, **regions)
        self.exclude = widgets.SelectMultiple(value=controls.exclude, **regions)
        self.show_seeds = widgets.Button(description="six seeds", icon="users")
        self.make = widgets.Button(description="full quality", icon="magic")
        self.save_picture = widgets.Button(description="save picture", icon="save", disabled=True)
        self.save_settings = widgets.Button(description="save settings", icon="sliders")
        self.status = widgets.HTML()
        self.mask_image, self.preview_image = widgets.Image(), widgets.Image()
        self.seeds_image, self.full_image = widgets.Image(), widgets.Image()
        for hidden in (self.seeds_image, self.full_image):
            hidden.layout.display = "none"
        self._wire()
        self.panel = self._layout()
        self._open(lambda: open_photo(photo, anonymizer.generator))

    # what the controls say

    def controls(self) -> Controls:
        """The setting that the controls show now."""
        return Controls(
            mask_area=self.mask_area.value,
            strength=self.strength.value,
            seed=self.seed.value,
            perception=self.perception.value,
            include=self.include.value,
            exclude=self.exclude.value,
            softness=self.softness.value,
            symmetric=self.symmetric.value,
        )

    # what happens

    def _wire(self) -> None:
        for control in (
            self.perception, self.mask_area, self.softness, self.strength, self.seed, self.symmetric,
            self.include, self.exclude,
        ):  # fmt: skip
            control.observe(lambda _: self.refresh(), "value")
        generator = self.bench.anonymizer.generator
        self.photo.observe(lambda change: self._open(lambda: open_photo(change.new, generator)), "value")
        self.upload.observe(lambda change: self._uploaded(change.new), "value")
        self.show_seeds.on_click(lambda _: self._draw_seeds())
        self.make.on_click(lambda _: self._draw_full())
        self.save_picture.on_click(lambda _: self._save_picture())
        self.save_settings.on_click(lambda _: self._save_settings())

    def refresh(self) -> None:
        """Draw the mask now and ask for the new face in the background."""
        try:
            controls = self.controls()
            view = self.bench.view(controls)
            self.mask_image.value = png(mask_figure(view))
            self._say(str(view))
        except AnonlabError as error:
            self.latest.cancel()
            self._fail(error)
            return
        self._outdate()

        def work(current: Callable[[], bool]) -> tuple[View, bytes]:
            found = self.bench.preview(view, controls, current)
            return found, png(preview_figure(found))

        def show(made: tuple[View, bytes]) -> None:
            found, self.preview_image.value = made
            self._say(str(found))

        self.latest.submit(work, show, self._fail)

    def _open(self, load: Callable[[], str | Image.Image]) -> None:
        try:
            self.latest.cancel()
            self.bench.open(load())
        except (AnonlabError, OSError) as error:
            self._fail(error)
            return
        self.refresh()

    def _uploaded(self, files: Sequence[dict]) -> None:
        def load() -> Image.Image:
            try:
                return Image.open(io.BytesIO(bytes(files[0]["content"])))
            except UnidentifiedImageError:
                raise UnreadableImage(
                    f"{files[0]['name']} is not an image that can be decoded; choose a JPEG or PNG"
                ) from None

        if files:
            self._open(load)

    def _draw_seeds(self) -> None:
        controls = self.controls()
        self._say("drawing six people …")

        def show(picture: bytes) -> None:
            self.seeds_image.value, self.seeds_image.layout.display = picture, ""
            self._say("six people, one setting: the seed is the only difference")

        self.latest.submit(
            lambda current: png(self.bench.seeds(controls, SEEDS, current)), show, self._fail
        )

    def _draw_full(self) -> None:
        controls = self.controls()
        self._say("regenerating in full quality; this takes up to a minute or two …")

        def show(result) -> None:
            self.result = result.image
            buffer = io.BytesIO()
            result.image.convert("RGB").save(buffer, "PNG")
            self.full_image.value, self.full_image.layout.display = buffer.getvalue(), ""
            self.full_image.layout.max_width = "680px"
            self.save_picture.disabled = False
            [face] = result.faces
            self._say(f"done: distance {face.distance:.2f}, match below {face.threshold:g}")

        self.latest.submit(lambda _: self.bench.anonymize(controls), show, self._fail)

    def _save_picture(self) -> None:
        if self.result is not None:
            self._store("anonymized.png", lambda path: self.result.save(path, "PNG"))

    def _save_settings(self) -> None:
        text = self.controls().to_json()
        self._store("settings.json", lambda path: path.write_text(text, encoding="utf-8"))

    def _store(self, name: str, write: Callable[[Path], object]) -> None:
        try:
            with atomic_path(self.out / name) as partial:
                write(partial)
        except (AnonlabError, OSError) as error:
            self._fail(error)
            return
        self._say(f"saved {html.escape(str(self.out / name))}")

    def _outdate(self) -> None:
        """What was drawn for another setting must not be taken for this one's."""
        self.result, self.save_picture.disabled = None, True
        for picture in (self.seeds_image, self.full_image):
            picture.layout.display = "none"

    def _say(self, text: str) -> None:
        self.status.value = text

    def _fail(self, error: Exception) -> None:
        self.status.value = f"<b style='color:#b03a2e'>{html.escape(str(error))}</b>"

    # how it looks

    def _layout(self) -> widgets.Widget:
        def titled(title: str, control: widgets.Widget) -> widgets.Widget:
            return widgets.VBox([widgets.HTML(f"<small>{title}</small>"), control])

        regions = widgets.HBox(
            [titled("always change", self.include), titled("never change", self.exclude)]
        )
        left = widgets.VBox(
            [
                widgets.HBox([self.photo]),
                self.upload,
                self.perception,
                self.mask_area,
                self.softness,
                self.symmetric,
                regions,
                self.strength,
                self.seed,
                widgets.HBox([self.show_seeds, self.make]),
                widgets.HBox([self.save_picture, self.save_settings]),
            ],
            layout={"width": "350px"},
        )
        right = widgets.VBox(
            [self.status, self.mask_image, self.preview_image, self.seeds_image, self.full_image]
        )
        return widgets.HBox([left, right])
