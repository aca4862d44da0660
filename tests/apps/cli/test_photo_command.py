"""The commands for photos with bad photos, bad folders and bad options."""

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from faked import Inverter, files, noise, photo_file, pixels_of, written

from anonlab.apps.album import Album
from anonlab.controls import Controls
from anonlab.photo.detection import Detector
from anonlab.photo.faces import Face
from anonlab.photo.photos import Photo

RESAVE = "open and re-save it in a photo editor"
DARK, WHITE = noise(9) // 29, 250 + noise(8) // 43  # to the `Inverter` without a face, and too large
CLIP = b"\0\0\0\x18ftypmp42" + bytes(99)
BAD: dict[str, tuple[bytes | np.ndarray | str, str]] = {  # what cannot be done, and what is said
    "wall.png": (DARK, "shows no face that can be found; use a photo with a face"),
    "large.png": (WHITE, "could not be processed (out of memory); try a smaller copy"),
    "letter.jpg": (b"Dear all,\nno photo here.\n", RESAVE),
    "half.png": (noise(5), RESAVE),
    "half.jpg": (noise(5), RESAVE),
    "dot.png": (
        np.full((1, 1, 3), 100, np.uint8),
        "is only 1×1 pixels; a photo of a face needs at least",
    ),
    "my clip.mp4": (CLIP, "is a clip; anonymize it with: python -m anonlab video '"),
    "gone.jpg": ("missing", "does not exist; check the spelling"),
    "holiday": ("a folder", "is a folder without photos; name one that has some"),
    "x" * 300 + ".jpg": ("missing", "cannot be opened (File name too long); rename or copy it"),
}
IN_FOLDERS = [*BAD][:7]


def make(folder: Path, name: str) -> bytes | np.ndarray | str:
    """Write what cannot be done into a folder; returns what it is."""
    content, path = BAD[name][0], folder / name
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif isinstance(content, np.ndarray):
        written(path, content)
        if "half" in name:
            path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    elif content == "a folder":
        path.mkdir()
        for other in ("notes.txt", ".hidden.png"):
            (path / other).write_text("no photo")
    return content


def record_of(out: Path) -> dict:
    return json.loads((out / "record.json").read_text())


def assert_one_error(err: str, *parts: str) -> None:
    """Standard error is one line from anonlab, one sentence with a remedy, and has these parts."""
    (line,) = err.splitlines()
    assert line.startswith("anonlab: ") and "; " in line
    assert ". " not in line and not line.endswith(".")
    assert all(part in line for part in parts), line


@pytest.mark.parametrize("name", BAD, ids=lambda name: name[:20])
def test_a_photo_that_cannot_be_done(tmp_path, command, name):
    make(tmp_path, name)
    outcome = command("anonymize", tmp_path / name, "--out", tmp_path / "out")
    assert (outcome.status, outcome.out) == (1, "")
    assert_one_error(outcome.err, name, BAD[name][1])
    assert files(tmp_path / "out") == ["record.json"]
    (photo,) = record_of(tmp_path / "out")["photos"]
    assert (photo["output"], photo["faces"]) == (None, [])
    assert f"anonlab: {photo['error']}" == outcome.err.strip()


@pytest.mark.parametrize("mode", ["anonymize", "album", "--preview"])
def test_one_photo_never_costs_the_others_and_nothing_unanonymized_is_written(
    tmp_path, command, monkeypatch, mode
):
    inputs = [photo_file(tmp_path / "in" / "z.png"), *(make(tmp_path / "in", one) for one in IN_FOLDERS)]
    face = Face((1.0, 2.0, 30.0, 40.0), np.array([[9, 12], [21, 12], [15, 20], [10, 28], [20, 28]]), 1.0)

    def detect(_: object, photo: Photo) -> list[Face]:
        Inverter()(photo, Controls())  # raises what it raises for this photo
        return [face]

    monkeypatch.setattr(Detector, "__init__", lambda *_: None)
    monkeypatch.setattr(Detector, "__call__", detect)
    album = Album([], 0.6, SimpleNamespace(embeddings=torch.zeros(2, 4)))
    monkeypatch.setattr(Album, "open", classmethod(lambda *_: album))
    monkeypatch.setattr(Inverter, "detector", Detector(), raising=False)
    monkeypatch.setattr(Inverter, "replace", lambda self, **_: self, raising=False)
    words = ["anonymize", mode] if mode == "--preview" else [mode]
    outcome = command(*words, tmp_path / "in", "--out", tmp_path / "out")
    assert outcome.status == 1 and "z.png -> " in outcome.out
    done = [name for name in files(tmp_path / "out") if name.endswith(".png")]
    assert done == ["z.png.faces.png" if mode == "--preview" else "z.png"]
    for name in IN_FOLDERS:
        assert sum(name in line for line in outcome.err.splitlines()) == 1, name
    shown = pixels_of(tmp_path / "out" / done[0])
    assert not any(np.array_equal(shown, one) for one in inputs)
    originals = {path.read_bytes() for path in (tmp_path / "in").iterdir()}
    assert not originals & {path.read_bytes() for path in (tmp_path / "out").iterdir()}


