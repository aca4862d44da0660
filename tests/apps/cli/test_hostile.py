"""Links, FIFOs, full and read-only disks, names and folders that are meant to trip a program."""

import contextlib
import json
import os
import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from faked import Inverter, files, noise, photo_file, pixels_of
from PIL import Image

from anonlab.apps.folders.batch import anonymize_files
from anonlab.controls import Controls
from anonlab.files import printable


def anonymize(*sources: Path, out: Path) -> dict[str, dict]:
    """The record's entries by the sources' names; nothing may take longer than 20 s."""
    with within(20):
        record = anonymize_files(Inverter(), list(sources), out, Controls(), "all", out / "record.json")
    return {os.path.basename(one["source"]): one for one in record["photos"]}


@contextlib.contextmanager
def within(seconds: int) -> Iterator[None]:
    """A `TimeoutError` after these seconds."""

    def late(*_: object) -> None:
        raise TimeoutError(f"it took more than {seconds} s")

    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


@pytest.fixture
def mounted(tmp_path: Path) -> Iterator[tuple[Path, str]]:
    """A function that mounts a small disk in memory; the test is skipped where that is not allowed."""
    made = []

    def mount(options: str) -> Path:
        place = tmp_path / f"disk{len(made)}"
        place.mkdir()
        command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(place)]
        try:
            done = subprocess.run(command, capture_output=True)
        except FileNotFoundError:
            pytest.skip("there is no mount here")
        if done.returncode:
            pytest.skip("mounting is not allowed here")
        made.append(place)
        return place

    yield mount
    for place in made:
        subprocess.run(["umount", str(place)], check=True)


def test_a_linked_folder_is_named_and_not_followed(tmp_path):
    """It may lead in a circle; nothing in it is skipped in silence."""
    photo_file(tmp_path / "in" / "a.png")
    (tmp_path / "in" / "loop").symlink_to(tmp_path / "in")
    entries = anonymize(tmp_path / "in", out=tmp_path / "out")
    assert entries["a.png"]["error"] is None
    assert "is a link to a folder and not followed; name it on its own" in entries["loop"]["error"]
    assert files(tmp_path / "out") == ["a.png", "record.json"]


def test_fifos_sockets_and_devices_are_not_opened(tmp_path):
    """Opening a FIFO waits for somebody to write; reading /dev/zero has no end."""
    photo_file(tmp_path / "in" / "a.png")
    os.mkfifo(tmp_path / "in" / "fifo.jpg")
    (tmp_path / "in" / "zero.png").symlink_to("/dev/zero")
    (tmp_path / "in" / "folder.png").mkdir()
    with socket.socket(socket.AF_UNIX) as listening, contextlib.chdir(tmp_path / "in"):
        listening.bind("socket.png")
        entries = anonymize(tmp_path / "in", Path("/dev/null"), out=tmp_path / "out")
    assert "is a FIFO; name a photo" in entries["fifo.jpg"]["error"]
    assert "is a socket; name a photo" in entries["socket.png"]["error"]
    assert "is a device; name a photo" in entries["zero.png"]["error"]
    assert "is a device; name a photo" in entries["null"]["error"]
    assert files(tmp_path / "out") == ["a.png", "record.json"]


def test_full_disk(tmp_path, mounted):
    """The photo that does not fit is named, nothing of it stays, and smaller ones are done."""
    out = mounted("size=128k")
    photo_file(tmp_path / "in" / "a.png", 1)
    Image.fromarray(noise(2, 400, 400)).save(tmp_path / "in" / "b.bmp")
    photo_file(tmp_path / "in" / "c.png", 3)
    entries = anonymize(tmp_path / "in", out=out)
    assert "b.bmp cannot be written" in entries["b.bmp"]["error"]
    assert "No space left on device" in entries["b.bmp"]["error"]
    assert files(out) == ["a.png", "c.png", "record.json"]
    np.testing.assert_array_equal(pixels_of(out / "c.png"), 255 - noise(3))


@pytest.mark.parametrize(
    "name",
    [
        "Großmutter 👵 und 孫.png",
        "e\u0301 beside é.png",
        "-rf.png",
        " space .png",
        "line\nbreak.png",
        "quote'\"$(x).png",
        "x" * 251 + ".png",  # as long as a name can be
        b"latin-\xe9.png".decode(errors="surrogateescape"),
    ],
    ids=lambda name: ascii(name[:12]),
)
def test_names_of_every_kind(tmp_path, name, command):
    """The result has the same name, byte for byte, and the line that tells of it is one line."""
    pixels = photo_file(tmp_path / "in" / "a.png")
    (tmp_path / "in" / "a.png").rename(tmp_path / "in" / name)
    outcome = command("anonymize", tmp_path / "in", "--out", tmp_path / "out")
    assert outcome.status == 0
    found = os.listdir(os.fsencode(tmp_path / "out"))
    assert {*found} == {os.fsencode(name), b"record.json"}
    np.testing.assert_array_equal(pixels_of(tmp_path / "out" / name), 255 - pixels)
    (line,) = outcome.out.splitlines()
    assert printable(name) in line
    record = json.loads((tmp_path / "out" / "record.json").read_text())
    assert record["photos"][0]["source"] == str(tmp_path / "in" / name)


def test_polyglots_lose_their_other_half(tmp_path):
    """A ZIP, a page or a second photo behind the picture is not in the result."""
    payload = b"PK\x03\x04<script>alert(1)</script>" + b"the face again" * 50
    (tmp_path / "in").mkdir()
    for name in ("a.jpg", "b.png", "c.gif", "d.bmp", "e.webp", "f.tif"):
        Image.fromarray(noise()).save(tmp_path / "in" / name)
        with open(tmp_path / "in" / name, "ab") as file:
            file.write(payload)
    entries = anonymize(tmp_path / "in", out=tmp_path / "out")
    for name, entry in entries.items():
        assert entry["error"] is None, name
        data = (tmp_path / "out" / name).read_bytes()
        assert b"<script>" not in data and b"the face again" not in data


def test_input_in_output_in_input(tmp_path):
    """Results of the inner folder are not taken for photos of the outer one, run after run."""
    photo_file(tmp_path / "in" / "a.png")
    for _ in range(3):
        entries = anonymize(tmp_path / "in", out=tmp_path / "in" / "out")
        assert list(entries) == ["a.png"]
    photo_file(tmp_path / "album" / "in" / "b.png")
    for _ in range(2):
        entries = anonymize(tmp_path / "album" / "in", out=tmp_path / "album")
        assert list(entries) == ["b.png"]
    assert files(tmp_path / "album") == ["b.png", "in/b.png", "record.json"]
