"""The mask explorer: what its page asks for, and what it is told.

`panel.js` draws the page and holds no state. Each message between the two is a dictionary, which
JupyterLab carries as a widget's message and `server` by a websocket. `Workbench` computes.
"""

from __future__ import annotations

import base64
import io
import secrets
import shlex
import tempfile
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, fields, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from ...controls import KEEP, PERCEPTIONS, REGIONS, Controls, make_controls
from ...errors import AnonlabError, InputMissing, StaleRequest
from ...notebook.plots import overlay, picture
from ...notebook.samples import SAMPLES, is_sample, open_photo
from ...photo.photos import READABLE, Photo, read_photo, write_photo
from ...pipeline import Anonymizer
from ...weights.store import notebooks_folder
from ..folders.keys import checked_key
from .figures import SHARP, data_uri, layers, small
from .workbench import Workbench

EMPTY = "The mask is empty: nothing would be changed. Raise the area, or lower the threshold."
Message = dict[str, Any]
Check = Callable[[], None]  # raises `StaleRequest` when a newer request has come


class Explorer:
    """One page: its photo, setting and key. `explorer.panel` is what a notebook shows.

    `hear` takes a message of the page, whose `do` names one of the methods `do_…`; `tell` is called with
    each answer, from several threads. Samples use the key of `anonymizer`, as text, and a user's own
    photos one that is drawn here.
    """

    def __init__(
        self,
        anonymizer: Anonymizer,
        photos: Sequence[str] = SAMPLES,
        photo: str = SAMPLES[0],
        controls: Controls = Controls(perception="network"),
    ):
        self.bench = Workbench(anonymizer)
        self.background, self.request = ThreadPoolExecutor(1), object()  # of which the newest counts
        self.photos = [*photos] if photo in photos else [*photos, photo]
        self.photo, self.controls = photo, controls
        self.uploads: dict[str, Photo] = {}  # by file name
        self.incoming = io.BytesIO()
        # of samples, and of other photos
        self.keys = {True: anonymizer.key.decode(errors="replace"), False: secrets.token_hex(32)}
        self.heat = ""  # the method whose map the page has
        self.tell: Callable[[Message], None] = lambda _: None

    @cached_property
    def panel(self) -> Any:
        """The page as a widget."""
        import anywidget

        widget = anywidget.AnyWidget(_esm=page_file("panel.js"), _css=page_file("panel.css"))
        widget.on_msg(lambda _, message, __: self.hear(message))
        self.tell = widget.send
        return widget

    def hear(self, message: Message) -> None:
        """Do what the page asks for. Errors are told, and `ready` at the end."""
        try:
            does = getattr(self, f"do_{message['do']}")
            does(**{name: value for name, value in message.items() if name != "do"})
        except Exception as error:  # shown on the page, whatever it is
            self._fail(error)
        self._show("ready")

    def close(self) -> None:
        """Forget the photo and its key, and end the thread."""
        self._outdate()
        self.background.shutdown(wait=False)
        self.bench.clear()
        self.uploads.clear()
        self.keys.clear()

    def do_hello(self) -> None:
        """Tell a page that begins, or begins again, everything."""
        names = dict.fromkeys([*self.photos, *self.uploads])
        photos, controls = [[name, Path(name).name] for name in names], asdict(self.controls)
        choices = {"perceptions": PERCEPTIONS, "regions": REGIONS, "keep": KEEP}
        self._show("hello", photos=photos, controls=controls, **choices)
        if self.bench.photo is None:
            self.do_open(self.photo)
        else:
            self._show_face()

    def do_open(self, photo: str) -> None:
        """Show a photo of the choices; one that cannot be shown takes the old face away."""
        self._clear()
        if photo not in {*self.photos, *self.uploads}:  # a page may name no other file of this machine
            raise InputMissing(f"{photo} is not among the photos here; choose one of the list")
        self._open(photo, self.uploads.get(photo) or open_photo(photo, self.bench.anonymizer.generator))

    def do_upload(self, name: str, data: str, first: bool, last: bool) -> None:
        """Take a part of a file (base64; servers limit a message); with the last one it is opened."""
        if first:
            self.incoming = io.BytesIO()
            self._clear()
        self.incoming.write(base64.b64decode(data))
        if last:
            self.incoming.name = name  # by which errors call it
            photo = read_photo(self.incoming)
            self._open(name, photo)
            self.uploads[name] = photo

    def _open(self, name: str, photo: Photo | Image.Image | Path) -> None:
        self.bench.open(photo)
        self.photo = name
        self._show_face()

    def do_choose(self, number: int) -> None:
        """Look at another face of the photo."""
        self._outdate()
        self.bench.choose(number)
        self._show_face()

    def do_set(self, controls: Message, final: bool = True) -> None:
        """Take a setting. While a slider is dragged it is not `final`, and only its mask is drawn."""
        self.controls = make_controls(vars(self.controls) | controls)
        self._draw(final)

    def do_key(self, key: str) -> None:
        """Take a secret, for photos of this kind."""
        self.keys[is_sample(self.photo)] = checked_key(key.encode(), "the key").decode()
        self._show_face()

    def do_make(self, everybody: bool = True) -> None:
        """Anonymize the photo as the command line does, and show it with its file."""
        controls, path, photo = self.controls, Path(self.photo), self.bench.photo
        anonymizer, faces = self.bench.anonymizer, "all" if everybody else (self.bench.number,)
        suffix = path.suffix if path.suffix.lower() in READABLE else ".png"

        def work(current: Check) -> None:
            def watch(doing: str, share: float) -> None:
                current()
                self._show("busy", text=f"{doing} …", share=share)

            result = anonymizer(photo, controls, faces=faces, watch=watch)
            with tempfile.TemporaryDirectory() as folder:
                file = Path(folder) / f"{path.stem}-anonymized{suffix}"
                write_photo(result.image, file, result.icc_profile, photo)
                content = base64.b64encode(file.read_bytes()).decode()
            current()
            away = ", ".join(f"{face.distance:.2f}" for face in result.faces)
            verdict = (
                f"finished and checked: {anonymizer.recognizer.name} no longer recognises the photo, "
                f"distance {away}; a match is below {anonymizer.recognizer.threshold:g}"
            )
            shown = small(result.image.convert("RGB"))
            self._show("idle", text="")
            self._show("result", picture=shown, name=file.name, file=content, verdict=verdict)

        self._later(work)

    def do_cancel(self) -> None:
        """End what is being done, and draw the preview that may have had to make way."""
        self._outdate()
        self._show("idle", text="cancelled; nothing was made")
        self._draw()

    def _show(self, what: str, **told: object) -> None:
        self.tell({"show": what, **told})

    def _show_face(self) -> None:
        bench, sample = self.bench, is_sample(self.photo)
        key = self.keys[sample]
        bench.anonymizer = bench.anonymizer.replace(key=key.encode())
        several = len(bench.faces) > 1
        sides = np.tile(bench.photo.size, 2)
        boxes = [(100 * np.array(face.box) / sides).tolist() for face in bench.faces]  # percent
        self.heat = ""
        self._show(
            "face", photo=self.photo, own=not sample, key=key, number=bench.number,
            boxes=boxes if several else (),  # left, top, right, bottom
            whole=small(Image.fromarray(bench.photo.pixels)) if several else "",
            person=data_uri(picture(bench.sharp, SHARP), 92),
        )  # fmt: skip
        self._draw()

    def _draw(self, final: bool = True) -> None:
        """Show the mask now and ask for the new face in the background."""
        self._outdate()
        if self.bench.photo is None:  # the error that says why stays
            return
        area, threshold = self.bench.linked(self.controls)
        by = "area" if self.controls.mask_threshold is None else "threshold"
        controls = self.controls = replace(
            self.controls, mask_area=area, mask_threshold=None if by == "area" else threshold
        )
        view, heat = self.bench.view(controls), ""  # where the page has it
        if controls.perception != self.heat:
            heat = data_uri(overlay(self.bench.sharp, view.attribution, SHARP))
        self._show(
            "mask", area=area, threshold=threshold, by=by, shares=view.shares, heat=heat,
            stays=f"{1 - view.share_of_face:.0%} of the face stays",
            warning="" if view.share > 0 else EMPTY, command=command_of(controls, self.photo),
            **view.measured("the person when the mask is blurred", view.distance),
            **layers(view.mask),
        )  # fmt: skip
        self.heat = controls.perception

        def work(current: Check) -> None:
            found = self.bench.preview(view, controls, current, SHARP)
            measured = found.measured("the preview", found.preview_distance)
            drawn = data_uri(picture(found.preview, SHARP), 90)
            self._show("preview", picture=drawn, strength=found.strength, **measured)

        if final:
            self._later(work)

    def _later(self, work: Callable[[Check], None]) -> None:
        """Do `work(current)` in the background, unless a newer request comes first."""
        self._outdate()
        request = self.request

        def current() -> None:
            if request is not self.request:
                raise StaleRequest("a newer request has come")

        def run() -> None:
            try:
                current()
                work(current)
            except Exception as error:  # shown on the page, whatever it is
                if request is self.request:
                    self._show("idle", text="")
                    self._fail(error)

        self.background.submit(run)

    def _outdate(self) -> None:
        """Forget what waits in the background, and show nothing of what runs."""
        self.request = object()

    def _clear(self) -> None:
        """Show nothing: no face is on the bench."""
        self._outdate()
        self.bench.clear()
        self._show("nothing")

    def _fail(self, error: Exception) -> None:
        told = str(error) if isinstance(error, AnonlabError | OSError) else repr(error)
        self._show("error", text=told)


def command_of(controls: Controls, photo: str) -> str:
    """Say on the command line what the page does with a photo at full quality, but for its key."""
    photo = "PHOTO" if is_sample(photo) else photo
    words = ["python", "-m", "anonlab", "anonymize", photo, "--out", "anonymized"]
    for one in fields(Controls):
        value, flag = getattr(controls, one.name), "--" + one.name.replace("_", "-")
        if value != one.default and not (one.name == "mask_area" and controls.mask_threshold):
            value = ",".join(value) or "none" if isinstance(value, tuple) else value
            said = f"{value:.6g}" if isinstance(value, float) else str(value)
            words += [flag] if value is True else [flag, said]
    return shlex.join(words)


def page_file(name: str) -> str:
    """The text of one of the files that make the page."""
    return (Path(__file__).parent / "page" / name).read_text(encoding="utf-8")


def photo_choices() -> list[str]:
    """List the sample faces, and the photos in `data/photos`."""
    folder = notebooks_folder().parent / "data" / "photos"
    own = sorted(str(path) for path in folder.glob("*") if path.suffix.lower() in READABLE)
    return [*SAMPLES, *own]
