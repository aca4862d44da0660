"""Whole clips: nobody is recognised in any frame, and the new face is as steady as the old one was."""

import json
from dataclasses import replace

import numpy as np
import pytest
from making import OneFace, decoded, filmed, remux, write_clip
from PIL import Image

from anonlab.apps.cli import main
from anonlab.apps.video import anonymize_clip as module
from anonlab.apps.video import detections, review
from anonlab.apps.video.anonymize_clip import anonymize_clip
from anonlab.apps.video.frames import Frame, stored
from anonlab.apps.video.painting import COVERED, REGENERATED, WIDER, Painted
from anonlab.apps.video.temporal import strip
from anonlab.controls import Controls
from anonlab.errors import InputDamaged, NoFaceFound, StillRecognised
from anonlab.photo.detection import Detector
from anonlab.photo.faces import Face, align
from anonlab.photo.photos import Photo
from anonlab.pipeline import Anonymizer
from anonlab.recognizers import matches

SIZE = (256, 160)
UNEVEN = [0, 512, 1024, 1400, 2048, 2560, 3200, 3584]
NETWORK = Controls(perception="network")  # the map takes no time


def sway(t):
    return 100 + 50 * t, 85 + 4 * np.sin(6 * t), 190 + 25 * t, 7 * np.sin(5 * t)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("clips")


@pytest.fixture(scope="module")
def film(folder, astronaut_still):
    """Write a lossless clip of her head in motion."""

    def write(name, motion, count, *times, **sound):
        frames = filmed([(astronaut_still, motion)], SIZE, count)
        return write_clip(folder / f"{name}.mkv", frames, *times, codec="ffv1", **sound)

    return write


@pytest.fixture(scope="module")
def walk(film):
    """Eight frames of uneven duration, with sound."""
    return film("walk", sway, 8, UNEVEN, sound="aac")


@pytest.fixture(scope="module")
def walked(walk, folder, anonymizer):
    out = folder / "walk-out.mkv"
    return anonymize_clip(anonymizer, walk, out), out


def test_nobody_is_recognised_in_any_frame_and_the_face_is_steady(walk, walked, anonymizer):
    record, out = walked
    shown = strip(anonymizer, walk, out, 3)
    assert shown.numbers == [0, 4, 7] and len(shown.to_person) == 8
    assert min(shown.to_person) >= anonymizer.recognizer.threshold
    assert np.mean(shown.new) / np.mean(shown.own) > 0.97  # TL-ID
    (track,) = record["tracks"]
    assert (track["frames"], track["covered_frames"]) == (8, [])
    assert track["least_distance"] >= anonymizer.recognizer.threshold


def test_what_lies_outside_of_the_mask_stays_bit_for_bit(walk, walked, anonymizer):
    for old, new in zip(decoded(walk)[1], decoded(walked[1])[1], strict=True):
        (face,) = detections.look(anonymizer, old, 1280)
        left, top, right, bottom = face.box
        y, x = np.mgrid[: old.shape[0], : old.shape[1]]
        middle = (left + right) / 2, (top + bottom) / 2
        inside = np.maximum(abs(x - middle[0]), abs(y - middle[1])) < 0.75 * (bottom - top)
        change = np.abs(old.astype(int) - new)
        assert not change[~inside].any() and change[inside].mean() > 3
        assert inside.mean() < 0.6


@pytest.fixture(scope="module")
def broken(fast):
    """Its start fails."""

    class Broken:
        name = "broken"

        def __call__(self, *given):
            raise RuntimeError("the generator is out of order")

    return fast.replace(start=Broken())


@pytest.fixture(scope="module")
def short(film):
    return film("short", lambda t: sway(3 * t / 11), 4)


@pytest.mark.parametrize("drawn", ["nan", "herself"])
def test_a_face_that_cannot_be_replaced_is_covered(short, folder, fast, drawn):
    first = decoded(short)[1][0]
    (face,) = detections.look(fast, first, 1280)
    picture = align(Photo(first, "frame"), face, 1024) * (1 if drawn == "herself" else np.nan)
    generator = OneFace(fast.generator.generator, picture)
    changed = fast.replace(generator=generator).replace(start=fast.regenerator.start)
    out = folder / f"{drawn}.mkv"
    record = anonymize_clip(changed, short, out, NETWORK)
    assert record["tracks"][0]["covered_frames"] == [0, 1, 2, 3]
    assert min(strip(fast, short, out).to_person) >= fast.recognizer.threshold


@pytest.mark.parametrize(
    ("name", "error", "said"),
    [("short", StillRecognised, "a face in frame 0"), ("wall", NoFaceFound, "no face that can be")],
)
def test_what_cannot_be_replaced_without_a_fall_back_is_named_and_not_written(
    short, folder, broken, name, error, said
):
    wall = write_clip(folder / "wall.mkv", filmed([], SIZE, 3), codec="ffv1")
    path = short if name == "short" else wall
    with pytest.raises(error, match=rf"{name}\.mkv shows {said}.* nothing was written"):
        anonymize_clip(broken, path, folder / "refused.mkv", NETWORK, fallback="none")
    assert not list(folder.glob("*refused*"))


