"""The people of an evaluation, with several photos each, from a folder or from what is embedded."""

from __future__ import annotations

import csv
from dataclasses import dataclass, field
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
    about: dict[str, dict] = {}
    photos = _indexed(index, about) if index.is_file() else _folders(folder)
    if not photos:
        raise InputMissing(f"{folder} holds no person/photo.jpg; make one folder for each person")
    several = [name for name in sorted(photos) if len(photos[name]) > 1]
    names = _spread(several, count)
    single = sorted(photos.keys() - {*several})
    names += _spread(single, None if count is None else count - len(names))
    return [Person(name, tuple(photos[name]), **about.get(name, {})) for name in names]


def lfw_folder() -> Path:
    """Find scikit-learn's LFW. Raises `InputMissing` with the command that fetches it."""
    from sklearn.datasets import get_data_home

    home = Path(get_data_home()) / "lfw_home"
    for name in ("lfw_funneled", "lfw"):
        if (home / name).is_dir():
            return home / name
    raise InputMissing(f"{home} holds no Labeled Faces in the Wild; fetch it with: {LFW_COMMAND}")


def _spread(names: list[str], count: int | None) -> list[str]:
    """Choose `count` of them at even steps, or all when there are fewer."""
    count = len(names) if count is None else min(count, len(names))
    return [names[index * len(names) // count] for index in range(count)]


def _indexed(index: Path, about: dict[str, dict]) -> dict[str, list[Path]]:
    photos: dict[str, list[Path]] = {}
    try:
        with index.open(newline="", encoding="utf-8-sig") as file:  # spreadsheets begin with a mark
            rows = csv.DictReader(file)
            if not {"file", "identity"} <= set(rows.fieldnames or ()):
                raise InputDamaged(f"{index} lacks the columns file and identity; add them")
            for row in rows:  # a file that is not there stays, so that it is reported
                if not row["file"] or not row["identity"]:
                    raise InputDamaged(
                        f"{index}, line {rows.line_num}, lacks a file or an identity; complete it"
                    )
                photos.setdefault(row["identity"], []).append(index.parent / row["file"])
                told = (one.partition("=") for one in (row.get("tags") or "").split(";") if "=" in one)
                known = about.setdefault(
                    row["identity"], {"dataset": row.get("dataset") or "", "tags": {}}
                )
                known["tags"] |= {name: value for name, _, value in told}
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputDamaged(f"{index} is no table ({error}); save it as CSV in UTF-8") from None
    return photos


def _folders(folder: Path) -> dict[str, list[Path]]:
    return {
        person.name: sorted(path for path in person.iterdir() if path.suffix.lower() in READABLE)
        for person in folder.iterdir()
        if person.is_dir() and not person.name.startswith(".")
    }
