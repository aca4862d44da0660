"""The people of an evaluation, with several photos each, from a folder or from what is embedded."""

from __future__ import annotations

import csv
from dataclasses import dataclass, field, replace
from pathlib import Path

from ..errors import InputDamaged, InputMissing, UnknownOption
from ..photo.photos import READABLE

EMBEDDED = "embedded"
LFW = "lfw"
FIRST_SEED = 100  # of the embedded people; smaller ones are the samples of the notebooks
LFW_COMMAND = 'python -c "from sklearn.datasets import fetch_lfw_people as f; f()"'


@dataclass(frozen=True)
class Person:
    """Name a person, and photos of that person: paths, or names of samples. The first one is
    anonymized, the second stands in the attacker's gallery."""

    name: str
    photos: tuple[Path | str, ...]
    dataset: str = ""  # of the index; sets are never pooled
    tags: dict[str, str] = field(default_factory=dict)  # `name=value` of the index: what is stated


def load_people(source: str | Path, count: int | None = None) -> list[Person]:
    """Return people of one source, at most `count`, spread over all of it.

    `embedded` is generated people with two photos each; `lfw` is scikit-learn's cache of Labeled Faces
    in the Wild; else a folder: with an `index.csv` (columns `file` and `identity`), or in the layout
    `person/photo.jpg`. People with two photos come before those with one. Raises `UnknownOption`,
    `InputMissing` or `InputDamaged`.
    """
    if count is not None and count < 1:
        raise UnknownOption(f"{source} is asked for {count} people; ask for at least 1")
    if str(source) == EMBEDDED:
        names = [f"synthetic-{seed}" for seed in range(FIRST_SEED, FIRST_SEED + (count or 8))]
        return [Person(name, (name, f"{name}-1")) for name in names]
    folder = lfw_folder() if str(source) == LFW else Path(source)
    if not folder.is_dir():
        raise InputMissing(f"{folder} is not a folder; name one with photos as person/photo.jpg")
    index = folder / "index.csv"
    people = _indexed(index) if index.is_file() else _folders(folder)
    if not people:
        raise InputMissing(f"{folder} holds no person/photo.jpg; make one folder for each person")
    people.sort(key=lambda one: one.name)
    several = _spread([one for one in people if len(one.photos) > 1], count)
    left = None if count is None else count - len(several)
    return several + _spread([one for one in people if len(one.photos) < 2], left)


def lfw_folder() -> Path:
    """Find scikit-learn's LFW. Raises `InputMissing` with the command that fetches it."""
    from sklearn.datasets import get_data_home

    home = Path(get_data_home()) / "lfw_home"
    for name in ("lfw_funneled", "lfw"):
        if (home / name).is_dir():
            return home / name
    raise InputMissing(f"{home} holds no Labeled Faces in the Wild; fetch it with: {LFW_COMMAND}")


def _spread(people: list[Person], count: int | None) -> list[Person]:
    """Choose `count` of them at even steps, or all when there are fewer."""
    count = len(people) if count is None else min(count, len(people))
    return [people[index * len(people) // count] for index in range(count)]


def _indexed(index: Path) -> list[Person]:
    found: dict[str, Person] = {}
    try:
        with index.open(newline="", encoding="utf-8-sig") as file:  # spreadsheets begin with a mark
            rows = csv.DictReader(file)
            if not {"file", "identity"} <= set(rows.fieldnames or ()):
                raise InputDamaged(f"{index} lacks the columns file and identity; add them")
            for row in rows:  # a file that is not there stays, so that it is reported
                name = row["identity"]
                if not row["file"] or not name:
                    raise InputDamaged(
                        f"{index}, line {rows.line_num}, lacks a file or an identity; complete it"
                    )
                one = found.setdefault(name, Person(name, (), row.get("dataset") or ""))
                told = (tag.partition("=") for tag in (row.get("tags") or "").split(";") if "=" in tag)
                one.tags.update((key, value) for key, _, value in told)
                found[name] = replace(one, photos=(*one.photos, index.parent / row["file"]))
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputDamaged(f"{index} is no table ({error}); save it as CSV in UTF-8") from None
    return [*found.values()]


def _folders(folder: Path) -> list[Person]:
    folders = [one for one in folder.iterdir() if one.is_dir() and not one.name.startswith(".")]
    photos = {one: sorted(x for x in one.iterdir() if x.suffix.lower() in READABLE) for one in folders}
    return [Person(one.name, tuple(paths)) for one, paths in photos.items()]