def test_a_frame_in_which_nobody_is_found_is_anonymized_too(walk, folder, fast, monkeypatch):
    found, unseen, out = Detector.upright, decoded(walk)[1][4:6], folder / "blind.mkv"

    def blind(self, photo, side):
        return [] if any((photo.pixels == one).all() for one in unseen) else found(self, photo, side)

    with monkeypatch.context() as patch:
        patch.setattr(Detector, "upright", blind)
        (track,) = anonymize_clip(fast, walk, out, NETWORK)["tracks"]
    assert track["filled_in"] == 2 and track["frames"] == 8
    to_person = strip(fast, walk, out).to_person
    assert len(to_person) == 8 and min(to_person[4:6]) >= fast.recognizer.threshold


def test_a_run_that_was_killed_goes_on_and_gives_the_same_file(walk, folder, fast, monkeypatch):
    whole, out = folder / "whole.mkv", folder / "resumed.mkv"
    monkeypatch.setattr(module, "segment_length", lambda _: 3)
    anonymize_clip(fast, walk, whole, NETWORK)
    keep = module.State.keep

    def killed(self, name, arrays):
        if name == "segment-000001":
            raise KeyboardInterrupt
        keep(self, name, arrays)

    with monkeypatch.context() as patch:
        patch.setattr(module.State, "keep", killed)
        with pytest.raises(KeyboardInterrupt):
            anonymize_clip(fast, walk, out, NETWORK)
    assert not out.exists()
    state = folder / ".resumed.mkv.unfinished"
    assert {path.name for path in state.glob("*.npz")} == {
        *(f"faces-00000{row}.npz" for row in range(3)),
        "plan-000000.npz",
        "planned.npz",
        "segment-000000.npz",
    }  # fmt: skip
    faces, plan = (np.load(state / f"{name}-000000.npz") for name in ("faces", "plan"))
    assert {name: faces[name].shape[1:] for name in faces} == {"embedding": (128,), "points": (5, 2),
        "box": (4,), "frame": (), "confidence": (), "times": (), "change": ()}  # fmt: skip
    assert {*plan} == {  # nothing that shows the original
        "first", "kind", "box", "points", "embedding", "person", "mean", "target", "attribution",
        "landmarks", "mask_area", "needed", "resolution", "keys", "codes",
    }  # fmt: skip
    with pytest.raises(InputDamaged, match="begun with another seed; use the same"):
        anonymize_clip(fast, walk, out, replace(NETWORK, seed=1), resume=True)
    stranger = fast.replace(key=b"another key, because the first is forgotten")
    anonymize_clip(stranger, walk, out, NETWORK, resume=True)  # the plans say who to be
    assert out.read_bytes() == whole.read_bytes()
    assert not state.exists()


def test_the_worst_frames_are_looked_at_before_the_clip_is_written(walk, folder, fast):
    out, sheet, whole = (folder / name for name in ("looked.mkv", "looked.png", "unlooked.mkv"))
    record = anonymize_clip(fast, walk, out, NETWORK, review=sheet)
    assert not out.exists() and (folder / ".looked.mkv.unfinished").is_dir()
    assert not [*(folder / ".looked.mkv.unfinished").glob("*.mkv")]
    pixels = np.asarray(Image.open(sheet))
    assert pixels.shape == (review.SIDE + review.LINE, review.WORST * review.SIDE, 3)
    for column in range(min(review.WORST, record["frames"])):
        shown = pixels[: review.SIDE, column * review.SIDE : (column + 1) * review.SIDE]
        assert shown.std() > 20  # a head, and neither paper nor beyond the frame
    anonymize_clip(fast, walk, out, NETWORK, resume=True)
    anonymize_clip(fast, walk, whole, NETWORK)
    assert out.read_bytes() == whole.read_bytes()


def test_the_worst_frames_are_the_covered_ones_then_the_nearest_and_not_neighbours():
    near = [Painted(0, number, REGENERATED, 1 - number / 100) for number in range(30)]
    near[4], near[20] = near[4]._replace(done=COVERED, distance=0.9), near[20]._replace(done=WIDER)
    assert [one.frame for one in review.worst(near, 4)] == [4, 14, 20, 29]
    assert [one.frame for one in review.worst(near[:3], 2)] == [1, 2]  # there are no others
    lost = [one._replace(distance=float("nan")) for one in near[:9]]
    assert len(review.worst(lost + near[9:], 3)) == 3


