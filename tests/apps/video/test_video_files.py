"""Video files in and out without any change of a face: what a player sees and hears stays."""

import sys
from fractions import Fraction

import av
import numpy as np
import pytest
from making import STEP, apart, decoded, filmed, sound_packets, through, write_clip
from PIL import Image

from anonlab.apps.resume import unfinished
from anonlab.apps.video.anonymize_clip import anonymize_clip
from anonlab.apps.video.clips import open_clip
from anonlab.apps.video.facts import display_matrix, facts
from anonlab.apps.video.frames import orientation, patched, stored, upright
from anonlab.controls import Controls
from anonlab.errors import OutputNotWritable, PackageMissing, UnknownOption, UnreadableImage
from anonlab.photo.containers import CLIPS

PLANAR = ("yuv420p", "yuv411p", "gray", "gbrp", "yuv444p12le")
UNEVEN = [0, 700, 1100, 1150, 2500, 4000, 4100, 6000]


@pytest.fixture(scope="module")
def frames():
    still = Image.fromarray(np.random.default_rng(0).integers(0, 255, (24, 24, 3), np.uint8))
    return filmed([(still, lambda t: (40 + 50 * t, 40, 40, 30 * t))], (128, 96), 8)


def wipe(path, *places):
    """Overwrite parts of a file, each a position and a size."""
    with path.open("r+b") as file:
        for at, size in places:
            file.seek(at)
            file.write(bytes(size))


def codec_of(path):
    with av.open(str(path)) as clip:
        return clip.streams.video[0].codec_context.codec.canonical_name


@pytest.mark.parametrize(("ending", "times"), [("mp4", UNEVEN), ("mkv", UNEVEN), ("mov", None)])
def test_times_and_sound_stay_exactly(frames, tmp_path, times, ending):
    path, out = tmp_path / f"in.{ending}", tmp_path / f"out.{ending}"
    write_clip(path, frames, times, sound="aac")
    through(path, out)
    (before, old), (after, new) = decoded(path), decoded(out)
    assert after == before and sound_packets(out) == sound_packets(path)
    assert apart(old, new) < 2.5


@pytest.mark.parametrize(
    ("codec", "kind", "size", "ending", "name"),
    [
        ("libx264", "yuv420p", (128, 96), "mp4", "h264"),
        ("libx265", "yuv420p10le", (128, 96), "mp4", "hevc"),
        ("libvpx-vp9", "yuv420p", (127, 95), "webm", "vp9"),
        ("mjpeg", "yuvj420p", (127, 95), "mov", "mjpeg"),
        ("prores_ks", "yuva444p10le", (128, 96), "mov", "prores"),
        ("mpeg2video", "yuv420p", (128, 96), "mpg", "mpeg2video"),
        ("mpeg2video", "yuv420p", (128, 96), "mp4", "h264"),  # which players do not show in it
        ("ffv1", "yuv420p", (127, 95), "mp4", "h264"),
        ("ffv1", "yuv411p", (128, 96), "mkv", "ffv1"),
    ],
)
def test_a_clip_keeps_its_codec_or_gets_one_that_plays(
    frames, tmp_path, codec, kind, size, ending, name
):
    source = "mkv" if codec in ("ffv1", "mpeg2video") and ending == "mp4" else ending
    path, out = tmp_path / f"in.{source}", tmp_path / f"out.{ending}"
    width, height = size
    write_clip(path, [one[:height, :width] for one in frames], codec=codec, pixel_format=kind)
    clip = through(path, out)
    assert codec_of(out) == name
    (before, old), (after, new) = decoded(path), decoded(out)
    assert after == pytest.approx(before, abs=1e-3)
    assert apart(old, new[:, :height, :width]) < 7
    said = " ".join(clip.left_out)
    assert ("size" in said) == (new.shape != old.shape)
    assert (f"became {name}" in said) == (codec_of(path) != name)


