"""The mask explorer: widgets over `Workbench`, which computes, and `figures`, which draws.

A control that moves shows its mask at once; the new face follows from the background, unless the
control has moved on.
"""

from __future__ import annotations

import html
import io
import secrets
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from pathlib import Path

import ipywidgets as widgets
from matplotlib.figure import Figure

from ...controls import Controls, Settings, check_key
from ...errors import AnonlabError, InputDamaged, StaleRequest
from ...generators.samples import SAMPLES, open_photo
from ...pipeline import Anonymizer, Watch
from ...results import Result
from .browser_files import (
    as_file,
    as_text,
    download_link,
    finished_name,
    is_sample,
    open_upload,
    photo_choices,
)
from .figures import View, mask_figure, preview_figure
from .latest_only import LatestOnlyQueue
from .panel_widgets import PanelWidgets
from .workbench import Workbench

__all__ = ["Explorer", "photo_choices", "png"]
SEEDS = range(6)  # of the gallery
SHOWN = 1200  # pixels of the longer side of a finished photo on the page; the file has all of them


def png(figure: Figure) -> bytes:
    """A figure as PNG, quickly."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", pil_kwargs={"compress_level": 1})
    return buffer.getvalue()


class Explorer(PanelWidgets):
    """The panel. `explorer.panel` is what a notebook shows; every control is an attribute.

    Samples use the key of `anonymizer` if it is text, and a user's own photos one that is drawn here.
    """

    def __init__(
        self,
        anonymizer: Anonymizer,
        photos: Sequence[str] = SAMPLES,
        photo: str = SAMPLES[0],
        controls: Controls = Controls(perception="network"),
    ):
        self.bench, self.latest, self.start = Workbench(anonymizer), LatestOnlyQueue(), controls
        self.uploads: dict[str, bytes] = {}  # by file name
        self.keys = {True: as_text(anonymizer.key), False: secrets.token_hex(32)}  # is it a sample?
        self.previewed = False  # whether the new face of this setting is shown
        self.listing = False  # while the choices change
        self.result: Result | None = None
        super().__init__(photos, photo, controls, self.refresh, self._choose)
        self._wire()
        self.panel = self.laid_out()
        self._open(photo)

    def _wire(self) -> None:
        for control in (self.strength, self.seed):
            control.observe(lambda _: self.refresh(), "value")
        self.photo.observe(lambda change: self._open(change.new), "value")
        self.upload.observe(lambda change: self._uploaded(change.new), "value")
        self.key.observe(lambda _: self._key_changed(), "value")
        self.with_key.observe(lambda _: self._offer_settings(), "value")
        self.everybody.observe(lambda _: self._outdate(), "value")
        self.show_seeds.on_click(lambda _: self._draw_seeds())
        self.make.on_click(lambda _: self._draw_full())
        self.cancel.on_click(lambda _: self._cancel())

    # what the controls say

    def controls(self) -> Controls:
        """The setting that the controls show now."""
        return replace(
            self.start, strength=self.strength.value, seed=self.seed.value, **self.mask.values()
        )

    def settings(self) -> Settings:
        """What is saved: the setting, and the key if that is wished."""
        return Settings(asdict(self.controls()), self.key.value if self.with_key.value else None)

    # what happens

    def refresh(self) -> None:
        """Draw the mask now and ask for the new face in the background."""
        self._outdate()
        self.previewed = False
        self._offer_settings()
        if self.bench.photo is None:  # the error that says why stays
            return
        try:
            self.mask.follow(self.bench.attribution(self.mask.perception.value))
            controls = self.controls()
            view = self.bench.view(controls)
            self._show(self.mask_image, png(mask_figure(view)))
            self._say(str(view))
        except AnonlabError as error:
            self.latest.cancel()
            self._fail(error)
            return

        def work(current: Callable[[], bool]) -> tuple[View, bytes]:
            found = self.bench.preview(view, controls, current)
            return found, png(preview_figure(found))

        def show(made: tuple[View, bytes]) -> None:
            found, picture = made
            self._show(self.preview_image, picture)
            self.previewed = True
            self._say(str(found))

        self.latest.submit(work, show, self._fail)

    def _open(self, choice: str | None) -> None:
        """Show a photo of the choices; one that cannot be shown takes the old face away."""
        if choice is None or self.listing:
            return
        self.latest.cancel()
        self._clear()
        self._say(f"opening {html.escape(Path(choice).name)} …")
        try:
            if choice in self.uploads:
                self.bench.open(open_upload(choice, self.uploads[choice]))
            else:
                self.bench.open(open_photo(choice, self.bench.anonymizer.generator))
        except (AnonlabError, OSError) as error:
            self._fail(error)
            return
        self._use_key(self.keys[is_sample(choice)])
        self.people.show(self.bench.photo, self.bench.faces, self.bench.number)
        several = len(self.bench.faces) > 1
        self.everybody.layout.display = "" if several else "none"
        self.make.disabled = self.show_seeds.disabled = False
        self.refresh()

    def _uploaded(self, uploaded: Sequence[dict]) -> None:
        """Take what the browser sent: it becomes a choice, and the chosen one."""
        if not uploaded:
            return
        name, content = uploaded[0]["name"], bytes(uploaded[0]["content"])
        self.upload.value = ()  # the same file can be sent again
        self.photo.value = None
        try:
            open_upload(name, content).close()
        except AnonlabError as error:
            self._clear()
            self._fail(error)
            return
        self.uploads[name] = content
        if name not in (value for _, value in self.photo.options):
            self.listing = True  # new options choose their first, which must not be drawn now
            self.photo.options, self.photo.value = (*self.photo.options, (name, name)), None
            self.listing = False
        self.photo.value = name  # which opens it

    def _choose(self, number: int) -> None:
        try:
            self.latest.cancel()
            self.bench.choose(number)
        except AnonlabError as error:
            self._fail(error)
            return
        self.people.mark(number)
        self.refresh()

    def _key_changed(self) -> None:
        key = self.key.value.strip()
        try:
            check_key(key, "the key")
        except InputDamaged as error:
            self.latest.cancel()
            self._fail(error)
            return
        self.keys[is_sample(self.photo.value or "")] = key
        self._use_key(key)
        self.refresh()

    def _use_key(self, key: str) -> None:
        self.bench.anonymizer = self.bench.anonymizer.replace(key=key.encode())
        self.key.value = key

    def _draw_seeds(self) -> None:
        controls = self.controls()

        def show(picture: bytes) -> None:
            self._show(self.seeds_image, picture)
            self._say("six people, one setting: the seed is the only difference")

        self._do_slowly(lambda watch: png(self.bench.seeds(controls, SEEDS, watch)), show)

    def _draw_full(self) -> None:
        controls, everybody = self.controls(), self.everybody.value
        name = finished_name(self.photo.value or "photo")

        def work(watch: Watch) -> tuple[Result, bytes]:
            result = self.bench.anonymize(controls, everybody, watch)
            return result, as_file(result, name, self.bench.photo)

        def show(made: tuple[Result, bytes]) -> None:
            self.result, content = made
            shown, buffer = self.result.image.convert("RGB"), io.BytesIO()
            shown.thumbnail((SHOWN, SHOWN))
            shown.save(buffer, "JPEG", quality=92)
            self._show(self.full_image, buffer.getvalue())
            self.save_picture.value = download_link(
                "save picture", name, content, f"{name}, {len(content) / 1e6:.1f} MB, in full size"
            )
            distances = ", ".join(f"{face.distance:.2f}" for face in self.result.faces)
            self._say(f"done: distance {distances}; a match is below {self.result.faces[0].threshold:g}")

        self._do_slowly(work, show)

    def _do_slowly(self, work: Callable, show: Callable) -> None:
        """Do `work(watch)` in the background, with progress and a button that ends it."""
        self._outdate()
        self.progress.value, self.working.layout.display = 0.0, ""

        def watched(current: Callable[[], bool]) -> object:
            def watch(doing: str, done: float) -> None:
                if not current():
                    raise StaleRequest("cancelled")
                self.progress.value = done
                self._say(f"{doing} …")

            return work(watch)

        def then(what: Callable) -> Callable:
            def do(made: object) -> None:
                self.working.layout.display = "none"
                what(made)

            return do

        self.latest.submit(watched, then(show), then(self._fail))

    def _cancel(self) -> None:
        self.latest.cancel()
        self._outdate()
        if not self.previewed:  # it had to make way
            self.refresh()
        self._say("cancelled; nothing was made")

    def _clear(self) -> None:
        """Show nothing: no face is on the bench."""
        self.bench.clear()
        self.people.hide()
        self._outdate()
        for picture in (self.mask_image, self.preview_image):
            picture.value, picture.layout.display = b"", "none"
        self.make.disabled = self.show_seeds.disabled = True

    def _outdate(self) -> None:
        """What was drawn for another setting must not be taken for this one's."""
        self.result, self.save_picture.value = None, ""
        for hidden in (self.seeds_image, self.full_image, self.working):
            hidden.layout.display = "none"

    def _offer_settings(self) -> None:
        text = self.settings().to_json().encode()
        self.save_settings.value = download_link(
            "save settings", "settings.json", text, "for: anonlab anonymize --settings FILE"
        )
        self.save_key.value = download_link(
            "save key",
            "anonlab.key",
            self.key.value.encode(),
            "for: anonlab anonymize --key FILE",
        )

    def _show(self, where: widgets.Image, picture: bytes) -> None:
        where.value, where.layout.display = picture, ""

    def _say(self, text: str) -> None:
        self.status.value = text

    def _fail(self, error: Exception) -> None:
        self.status.value = f"<span class='anonlab-error'>{html.escape(str(error))}</span>"