def test_everything_in_a_folder_is_done_or_named(tmp_path, command):
    folder = tmp_path / "in"
    photo_file(folder / "a.png")
    photo_file(folder / ".hidden.png")
    photo_file(folder / ".trash" / "b.png")
    (folder / "below").mkdir()
    for name in ("IMG.MOV", "b.mp4", "below/c.webm"):
        (folder / name).write_bytes(CLIP)
    for name in ("IMG.DNG", "notes.txt"):
        (folder / name).write_text("what is in it does not matter")
    (folder / "shared.jpg_large").write_bytes(b"\xff\xd8\xff\xe0" + bytes(99))
    outcome = command("anonymize", folder, "--out", tmp_path / "out")
    assert outcome.status == 0 and files(tmp_path / "out") == ["a.png", "record.json"]
    left_out = record_of(tmp_path / "out")["left_out"]
    assert {Path(one["source"]).name: one["what"] for one in left_out} == {
        **dict.fromkeys(("IMG.MOV", "b.mp4", "c.webm"), "a clip"),
        "IMG.DNG": "a raw file of a camera",
        "shared.jpg_large": "a photo whose name does not say so",
        "notes.txt": "no photo",
        ".hidden.png": "hidden",
        ".trash": "hidden",
    }
    lines = outcome.err.splitlines()
    assert len(lines) == 3 and all(line.startswith("anonlab: left out: ") for line in lines)
    (clips,) = (line for line in lines if "(a clip); anonymize it with: python -m anonlab video" in line)
    assert all(name in clips for name in ("IMG.MOV", "b.mp4", "c.webm"))


def test_a_preview_is_not_written_over_a_photo(tmp_path, command, monkeypatch):
    photo_file(tmp_path / "a.png")
    photo_file(tmp_path / "a.png.faces.png", 1)
    before = (tmp_path / "a.png.faces.png").read_bytes()
    monkeypatch.setattr(Detector, "__init__", lambda *_: None)
    monkeypatch.setattr(Detector, "__call__", lambda *_: [])
    outcome = command("anonymize", tmp_path, "--out", tmp_path, "--preview")
    assert outcome.status == 1 and "would replace the photo" in outcome.err
    assert (tmp_path / "a.png.faces.png").read_bytes() == before


OVER = "would be overwritten; choose another output folder"
TWICE = "has the same name as a photo before it; anonymize it into"
THROUGH = "is a link, and results are not written through one"
REFUSED: dict[str, tuple] = {  # photos, where a link stands and leads to, sources, what is said
    "a second photo of the name": (["x/a.png", "y/a.png"], (), ["x/a.png", "y/a.png"], TWICE),
    "into the input folder": (["out/a.png", "out/below/b.png"], (), ["out"], OVER),
    "another photo's original": (["x/a.png", "out/a.png"], (), ["x/a.png", "out/a.png"], OVER),
    "a hard link": (["in/a.png"], ("out/a.png", "in/a.png"), ["in"], OVER),
    "a soft link": (["in/a.png"], ("out/a.png", "in/a.png"), ["in"], OVER),
    "a link to a letter": (["in/a.png"], ("out/a.png", "letter"), ["in"], THROUGH),
    "a linked folder": (["in/below/a.png", "mine/a.png"], ("out/below", "mine"), ["in"], THROUGH),
}


@pytest.mark.parametrize("case", REFUSED)
def test_no_result_is_written_over_or_through_anything(tmp_path, command, case):
    photos, link, sources, said = REFUSED[case]
    for seed, name in enumerate(photos):
        photo_file(tmp_path / name, seed)
    (tmp_path / "letter").write_text("here first")
    if link:
        (tmp_path / "out").mkdir()
        place, target = (tmp_path / name for name in link)
        place.hardlink_to(target) if case == "a hard link" else place.symlink_to(target)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    outcome = command("anonymize", *(tmp_path / one for one in sources), "--out", tmp_path / "out")
    assert outcome.status == 1 and said in outcome.err, outcome.err
    assert {path: path.read_bytes() for path in before} == before


