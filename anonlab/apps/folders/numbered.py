"""Show which face has which number, and which faces stay because of `--leave`."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined
from PIL import Image, ImageDraw, ImageFont

from ...files import atomic_path
from ...photo.cover import cover
from ...photo.detection import Detector
from ...photo.faces import Face
from ...photo.photos import Photo, read_photo

LONGEST = 1600  # pixels of the picture
LINE, DIGITS = "#ffd400", "#101010"
MARGIN = 0.25  # of a box, around a face that is shown alone
SHOWN = 96  # pixels of its longer side


def numbered(photo: Photo, faces: Sequence[Face], stays: Mapping[int, str] = {}) -> Image.Image:
    """Draw a small copy of the photo in which each face has its number and is covered.

    `faces` are in the order of the detector, the largest first. They are covered because a picture that
    is written down may be found by others; not so those that stay: `stays` has their labels, by number.
    """
    for number, face in enumerate(faces, 1):
        if number not in stays:
            photo = replace(photo, pixels=cover(photo, face))
    image = Image.fromarray(photo.pixels)
    scale = min(1.0, LONGEST / max(image.size))
    image = image.resize([max(1, round(side * scale)) for side in image.size], Image.Resampling.LANCZOS)
    draw = ImageDraw.Draw(image)
    for number, face in enumerate(faces, 1):
        left, top, right, bottom = (side * scale for side in face.box)
        label = f"{number} stays: {stays[number]}" if number in stays else f"{number}"
        font, line = ImageFont.load_default(max(12.0, (right - left) / 3)), round((right - left) / 40)
        draw.rectangle((left, top, right, bottom), outline=LINE, width=max(2, line))
        text = draw.textbbox((left, top), label, font=font)
        draw.rectangle((left, top, text[2] + 4, text[3] + 4), fill=LINE)
        draw.text((left + 2, top), label, fill=DIGITS, font=font)
    return image


def face_picture(photo: Photo, box: Sequence[float]) -> str:
    """Cut out one face of a photo, small, as a data URI."""
    left, top, right, bottom = box
    x, y = MARGIN * (right - left), MARGIN * (bottom - top)
    image = Image.fromarray(photo.pixels).crop((left - x, top - y, right + x, bottom + y))
    image.thumbnail((SHOWN, SHOWN))
    buffer = io.BytesIO()
    image.save(buffer, "WEBP", quality=80)
    return "data:image/webp;base64," + base64.b64encode(buffer.getvalue()).decode()


def left_page(record: Mapping, detector: Detector, page: Path) -> Path:
    """Write a page of the faces that a run left for `--leave`, by its `record`, each beside the person
    that it was taken for; returns `page`. Raises `OutputNotWritable`."""
    faces = [
        face | {"source": entry["source"]}
        for entry in record["photos"]
        for face in entry["faces"]
        if face.get("taken_for")
    ]
    for face in faces:
        face["picture"] = face_picture(read_photo(face["source"]), face["box"])
    people = {name: read_photo(name) for name in {face["taken_for"] for face in faces}}
    known = {name: face_picture(photo, detector(photo)[0].box) for name, photo in people.items()}
    pages = Environment(loader=PackageLoader(__package__), autoescape=True, undefined=StrictUndefined)
    with atomic_path(page) as partial:
        text = pages.get_template("left.html").render(faces=faces, known=known)
        partial.write_text(text, encoding="utf-8")
    return page