@pytest.mark.parametrize("matrix", [(90, False), (180, True)])
def test_no_face_stays_where_a_stream_changes_its_size(folder, astronaut_still, fast, matrix):
    """As WebRTC and television do; turned and mirrored, as phones film."""
    frames, turn = filmed([(astronaut_still, sway)], SIZE, 8), (matrix[1], matrix[0] // 90)
    parts = []
    for row, scale in enumerate((1, 2)):
        some = [np.asarray(Image.fromarray(one).resize((256 // scale, 160 // scale)))
                for one in frames[4 * row : 4 * row + 4]]  # fmt: skip
        part = folder / f"part-{row}.ts"
        parts.append(write_clip(part, [stored(one, turn) for one in some]).read_bytes())
    both, path, out = (folder / f"sizes{end}" for end in (".ts", ".mp4", "-out.mp4"))
    both.write_bytes(b"".join(parts))
    remux(both, path, matrix)
    record = anonymize_clip(fast, path, out, NETWORK)
    assert record["frames"] == 8 and record["lost_frames"] == 0
    assert [track["frames"] for track in record["tracks"]] == [4, 4]
    to_person = strip(fast, path, out).to_person
    assert len(to_person) == 8 and min(to_person) >= fast.recognizer.threshold


def test_the_command_writes_into_a_folder_and_says_what_it_did(
    short, walk, folder, broken, monkeypatch, capsys
):
    monkeypatch.setattr(Anonymizer, "load", lambda **_: broken)
    out, record = folder / "results", folder / "record.json"
    assert main(["video", str(short), "--out", str(out), "--json", str(record)]) == 3
    said = capsys.readouterr()
    assert "4 frames, 1 person" in said.out and "covered (blur)" in said.err
    assert (out / "short.mkv").is_file()
    assert json.loads(record.read_text())["tracks"][0]["covered_frames"] == [0, 1, 2, 3]
    assert main(["video", str(short), "--out", str(out), "--from", "3", "--to", "2"]) == 2
    damaged = folder / "damaged.mkv"
    damaged.write_bytes(walk.read_bytes()[: walk.stat().st_size // 2])
    assert main(["video", str(damaged), "--out", str(out), "--json", str(record)]) == 1
    told = json.loads(record.read_text())
    assert 2 <= told["frames"] < 6 and told["lost_frames"] == pytest.approx(8 - told["frames"], abs=1)
    assert f"{told['lost_frames']} frames cannot be decoded" in capsys.readouterr().err
    assert main(["video", str(folder / "none.mp4"), "--out", str(out)]) == 1


def lying(t):
    """Turned by 70–100°, on its way to the right."""
    return 90 + 60 * t, 80, 150, 70 + 30 * t


def test_half_a_face_at_the_edge_of_a_clip_is_covered_in_every_frame(film, folder, fast):
    path, out = film("half", lambda t: (-4 + t, 90, 230, 0), 5), folder / "half-out.mkv"
    (track,) = anonymize_clip(fast, path, out, NETWORK)["tracks"]
    assert track["covered_frames"] == [0, 1, 2, 3, 4]
    for old, new in zip(decoded(path)[1], decoded(out)[1], strict=True):
        assert not detections.look(fast, old, 1280)
        assert (old[50:120, :24] != new[50:120, :24]).any(2).mean() > 0.8


def test_a_face_that_lies_is_covered_in_every_frame(film, folder, fast, monkeypatch):
    monkeypatch.setattr(Detector, "upright", lambda *_: [])  # it sees this one in any frame
    path, out = film("lying", lying, 8), folder / "lying-out.mkv"
    (track,) = anonymize_clip(fast, path, out, NETWORK)["tracks"]
    assert track["frames"] == 8 and track["filled_in"] == track["beyond_detection"] == 0
    for old, new in zip(decoded(path)[1], decoded(out)[1], strict=True):
        (face,) = fast.detector(Photo(old, "frame"))
        before, after = (fast.analyze(align(Photo(one, "frame"), face)).embedding for one in (old, new))
        assert not matches(fast.recognizer, before, after)


def test_a_lying_face_that_comes_later_is_found_in_the_frames_before(
    anonymizer, astronaut_still, monkeypatch
):
    """Frame 12 is the first that is looked at turned after it came in frame 5; no other look sees it."""
    monkeypatch.setattr(Detector, "upright", lambda *_: [])
    there = filmed([(astronaut_still, lying)], SIZE, 14)
    wall = filmed([], SIZE, 14)
    frames = [Frame(n, n / 25, (there if n >= 5 else wall)[n], None) for n in range(14)]
    found = detections.detect(anonymizer, frames, "clip")
    assert sorted(found.frame.tolist()) == list(range(5, 14))
    truth = 70 + 30 * found.frame / 13
    rolls = [Face((0, 0, 1, 1), points, 1).roll for points in found.points]
    np.testing.assert_allclose(rolls, truth, atol=8)
