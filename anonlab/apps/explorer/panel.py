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
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from PIL import Image

from ...controls import KEEP, PERCEPTIONS, REGIONS, Controls, make_controls
from ...errors import AnonlabError, InputMissing, StaleRequest, UnreadableImage
from ...notebook.plots import overlay, picture
from ...notebook.samples import SAMPLES, open_photo
from ...photo.photos import READABLE, Photo, write_photo
from ...pipeline import Anonymizer
from ...results import Result
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

    `hear` takes a message of the page; `tell` is called with each answer, from several threads. Samples
    use the key of `anonymizer` if it is text, and a user's own photos one that is drawn here.
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
        self.photo, self.controls, self.with_key = photo, controls, False
        self.uploads: dict[str, bytes] = {}  # by file name
        self.incoming = bytearray()
        self.keys = {True: as_text(anonymizer.key), False: secrets.token_hex(32)}  # is it a sample?
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
        """Do what the page asks for: `do` names it. Errors are told, and `ready` at the end."""
        does = {
            "hello": self._hello, "open": self._open, "upload": self._upload, "choose": self._choose,
            "set": self._set, "key": self._set_key, "seeds": self._seeds, "make": self._make,
            "cancel": self._cancel,
        }  # fmt: skip
        try:
            does[message["do"]](**{name: value for name, value in message.items() if name != "do"})
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

    def _show(self, what: str, **told: object) -> None:
        self.tell({"show": what, **told})

    def _hello(self) -> None:
        """Tell a page that begins, or begins again, everything."""
        names = dict.fromkeys([*self.photos, *self.uploads])
        self._show(
            "hello",
            photos=[[name, Path(name).name] for name in names],
            perceptions=PERCEPTIONS,
            regions=REGIONS,
            keep=KEEP,
            controls=asdict(self.controls),
        )
        if self.bench.photo is None:
            self._open(self.photo)
        else:
            self._show_face()

    def _open(self, photo: str) -> None:
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

    def _upload(self, name: str, size: int, data: str, first: bool, last: bool) -> None:
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
                self._open(name)
            except AnonlabError:
                del self.uploads[name]
                raise

    def _choose(self, number: int) -> None:
        self._outdate()
        self.bench.choose(number)
        self._show_face()

    def _set(self, controls: Message, final: bool = True, with_key: bool = False) -> None:
        """Take a setting. While a slider is dragged it is not `final`, and only its mask is drawn."""
        self.controls = make_controls(vars(self.controls) | controls)
        self.with_key = with_key
        self._draw(final)

    def _set_key(self, key: str) -> None:
        checked_key(key.strip(), "the key")
        self.keys[is_sample(self.photo)] = key.strip()
        self._show_face()

    def _show_face(self) -> None:
        bench, key = self.bench, self.keys[is_sample(self.photo)]
        bench.anonymizer = bench.anonymizer.replace(key=key.encode())
        several = len(bench.faces) > 1
        width, height = (side / 100 for side in bench.photo.size)
        boxes = [
            (left / width, top / height, (right - left) / width, (bottom - top) / height)
            for left, top, right, bottom in (face.box for face in bench.faces)
        ]
        self.heat = ""
        self._show(
            "face",
            photo=self.photo,
            own=not is_sample(self.photo),
            key=key,
            number=bench.number,
            boxes=boxes if several else (),  # left, top, width and height in percent
            whole=small(Image.fromarray(bench.photo.pixels)) if several else "",
            person=data_uri(picture(bench.sharp, SHARP), 92),
        )
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
        heat = ""  # where the page has it
        if controls.perception != self.heat:
            heat = data_uri(overlay(self.bench.sharp, view.attribution, SHARP))
        self._show(
            "mask",
            area=area,
            threshold=threshold,
            by=by,
            shares=view.shares,
            stays=f"{1 - view.share_of_face:.0%} of the face stays",
            warning="" if view.share > 0 else EMPTY,
            settings=settings_text(asdict(controls), key if self.with_key else None),
            heat=heat,
            **view.measured("the person when the mask is blurred", view.distance),
            **layers(view.mask),
        )
        self.heat = controls.perception
        if final:
            self._later(
                lambda current: self.bench.preview(view, controls, current, SHARP),
                lambda found: self._show_preview("preview", found, "the preview"),
            )

    def _show_preview(self, show: str, view: View, what: str, **more: object) -> None:
        image = data_uri(picture(view.preview, SHARP), 90)
        measured = view.measured(what, view.preview_distance)
        self._show(show, picture=image, strength=view.strength, **measured, **more)

    def _seeds(self) -> None:
        """Show the same setting with several virtual identities, one by one."""
        controls, view = self.controls, self.bench.view(self.controls)

        def work(watch: Watch, current: Callable[[], bool]) -> None:
            for done, seed in enumerate(SEEDS):
                watch(f"drawing seed {seed}", done / len(SEEDS))
                found = self.bench.preview(view, replace(controls, seed=seed), current)
                self._show_preview("seed", found, f"seed {seed}", seed=seed)

        self._do_slowly(work, lambda _: None)

    def _make(self, everybody: bool = True) -> None:
        """Anonymize the photo as the command line does, and show it with its file."""
        controls, name = self.controls, finished_name(self.photo)

        def work(watch: Watch, _: Callable) -> tuple[Result, bytes]:
            result = self.bench.anonymize(controls, everybody, watch)
            return result, as_file(result, name, self.bench.photo)

        def show(made: tuple[Result, bytes]) -> None:
            result, content = made
            who = self.bench.anonymizer.recognizer.name
            away = ", ".join(f"{face.distance:.2f}" for face in result.faces)
            self._show(
                "result",
                picture=small(result.image.convert("RGB")),
                name=name,
                file=base64.b64encode(content).decode(),
                verdict=f"finished and checked: {who} no longer recognises the photo, distance {away}; "
                f"a match is below {result.faces[0].threshold:g}",
            )

        self._do_slowly(work, show)

    def _do_slowly(self, work: Callable, show: Callable) -> None:
        """Do `work(watch, current)` in the background, with progress; a page can end it."""

        def watched(current: Callable[[], bool]) -> object:
            def watch(doing: str, done: float) -> None:
                if not current():
                    raise StaleRequest("cancelled")
                self._show("busy", text=f"{doing} …", share=done)

            try:
                return work(watch, current)
            finally:
                if current():
                    self._show("idle", text="")

        self._later(watched, show)

    def _later(self, work: Callable, show: Callable) -> None:
        """Do `work(current)` in the background and `show` what it returns, unless a newer request came:
        then `current()` is false, and `work` may raise `StaleRequest`."""
        self._outdate()
        request = self.request

        def current() -> bool:
            return request is self.request

        def one() -> None:
            if not current():  # while it waited
                return
            try:
                then, made = show, work(current)
            except Exception as error:  # shown on the page, whatever it is
                then, made = self._fail, error
            if current():
                then(made)

        self.background.submit(one)

    def _outdate(self) -> None:
        """Forget what waits in the background, and show nothing of what runs."""
        self.request = object()

    def _cancel(self) -> None:
        self._outdate()
        self._show("idle", text="cancelled; nothing was made")
        self._draw()  # its preview may have had to make way

    def _clear(self) -> None:
        """Show nothing: no face is on the bench."""
        self._outdate()
        self.bench.clear()
        self._show("nothing")

    def _fail(self, error: Exception) -> None:
        self._show(
            "error", text=str(error) if isinstance(error, AnonlabError | OSError) else repr(error)
        )


