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
from anonlab.apps.video.clips import open_clip
from anonlab.apps.video.frames import Frame, stored
from anonlab.apps.video.painting import COVERED, REGENERATED, WIDER, Painted
from anonlab.apps.video.temporal import seen_in_both, strip
from anonlab.controls import Controls
from anonlab.errors import InputDamaged, NoFaceFound, StillRecognised
from anonlab.photo.faces import Face, align
from anonlab.photo.photos import Photo
from anonlab.recognizers import distance, matches

SIZE = (256, 160)
UNEVEN = [0, 512, 1024, 1400, 2048, 2560, 3200, 3584]
NETWORK = Controls(perception="network")  # the map takes no time


def sway(t):
    return 100 + 50 * t, 85 + 4 * np.sin(6 * t), 190 + 25 * t, 7 * np.sin(5 * t)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("clips")


@pytest.fixture(scope="module")
def walk(folder, astronaut_still):
    """Eight lossless frames of uneven duration, with sound."""
    frames = filmed([(astronaut_still, sway)], SIZE, 8)
    return write_clip(folder / "walk.mkv", frames, UNEVEN, codec="ffv1", sound="aac")


@pytest.fixture(scope="module")
def walked(walk, folder, anonymizer):
    out = folder / "walk-out.mkv"
    return anonymize_clip(anonymizer, walk, out), out


def measured(anonymizer, before, after):
    """Distances of the surest face of decoded frames to itself in the originals, at the same places."""
    found = []
    for old, new in zip(before, after, strict=True):
        face = max(detections.look(anonymizer, old, 1280), key=lambda one: one.confidence)
        found.append(distance(anonymizer.recognizer, *seen_in_both(anonymizer, face, old, new)).item())
    return found


def pixels_of(path):
    return [pixels for _, pixels in decoded(path)]


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
    for old, new in zip(pixels_of(walk), pixels_of(walked[1]), strict=True):
        (face,) = detections.look(anonymizer, old, 1280)
        left, top, right, bottom = face.box
        y, x = np.mgrid[: old.shape[0], : old.shape[1]]
        middle = (left + right) / 2, (top + bottom) / 2
        inside = np.maximum(abs(x - middle[0]), abs(y - middle[1])) < 0.75 * (bottom - top)
        change = np.abs(old.astype(int) - new)
        assert not change[~inside].any() and change[inside].mean() > 3
        assert inside.mean() < 0.6


class Broken:
    """A start that fails in some calls, or gives codes that are not numbers."""

    name = "broken"

    def __init__(self, start, how):
        self.start, self.how = start, how

    def __call__(self, image, mask, source, target):
        ws = self.start(image, mask, source, target)
        if self.how == "raises":
            raise RuntimeError("the generator is out of order")
        return ws * float("nan")


@pytest.fixture(scope="module")
def short(folder, astronaut_still):
    frames = filmed([(astronaut_still, sway)], SIZE, 12)[:4]
    return write_clip(folder / "short.mkv", frames, codec="ffv1")


@pytest.mark.parametrize("how", ["nan", "herself"])
def test_a_face_that_cannot_be_replaced_is_covered(short, folder, fast, how):
    if how == "herself":
        first = pixels_of(short)[0]
        (face,) = detections.look(fast, first, 1280)
        own = align(Photo(first, "frame"), face, 1024)
        broken = fast.replace(generator=OneFace(fast.generator.generator, own))
        broken = broken.replace(start=fast.regenerator.start)
    else:
        broken = fast.replace(start=Broken(fast.regenerator.start, how))
    out = folder / f"covered-{how}.mkv"
    record = anonymize_clip(broken, short, out, NETWORK)
    assert record["tracks"][0]["covered_frames"] == [0, 1, 2, 3]
    assert min(measured(fast, pixels_of(short), pixels_of(out))) >= fast.recognizer.threshold


def test_with_no_fall_back_nothing_is_written(short, folder, fast):
    broken = fast.replace(start=Broken(fast.regenerator.start, "raises"))
    out = folder / "refused.mkv"
    with pytest.raises(StillRecognised, match=r"short\.mkv shows a face in frame 0 .* nothing was"):
        anonymize_clip(broken, short, out, NETWORK, fallback="none")
    assert not list(folder.glob("*refused*"))


