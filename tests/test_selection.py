"""Who is anonymized, and what is done where no face can be generated."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
import torch
from painting import painting
from PIL import Image

from anonlab import Anonymizer
from anonlab.apps.folders.numbered import left_page
from anonlab.errors import StillRecognised, UnknownOption
from anonlab.notebook.samples import sample_photo
from anonlab.photo.faces import JUDGED
from anonlab.photo.photos import read_photo
from anonlab.selection import COHORT, PERHAPS, STAYS, Selection, left_faces


@pytest.fixture(scope="module")
def anonymizer(shipped) -> Iterator[Anonymizer]:
    """One that paints faces black: what is tested is who is chosen."""
    with pytest.MonkeyPatch.context() as patch:
        painter = shipped.replace()
        painting(patch, painter, lambda image, mask, _: (1 - 2 * mask).expand_as(image))
        yield painter


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


def test_who_is_chosen_is_changed_and_the_rest_is_said_to_be_left(anonymizer, pair, portraits):
    """By number, or as people to leave alone or to look for."""
    first = anonymizer.recognise([portraits[0]])
    stranger = anonymizer.recognise([sample_photo("synthetic-8", anonymizer.generator)])
    for faces, expected in (
        ("all", (True, True)), ("largest", (True, False)), ((2,), (False, True)),
        (Selection(leave=first), (False, True)), (Selection(only=first), (True, False)),
        (Selection(leave=stranger), (True, True)),
    ):  # fmt: skip
        result = anonymizer(pair, faces=faces, verify=False)
        assert changed(pair, result.image) == expected
        records = [(entry["number"], "left" not in entry) for entry in result.records()]
        assert records == [*enumerate(expected, 1)]


def test_a_number_that_no_face_has_is_refused(anonymizer, pair):
    with pytest.raises(UnknownOption, match="number 3"):
        anonymizer(pair, faces=(3,), verify=False)


class Crowd:
    """A population in which the faces near `(1, 0, …)` are crowded, those near `(0, 1, …)` are not."""

    def __init__(self) -> None:
        near, far = torch.zeros(2, COHORT, 128)
        near[:, 0], near[:, 2] = 1.0, 0.4
        far[:, 1], far[:, 3] = 1.0, 0.6
        self.as_drawn = torch.cat([near, far])


def at(share: float, axis: int = 0) -> torch.Tensor:
    """Embedding `(1, 128)` at a distance from the unit vector of an `axis`."""
    other = torch.zeros(1, 128)
    other[0, axis], other[0, 5] = 1.0, share
    return other


def test_in_doubt_a_face_is_anonymized(recognizer):
    doubtful = at((PERHAPS + 1) / 2 * recognizer.threshold)
    assert not Selection(only=at(0)).left(recognizer, Crowd(), doubtful)
    assert list(Selection(only=at(0)).left(recognizer, Crowd(), at(1.2 * recognizer.threshold))) == [0]
    # the same distance is one person where faces are rare, and not where many are alike
    distance = 0.4
    assert list(Selection(leave=at(0, 1)).left(recognizer, Crowd(), at(distance, 1))) == [0]
    assert not Selection(leave=at(0, 0)).left(recognizer, Crowd(), at(distance, 0))
    doubtful = at((STAYS + 1) / 2 * 0.4)
    assert not Selection(leave=at(0, 0)).left(recognizer, Crowd(), doubtful)


def test_a_reference_leaves_one_face_and_the_nearest(recognizer):
    faces = torch.cat([at(0.1), at(0.05), at(0.1, 1)])
    two_of_one, both = torch.cat([at(0), at(0.02)]), torch.cat([at(0), at(0, 1)])
    assert Selection(leave=at(0)).left(recognizer, Crowd(), faces).keys() == {1}
    assert Selection(leave=two_of_one).left(recognizer, Crowd(), faces).keys() == {1}
    left = Selection(leave=both).left(recognizer, Crowd(), faces)
    assert {index: reference for index, (reference, _) in left.items()} == {1: 0, 2: 1}


def test_what_is_left_is_shown_beside_who_it_was_taken_for(anonymizer, pair, portraits, tmp_path):
    person, photo = tmp_path / "him.png", tmp_path / "both.png"
    portraits[0].save(person)
    pair.save(photo)
    selection = Selection(leave=anonymizer.recognise([person]), names=[str(person)])
    result = anonymizer(photo, faces=selection, verify=False)
    [entry] = [one for one in result.records() if "left" in one]
    assert entry["taken_for"] == str(person) and 0 <= entry["nearness"] < STAYS
    record = {"photos": [{"source": str(photo), "faces": result.records()}]}
    page = left_page(record, anonymizer.detector, tmp_path / "left.html").read_text()
    assert page.count("<img") == 2 and "him.png" in page
    large = anonymizer.detector(read_photo(photo))[0]
    scale = (JUDGED - 2) / np.sqrt(large.area)  # where strangers are one person to a recogniser
    pair.resize([round(side * scale) for side in pair.size]).save(photo)
    small = replace(large, box=tuple(scale * np.array(large.box)), points=scale * large.points)
    parts = anonymizer.recognizer, anonymizer.population
    assert not left_faces(selection, *parts, read_photo(photo), {1: small})


def test_a_face_that_stays_recognised_is_covered(anonymizer, pair, monkeypatch):
    painting(monkeypatch, anonymizer, lambda image, *_: image)
    with pytest.raises(StillRecognised):
        anonymizer(pair)
    result = anonymizer(pair, fallback="pixels")
    assert changed(pair, result.image) == (True, True)
    assert not result.faces and len(result.records()) == 2
    for entry in result.records():
        assert entry["covered"] == "pixels" and "still recognised" in entry["reason"]
        assert entry["distance"] >= entry["threshold"] and entry["matched"] is False
    with pytest.raises(UnknownOption, match="fallback"):
        anonymizer(pair, fallback="paint")
