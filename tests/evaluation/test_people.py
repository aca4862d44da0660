"""Who is evaluated: folders, an index, scikit-learn's cache, and people that need no files."""

from __future__ import annotations

import itertools

import pytest
import torch
from PIL import Image

from anonlab.errors import InputDamaged, InputMissing, UnknownOption
from anonlab.evaluation.people import LFW_COMMAND, Person, embedded_people, load_people
from anonlab.generators.samples import sample_photo
from anonlab.metrics import linkage, pairwise
from anonlab.photo.faces import align
from anonlab.photo.photos import read_photo
from anonlab.recognizers import distance


def photo(path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"")


@pytest.fixture
def folder(tmp_path):
    """Ten people; those whose number is a multiple of three have one photo, the others two."""
    for number in range(10):
        photo(tmp_path / f"p{number}" / "1.jpg")
        if number % 3:
            photo(tmp_path / f"p{number}" / "2.png")
    return tmp_path


TWO, ONE = ("p1", "p2", "p4", "p5", "p7", "p8"), ("p0", "p3", "p6", "p9")


def names(people: list[Person]) -> list[str]:
    return [one.name for one in people]


def test_a_folder_for_each_person(tmp_path):
    for name in ("b/2.JPG", "b/1.jpeg", "a/x.webp", "a/y.tiff", "a/notes.txt", "loose.jpg"):
        photo(tmp_path / name)
    assert load_people(tmp_path) == [
        Person("a", (tmp_path / "a" / "x.webp", tmp_path / "a" / "y.tiff")),
        Person("b", (tmp_path / "b" / "1.jpeg", tmp_path / "b" / "2.JPG")),
    ]
    assert load_people(str(tmp_path)) == load_people(tmp_path)


def test_hidden_folders_are_nobody(tmp_path):
    photo(tmp_path / ".thumbnails" / "a.jpg")
    photo(tmp_path / "a" / "a.jpg")
    assert names(load_people(tmp_path)) == ["a"]


def test_a_person_without_photos_is_still_named(tmp_path):
    photo(tmp_path / "a" / "a.jpg")
    photo(tmp_path / "empty" / "read.me")
    assert Person("empty", ()) in load_people(tmp_path)


def test_people_with_two_photos_come_first(folder):
    assert names(load_people(folder)) == [*TWO, *ONE]


@pytest.mark.parametrize(
    ("count", "expected"),
    [
        (1, ["p1"]),
        (2, ["p1", "p5"]),  # spread over those who have two
        (3, ["p1", "p4", "p7"]),
        (6, [*TWO]),
        (8, [*TWO, "p0", "p6"]),  # all who have two, and the others spread again
        (10, [*TWO, *ONE]),
        (99, [*TWO, *ONE]),
    ],
)
def test_a_count_is_spread_over_the_set(folder, count, expected):
    assert names(load_people(folder, count)) == expected


@pytest.mark.parametrize("source", ["embedded", "lfw", "anywhere"])
@pytest.mark.parametrize("count", [0, -3])
def test_nobody_cannot_be_asked_for(source, count):
    with pytest.raises(UnknownOption, match="ask for at least 1"):
        load_people(source, count)


def test_an_index_says_who_is_on_which_file(tmp_path):
    photo(tmp_path / "01.jpg")
    photo(tmp_path / "someone else" / "03.jpg")  # no folder counts when there is an index
    (tmp_path / "index.csv").write_text(
        "licence,identity,file\nCC0,ann,01.jpg\nCC0,bob,02.jpg\nCC0,ann,gone/03.jpg\n", encoding="utf-8"
    )
    assert load_people(tmp_path) == [
        Person("ann", (tmp_path / "01.jpg", tmp_path / "gone" / "03.jpg")),  # missing, so reported
        Person("bob", (tmp_path / "02.jpg",)),
    ]


@pytest.mark.parametrize("text", ["", "file,name\na.jpg,ann\n", "a.jpg,ann\n"])
def test_an_index_without_its_columns_is_refused(tmp_path, text):
    (tmp_path / "index.csv").write_text(text)
    with pytest.raises(InputDamaged, match=r"index\.csv lacks the columns file and identity"):
        load_people(tmp_path)


def test_an_index_from_a_spreadsheet_is_read(tmp_path):
    (tmp_path / "index.csv").write_text(
        "file,identity\r\na.jpg,Zoë\r\n", encoding="utf-8-sig", newline=""
    )
    assert load_people(tmp_path) == [Person("Zoë", (tmp_path / "a.jpg",))]


@pytest.mark.parametrize("row", ["a.jpg", ",ann", "a.jpg,"])
def test_an_index_with_half_a_row_is_refused(tmp_path, row):
    (tmp_path / "index.csv").write_text(f"file,identity\nb.jpg,bob\n{row}\n")
    with pytest.raises(InputDamaged, match=r"index\.csv, line 3"):
        load_people(tmp_path)


