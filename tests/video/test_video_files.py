"""Video files in and out without any change of a face: what a player sees and hears stays."""

from __future__ import annotations

import subprocess
import sys

import av
import numpy as np
import pytest
from making import CLOCK, STEP, decoded, filmed, sound_packets, write_clip
from PIL import Image

from anonlab.controls import Controls
from anonlab.errors import OutputNotWritable, PackageMissing, UnknownOption, UnreadableImage
from anonlab.video.anonymize_clip import anonymize_clip
from anonlab.video.clips import open_clip
from anonlab.video.frames import patched

PLANAR = (
    "yuv420p",
    "yuv422p",
    "yuv444p",
    "yuvj420p",
    "yuv411p",
    "gray",
    "gbrp",
    "yuv420p10le",
    "yuv444p12le",
)
UNEVEN = [0, 700, 1100, 1150, 2500, 4000, 4100, 6000]


@pytest.fixture(scope="module")
def frames():
    still = Image.fromarray(np.random.default_rng(0).integers(0, 255, (24, 24, 3), np.uint8))
    return filmed([(still, lambda t: (40 + 50 * t, 40, 40, 30 * t))], (128, 96), 8)


def through(path, out, change=lambda pixels: pixels, segment=3, **part):
    """A clip taken apart and put together again, in segments."""
    clip = open_clip(path, out, **part)
    all_frames = list(clip.frames())
    groups = [all_frames[at : at + segment] for at in range(0, len(all_frames), segment)]
    clip.join([clip.encode((one, change(one.pixels)) for one in group) for group in groups], out)
    return clip


@pytest.mark.parametrize("times", [None, UNEVEN], ids=["constant", "variable"])
@pytest.mark.parametrize("ending", ["mp4", "mov", "mkv"])
def test_times_and_sound_stay_exactly(frames, tmp_path, times, ending):
    path, out = tmp_path / f"in.{ending}", tmp_path / f"out.{ending}"
    write_clip(path, frames, times, sound="aac")
    through(path, out)
    before, after = decoded(path), decoded(out)
    assert [time for time, _ in after] == [time for time, _ in before]
    assert sound_packets(out) == sound_packets(path)
    for (_, a), (_, b) in zip(before, after, strict=True):
        assert np.abs(a.astype(int) - b).mean() < 2.5


@pytest.mark.parametrize(
    ("codec", "ending", "name"),
    [
        ("libx264", "mp4", "h264"),
        ("libx265", "mp4", "hevc"),
        ("libvpx-vp9", "webm", "vp9"),
        ("libvpx", "webm", "vp8"),
        ("libsvtav1", "mp4", "av1"),
        ("mpeg4", "avi", "mpeg4"),
        ("mjpeg", "mov", "mjpeg"),
    ],
)
def test_a_clip_keeps_its_codec(frames, tmp_path, codec, ending, name):
    path, out = tmp_path / f"in.{ending}", tmp_path / f"out.{ending}"
    kind = "yuvj420p" if codec == "mjpeg" else "yuv420p"
    write_clip(path, frames, codec=codec, pixel_format=kind)
    through(path, out)
    with av.open(str(out)) as clip:
        assert clip.streams.video[0].codec_context.codec.canonical_name == name
    before, after = decoded(path), decoded(out)
    assert [time for time, _ in after] == [time for time, _ in before]
    for (_, a), (_, b) in zip(before, after, strict=True):
        assert np.abs(a.astype(int) - b).mean() < 4


def test_a_lossless_clip_stays_bit_for_bit_where_nothing_changes(frames, tmp_path):
    path = write_clip(tmp_path / "in.mkv", frames, codec="ffv1")

    def change(pixels):
        pixels = pixels.copy()
        pixels[20:40, 30:60] = 255 - pixels[20:40, 30:60]
        return pixels

    through(path, tmp_path / "out.mkv", change)
    for (_, a), (_, b) in zip(decoded(path), decoded(tmp_path / "out.mkv"), strict=True):
        inside = np.zeros(a.shape[:2], bool)
        inside[18:42, 28:62] = True  # colours are shared by two pixels, and read from four
        assert (a[~inside] == b[~inside]).all()
        assert np.abs(a[20:40, 30:60].astype(int) - b[20:40, 30:60]).mean() > 20


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


