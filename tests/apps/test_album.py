"""A person gets one new face in all photos; who that is, only the key opens."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from painting import painting

from anonlab import Anonymizer
from anonlab.apps import cli
from anonlab.apps.album import NONE, Album, group
from anonlab.errors import InputDamaged
from anonlab.identity.population import Attributes
from anonlab.notebook.samples import sample_photo
from anonlab.perception.perception import AlignedFace

KEY = b"a secret of at least 16 bytes"
THRESHOLD = 0.6


def people(count: int, views: int, spread: float, seed: int = 0) -> torch.Tensor:
    """Embeddings `(count · views, 128)` of people far from each other, each seen a few times."""
    rng = torch.Generator().manual_seed(seed)
    middle = torch.nn.functional.normalize(torch.randn(count, 1, 128, generator=rng), dim=-1)
    views_of = middle + spread * torch.randn(count, views, 128, generator=rng) / 128**0.5
    return views_of.reshape(-1, 128)


STRANGERS = people(100, 1, 0.0, seed=9)


def test_faces_of_one_person_are_a_group_and_strangers_stay_alone():
    known, alone = people(5, 4, 0.2), people(3, 1, 0.0, seed=1)
    embeddings = torch.cat([known, alone])
    found = group(embeddings, list(range(len(embeddings))), THRESHOLD, STRANGERS)
    assert found == [list(range(4 * i, 4 * i + 4)) for i in range(5)] + [[20], [21], [22]]


def test_nobody_is_twice_in_one_photo():
    twins = people(1, 4, 0.05)
    found = group(twins, [0, 0, 1, 2], THRESHOLD, STRANGERS)
    assert sorted(number for members in found for number in members) == [0, 1, 2, 3]
    assert not [members for members in found if {0, 1} <= set(members)]


def test_the_file_holds_everybody_and_only_the_key_opens_it(tmp_path, population, recognizer):
    path = tmp_path / "album.people"
    parts = SimpleNamespace(recognizer=recognizer, population=population)
    assert Album.open(path, KEY, parts).people == []
    person = AlignedFace(NONE, people(1, 1, 0.0), Attributes(-1.0, 41.5, 12.0))
    Album([person], THRESHOLD, population).save(path, KEY)
    [again] = Album.open(path, KEY, parts).people
    assert torch.equal(again.embedding, person.embedding) and again.attributes == person.attributes
    assert b"embedding" not in path.read_bytes()
    with pytest.raises(InputDamaged, match=r"album\.people"):
        Album.open(path, b"another secret of 16 bytes", parts)
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(InputDamaged):
        Album.open(path, KEY, parts)


def test_later_photos_join_and_move_nobody(population):
    album = Album([], THRESHOLD, population)
    views = people(2, 4, 0.2)
    faces = [AlignedFace(NONE, view[None], Attributes(1.0, 30.0, 40.0)) for view in views]
    album.add([[face] for face in (*faces[:3], faces[4], faces[5])])
    before = [person.embedding.clone() for person in album.people]
    album.add([[faces[3]], [faces[6]], [faces[7]]])
    assert len(album.people) == 2
    assert all(torch.equal(a, b.embedding) for a, b in zip(before, album.people, strict=True))
    assert torch.equal(album.known(faces[3]).embedding, before[0])
    assert torch.equal(album.known(faces[7]).embedding, before[1])


def test_the_command_keeps_who_was_there_for_the_next_photos(tmp_path, shipped, monkeypatch, capsys):
    asked = []

    def encode(_, face, *__):
        asked.append(face.embedding.clone())
        return torch.zeros(1, 16, 512)

    painting(monkeypatch, Anonymizer, lambda image, mask, _: (1 - 2 * mask).expand_as(image), encode)
    monkeypatch.setattr(Anonymizer, "load", lambda *_, **__: shipped)
    # the painted face is no face any more, so it is covered: what is tested is who was asked for
    folder, out = tmp_path / "in", tmp_path / "out"
    folder.mkdir()
    photo = sample_photo("astronaut")
    photo.save(folder / "a.png")
    photo.resize((300, 300)).save(folder / "b.png")
    assert cli.main(["album", str(folder), "--out", str(out)]) == 3
    assert "2 faces of 1 people, 1 of them new" in capsys.readouterr().out
    key = out / "album.key"
    assert key.stat().st_mode & 0o77 == 0
    assert len(key.read_bytes().strip()) == 64
    photo.rotate(5).save(folder / "c.png")
    again = ["album", str(folder), "--out", str(out), "--key", str(key)]
    assert cli.main(again) == 3
    assert "3 faces of 1 people, 0 of them new" in capsys.readouterr().out
    assert len({tuple(np.round(one[0].tolist(), 6)) for one in asked}) == 1
    assert sorted(path.name for path in Path(out).glob("*.png")) == ["a.png", "b.png", "c.png"]