def test_every_clip_that_a_folder_names_can_be_given_to_video(frames, tmp_path):
    path = write_clip(tmp_path / "in.mp4", frames[:3])
    for ending in CLIPS:
        path = path.rename(path.with_suffix(ending))
        assert through(path, tmp_path / "out.mp4").count == 3
    through(path, tmp_path / "out.vob")
    assert codec_of(tmp_path / "out.vob") == "mpeg2video"


@pytest.mark.parametrize("name", PLANAR)
def test_only_changed_samples_are_replaced(frames, name):
    frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(frames[3]), "rgb24").reformat(format=name)
    before = frame.to_ndarray(format="rgb24")
    after = before.copy()
    after[32:64, 40:80] = 200
    result = patched(frame, before, after).to_ndarray(format="rgb24")
    outside = np.ones(before.shape[:2], bool)
    outside[30:66, 32:88] = False
    assert (result[outside] == before[outside]).all()
    assert np.abs(result[34:62, 44:76].astype(int) - 200).max() <= 3


@pytest.mark.parametrize(
    ("flip", "turns", "ending"),
    [*((flip, turns, "mp4") for flip in (False, True) for turns in range(4)), (True, 1, "avi")],
)
def test_all_eight_orientations_are_upright_to_us_and_to_players(frames, tmp_path, flip, turns, ending):
    """An AVI has no word for it, so its pictures are turned."""
    path, out = tmp_path / "in.mp4", tmp_path / f"out.{ending}"
    turn = (-90 if flip else 90) * turns, flip  # FFmpeg mirrors last
    write_clip(path, [stored(one, (flip, turns)) for one in frames[:3]], turn=turn)
    clip = through(path, out, lambda pixels: 255 - pixels)
    first = next(clip.frames())
    assert apart(first.pixels[None], frames[0][None]) < 8
    with av.open(str(out)) as made:
        shown = next(made.decode(video=0))
        turn = orientation(display_matrix(shown))
        pixels = upright(shown.to_ndarray(format="rgb24"), turn)
    assert turn == ((flip, turns) if ending == "mp4" else (False, 0))
    assert apart(255 - pixels[None], frames[0][None]) < 8
    assert not any("orientation" in one for one in clip.left_out)


def test_what_follows_damage_is_there_and_what_is_lost_is_told(frames, tmp_path):
    path = write_clip(tmp_path / "in.mp4", frames * 3, options={"g": "8", "bf": "0"}, sound="aac")
    with av.open(str(path)) as clip:
        places = [(one.pos, one.size) for one in clip.demux(video=0) if one.size]
    wipe(path, places[0], places[9], places[10])
    clip = through(path, tmp_path / "out.mp4")
    assert (clip.count, clip.lost) == (21, 3)
    assert any("some 3 frames that cannot be decoded" in one for one in clip.left_out)
    there = [row * 0.04 for row in range(24) if row not in (0, 9, 10)]
    assert decoded(tmp_path / "out.mp4")[0] == pytest.approx(there)
    assert sound_packets(tmp_path / "out.mp4") == sound_packets(path)


