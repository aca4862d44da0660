"""The mask explorer: what its page asks for, and what it is told.

`panel.js` draws the page and holds no state. Each message between the two is a dictionary, which
JupyterLab carries as a widget's message and `server` by a websocket. `Workbench` computes.
"""

from __future__ import annotations

import base64
import io
import secrets
import tempfile
from collections.abc import Callable, Sequence
from concurrent.futures import CancelledError, ThreadPoolExecutor
from dataclasses import asdict, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from PIL import Image

from ...controls import KEEP, PERCEPTIONS, REGIONS, Controls, make_controls
from ...errors import AnonlabError, InputMissing, UnreadableImage
from ...notebook.plots import overlay, picture
from ...notebook.samples import SAMPLES, is_sample, open_photo
from ...photo.photos import READABLE, write_photo
from ...pipeline import Anonymizer
from ...watch import Watch
from ...weights.store import notebooks_folder
from ..folders.settings import checked_key, settings_text
from .figures import SHARP, View, data_uri, layers, small
from .workbench import Workbench

LARGEST_UPLOAD = 200 * 10**6  # bytes; it arrives in parts, so no server's own limit counts
SEEDS = range(6)  # of the gallery
EMPTY = "The mask is empty: nothing would be changed. Raise the area, or lower the threshold."
Message = dict[str, Any]


