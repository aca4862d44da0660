"""Who is anonymized, and what is done where no face can be generated."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from anonlab import Anonymizer
from anonlab.errors import FaceTurnedAway, StillRecognised, UnknownOption
from anonlab.generators.samples import sample_photo
from anonlab.photo.faces import Face
from anonlab.selection import PERHAPS, SURELY, Selection


@pytest.fixture(scope="module")
def anonymizer() -> Anonymizer:
    """One that paints faces grey: what is tested is who is chosen."""

    def paint(face, mask, controls, *_, **__):
        return torch.zeros(1, 16, 512), face.image, 1 - 2 * mask * torch.ones_like(face.image)

    made = Anonymizer.load(device="cpu", key=b"a secret of at least 16 bytes")
    made.regenerate = paint
    return made


@pytest.fixture(scope="module")
def portraits(generator) -> list[Image.Image]:
    names = "synthetic-3", "astronaut"
    return [sample_photo(name, generator).resize((480, 480)) for name in names]


@pytest.fixture(scope="module")
def pair(portraits) -> Image.Image:
    canvas = Image.new("RGB", (900, 500), (128, 128, 128))
    canvas.paste(portraits[0], (0, 10))
    canvas.paste(portraits[1].resize((380, 380)), (510, 10))
    return canvas


def changed(before: Image.Image, after: Image.Image) -> tuple[bool, bool]:
    """Whether the left and the right half differ."""
    different = (np.asarray(before) != np.asarray(after)).any(2)
    return bool(different[:, :500].any()), bool(different[:, 500:].any())


def test_people_are_left_alone_or_looked_for(anonymizer, pair, portraits):
    first = anonymizer.recognise([portraits[0]])
    left = anonymizer(pair, faces=Selection(leave=first), verify=False)
    assert changed(pair, left.image) == (False, True)
    assert [one.record()["left"] for one in left.left] == [True]
    only = anonymizer(pair, faces=Selection(only=first), verify=False)
    assert changed(pair, only.image) == (True, False)
    assert [entry["number"] for entry in only.records()] == [1, 2]
    stranger = anonymizer.recognise([sample_photo("synthetic-8", anonymizer.generator)])
    assert changed(pair, anonymizer(pair, faces=Selection(leave=stranger), verify=False).image) == (
        True,
        True,
    )


def test_numbers_say_which_and_the_rest_is_said_to_be_left(anonymizer, pair):
    result = anonymizer(pair, faces=(2,), verify=False)
    assert changed(pair, result.image) == (False, True)
    assert [("left" in entry, entry["number"]) for entry in result.records()] == [(True, 1), (False, 2)]
    with pytest.raises(UnknownOption, match="number 3"):
        anonymizer(pair, faces=(3,), verify=False)


def test_in_doubt_a_face_is_anonymized(recognizer):
    person = torch.zeros(1, 128)
    person[0, 0] = 1.0

    def at(share: float) -> torch.Tensor:
        """An embedding at that share of the threshold from the person."""
        other = person.clone()
        other[0, 1] = share * recognizer.threshold
        return other

    doubtful = (SURELY + 1) / 2, (PERHAPS + 1) / 2
    for share in doubtful:
        assert not Selection(leave=person).leaves(recognizer, at(share))
        assert not Selection(only=person).leaves(recognizer, at(share))
    assert Selection(leave=person).leaves(recognizer, at(SURELY - 0.05))
    assert Selection(only=person).leaves(recognizer, at(PERHAPS + 0.05))


def test_a_face_that_stays_recognised_is_covered(anonymizer, pair, monkeypatch):
    monkeypatch.setattr(
        anonymizer,
        "regenerate",
        lambda face, *_, **__: (torch.zeros(1, 16, 512), face.image, face.image),
    )
    with pytest.raises(StillRecognised):
        anonymizer(pair)
    result = anonymizer(pair, fallback="pixels")
    assert changed(pair, result.image) == (True, True)
    assert not result.faces
    assert len(result.records()) == 2
    for entry in result.records():
        assert entry["covered"] == "pixels"
        assert "still recognised" in entry["reason"]
        assert entry["distance"] >= entry["threshold"]
        assert entry["matched"] is False
    with pytest.raises(UnknownOption, match="fallback"):
        anonymizer(pair, fallback="paint")


def test_a_head_turned_too_far_is_covered(anonymizer, pair, monkeypatch):
    look = type(anonymizer.detector).__call__

    def turned(detector, photo) -> list[Face]:
        face = look(detector, photo)[0]
        points = face.points.copy()
        points[2] = points[1]  # the nose stands where the left eye is
        return [replace(face, points=points + [[0, 0], [0, 0], [30, 0], [0, 0], [0, 0]])]

    monkeypatch.setattr(type(anonymizer.detector), "__call__", turned)
    with pytest.raises(FaceTurnedAway, match="turned too far"):
        anonymizer(pair)
    result = anonymizer(pair, fallback="blur")
    assert [entry["covered"] for entry in result.records()] == ["blur"]
    assert changed(pair, result.image) == (True, False)
