"""Leaks of every kind are named and change the exit status; a clean album has none."""

import hashlib
import json
import shutil
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from anonlab.apps import cli
from anonlab.apps.verify import pair_photos, report
from anonlab.apps.verify.checks import COVERED, LEFT, NEW, SAME, SMALL, check_pair, in_words
from anonlab.apps.verify.pairs import Pair
from anonlab.errors import InputMissing, NoFaceFound
from anonlab.evaluation.judging import Judge
from anonlab.photo.faces import JUDGED, Face
from anonlab.photo.photos import Photo

SIDE = 240
BOX = (60.0, 60.0, 180.0, 180.0)
POINTS = np.array([[95, 105], [145, 105], [120, 130], [100, 155], [140, 155]], float)
FACE = Face(BOX, POINTS, 1.0)
INSIDE = (slice(60, 180), slice(60, 180))


class Finds:
    """A detector that finds one face, unless its place is black."""

    def __call__(self, photo: Photo) -> list[Face]:
        if photo.pixels[INSIDE].max() == 0:
            raise NoFaceFound("nobody")
        return [FACE]


@dataclass
class Brightness:
    """A recogniser for which two faces are one person when they are equally bright."""

    name: str = "brightness"
    metric: str = "euclidean"
    threshold: float = 0.2
    mean = torch.zeros(3)

    def embed(self, images: torch.Tensor) -> torch.Tensor:
        return images[..., 400:600, 400:600].mean((2, 3))


JUDGES = [Judge("brightness", Brightness(), True)]


def scene(face: int, seed: int = 0) -> np.ndarray:
    """Noise with a square 'face' of one brightness."""
    pixels = np.random.default_rng(seed).integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8)
    pixels[INSIDE] = face
    return pixels


def pair(tmp_path: Path, before: np.ndarray, after: np.ndarray, suffix: str = ".png", **more) -> Pair:
    paths = [tmp_path / f"{name}{suffix}" for name in ("before", "after")]
    for path, pixels in zip(paths, (before, after), strict=True):
        Image.fromarray(pixels).save(path)
    return Pair("a", *paths, **more)


@pytest.mark.parametrize(
    ("after", "state", "leaks"),
    [
        (scene(90), NEW, []),
        (scene(206), NEW, ["the face at [60, 60, 180, 180] is matched by brightness"]),  # all moved
        (scene(200), SAME, ["the face at [60, 60, 180, 180] is as it was"]),
        (scene(0), COVERED, []),
    ],
    ids=("new", "still the person", "as it was", "gone"),
)
def test_a_face_and_what_stands_in_its_place(tmp_path, after, state, leaks):
    check = check_pair(pair(tmp_path, scene(200), after), Finds(), JUDGES)
    (face,) = check.faces
    assert (face.state, check.leaks) == (state, leaks)
    away, threshold = face.measured["brightness"]
    expected = abs(200 - int(after[120, 120, 0])) / 127.5 * 3**0.5
    assert (away, threshold) == (pytest.approx(expected, abs=0.02), 0.2)


def test_a_face_as_it_was_is_found_through_jpeg_and_without_a_match(tmp_path):
    """JPEG moves every pixel a little, and no recogniser notices."""
    noisy = np.clip(scene(200) + np.random.default_rng(1).integers(-5, 6, scene(0).shape), 0, 255)
    blind = [Judge("blind", Brightness("blind", threshold=-1.0), True)]
    check = check_pair(pair(tmp_path, scene(200), noisy.astype(np.uint8), ".jpg"), Finds(), blind)
    assert [face.state for face in check.faces] == [SAME] and len(check.leaks) == 1


def test_a_covered_face_that_is_too_small_to_judge_is_no_leak(tmp_path):
    """A recogniser answers noise there; a face that stayed as it was is a leak of any size."""
    after = scene(202)  # as near to the person as noise may be
    tiny = replace(FACE, box=(60.0, 60.0, 60.0 + JUDGED - 1, 60.0 + JUDGED - 1))
    check = check_pair(pair(tmp_path, scene(200), after), lambda _: [tiny], JUDGES)
    assert check.faces[0].state == SMALL and not check.leaks
    assert "1 too small to judge" in in_words(check)
    assert check_pair(pair(tmp_path, scene(200), after), lambda _: [FACE], JUDGES).leaks
    assert check_pair(pair(tmp_path, after, after), lambda _: [tiny], JUDGES).leaks


def test_a_face_that_was_left_is_reported_as_left(tmp_path):
    check = check_pair(pair(tmp_path, scene(200), scene(200), left=(BOX,)), Finds(), JUDGES)
    assert ([face.state for face in check.faces], check.leaks) == ([LEFT], [])
    elsewhere = ((0.0, 0.0, 30.0, 30.0),)
    assert check_pair(pair(tmp_path, scene(200), scene(200), left=elsewhere), Finds(), JUDGES).leaks


def test_metadata_is_a_leak_unless_it_was_asked_for(tmp_path):
    one, exif = pair(tmp_path, scene(200), scene(90)), Image.Exif()
    assert check_pair(one, Finds(), JUDGES).leaks == []
    exif[0x013B] = "Ada"
    Image.fromarray(scene(90)).save(one.anonymized, exif=exif)
    assert check_pair(one, Finds(), JUDGES).leaks == ["the file has: EXIF Artist"]
    assert check_pair(replace(one, kept=("copyright",)), Finds(), JUDGES).leaks == []


