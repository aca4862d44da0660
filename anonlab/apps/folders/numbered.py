"""Show which face has which number, and which faces stay because of `--leave`."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined, Template
from PIL import Image, ImageDraw, ImageFont

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
        font = ImageFont.load_default(max(12.0, (right - left) / 3))
        draw.rectangle(
            (left, top, right, bottom), outline=LINE, width=max(2, round((right - left) / 40))
        )
        label = f"{number} stays: {stays[number]}" if number in stays else str(number)
        text = draw.textbbox((left, top), label, font=font)
        draw.rectangle((left, top, text[2] + 4, text[3] + 4), fill=LINE)
        draw.text((left + 2, top), label, fill=DIGITS, font=font)
    return image


def face_picture(photo: Photo, box: Sequence[float]) -> str:
    """Cut out one face of a photo, small, as a data URI."""
    left, top, right, bottom = box
    x, y = MARGIN * (right - left), MARGIN * (bottom - top)
    first = max(0, round(left - x)), max(0, round(top - y))
    last = min(photo.size[0], round(right + x)), min(photo.size[1], round(bottom + y))
    image = Image.fromarray(photo.pixels[first[1] : last[1], first[0] : last[0]])
    image.thumbnail((SHOWN, SHOWN))
    buffer = io.BytesIO()
    image.save(buffer, "WEBP", quality=80)
    return "data:image/webp;base64," + base64.b64encode(buffer.getvalue()).decode()


def left_page(record: Mapping, detector: Detector) -> str:
    """Build a page of the faces that a run left for `--leave`, by its `record`, each beside the person
    that it was taken for."""
    known: dict[str, str] = {}
    faces = []
    for entry in record["photos"]:
        left = [face for face in entry["faces"] if face.get("taken_for")]
        photo = read_photo(entry["source"]) if left else None
        for face in left:
            name = face["taken_for"]
            if name not in known:
                person = read_photo(name)
                known[name] = face_picture(person, detector(person)[0].box)
            shown = {"known": known[name], "picture": face_picture(photo, face["box"])}
            faces.append(face | shown | {"person": Path(name).name, "source": entry["source"]})
    return template("folders", "left.html").render(faces=faces)


def template(room: str, name: str) -> Template:
    """A page of one of the rooms of `apps`, in whose texts nothing is taken for HTML."""
    return Environment(
        loader=PackageLoader(f"anonlab.apps.{room}"), autoescape=True, undefined=StrictUndefined,
        trim_blocks=True, lstrip_blocks=True,
    ).get_template(name)  # fmt: skip