@pytest.mark.parametrize("rotation", [90, -90, 180])
def test_a_turned_clip_is_upright_to_us_and_turned_to_players(frames, tmp_path, rotation):
    turned = [np.rot90(one, -rotation // 90) for one in frames]
    path = write_clip(tmp_path / "in.mp4", turned, rotation=rotation)
    clip = open_clip(path, tmp_path / "out.mp4")
    first = next(clip.frames())
    assert first.pixels.shape == frames[0].shape
    assert np.abs(first.pixels.astype(int) - frames[0]).mean() < 8
    through(path, tmp_path / "out.mp4", lambda pixels: 255 - pixels)
    with av.open(str(tmp_path / "out.mp4")) as out:
        shown = next(out.decode(video=0))
        assert shown.rotation == rotation or abs(shown.rotation) == rotation == 180
        upright = np.rot90(shown.to_ndarray(format="rgb24"), rotation // 90)
    assert np.abs(255 - upright.astype(int) - first.pixels).mean() < 8


def test_nothing_that_says_where_when_or_who_travels(frames, tmp_path):
    secret = {
        "title": "SECRET title",
        "comment": "SECRET comment",
        "location": "+48.8577+002.2950/",
        "creation_time": "2021-02-03T04:05:06.000000Z",
    }
    path = write_clip(tmp_path / "in.mp4", frames, sound="aac", metadata=secret)
    subtitles = tmp_path / "with.mkv"
    with av.open(str(path)) as source, av.open(str(subtitles), "w") as target:
        target.metadata.update(secret)
        streams = [target.add_stream_from_template(one) for one in source.streams]
        for packet in source.demux():
            if packet.dts is not None:
                packet.stream = streams[packet.stream_index]
                target.mux(packet)
        target.set_chapters([{"id": 1, "start": 0, "end": 100, "time_base": CLOCK,
                              "metadata": {"title": "SECRET chapter"}}])  # fmt: skip
    for source, ending in ((path, "mp4"), (subtitles, "mkv")):
        assert b"SECRET" in source.read_bytes()
        out = tmp_path / f"out.{ending}"
        clip = through(source, out)
        assert "title" in " ".join(clip.left_out)
        data = out.read_bytes()
        assert not any(word in data for word in (b"SECRET", b"48.85", b"2021-02"))
        with av.open(str(out)) as made:
            assert made.metadata.get("creation_time") is None
            assert not made.chapters()


def test_a_part_of_a_clip_begins_at_zero(frames, tmp_path):
    path = write_clip(tmp_path / "in.mp4", frames * 4, sound="aac")
    out = tmp_path / "out.mp4"
    through(path, out, start=0.48, end=0.96)
    times = [time for time, _ in decoded(out)]
    np.testing.assert_allclose(times, np.arange(12) * 0.04, atol=1e-9)
    for (_, a), (_, b) in zip(decoded(path)[12:24], decoded(out), strict=True):
        assert np.abs(a.astype(int) - b).mean() < 3
    sound, part = sound_packets(path), sound_packets(out)
    whole = [data for _, data in sound]
    at = whole.index(part[0][1])
    assert [data for _, data in part] == whole[at : at + len(part)]
    assert abs(sound[at][0] - 0.48 - part[0][0]) < 1e-3


def test_a_clip_cut_off_in_the_middle_is_taken_as_far_as_it_goes(frames, tmp_path):
    path = write_clip(tmp_path / "in.mkv", frames * 4, codec="mjpeg", pixel_format="yuvj420p")
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])
    clip = open_clip(path, tmp_path / "out.mkv")
    assert 16 <= len(list(clip.frames())) < 32


def test_what_is_no_video_is_named(tmp_path):
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(b"this is no video" * 100)
    with pytest.raises(UnreadableImage, match=r"broken\.mp4 is damaged or not a video"):
        open_clip(broken, tmp_path / "out.mp4")
    with pytest.raises(UnreadableImage, match="does not exist"):
        open_clip(tmp_path / "none.mp4", tmp_path / "out.mp4")
    (tmp_path / "text.txt").write_text("x")
    with pytest.raises(UnreadableImage, match="no clip that can be read"):
        open_clip(tmp_path / "text.txt", tmp_path / "out.mp4")


def test_a_format_that_cannot_be_written_is_named(frames, tmp_path):
    path = write_clip(tmp_path / "in.mp4", frames[:2], sound="aac")
    with pytest.raises(OutputNotWritable, match=r"out\.webm cannot be written .*'aac'"):
        open_clip(path, tmp_path / "out.webm")  # before any work


def test_without_pyav_the_command_says_what_to_install(tmp_path, monkeypatch):
    path = tmp_path / "in.mp4"
    path.write_bytes(b"x")
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(PackageMissing, match=r'pip install "anonlab\[video\]"'):
        open_clip(path, tmp_path / "out.mp4")


def test_the_command_needs_no_pyav_for_its_help():
    code = (
        "import sys; sys.modules['av'] = None; from anonlab.cli import main; main(['video', '--help'])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0 and "--fallback" in done.stdout


@pytest.mark.parametrize("asked", [{"target_distance": 0.8}, {"refine_steps": 5}])
def test_a_clip_refuses_what_one_pass_cannot_do(tmp_path, asked):
    with pytest.raises(UnknownOption, match="take strength"):
        anonymize_clip(None, tmp_path / "in.mp4", tmp_path / "out.mp4", Controls(**asked))


def test_the_clock_of_the_tests_is_that_of_25_frames():
    assert float(STEP * CLOCK) == 1 / 25