@pytest.mark.parametrize("name", ["out", "out/below", "record"])
def test_an_output_that_cannot_be_written_is_named_before_the_first_photo(
    tmp_path, command, loads, name
):
    photo_file(tmp_path / "a.png")
    (tmp_path / "out").write_text("here first")
    words = ["--out", tmp_path / name]
    if name == "record":
        words = ["--out", tmp_path / "new", "--json", tmp_path / "a.png" / "record.json"]
    outcome = command("anonymize", tmp_path / "a.png", *words)
    assert outcome.status == 1
    assert_one_error(outcome.err, str(tmp_path), "choose another output folder")
    assert loads.given[0].seen == [] and (tmp_path / "out").read_text() == "here first"
    assert files(tmp_path) == ["a.png", "out"]


def test_options_reach_the_record(tmp_path, command):
    photo_file(tmp_path / "a.png")
    command(
        *("anonymize", tmp_path / "a.png", "--out", tmp_path / "out", "--faces", "largest"),
        *("--seed", 3, "--strength", 0.5, "--mask-area", 0.4, "--keep", "age,tone"),
    )
    record = record_of(tmp_path / "out")
    chosen = Controls(seed=3, strength=0.5, mask_area=0.4, keep=("age", "tone"))
    people = {"faces": "largest", "fallback": "blur", "leave": [], "only": []}
    assert record["controls"] == json.loads(json.dumps(vars(chosen))) | people
    parts = {"generator": "mobile", "generator_weights": None, "method": "auto"}
    assert record["run"] == parts | {"keep_metadata": [], "key": None}
    [face] = record["photos"][0]["faces"]
    assert face["box"] == [1.0, 2.0, 30.0, 40.0] and face["matched"] is False and face["seed"] == 3
    assert (face["distance"], face["threshold"], face["mask_area"]) == (0.75, 0.6, 0.4)


def test_ctrl_c_leaves_what_was_finished(tmp_path, command, monkeypatch):
    photo_file(tmp_path / "a.png", 1)
    photo_file(tmp_path / "b.png", 2)

    def interrupt(photo: Photo) -> None:
        if photo.name.endswith("b.png"):
            raise KeyboardInterrupt

    monkeypatch.setattr(Inverter.__init__, "__defaults__", (interrupt,))
    outcome = command("anonymize", tmp_path / "a.png", tmp_path / "b.png", "--out", tmp_path / "out")
    assert outcome.status == 130 and "--resume goes on" in outcome.err
    assert files(tmp_path / "out") == ["a.png", "record.json"]
    (photo,) = record_of(tmp_path / "out")["photos"]
    assert photo["source"] == str(tmp_path / "a.png")


@pytest.mark.parametrize(
    ("option", "value", "said"),
    [
        ("--mask-area", "big", "--mask-area: invalid float value: 'big'"),
        ("--keep", "age,hair", "keep hair does not exist; choose from: gender, age, tone, look"),
        ("--faces", "some", "--faces: 'some' is no choice of faces; take all, largest or numbers"),
        ("--faces", "0", "--faces: '0' is no choice of faces; take all, largest or numbers from 1"),
        ("--device", "x", "--device: invalid choice: 'x'"),
        ("--colour", "red", "unrecognized arguments: --colour red"),
    ],
)
def test_unknown_value(tmp_path, command, loads, option, value, said):
    photo_file(tmp_path / "a.png")
    outcome = command("anonymize", tmp_path / "a.png", "--out", tmp_path / "out", option, value)
    assert outcome.status == 2 and said in outcome.err.splitlines()[-1]
    assert loads.arguments == [] and files(tmp_path) == ["a.png"]


@pytest.mark.parametrize("key", [None, b"", b"  fifteen bytes.. \n", b"0123456789abcdef\n"])
def test_only_a_whole_key_is_used(tmp_path, command, loads, key):
    """White space around it does not count; no random key is used instead of one that is wrong."""
    photo_file(tmp_path / "a.png")
    path, out = tmp_path / "key", tmp_path / "out"
    if key is not None:
        path.write_bytes(key)
    outcome = command("anonymize", tmp_path / "a.png", "--out", out, "--key", path)
    if key and len(key.strip()) >= 16:
        assert (outcome.status, loads.arguments) == (0, [("mobile", "auto", "auto", key.strip())])
        return
    assert (outcome.status, loads.arguments, out.exists()) == (1, [], False)
    if key is None:
        assert f"key file {path} cannot be read" in outcome.err and "secrets.token_hex" in outcome.err
    else:
        assert_one_error(outcome.err, f"holds {len(key.strip())} bytes", "at least 16")
