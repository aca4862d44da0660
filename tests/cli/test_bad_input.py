"""The command line with bad photos, bad folders and bad options, without the real models."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from faked import files, noise, photo_file, pixels_of, written

from anonlab import cli
from anonlab.album import Album
from anonlab.cli.notebooks import from_here
from anonlab.controls import Controls
from anonlab.errors import NoFaceFound
from anonlab.photo.detection import Detector
from anonlab.photo.faces import Face
from anonlab.photo.photos import READABLE, Photo, read_photo
from anonlab.pipeline import Anonymizer
from anonlab.results import FaceResult, Result

PHOTO_KEYS = {"source", "output", "error", "faces", "source_sha256", "output_sha256", "notes"}


@dataclass
class StandIn:
    """Reads photos for real; dark ones have no face, white ones run out of memory, others invert."""

    loads: list[tuple] = field(default_factory=list)  # arguments of each `Anonymizer.load`
    seen: list[Path] = field(default_factory=list)  # photos that it was called with

    def __call__(
        self, image: Photo, controls: Controls, *, progress: bool = False, **choice: object
    ) -> Result:
        self.seen.append(Path(image.name))
        photo = read_photo(image)
        if photo.pixels.mean() < 10:
            raise NoFaceFound(f"{photo.name} shows no face that can be found; use a photo with a face")
        if photo.pixels.mean() > 245:
            raise RuntimeError("out of memory\ntried to allocate 80 GiB")
        dot = torch.zeros(1, 3, 1, 1)
        face = FaceResult(
            box=(1.0, 2.0, 30.0, 40.0),
            attribution=dot,
            mask=dot,
            share_of_face=0.0,
            aligned=dot,
            generated=dot,
            anonymized=dot,
            ws=dot,
            distance=0.75,
            threshold=0.6,
            matched=False,
            controls=controls,
            attempts=1,
            seconds=0.1,
        )
        return Result(photo.image(255 - photo.pixels), [face], photo.icc_profile)


@dataclass
class Outcome:
    """What a command left: its exit status and what it printed."""

    status: int
    out: str
    err: str


Command = Callable[..., Outcome]


@pytest.fixture
def stand_in(monkeypatch: pytest.MonkeyPatch) -> StandIn:
    """Every `Anonymizer.load` gives this one."""
    made = StandIn()

    def load(*arguments: object, generator_path: object = None) -> StandIn:
        made.loads.append(arguments)
        return made

    monkeypatch.setattr(Anonymizer, "load", staticmethod(load))
    return made


@pytest.fixture
def anonymize(stand_in: StandIn, capsys: pytest.CaptureFixture[str]) -> Command:
    """Runs `anonlab anonymize ...`; argparse's own exit counts as an exit status."""

    def command(*arguments: object) -> Outcome:
        capsys.readouterr()
        try:
            status = cli.main(["anonymize", *map(str, arguments)])
        except SystemExit as stop:
            status = stop.code
        printed = capsys.readouterr()
        assert "Traceback" not in printed.err
        return Outcome(status, printed.out, printed.err)

    return command