@pytest.mark.parametrize(
    ("ending", "codec", "share"),
    [("mkv", "libx264", 0.45), ("ts", "libx264", 0.5), ("flv", "libx264", 0.5), ("avi", "mpeg4", 0.5)],
)
def test_frames_that_damage_takes_from_the_middle_are_counted(tmp_path, ending, codec, share):
    """No decoder sees these: readers go on after the damage, and only times or the index tell."""
    noise = np.random.default_rng(3).integers(0, 256, (100, 96, 128, 3), np.uint8)
    options = {} if codec != "libx264" else {"bf": "0", "g": "8"}
    path = write_clip(tmp_path / f"in.{ending}", noise, codec=codec, options=options)
    whole = open_clip(path, tmp_path / f"out.{ending}")
    assert (whole.count, whole.lost) == (100, 0)
    size = path.stat().st_size
    wipe(path, (int(share * size), size // 25))
    clip = open_clip(path, tmp_path / f"out.{ending}")
    assert 90 <= clip.count < 100 and clip.lost == 100 - clip.count
    assert f"some {clip.lost} frames that cannot be decoded" in " ".join(clip.left_out)


def test_a_clip_of_uneven_times_that_ends_too_early_has_lost_no_frame_between(frames, tmp_path):
    """As browsers record: gaps are no damage where nothing complains."""
    path = write_clip(tmp_path / "in.mkv", frames * 3, [STEP * row * (row + 1) for row in range(24)])
    path.write_bytes(path.read_bytes()[:-400])
    clip = open_clip(path, tmp_path / "out.mkv")
    assert clip.count > 18 and clip.lost <= 24 - clip.count + 1


def test_what_lies_behind_a_damaged_fragment_is_counted(frames, tmp_path):
    """Readers stop at a fragment whose header is damaged, and say nothing."""
    options, fragments = {"g": "8", "sc_threshold": "0"}, {"movflags": "frag_keyframe+empty_moov"}
    path = write_clip(tmp_path / "in.mp4", frames * 5, options=options, container=fragments)
    assert open_clip(path, tmp_path / "out.mp4").count == 40
    data = path.read_bytes()
    wipe(path, (data.index(b"moof", data.index(b"moof") + 4) - 4, 8))
    clip = open_clip(path, tmp_path / "out.mp4")
    assert clip.count == 8 and 24 <= clip.lost <= 40
    assert f"some {clip.lost} frames that cannot be decoded" in clip.left_out


def test_what_an_edit_list_cuts_off_does_not_travel(frames, tmp_path):
    times = [STEP * (row - 12) for row in range(24)]
    path, out = write_clip(tmp_path / "in.mp4", frames * 3, times, sound="aac"), tmp_path / "out.mp4"
    assert sum(time < -0.2 for time, _ in sound_packets(path)) > 5  # it is in the file
    clip = through(path, out)
    assert (clip.count, clip.lost) == (12, 0)
    hidden = {data for time, data in sound_packets(path) if time < 0}
    assert not hidden & {data for _, data in sound_packets(out)}
    assert len(sound_packets(out)) > 15


def test_a_sound_that_is_switched_off_stays_behind_unless_it_is_another_language(frames, tmp_path):
    path = tmp_path / "in.mp4"
    write_clip(path, frames[:4], sound="aac", languages=("und", "fra", "spa"))
    clip = through(path, tmp_path / "out.mp4")
    assert clip.left_out == ["stream 1 (audio)"]
    with av.open(str(tmp_path / "out.mp4")) as made:
        sounds = [(one.language, one.disposition.name) for one in made.streams.audio]
    assert sounds == [("fra", None), ("spa", "default")]


TAGS = {"colorspace": 1, "color_primaries": 1, "color_trc": 1, "color_range": 1}
WIDE = {"colorspace": 9, "color_primaries": 9, "color_trc": 18, "color_range": 1}


@pytest.mark.parametrize(
    ("ending", "codec", "options"),
    [
        ("mp4", "libx264", {"context": TAGS}),
        ("mov", "libx265", {"context": WIDE, "pixel_format": "yuv420p10le"}),
        ("mkv", "libx264", {"languages": ("fra", "spa")}),
        ("mp4", "libx264", {"languages": ("fra", "spa")}),
        ("mp4", "libx264", {"context": {"sample_aspect_ratio": Fraction(4, 3)}}),
    ],
)
def test_what_a_player_needs_is_as_it_was(frames, tmp_path, ending, codec, options):
    path, out = tmp_path / f"in.{ending}", tmp_path / f"out.{ending}"
    write_clip(path, frames[:4], codec=codec, sound="aac", **options)
    clip = through(path, out)
    read = []
    for name in (path, out):
        with av.open(str(name)) as made:
            picture, sounds = made.streams.video[0], [one.index for one in made.streams.audio]
            read.append(facts(made, next(made.decode(picture)), picture, sounds))
            if codec == "libx265":
                assert name is path or picture.codec_context.codec_tag == "hvc1"
    assert read[0] == read[1] and clip.left_out == []
    assert sum(bool(value) for value in read[0].values()) >= 5


@pytest.mark.parametrize("ending", ["mp4", "mkv"])
def test_nothing_that_says_where_when_or_who_travels(frames, tmp_path, ending):
    secret = {
        "title": "SECRET title",
        "comment": "SECRET comment",
        "location": "+48.8577+002.2950/",
        "creation_time": "2021-02-03T04:05:06.000000Z",
    }
    path, out = tmp_path / f"in.{ending}", tmp_path / f"out.{ending}"
    write_clip(path, frames, sound="aac", metadata=secret)
    assert path.read_bytes().count(b"SECRET") > 2
    clip = through(path, out)
    assert "title" in " ".join(clip.left_out) and "chapters" in clip.left_out
    assert not any(word in out.read_bytes() for word in (b"SECRET", b"48.85", b"2021-02"))
    with av.open(str(out)) as made:
        assert made.metadata.get("creation_time") is None
        assert not made.chapters()


@pytest.mark.parametrize(
    ("name", "content", "ending", "error", "said"),
    [
        ("broken.mp4", b"this is no video" * 100, "mp4", UnreadableImage, "is damaged or not a video"),
        ("none.mp4", None, "mp4", UnreadableImage, "does not exist"),
        ("text.txt", b"x", "mp4", UnreadableImage, "no clip that can be read"),
        ("clip.mp4", "clip", "webm", OutputNotWritable, r"out\.webm cannot be written .*'aac'"),
    ],
)
def test_what_cannot_be_done_is_named_before_any_work(
    frames, tmp_path, name, content, ending, error, said
):
    path = tmp_path / name
    if content == "clip":
        write_clip(path, frames[:2], sound="aac")
    elif content:
        path.write_bytes(content)
    with pytest.raises(error, match=said):
        open_clip(path, tmp_path / f"out.{ending}")


def test_a_place_that_cannot_be_written_is_named_in_words(tmp_path):
    (tmp_path / "file").touch()
    said = r"a\.mp4 cannot be written \(Not a directory\); choose another place"
    with (
        pytest.raises(OutputNotWritable, match=said),
        unfinished(tmp_path / "file" / "a.mp4", {}, None, False),
    ):
        pass


def test_without_pyav_the_command_says_what_to_install(tmp_path, monkeypatch):
    path = tmp_path / "in.mp4"
    path.write_bytes(b"x")
    monkeypatch.setitem(sys.modules, "av", None)
    for name in [one for one in sys.modules if one.startswith("anonlab.apps.video.")]:
        monkeypatch.delitem(sys.modules, name)
    from anonlab.apps.video.clips import open_clip

    with pytest.raises(PackageMissing, match=r'pip install "anonlab\[video\]"'):
        open_clip(path, tmp_path / "out.mp4")


@pytest.mark.parametrize("asked", [{"target_distance": 0.8}, {"refine_steps": 5}])
def test_a_clip_refuses_what_one_pass_cannot_do(tmp_path, asked):
    with pytest.raises(UnknownOption, match="take strength"):
        anonymize_clip(None, tmp_path / "in.mp4", tmp_path / "out.mp4", Controls(**asked))


def test_a_part_of_a_clip_begins_at_zero(frames, tmp_path):
    path = write_clip(tmp_path / "in.mp4", frames * 4, sound="aac")
    out = tmp_path / "out.mp4"
    through(path, out, start=0.48, end=0.96)
    times, shown = decoded(out)
    assert times == pytest.approx(np.arange(12) * 0.04, abs=1e-9)
    assert apart(decoded(path)[1][12:24], shown) < 3
    (times, sound), (part_times, part) = (zip(*sound_packets(one), strict=True) for one in (path, out))
    at = sound.index(part[0])
    assert part == sound[at : at + len(part)]
    assert times[at] - 0.48 == pytest.approx(part_times[0], abs=1e-3)