def test_what_cannot_be_verified_is_a_leak_and_what_was_not_written_is_none(tmp_path):
    one = pair(tmp_path, scene(200), scene(90)[:200])
    assert check_pair(one, Finds(), JUDGES).leaks == ["has another size (240×240 and 240×200)"]
    one.anonymized.write_text("Dear all")
    assert "cannot be verified" in check_pair(one, Finds(), JUDGES).leaks[0]
    alone = Pair("a", None, one.original)
    assert check_pair(alone, Finds(), JUDGES).leaks == ["has no original, so nothing can be compared"]
    check = check_pair(Pair("a", one.original, None, error="no face"), Finds(), JUDGES)
    assert (check.missing, check.leaks) == ("no face", [])


# Pairs


def test_pairs_by_relative_path(tmp_path):
    for name in ("in/a.png", "in/deep/b.png", "in/c.png", "in/.thumbs/x.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(scene(200)).save(tmp_path / name)
    shutil.copytree(tmp_path / "in", tmp_path / "in" / "out")
    (tmp_path / "in" / "out" / "c.png").unlink()
    (tmp_path / "in" / "out" / "c.png.txt").touch()
    Image.fromarray(scene(1)).save(tmp_path / "in" / "out" / "d.png")
    found, _ = pair_photos(tmp_path / "in", tmp_path / "in" / "out")
    pairs = {one.name: one for one in found}
    assert list(pairs) == ["a.png", "c.png", "d.png", "deep/b.png"]
    assert pairs["c.png"].anonymized is None
    assert pairs["d.png"].original is None
    assert pairs["deep/b.png"].anonymized == tmp_path / "in" / "out" / "deep" / "b.png"
    for name in ("in/b.mp4", "in/out/deep/b.DNG"):  # such files may show a face, and are named
        (tmp_path / name).write_bytes(b"\0\0\0\x18ftypmp42" if "mp4" in name else b"")
    _, left_out = pair_photos(tmp_path / "in", tmp_path / "in" / "out")
    named = [(Path(one["source"]).name, one["what"]) for one in left_out]
    assert named == [("b.mp4", "a clip"), ("b.DNG", "a raw file of a camera")]
    with pytest.raises(InputMissing, match=r"b\.mp4 is a clip; verify compares photos only"):
        pair_photos(tmp_path / "in" / "b.mp4", tmp_path / "in" / "b.mp4")


def test_two_files_and_what_is_none(tmp_path):
    one = pair(tmp_path, scene(200), scene(90))
    (made,), _ = pair_photos(one.original, one.anonymized)
    assert (made.original, made.anonymized) == (one.original, one.anonymized)
    for name in ("empty", "void"):
        (tmp_path / name).mkdir()
    for first, second, said in (
        (tmp_path, one.anonymized, "must be two folders, or two photos"),
        (tmp_path, tmp_path / "gone", "does not exist; check the spelling"),
        (tmp_path / "empty", tmp_path / "void", "has no photos"),
    ):
        with pytest.raises(InputMissing, match=said):
            pair_photos(first, second)


def test_the_record_counts_for_these_bytes_only(tmp_path):
    one, other = pair(tmp_path, scene(200), scene(90)), tmp_path / "record.json"
    digest = hashlib.sha256(one.anonymized.read_bytes()).hexdigest()
    entry = {"source": "x", "output": "y", "output_sha256": digest, "error": None}
    entry["faces"] = [{"box": list(BOX), "left": True}, {"box": [1, 2, 3, 4]}]
    other.write_text(json.dumps({"run": {"keep_metadata": ["date"]}, "photos": [entry]}))
    (made,), _ = pair_photos(one.original, one.anonymized)
    assert (made.left, made.kept) == ((BOX,), ("date",))
    shutil.copy(one.original, one.anonymized)
    (made,), _ = pair_photos(one.original, one.anonymized)
    assert made.left == ()
    for damaged in ("{", "[]", '{"photos": []}', ""):
        other.write_text(damaged)
        (made,), _ = pair_photos(one.original, one.anonymized)
        assert (made.left, made.kept) == ((), ())


def test_a_line_a_photo(tmp_path, capsys):
    one = pair(tmp_path, scene(200), scene(200))
    left = Pair("\x1b[2Jleft", one.original, one.anonymized, left=(BOX,))
    pairs = one, left, Pair("gone", one.original, None)
    assert report([check_pair(each, Finds(), JUDGES) for each in pairs]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines == [
        "LEAK    a: the face at [60, 60, 180, 180] is as it was; 1 as it was; "
        "nearest brightness 0.00 / 0.20",
        "ok      \\x1b[2Jleft: 1 left",
        "missing gone: nothing was written",
        "1 of 3 photos leak: 3 photos (1 missing), 2 faces (1 as it was, 1 left)",
    ]


def test_status_of_the_command(tmp_path, monkeypatch, detector, recognizer, astronaut, capsys):
    before, after = tmp_path / "in", tmp_path / "out"
    before.mkdir()
    after.mkdir()
    monkeypatch.setattr("anonlab.apps.cli.files.load_recognizer", lambda *_, **__: recognizer)
    image = Image.fromarray(astronaut.pixels)
    image.save(before / "a.png")
    noisy = np.clip(astronaut.pixels.astype(int) + 20, 0, 255).astype(np.uint8)
    for pixels, why in ((astronaut.pixels, "is as it was"), (noisy, "is matched by dlib")):
        Image.fromarray(pixels).save(after / "a.png")
        where = [str(before), str(after), "--out", str(tmp_path / "page")]
        (after / "left.mov").write_bytes(b"\0\0\0\x18ftypqt  ")
        assert cli.main(["verify", *where, "--device", "cpu"]) == 1
        printed = capsys.readouterr()
        assert why in printed.out and "left.mov (a clip); verify compares photos only" in printed.err
        (one,) = json.loads((tmp_path / "page" / "verify.json").read_text())
        assert one["faces"][0]["state"] == ("as it was" if why == "is as it was" else "new")
