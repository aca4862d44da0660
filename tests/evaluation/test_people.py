"""Who is evaluated: folders, an index, scikit-learn's cache, and people that need no files."""

from __future__ import annotations

import pytest

from anonlab.errors import InputDamaged, InputMissing, UnknownOption
from anonlab.evaluation.people import LFW_COMMAND, Person, load_people


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


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "lacks the columns file and identity"),
        (b"file,name\na.jpg,ann\n", "lacks the columns file and identity"),
        (b"a.jpg,ann\n", "lacks the columns file and identity"),
        (b"file,identity\nb.jpg,bob\na.jpg\n", "line 3"),
        (b"file,identity\nb.jpg,bob\n,ann\n", "line 3"),
        (b"file,identity\nb.jpg,bob\na.jpg,\n", "line 3"),
        ("file,identity\na.jpg,Zoë\n".encode("utf-16"), "save it as CSV in UTF-8"),
    ],
)
def test_a_damaged_index_is_refused(tmp_path, content, said):
    (tmp_path / "index.csv").write_bytes(content)
    with pytest.raises(InputDamaged, match=rf"index\.csv.*{said}"):
        load_people(tmp_path)


def test_an_index_from_a_spreadsheet_is_read(tmp_path):
    (tmp_path / "index.csv").write_text(
        "file,identity\r\na.jpg,Zoë\r\n", encoding="utf-8-sig", newline=""
    )
    assert load_people(tmp_path) == [Person("Zoë", (tmp_path / "a.jpg",))]


@pytest.mark.parametrize("made", [False, True], ids=["missing", "empty"])
def test_a_folder_without_people_is_refused_with_the_layout(tmp_path, made):
    folder = tmp_path / "people"
    if made:
        photo(folder / "loose.jpg")
    with pytest.raises(InputMissing, match=r"person/photo\.jpg"):
        load_people(folder)


def test_embedded_people_are_named_by_their_seeds():
    people = load_people("embedded", 3)
    assert names(people) == ["synthetic-100", "synthetic-101", "synthetic-102"]
    assert people[0].photos == ("synthetic-100", "synthetic-100-1")
    assert len(load_people("embedded")) == 8


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