def test_an_index_that_is_not_text_is_refused(tmp_path):
    (tmp_path / "index.csv").write_bytes("file,identity\na.jpg,Zoë\n".encode("utf-16"))
    with pytest.raises(InputDamaged, match=r"index\.csv"):
        load_people(tmp_path)


@pytest.mark.parametrize("made", [False, True], ids=["missing", "empty"])
def test_a_folder_without_people_is_refused_with_the_layout(tmp_path, made):
    folder = tmp_path / "people"
    if made:
        photo(folder / "loose.jpg")
    with pytest.raises(InputMissing, match=r"person/photo\.jpg"):
        load_people(folder)


def test_embedded_people_are_named_by_their_seeds():
    people = load_people("embedded", 4)
    assert names(people) == ["synthetic-100", "synthetic-101", "synthetic-102", "astronaut"]
    assert people[0].photos == ("synthetic-100", "synthetic-100-1")
    assert people[-1].photos == ("astronaut",)
    assert names(embedded_people(1)) == ["astronaut"]
    assert len(load_people("embedded")) == 9


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("SCIKIT_LEARN_DATA", str(tmp_path))
    return tmp_path / "lfw_home"


@pytest.mark.parametrize("folder", ["lfw_funneled", "lfw"])
def test_the_cache_of_scikit_learn_is_found(home, folder):
    for number in (1, 2):
        photo(home / folder / "Ann_Example" / f"Ann_Example_000{number}.jpg")
    photo(home / folder / "Bob_Example" / "Bob_Example_0001.jpg")
    photo(home / folder / "pairs_01.txt")
    ann, bob = load_people("lfw")
    assert (ann.name, len(ann.photos), bob.name, len(bob.photos)) == ("Ann_Example", 2, "Bob_Example", 1)
    assert ann.photos[0] == home / folder / "Ann_Example" / "Ann_Example_0001.jpg"


def test_the_funneled_photos_are_preferred(home):
    for folder in ("lfw", "lfw_funneled"):
        photo(home / folder / folder / "1.jpg")
    assert names(load_people("lfw")) == ["lfw_funneled"]


def test_without_the_cache_the_command_is_named(home):
    with pytest.raises(InputMissing) as caught:
        load_people("lfw")
    assert LFW_COMMAND in str(caught.value)
    assert "fetch_lfw_people" in LFW_COMMAND and str(home) in str(caught.value)


@pytest.fixture(scope="module")
def embedded(generator, recognizer, detector) -> tuple[torch.Tensor, torch.Tensor]:
    """Three generated people in both of their photos: embeddings `(3, dim)` each."""

    def embed(name: str) -> torch.Tensor:
        seen = read_photo(sample_photo(name, generator))
        return recognizer.embed(align(seen, detector(seen)[0], 512))

    with torch.no_grad():
        return tuple(
            torch.cat([embed(f"synthetic-{seed}{view}") for seed in (100, 101, 102)])
            for view in ("", "-1")
        )


def test_a_view_is_the_same_person(recognizer, embedded):
    first, second = embedded
    assert (distance(recognizer, first, second) < 0.6).all()
    assert linkage(pairwise(recognizer, second, first)) == 1


def test_another_seed_is_another_person(recognizer, embedded):
    first, second = embedded
    for one, other in itertools.product((first[0], second[0]), (first[1], second[1])):
        assert distance(recognizer, one, other) > 0.6


def test_a_view_is_another_picture(recognizer, embedded, generator):
    assert (distance(recognizer, *embedded) > 0.1).all()
    first, second = (
        read_photo(sample_photo(f"synthetic-100{view}", generator)).pixels.astype(float)
        for view in ("", "-1")
    )
    assert first.shape == second.shape == (1024, 1024, 3)
    assert abs(first - second).mean() > 8  # of 255


def test_a_name_is_always_the_same_picture(generator):
    name = "synthetic-100-1"
    first, second = (sample_photo(name, generator).tobytes() for _ in range(2))
    assert first == second
    assert sample_photo("astronaut") == sample_photo("astronaut")
    assert isinstance(sample_photo("astronaut"), Image.Image)


@pytest.mark.parametrize(
    "name", ["nobody", "synthetic-", "synthetic-x", "synthetic-1-2-3", "astronaut-1"]
)
def test_another_name_is_refused(generator, name):
    with pytest.raises(UnknownOption, match="does not exist"):
        sample_photo(name, generator)


def test_a_generated_face_needs_a_generator():
    with pytest.raises(UnknownOption, match="pass one"):
        sample_photo("synthetic-100-1")
