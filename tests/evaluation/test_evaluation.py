"""A small evaluation from photos to numbers: it can be interrupted, repeated and drawn, and says no."""

import json

import pytest
import torch
from PIL import Image

from anonlab import Anonymizer
from anonlab.apps import cli
from anonlab.device import torch_threads
from anonlab.errors import FolderBusy, InputMissing
from anonlab.evaluation.evaluate import evaluate
from anonlab.evaluation.judging import Judge, load_judges
from anonlab.evaluation.people import load_people
from anonlab.evaluation.pictures import BASE, LEARNED, OPTIONAL, Gallery, Sitting, peer_recipes
from anonlab.files import folder_lock
from anonlab.notebook.samples import sample_photo

PEERS = {name: one for name, one in peer_recipes().items() if "blur weak" in name}


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    """The last digit depends on how many threads share a sum."""
    with torch_threads(1):
        yield


@pytest.fixture(scope="module")
def judges(one_pass, tiny_onnx, tmp_path_factory) -> list[Judge]:
    """The guide, and a recogniser that compares pictures of 8 by 8 pixels."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TORCH_HOME", str(tmp_path_factory.mktemp("no downloads")))
        options = {"threshold": 0.02, "far": 1e-3, "name": "stranger"}
        return load_judges(one_pass.recognizer, tiny_onnx, options)


@pytest.fixture(scope="module")
def folder(generator, tmp_path_factory):
    """Three people with two photos, of whom one also has a damaged one; one with one; one with none that
    can be used."""
    folder = tmp_path_factory.mktemp("photos")
    rows = ["file,identity,dataset"]
    for name, sample in (("ann", "synthetic-100"), ("bob", "synthetic-101"), ("cid", "synthetic-102")):
        for number in ("", "-1"):
            photo = sample_photo(sample + number, generator).resize((512, 512))
            photo.save(folder / f"{name}{number}.png")
            rows.append(f"{name}{number}.png,{name},made")
    sample_photo("astronaut").save(folder / "dee.png")
    (folder / "damaged.jpg").write_bytes(b"\xff\xd8\xff\xe0 no more of it")
    Image.new("RGB", (300, 300), "green").save(folder / "lawn.png")
    rows[4:4] = ["missing.png,bob,made", "damaged.jpg,bob,made"]
    rows += ["dee.png,dee,made", "lawn.png,lawn,made"]
    (folder / "index.csv").write_text("\n".join(rows) + "\n")
    return folder


@pytest.fixture(scope="module")
def state(tmp_path_factory):
    return tmp_path_factory.mktemp("state")


@pytest.fixture(scope="module")
def made(one_pass, judges, folder, state):
    return evaluate({str(folder): None}, one_pass, judges, state, methods=PEERS, k=(2,), pairs=6)


@pytest.fixture
def keys(monkeypatch) -> list[bytes]:
    found: list[bytes] = []
    attempt = Anonymizer.attempt

    def noted(self, *arguments, **options):
        found.append(self.key)
        return attempt(self, *arguments, **options)

    monkeypatch.setattr(Anonymizer, "attempt", noted)
    return found


def test_other_recognisers_compute_where_the_guide_does(one_pass, monkeypatch):
    def load(name: str, device: torch.device):
        assert (name, device) == ("facenet", one_pass.device)
        return one_pass.recognizer

    monkeypatch.setattr("anonlab.evaluation.judging.load_recognizer", load)
    assert [one.seen for one in load_judges(one_pass.recognizer)] == [True, False]


def test_everybody_with_two_photos_is_evaluated_and_others_are_named(made):
    people = made.people["made"]
    assert [one.person.name for one in people] == ["ann", "bob", "cid"]
    assert all(
        {*BASE.keys() - {OPTIONAL}, "blur weak", "k-same 2"} <= one.pixels.keys() for one in people
    )
    told = {(one["person"], one["problem"]) for one in made.problems}
    assert ("dee", "one usable photo only; add another") in told and ("lawn", "no usable photo") in told
    assert {name for name, _ in told} == {"bob", "dee", "lawn"}


def test_nobody_to_evaluate_is_an_error(one_pass, judges, folder, tmp_path):
    (tmp_path / "index.csv").write_text(f"file,identity\n{folder / 'lawn.png'},lawn\n")
    for sources in ({str(tmp_path): None}, {}):
        with pytest.raises(InputMissing, match="no person has two photos"):
            evaluate(sources, one_pass, judges, tmp_path / "state")


def test_the_same_people_are_read_and_give_the_same_numbers(made, one_pass, judges, folder, state, keys):
    again = evaluate({str(folder): None}, one_pass, judges, state, methods=PEERS, k=(2,), pairs=6)
    assert keys == []  # pictures are not made again, and judges alone are
    assert json.dumps(again.sets, sort_keys=True) == json.dumps(made.sets, sort_keys=True)


def test_an_interrupted_run_goes_on_and_a_damaged_file_is_made_again(
    made, one_pass, folder, tmp_path, monkeypatch, keys
):
    people = load_people(folder)
    recipes = {name: BASE[name] for name in ("photo", "other photo", "result")}
    ship = Sitting.ship

    def stop(self, *arguments, **options):
        if len(keys) == 1:
            raise KeyboardInterrupt
        return ship(self, *arguments, **options)

    monkeypatch.setattr(Sitting, "ship", stop)
    with pytest.raises(KeyboardInterrupt):
        Gallery(one_pass, tmp_path).people(people, recipes, [], False)
    assert len(list(tmp_path.iterdir())) == 1  # of ann: no half-written file, no lock
    monkeypatch.setattr(Sitting, "ship", ship)
    [kept] = tmp_path.glob("*.safetensors")
    content = kept.read_bytes()
    again = Gallery(one_pass, tmp_path).people(people, recipes, [], False)
    assert len(keys) == 3 and kept.read_bytes() == content
    for one, other in zip(again, made.people["made"], strict=True):
        assert torch.equal(one.pixels["result"], other.pixels["result"])
    kept.write_bytes(content[: len(content) // 2])
    Gallery(one_pass, tmp_path).people(people, recipes, [], False)
    assert len(keys) == 4 and kept.read_bytes() == content
    more = recipes | {"other photo, same key": BASE["other photo, same key"]}
    Gallery(one_pass, tmp_path).people(people, more, [], False)
    assert len(keys) == 7  # what is there is not made again
    Gallery(one_pass, tmp_path, seed=1).people(people[:1], recipes, [], False)
    assert len(keys) == 8 and len(list(tmp_path.glob("*.safetensors"))) == 4
    with folder_lock(tmp_path), pytest.raises(FolderBusy):
        Gallery(one_pass, tmp_path).people(people, recipes, [], False)


def test_every_pair_has_its_own_key_and_is_drawn_once(one_pass, tmp_path, keys):
    gallery = Gallery(one_pass, tmp_path)
    for count in (2, 3):
        pairs = gallery.pairs(count, progress=False)
        assert [*pairs[0].pixels] == [*LEARNED] and len(pairs) == count
    assert len(keys) == len(set(keys)) == 3  # the first two were kept
    sitting = Sitting(one_pass, [], 0)
    assert not {sitting.user.key, sitting.attacker.key} & set(keys)


def test_other_weights_are_other_pictures(one_pass, tmp_path):
    first = Gallery(one_pass, tmp_path).setting
    other = Anonymizer.load(method="one-pass", device="cpu", key=b"a secret of at least 16 bytes")
    assert Gallery(other, tmp_path).setting == first
    with torch.no_grad():
        other.generator.blocks[2].conv1.weight[0, 0].mul_(1.01)
    assert Gallery(other, tmp_path).setting != first


def test_the_command_says_which_judge_is_missing(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("ANONLAB_JUDGES", str(tmp_path / "none"))
    assert cli.main(["evaluate", "embedded:2", "--out", str(tmp_path / "out")]) == 1
    assert "doctor --judges" in capsys.readouterr().err
    assert not list((tmp_path / "out").iterdir())