class Explorer:
    """One page: its photo, setting and key. `explorer.panel` is what a notebook shows.

    `hear` takes a message of the page, whose `do` names one of the methods `do_…`; `tell` is called with
    each answer, from several threads.
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
        self.photos = [*dict.fromkeys([*photos, photo])]
        self.photo, self.controls, self.with_key = photo, controls, False
        self.uploads: dict[str, bytes] = {}  # by file name
        self.incoming = bytearray()
        text = anonymizer.key.decode(errors="ignore")
        typed = text.encode() == anonymizer.key and text.isprintable()
        # of samples, and drawn here, so that it is a secret, of a user's own photos
        self.keys = {True: text if typed else secrets.token_hex(32), False: secrets.token_hex(32)}
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
        self._show(
            "hello", photos=[[name, Path(name).name] for name in names], controls=asdict(self.controls),
            perceptions=PERCEPTIONS, regions=REGIONS, keep=KEEP,
        )  # fmt: skip
        if self.bench.photo is None:
            self.do_open(self.photo)
        else:
            self._show_face()

    def do_open(self, photo: str) -> None:
        """Show a photo of the choices; one that cannot be shown takes the old face away."""
        self._clear()
        if photo in self.uploads:
            file = io.BytesIO(self.uploads[photo])
            file.name = photo  # by which errors call it
            self.bench.open(file)
        elif photo in self.photos:
            self.bench.open(open_photo(photo, self.bench.anonymizer.generator))
        else:  # a page may name no other file of this machine
            raise InputMissing(f"{photo} is not among the photos here; choose one of the list")
        self.photo = photo
        self._show_face()

    def do_upload(self, name: str, size: int, data: str, first: bool, last: bool) -> None:
        """Take a part of a file (base64); with the last one it is opened."""
        if first:
            self.incoming = bytearray()
            self._clear()
        self.incoming += base64.b64decode(data)
        if max(size, len(self.incoming)) > LARGEST_UPLOAD:
            raise UnreadableImage(
                f"{name} is too large: {size / 1e6:.0f} MB, and {LARGEST_UPLOAD / 1e6:.0f} MB can be "
                "uploaded; save a smaller copy"
            )
        if last:
            self.uploads[name], self.incoming = bytes(self.incoming), bytearray()
            try:
                self.do_open(name)
            except AnonlabError:
                del self.uploads[name]
                raise

    def do_choose(self, number: int) -> None:
        """Look at another face of the photo."""
        self._outdate()
        self.bench.choose(number)
        self._show_face()

    def do_set(self, controls: Message, final: bool = True, with_key: bool = False) -> None:
        """Take a setting. While a slider is dragged it is not `final`, and only its mask is drawn."""
        self.controls = make_controls(vars(self.controls) | controls)
        self.with_key = with_key
        self._draw(final)

    def do_key(self, key: str) -> None:
        """Take a secret, for photos of this kind."""
        self.keys[is_sample(self.photo)] = checked_key(key.strip(), "the key").decode()
        self._show_face()

    def do_seeds(self) -> None:
        """Show the same setting with several virtual identities, one by one."""
        controls, view = self.controls, self.bench.view(self.controls)

        def work(watch: Watch) -> None:
            for seed in SEEDS:
                watch(f"drawing seed {seed}", seed / len(SEEDS))
                found = self.bench.preview(view, replace(controls, seed=seed), watch)
                self._show_preview("seed", found, f"seed {seed}", seed=seed)
            self._show("idle", text="")

        self._later(work)

    def do_make(self, everybody: bool = True) -> None:
        """Anonymize the photo as the command line does, and show it with its file."""
        controls, path, photo = self.controls, Path(self.photo), self.bench.photo
        faces, anonymizer = "all" if everybody else (self.bench.number,), self.bench.anonymizer
        suffix = path.suffix if path.suffix.lower() in READABLE else ".png"

        def work(watch: Watch) -> None:
            result = anonymizer(photo, controls, faces=faces, watch=watch)
            with tempfile.TemporaryDirectory() as folder:
                file = Path(folder) / f"picture{suffix}"
                write_photo(result.image, file, result.icc_profile, photo)
                content = file.read_bytes()
            watch("", 1.0)
            away = ", ".join(f"{face.distance:.2f}" for face in result.faces)
            self._show("idle", text="")
            self._show(
                "result", picture=small(result.image.convert("RGB")),
                name=f"{path.stem}-anonymized{suffix}", file=base64.b64encode(content).decode(),
                verdict=f"finished and checked: {anonymizer.recognizer.name} no longer recognises the "
                f"photo, distance {away}; a match is below {anonymizer.recognizer.threshold:g}",
            )  # fmt: skip

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
        key, several = self.keys[sample], len(bench.faces) > 1
        bench.anonymizer = bench.anonymizer.replace(key=key.encode())
        width, height = (side / 100 for side in bench.photo.size)
        boxes = [  # left, top, width and height in percent
            (left / width, top / height, (right - left) / width, (bottom - top) / height)
            for left, top, right, bottom in (face.box for face in bench.faces)
        ]
        self.heat = ""
        self._show(
            "face", photo=self.photo, own=not sample, key=key, number=bench.number,
            boxes=boxes if several else (),
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
        key, view = self.keys[is_sample(self.photo)], self.bench.view(controls)
        known = controls.perception == self.heat
        self._show(
            "mask", area=area, threshold=threshold, by=by, shares=view.shares,
            heat="" if known else data_uri(overlay(self.bench.sharp, view.attribution, SHARP)),
            stays=f"{1 - view.share_of_face:.0%} of the face stays",
            warning="" if view.share > 0 else EMPTY,
            settings=settings_text(asdict(controls), key if self.with_key else None),
            **view.measured("the person when the mask is blurred", view.distance),
            **layers(view.mask),
        )  # fmt: skip
        self.heat = controls.perception

        def work(watch: Watch) -> None:
            found = self.bench.preview(view, controls, watch, SHARP)
            self._show_preview("preview", found, "the preview")

        if final:
            self._later(work)

    def _show_preview(self, show: str, view: View, what: str, **more: object) -> None:
        self._show(
            show, picture=data_uri(picture(view.preview, SHARP), 90), shares=view.shares,
            strength=view.strength, **view.measured(what, view.preview_distance), **more,
        )  # fmt: skip

    def _later(self, work: Callable[[Watch], None]) -> None:
        """Do `work(watch)` in the background; `watch` ends it when a newer request has come."""
        self._outdate()
        request = self.request

        def watch(doing: str, share: float) -> None:
            if request is not self.request:
                raise CancelledError
            if doing:
                self._show("busy", text=f"{doing} …", share=share)

        def run() -> None:
            try:
                watch("", 0.0)
                work(watch)
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


def page_file(name: str) -> str:
    """Read one of the files that make the page."""
    return (Path(__file__).parent / "page" / name).read_text(encoding="utf-8")


def photo_choices() -> list[str]:
    """List the sample faces, and the photos in `data/photos`."""
    folder = notebooks_folder().parent / "data" / "photos"
    own = sorted(str(path) for path in folder.glob("*") if path.suffix.lower() in READABLE)
    return [*SAMPLES, *own]