def page_file(name: str) -> str:
    """The text of one of the files that make the page."""
    return (Path(__file__).parent / "page" / name).read_text(encoding="utf-8")


def photo_choices() -> list[str]:
    """List the sample faces, and the photos in `data/photos`."""
    folder = notebooks_folder().parent / "data" / "photos"
    own = sorted(str(path) for path in folder.glob("*") if path.suffix.lower() in READABLE)
    return [*SAMPLES, *own]


def is_sample(photo: str) -> bool:
    """Say whether a choice is a photo that comes with anonlab, which is no secret."""
    return photo.startswith(("astronaut", "synthetic-")) and not Path(photo).suffix


def as_text(key: bytes) -> str:
    """Return a key that was typed, or a new one in place of random bytes, which cannot be typed."""
    try:
        text = key.decode()
    except UnicodeDecodeError:
        return secrets.token_hex(32)
    return text if text.isprintable() else secrets.token_hex(32)


def finished_name(photo: str) -> str:
    """Name a finished photo: `me-anonymized.jpg` of `/somewhere/me.jpg`."""
    path = Path(photo)
    suffix = path.suffix if path.suffix.lower() in READABLE else ".png"
    return f"{path.stem}-anonymized{suffix}"


def as_file(result: Result, name: str, photo: Photo) -> bytes:
    """The bytes that the command line would write for this result of `photo` under this name."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"picture{Path(name).suffix}"
        write_photo(result.image, path, result.icc_profile, photo)
        return path.read_bytes()