def test_a_frame_in_which_nobody_is_found_is_anonymized_too(walk, folder, fast, monkeypatch):
    found, unseen = detections.look, pixels_of(walk)[4:6]

    def blind(anonymizer, pixels, side):
        return [] if any((pixels == one).all() for one in unseen) else found(anonymizer, pixels, side)

    monkeypatch.setattr(detections, "look", blind)
    monkeypatch.setattr(detections, "occluded", lambda *_: [])
    out = folder / "blind.mkv"
    record = anonymize_clip(fast, walk, out, NETWORK)
    monkeypatch.undo()
    (track,) = record["tracks"]
    assert track["filled_in"] == 2 and track["frames"] == 8
    assert min(measured(fast, pixels_of(walk), pixels_of(out))[4:6]) >= fast.recognizer.threshold


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
    kept = {name: np.load(state / f"{name}.npz") for name in ("faces-000000", "plan-000000")}
    shapes = {name: kept["faces-000000"][name].shape for name in kept["faces-000000"]}
    assert shapes == {"frame": (3,), "box": (3, 4), "points": (3, 5, 2), "confidence": (3,),
                      "embedding": (3, 128), "times": (3,), "change": (3,)}  # fmt: skip
    assert {*kept["plan-000000"]} == {  # nothing that shows the original
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
    rows = measured(
        fast, *([frame.pixels for frame in open_clip(one, out).frames()] for one in (path, out))
    )
    assert len(rows) == 8 and min(rows) >= fast.recognizer.threshold


def test_a_clip_without_a_face_is_named_and_not_written(folder, fast):
    path = write_clip(folder / "wall.mp4", filmed([], SIZE, 3))
    with pytest.raises(NoFaceFound, match=r"wall\.mp4 shows no face .* nothing was written"):
        anonymize_clip(fast, path, folder / "wall-out.mp4", NETWORK)
    assert not list(folder.glob("*wall-out*"))


def test_the_command_writes_into_a_folder_and_says_what_it_did(
    short, walk, folder, fast, monkeypatch, capsys
):
    from anonlab.pipeline import Anonymizer

    broken = fast.replace(start=Broken(fast.regenerator.start, "raises"))
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


def test_half_a_face_at_the_edge_of_a_clip_is_covered_in_every_frame(folder, astronaut_still, fast):
    frames = filmed([(astronaut_still, lambda t: (-4 + t, 90, 230, 0))], SIZE, 5)
    assert not any(detections.look(fast, one, 1280) for one in frames)
    record = anonymize_clip(
        fast, write_clip(folder / "half.mkv", frames, codec="ffv1"), folder / "half-out.mkv", NETWORK
    )
    (track,) = record["tracks"]
    assert track["covered_frames"] == [0, 1, 2, 3, 4]
    for old, new in zip(frames, pixels_of(folder / "half-out.mkv"), strict=True):
        assert (old[50:120, :24] != new[50:120, :24]).any(2).mean() > 0.8


def test_a_face_that_lies_is_covered_in_every_frame(folder, astronaut_still, fast, monkeypatch):
    monkeypatch.setattr(detections, "occluded", lambda *_: [])  # it sees this one in any frame
    frames = filmed([(astronaut_still, lying)], SIZE, 8)
    clip, out = write_clip(folder / "lying.mkv", frames, codec="ffv1"), folder / "lying-out.mkv"
    record = anonymize_clip(fast, clip, out, NETWORK)
    assert [track["frames"] for track in record["tracks"]] == [8]
    assert record["tracks"][0]["filled_in"] == record["tracks"][0]["beyond_detection"] == 0
    for old, new in zip(frames, pixels_of(out), strict=True):
        (face,) = fast.detector(Photo(old, "frame"))
        before, after = (fast.analyze(align(Photo(one, "frame"), face)).embedding for one in (old, new))
        assert not matches(fast.recognizer, before, after)


def test_a_lying_face_that_comes_later_is_found_in_the_frames_before(
    anonymizer, astronaut_still, monkeypatch
):
    """Frame 12 is the first that is looked at turned after it came in frame 5; no other look sees it."""
    monkeypatch.setattr(detections, "look", lambda *_: [])
    monkeypatch.setattr(detections, "occluded", lambda *_: [])
    there = filmed([(astronaut_still, lying)], SIZE, 14)
    wall = filmed([], SIZE, 14)
    frames = [Frame(n, n / 25, (there if n >= 5 else wall)[n], None) for n in range(14)]
    found = detections.detect(anonymizer, frames, "clip")
    assert sorted(found.frame.tolist()) == list(range(5, 14))
    truth = 70 + 30 * found.frame / 13
    rolls = [Face((0, 0, 1, 1), points, 1).roll for points in found.points]
    np.testing.assert_allclose(rolls, truth, atol=8)