def faceless(path: Path) -> np.ndarray:
    """Write a dark photo."""
    return written(path, noise(9) // 29)


def too_much(path: Path) -> np.ndarray:
    """Write a white photo, which is more than the stand-in's memory can hold."""
    return written(path, 250 + noise(8) // 43)


def text(path: Path) -> None:
    """Write a letter with a photo's name."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("Dear all,\nno photo here.\n")


def half(path: Path, seed: int = 5) -> np.ndarray:
    """Write the first half of a photo; returns the pixels of the whole."""
    pixels = photo_file(path, seed)
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    return pixels


def record_of(out: Path) -> list[dict]:
    """The photos in the record."""
    return json.loads((out / "record.json").read_text())["photos"]


def assert_one_error(outcome: Outcome, *parts: str) -> None:
    """Standard error is one line from anonlab, one sentence, with these parts in it."""
    lines = outcome.err.splitlines()
    assert len(lines) == 1, outcome.err
    assert lines[0].startswith("anonlab: ")
    assert "; " in lines[0]  # the remedy
    assert ". " not in lines[0]
    assert not lines[0].endswith(".")
    for part in parts:
        assert part in lines[0]


def assert_only_error(outcome: Outcome, out: Path, *parts: str) -> None:
    """One photo failed, it is in the record with its message, and no picture is in `out`."""
    assert outcome.status == 1
    assert outcome.out == ""
    assert_one_error(outcome, *parts)
    assert files(out) == ["record.json"]
    (photo,) = record_of(out)
    assert photo["output"] is None
    assert photo["faces"] == []
    assert f"anonlab: {photo['error']}" == outcome.err.strip()


# Photos that cannot be done


def dot(path: Path) -> None:
    """Write one pixel."""
    written(path, np.full((1, 1, 3), 100, np.uint8))


def empty(path: Path) -> None:
    """Make a folder without photos."""
    path.mkdir()
    for name in ("notes.txt", ".hidden.png"):
        (path / name).write_text("no photo")


def clip(path: Path) -> None:
    """Write the beginning of a clip."""
    path.write_bytes(b"\0\0\0\x18ftypmp42" + bytes(99))


FAULTS: dict[str, tuple[Callable[[Path], object], str]] = {  # what is named → what is said of it
    "wall.png": (faceless, "shows no face that can be found; use a photo with a face"),
    "letter.jpg": (text, "open and re-save it in a photo editor"),
    "gone.jpg": (lambda _: None, "does not exist; check the spelling"),
    "half.png": (half, "open and re-save it in a photo editor"),
    "half.jpg": (half, "open and re-save it in a photo editor"),
    "holiday": (empty, "is a folder without photos; name one that has some"),
    "dot.png": (dot, "is only 1×1 pixels; a photo of a face needs at least"),
    "my clip.mp4": (clip, "is a clip; anonymize it with: python -m anonlab video '"),
    "large.png": (too_much, "could not be processed (out of memory); try a smaller copy"),
    "x" * 300 + ".jpg": (lambda _: None, "cannot be opened (File name too long); rename or copy it"),
}


@pytest.mark.parametrize("name", FAULTS, ids=lambda name: name[:20])
def test_a_photo_that_cannot_be_done(tmp_path: Path, anonymize: Command, name: str) -> None:
    """One sentence, the same in the record, and nothing of it in the output."""
    make, said = FAULTS[name]
    make(tmp_path / name)
    outcome = anonymize(tmp_path / name, "--out", tmp_path / "out")
    assert_only_error(outcome, tmp_path / "out", name, said)


@pytest.mark.parametrize("mode", ["anonymize", "album", "--preview"])
def test_one_photo_never_costs_the_others(
    tmp_path: Path, stand_in: StandIn, monkeypatch: pytest.MonkeyPatch, capsys, mode: str
) -> None:
    """In any mode, whatever is raised: a named error, a decoder's, one that nobody expects."""
    for name, (make, _) in FAULTS.items():
        if len(name) < 99 and name != "gone.jpg":
            make(tmp_path / "in" / name) if name != "my clip.mp4" else clip(tmp_path / "in" / name)
    photo_file(tmp_path / "in" / "z.png")
    face = Face((1.0, 2.0, 30.0, 40.0), np.array([[9, 12], [21, 12], [15, 20], [10, 28], [20, 28]]), 1.0)

    def detect(_: object, photo: Photo) -> list[Face]:
        stand_in(photo, Controls())  # raises what it raises for this photo
        return [face]

    monkeypatch.setattr(Detector, "__init__", lambda *_: None)
    monkeypatch.setattr(Detector, "__call__", detect)
    command = ["album" if mode == "album" else "anonymize", str(tmp_path / "in")]
    if mode == "album":
        looked = Album([], 0.6, SimpleNamespace(embeddings=torch.zeros(2, 4)))
        monkeypatch.setattr(Album, "open", classmethod(lambda *_: looked))
        monkeypatch.setattr(StandIn, "detector", Detector(), raising=False)
        monkeypatch.setattr(StandIn, "replace", lambda self, **_: self, raising=False)
    status = cli.main(
        [*command, "--out", str(tmp_path / "out"), *([mode] if mode == "--preview" else [])]
    )
    printed = capsys.readouterr()
    assert status == 1 and "z.png -> " in printed.out
    done = [name for name in files(tmp_path / "out") if name.endswith(".png")]
    assert done == ["z.png.faces.png" if mode == "--preview" else "z.png"]
    for name in (
        "wall.png",
        "letter.jpg",
        "half.png",
        "half.jpg",
        "dot.png",
        "large.png",
        "my clip.mp4",
    ):
        assert sum(name in line for line in printed.err.splitlines()) == 1, name


def test_everything_in_a_folder_is_done_or_named(tmp_path: Path, anonymize: Command) -> None:
    """On the screen by kinds, in the record file by file; what is no picture only in the record."""
    folder = tmp_path / "in"
    photo_file(folder / "a.png")
    photo_file(folder / ".hidden.png")
    for name in ("IMG.MOV", "b.mp4", "below/c.webm"):
        (folder / "below").mkdir(exist_ok=True)
        clip(folder / name)
    for name in ("IMG.DNG", "notes.txt"):
        (folder / name).write_text("what is in it does not matter")
    (folder / "shared.jpg_large").write_bytes(b"\xff\xd8\xff\xe0" + bytes(99))
    outcome = anonymize(folder, "--out", tmp_path / "out")
    assert outcome.status == 0 and files(tmp_path / "out") == ["a.png", "record.json"]
    record = json.loads((tmp_path / "out" / "record.json").read_text())
    assert {Path(one["source"]).name: one["what"] for one in record["left_out"]} == {
        "IMG.MOV": "a clip",
        "b.mp4": "a clip",
        "c.webm": "a clip",
        "IMG.DNG": "a raw file of a camera",
        "shared.jpg_large": "a photo whose name does not say so",
        "notes.txt": "no photo",
        ".hidden.png": "hidden",
    }
    lines = outcome.err.splitlines()
    assert len(lines) == 3 and all(line.startswith("anonlab: left out: ") for line in lines)
    (clips,) = (line for line in lines if "(a clip); anonymize it with: python -m anonlab video" in line)
    assert all(name in clips for name in ("IMG.MOV", "b.mp4", "c.webm"))


def test_a_preview_is_not_written_over_a_photo(
    tmp_path: Path, stand_in: StandIn, monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    photo_file(tmp_path / "a.png")
    photo_file(tmp_path / "a.png.faces.png", 1)
    before = (tmp_path / "a.png.faces.png").read_bytes()
    monkeypatch.setattr(Detector, "__init__", lambda *_: None)
    monkeypatch.setattr(Detector, "__call__", lambda *_: [])
    assert cli.main(["anonymize", str(tmp_path), "--out", str(tmp_path), "--preview"]) == 1
    assert (tmp_path / "a.png.faces.png").read_bytes() == before
    assert "would replace the photo" in capsys.readouterr().err


# Many photos


def test_nothing_unanonymized_is_in_the_output(tmp_path: Path, anonymize: Command) -> None:
    """No output has the pixels or the bytes of any input, whatever became of that input."""
    folder = tmp_path / "in"
    inputs = {
        "a.png": photo_file(folder / "a.png", 1),
        "below/b.png": photo_file(folder / "below" / "b.png", 2),
        "c.png": faceless(folder / "c.png"),
        "d.png": too_much(folder / "d.png"),
        "e.png": half(folder / "e.png", 5),
        "f.png": written(folder / "f.png", np.full((1, 1, 3), 100, np.uint8)),
        "g.bmp": photo_file(folder / "g.bmp", 6),
        "h.jpg": half(folder / "h.jpg", 7),
    }
    text(folder / "i.jpg")
    outcome = anonymize(folder, "--out", tmp_path / "out")
    assert outcome.status == 1
    assert files(tmp_path / "out") == ["a.png", "below/b.png", "g.bmp", "record.json"]
    originals = {path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    for path in (tmp_path / "out").rglob("*"):
        if not path.is_file():
            continue
        assert path.read_bytes() not in originals
        if path.suffix in READABLE:
            pixels = pixels_of(path)
            for name, original in inputs.items():
                assert not np.array_equal(pixels, original), (path, name)
    assert {entry["source"]: bool(entry["error"]) for entry in record_of(tmp_path / "out")} == {
        str(folder / name): name not in ("a.png", "below/b.png", "g.bmp") for name in (*inputs, "i.jpg")
    }


def test_second_photo_of_the_same_name(tmp_path: Path, anonymize: Command) -> None:
    """It is an error, and the first one's result stays."""
    first = photo_file(tmp_path / "x" / "a.png", 1)
    photo_file(tmp_path / "y" / "a.png", 2)
    outcome = anonymize(tmp_path / "x" / "a.png", tmp_path / "y" / "a.png", "--out", tmp_path / "out")
    assert outcome.status == 1
    assert_one_error(outcome, str(tmp_path / "y" / "a.png"), "into another folder")
    np.testing.assert_array_equal(pixels_of(tmp_path / "out" / "a.png"), 255 - first)
    assert [entry["output"] for entry in record_of(tmp_path / "out")] == [
        str(tmp_path / "out" / "a.png"),
        None,
    ]


# The output folder


def test_output_folder_equal_to_input_folder(tmp_path: Path, anonymize: Command) -> None:
    """Refused for what it is; the originals are the same, byte for byte."""
    photo_file(tmp_path / "in" / "a.png", 1)
    photo_file(tmp_path / "in" / "below" / "b.png", 2)
    before = {name: (tmp_path / "in" / name).read_bytes() for name in ("a.png", "below/b.png")}
    outcome = anonymize(tmp_path / "in", "--out", tmp_path / "in")
    assert outcome.status == 1
    assert {name: (tmp_path / "in" / name).read_bytes() for name in before} == before
    assert files(tmp_path / "in") == ["a.png", "below/b.png", "record.json"]
    assert "without photos" not in outcome.err
    assert "choose another output folder" in outcome.err


def test_output_that_is_another_photos_original(tmp_path: Path, anonymize: Command) -> None:
    """No photo's result replaces the original of another photo in the same command."""
    photo_file(tmp_path / "copies" / "a.png", 1)
    photo_file(tmp_path / "a.png", 2)
    before = (tmp_path / "a.png").read_bytes()
    outcome = anonymize(tmp_path / "copies" / "a.png", tmp_path / "a.png", "--out", tmp_path)
    assert outcome.status == 1
    assert f"would replace the photo {tmp_path / 'a.png'}; choose another output" in outcome.err
    assert (tmp_path / "a.png").read_bytes() == before


@pytest.mark.parametrize("below", ["", "below"])
def test_output_path_is_a_file(tmp_path: Path, anonymize: Command, below: str) -> None:
    """One sentence, status 1, and the file is as it was."""
    photo_file(tmp_path / "a.png")
    (tmp_path / "out").write_text("here first")
    outcome = anonymize(tmp_path / "a.png", "--out", tmp_path / "out" / below)
    assert outcome.status == 1
    assert_one_error(outcome, str(tmp_path / "out"), "choose another output folder")
    assert (tmp_path / "out").read_text() == "here first"
    assert files(tmp_path) == ["a.png", "out"]


@pytest.mark.parametrize("command", ["run", "train encoder", "evaluate embedded:1"])
def test_every_command_refuses_an_unusable_folder_before_its_work(
    tmp_path: Path, capsys: pytest.CaptureFixture, command: str
) -> None:
    """Nothing is downloaded, generated or trained first: it answers at once."""
    (tmp_path / "out").write_text("here first")
    status = cli.main([*command.split(), "--out", str(tmp_path / "out" / "below")])
    lines = capsys.readouterr().err.splitlines()
    assert status == 1
    assert len(lines) == 1
    assert str(tmp_path / "out") in lines[0]
    assert lines[0].endswith("choose another output folder")
    assert (tmp_path / "out").read_text() == "here first"


@pytest.mark.parametrize("name", ["a", "a.tga", "a.pfm"])
def test_a_name_that_says_another_format_costs_nothing(
    tmp_path: Path, anonymize: Command, name: str
) -> None:
    """The content decides what is written, as it decides what is read."""
    photo_file(tmp_path / "a.png")
    (tmp_path / "a.png").rename(tmp_path / name)
    assert anonymize(tmp_path / name, "--out", tmp_path / "out").status == 0
    assert (tmp_path / "out" / name).read_bytes().startswith(b"\x89PNG")


# The record


def test_record_has_these_keys(tmp_path: Path, anonymize: Command) -> None:
    """Exactly these, for photos that were done and photos that were not."""
    photo_file(tmp_path / "a.png")
    faceless(tmp_path / "b.png")
    anonymize(
        *(tmp_path / "a.png", tmp_path / "b.png", "--out", tmp_path / "out"),
        *("--seed", 3, "--strength", 0.5, "--mask-area", 0.4, "--keep", "age,tone"),
        *("--faces", "largest"),
    )
    record = json.loads((tmp_path / "out" / "record.json").read_text())
    assert set(record) == {"controls", "run", "photos"}
    assert record["run"] == {
        "generator": "mobile",
        "generator_weights": None,
        "method": "auto",
        "keep_metadata": [],
        "key": None,
    }
    assert record["controls"] == {
        "mask_area": 0.4,
        "strength": 0.5,
        "target_distance": None,
        "seed": 3,
        "keep": ["age", "tone"],
        "refine_steps": None,
        "perception": "integrated_gradients",
        "mask_threshold": None,
        "include": [],
        "exclude": [],
        "softness": 3.0,
        "symmetric": False,
        "faces": "largest",
        "fallback": "blur",
        "leave": [],
        "only": [],
    }
    assert [set(photo) for photo in record["photos"]] == [PHOTO_KEYS, PHOTO_KEYS]
    done, failed = record["photos"]
    assert done["error"] is None
    assert done["faces"] == [
        {
            "number": 1,
            "box": [1.0, 2.0, 30.0, 40.0],
            "distance": 0.75,
            "threshold": 0.6,
            "matched": False,
            "mask_area": 0.4,
            "mask_share_of_picture": 0.0,
            "mask_share_of_face": 0.0,
            "strength": 0.5,
            "seed": 3,
            "refine_steps": None,
            "attempts": 1,
            "seconds": 0.1,
        }
    ]
    assert (failed["output"], failed["faces"], failed["output_sha256"]) == (None, [], None)
    for photo, name in ((done, "a.png"), (failed, "b.png")):
        digest = hashlib.sha256((tmp_path / name).read_bytes()).hexdigest()
        assert photo["source_sha256"] == digest
    written = (tmp_path / "out" / "a.png").read_bytes()
    assert done["output_sha256"] == hashlib.sha256(written).hexdigest()


def test_record_that_cannot_be_written(tmp_path: Path, anonymize: Command, stand_in: StandIn) -> None:
    """It is said before the first photo is computed, not a minute later."""
    photo_file(tmp_path / "a.png")
    outcome = anonymize(
        tmp_path / "a.png", "--out", tmp_path / "out", "--json", tmp_path / "a.png" / "record.json"
    )
    assert outcome.status == 1
    assert_one_error(outcome, "record.json", "choose another output folder")
    assert stand_in.seen == []


def test_record_of_photos_that_were_finished(
    tmp_path: Path, anonymize: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ctrl-C in the second photo: the first is written and in the record, status 130."""
    photo_file(tmp_path / "a.png", 1)
    photo_file(tmp_path / "b.png", 2)
    real = StandIn.__call__

    def interrupted(self: StandIn, image: Photo, controls: Controls, **options: object) -> Result:
        if image.name.endswith("b.png"):
            raise KeyboardInterrupt
        return real(self, image, controls, **options)

    monkeypatch.setattr(StandIn, "__call__", interrupted)
    outcome = anonymize(tmp_path / "a.png", tmp_path / "b.png", "--out", tmp_path / "out")
    assert outcome.status == 130
    assert files(tmp_path / "out") == ["a.png", "record.json"]
    assert [entry["source"] for entry in record_of(tmp_path / "out")] == [str(tmp_path / "a.png")]


# Options


@pytest.mark.parametrize(
    ("option", "value", "parts"),
    [
        ("--mask-area", "2", ["mask_area 2.0 is not between 0 and 1"]),
        ("--mask-area", "nan", ["mask_area nan is not between 0 and 1"]),
        ("--mask-area", "big", ["--mask-area", "'big'"]),
        ("--strength", "-1", ["strength -1.0 is not between 0 and 1"]),
        ("--keep", "hair", ["keep hair does not exist", "gender", "age", "tone"]),
        ("--keep", "age,hair", ["keep hair does not exist", "gender", "age", "tone"]),
        ("--faces", "some", ["--faces", "'some'", "all", "largest"]),
        ("--generator", "x", ["--generator", "'x'", "mobile"]),
        ("--method", "x", ["--method", "'x'", "optimize"]),
        ("--device", "x", ["--device", "'x'", "auto", "cpu", "cuda"]),
        ("--seed", "abc", ["--seed", "'abc'"]),
        ("--seed", "-1", ["seed -1 is not between 0 and"]),
        ("--seed", str(2**63), ["is not between 0 and"]),
        ("--softness", "-1", ["softness -1.0 is not between 0 and 20"]),
        ("--refine-steps", "101", ["refine_steps 101 is not between 0 and 100"]),
        ("--faces", "0", ["--faces", "'0'", "numbers from 1"]),
        ("--target-distance", "9", ["9.0 is not between 0 and 2"]),
        ("--target-distance", "0", ["0.0 is not between 0 and 2"]),
        ("--target-distance", "far", ["--target-distance", "'far'"]),
        ("--colour", "red", ["unrecognized arguments: --colour red"]),
    ],
)
def test_unknown_value(
    tmp_path: Path,
    anonymize: Command,
    stand_in: StandIn,
    option: str,
    value: str,
    parts: list[str],
) -> None:
    """Status 2, the value or the choices in the last line, and nothing was loaded or made."""
    photo_file(tmp_path / "a.png")
    outcome = anonymize(tmp_path / "a.png", "--out", tmp_path / "out", option, value)
    assert outcome.status == 2
    last = outcome.err.splitlines()[-1]
    for part in parts:
        assert part in last
    assert stand_in.loads == []
    assert files(tmp_path) == ["a.png"]


@pytest.mark.parametrize(
    "content", [None, b"", b"short", b"  fifteen bytes.. \n", b"0123456789abcdef\n"]
)
def test_only_a_whole_key_is_used(
    tmp_path: Path, anonymize: Command, stand_in: StandIn, content: bytes | None
) -> None:
    """White space around it does not count; no random key is used instead of one that is wrong."""
    photo_file(tmp_path / "a.png")
    if content is not None:
        (tmp_path / "key").write_bytes(content)
    outcome = anonymize(tmp_path / "a.png", "--out", tmp_path / "out", "--key", tmp_path / "key")
    if content and len(content.strip()) >= 16:
        assert (outcome.status, stand_in.loads) == (0, [("mobile", "auto", "auto", content.strip())])
        return
    assert (outcome.status, stand_in.loads) == (1, [])
    assert not (tmp_path / "out").exists()
    if content is None:
        assert f"key file {tmp_path / 'key'} cannot be read" in outcome.err
        assert "secrets.token_hex" in outcome.err
    else:
        assert_one_error(outcome, f"holds {len(content.strip())} bytes", "at least 16")


def test_a_notebooks_photo_is_named_from_where_the_user_stands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is no file stays as it is."""
    photo_file(tmp_path / "below" / "me.png")
    monkeypatch.chdir(tmp_path / "below")
    for name in ("me.png", "./me.png", "../below/me.png"):
        assert from_here(f"PHOTO={name}") == f"PHOTO={tmp_path / 'below' / 'me.png'}"
    for other in ("PHOTO=gone.png", "SEED=3", "AREA=0.25", "PHOTO=", "PHOTO=" + "x/" * 3000):
        assert from_here(other) == other
