"""Hands before a face: where they are, and that they stay."""

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw

from anonlab.perception.hands import FINGERS, HULL, Hands, hand_shape

# joints of an open hand in centimetres from the wrist, y down: thumb, then the index finger and on
OPEN = [(0, 0), (-2.5, -2), (-4.2, -4), (-5.3, -6), (-6.2, -7.6)]
OPEN += [(side, -top) for side, tops in zip((-2.8, -0.9, 1.1, 3.1), (
    (8.8, 12.2, 14.4, 16.2), (9.2, 13.2, 15.8, 17.8), (8.8, 12.4, 14.8, 16.6), (8, 10.6, 12.4, 14)
), strict=True) for top in tops]  # fmt: skip


@pytest.fixture(scope="module")
def hands() -> Hands:
    return Hands()


def drawn(joints: np.ndarray, unit: float, wider: float) -> np.ndarray:
    """The hand with fingers `wider` than a hand's, brighter than what is behind it, `(256, 256)`."""
    picture = Image.new("L", (256, 256), 90)
    draw = ImageDraw.Draw(picture)
    places = [tuple(joint) for joint in joints]
    draw.polygon([places[joint] for joint in HULL], fill=190)
    hull = [*HULL, HULL[0]]
    lines = [([places[joint] for joint in hull], 0.9), ([places[0], (128, 300)], 2.6)]
    lines += [([places[joint] for joint in one], 1.1 if one[0] == 0 else 0.9) for one in FINGERS]
    for line, width in lines:
        radius = width * wider * unit
        draw.line(line, fill=190, width=round(2 * radius))
        for x, y in line:
            draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=190)
    return np.asarray(picture, float)


@pytest.mark.parametrize("wider", [0.8, 1.0, 1.2])
@pytest.mark.parametrize("unit", [5.0, 9.0])
def test_a_hand_s_outline_is_where_the_picture_has_its_edge(unit, wider):
    joints = np.array(OPEN) * unit + (128, 230)
    grey = drawn(joints, unit, wider)
    noisy = grey + np.random.default_rng(0).normal(0, 4, grey.shape)
    shape, real = hand_shape(joints, noisy), grey > 140
    assert (shape & real).sum() / (shape | real).sum() > 0.93


def test_a_bare_face_has_none(hands, astronaut, astronaut_found):
    assert hands(astronaut, astronaut_found) is None


def test_what_is_a_hand_stays_the_photo_s(shipped, astronaut, astronaut_found, monkeypatch):
    before = torch.zeros(1, 1, 256, 256)
    before[..., 150:, :140] = 1  # over mouth and chin
    monkeypatch.setattr(shipped.perception, "hands", lambda *_: before)
    face, _ = shipped.anonymize_face(astronaut, astronaut_found, verify=False)
    size = face.mask.shape[-1]
    inside = ..., slice(160 * size // 256, None), slice(130 * size // 256)  # without its soft edge
    assert face.mask.any() and not face.mask[inside].any()
    assert torch.equal(face.anonymized[inside], face.aligned[inside])
