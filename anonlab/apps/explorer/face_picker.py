"""Which of the people in a photo? The photo with a numbered frame around every face, to be clicked."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence

import ipywidgets as widgets
from PIL import Image

from ...photo.faces import Face
from ...photo.photos import Photo

WIDTH, HEIGHT = 680, 260  # pixels of the photo as shown, at most
LEAST = 18  # pixels of a frame: what a finger or a pointer can hit


class FacePicker:
    """The widgets, in `box`; hidden for a photo of one person. `chosen(number)` is called on a click."""

    def __init__(self, chosen: Callable[[int], None]):
        self.chosen = chosen
        self.image = widgets.Image(format="jpeg")
        self.frames: list[widgets.Button] = []
        self.picture = widgets.Box()
        self.picture.add_class("anonlab-photo")  # the frames are placed over the picture by panel.css
        self.title = widgets.HTML()
        self.box = widgets.VBox([self.title, self.picture])
        self.hide()

    def hide(self) -> None:
        """Show nothing."""
        self.frames, self.picture.children, self.box.layout.display = [], (), "none"

    def show(self, photo: Photo, faces: Sequence[Face], number: int) -> None:
        """Frames around `faces`, the largest being 1; `number` is the one that is looked at."""
        if len(faces) < 2:
            self.hide()
            return
        scale = min(WIDTH / photo.size[0], HEIGHT / photo.size[1])
        width, height = (max(1, round(side * scale)) for side in photo.size)
        buffer = io.BytesIO()
        Image.fromarray(photo.pixels).resize((width, height), reducing_gap=2).save(buffer, "JPEG")
        self.image.value = buffer.getvalue()
        self.picture.layout = {"width": f"{width}px", "height": f"{height}px"}
        self.frames = [self._frame(face, index, scale) for index, face in enumerate(faces, 1)]
        self.picture.children = (self.image, *self.frames)
        self.box.layout.display = ""
        self.mark(number)

    def mark(self, number: int) -> None:
        """Say which face is looked at."""
        self.title.value = (
            f"<small>{len(self.frames)} faces, numbered from the largest: looking at <b>{number}</b>; "
            "click another one</small>"
        )
        for index, frame in enumerate(self.frames, 1):
            (frame.add_class if index == number else frame.remove_class)("anonlab-chosen")

    def _frame(self, face: Face, number: int, scale: float) -> widgets.Button:
        left, top, right, bottom = (side * scale for side in face.box)
        frame = widgets.Button(
            description=str(number),
            tooltip=f"look at face {number}",
            layout={
                "left": f"{left:.0f}px",
                "top": f"{top:.0f}px",
                "width": f"{max(right - left, LEAST):.0f}px",
                "height": f"{max(bottom - top, LEAST):.0f}px",
            },
        )
        frame.add_class("anonlab-face")
        frame.on_click(lambda _: self.chosen(number))
        return frame
