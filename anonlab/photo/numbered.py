"""A photo with numbered boxes and covered faces: what `--faces 1,3` counts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from PIL import Image, ImageDraw, ImageFont

from .cover import cover
from .faces import Face
from .photos import Photo

LONGEST = 1600  # pixels of the picture
LINE, DIGITS = "#ffd400", "#101010"


def numbered(photo: Photo, faces: Sequence[Face]) -> Image.Image:
    """A small copy of the photo in which each face is covered and has its number; `faces` are in the
    order of the detector, the largest first.

    Covered, because a picture that is written down may be found by others.
    """
    for face in faces:
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
        text = draw.textbbox((left, top), str(number), font=font)
        draw.rectangle((left, top, text[2] + 4, text[3] + 4), fill=LINE)
        draw.text((left + 2, top), str(number), fill=DIGITS, font=font)
    return image
