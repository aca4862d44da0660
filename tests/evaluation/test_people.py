"""The people of an evaluation: folders, an index, scikit-learn's cache, and generated ones."""

import pytest

from anonlab.errors import InputDamaged, InputMissing
from anonlab.evaluation.people import Person, load_people

TWO, ONE = ("p1", "p2", "p4", "p5", "p7", "p8"), ("p0", "p3", "p6", "p9")


def photo(path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"")


def names(people: list[Person]) -> list[str]:
    return [one.name for one in people]


def test_a_folder_for_each_person_but_not_for_hidden_folders(tmp_path):
    for name in ("b/2.JPG", "b/1.jpeg", "a/x.webp", "a/y.tiff", "a/notes.txt", "loose.jpg"):
        photo(tmp_path / name)
    photo(tmp_path / ".thumbnails" / "a.jpg")
    photo(tmp_path / "empty" / "read.me")
    assert sorted(load_people(tmp_path), key=lambda one: one.name) == [
        Person("a", (tmp_path / "a" / "x.webp", tmp_path / "a" / "y.tiff")),
        Person("b", (tmp_path / "b" / "1.jpeg", tmp_path / "b" / "2.JPG")),
        Person("empty", ()),  # still named
    ]
    assert load_people(str(tmp_path)) == load_people(tmp_path)


@pytest.mark.parametrize(
    ("count", "expected"),
    [
        (1, ["p1"]),
        (2, ["p1", "p5"]),  # spread over those with two photos, which come first
        (3, ["p1", "p4", "p7"]),
        (6, [*TWO]),
        (8, [*TWO, "p0", "p6"]),  # all with two, and the others spread again
        (99, [*TWO, *ONE]),
        (None, [*TWO, *ONE]),
    ],
)
def test_a_count_is_spread_over_the_set(tmp_path, count, expected):
    """Of ten people; those whose number is a multiple of three have one photo, the others two."""
    for number in range(10):
        photo(tmp_path / f"p{number}" / "1.jpg")
        if number % 3:
            photo(tmp_path / f"p{number}" / "2.png")
    assert names(load_people(tmp_path, count)) == expected


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "lacks the columns file and identity"),
        (b"file,name\na.jpg,ann\n", "lacks the columns file and identity"),
        (b"a.jpg,ann\n", "lacks the columns file and identity"),
        (b"file,identity\nb.jpg,bob\na.jpg\n", "line 3"),
        (b"file,identity\nb.jpg,bob\n,ann\n", "line 3"),
        ("file,identity\na.jpg,Zoë\n".encode("utf-16"), "save it as CSV in UTF-8"),
    ],
)
def test_a_damaged_index_is_refused(tmp_path, content, said):
    (tmp_path / "index.csv").write_bytes(content)
    with pytest.raises(InputDamaged, match=rf"index\.csv.*{said}"):
        load_people(tmp_path)


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
