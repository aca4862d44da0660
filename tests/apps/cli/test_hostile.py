"""Links, FIFOs, full and read-only disks, names and folders that are meant to trip a program."""

import contextlib
import json
import os
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from faked import Inverter, files, photo_file, pixels_of

from anonlab.apps.folders.batch import anonymize_files
from anonlab.controls import Controls
from anonlab.files import printable


@pytest.fixture(autouse=True)
def within_a_minute() -> Iterator[None]:
    before = signal.signal(signal.SIGALRM, lambda *_: pytest.fail("it took more than a minute"))
    signal.alarm(60)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


def anonymize(*sources: Path, out: Path) -> dict[str, dict]:
    record = anonymize_files(Inverter(), list(sources), out, Controls(), "all", out / "record.json")
    return {os.path.basename(one["source"]): one for one in record["photos"]}


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
    for name in ("fifo.jpg", "socket.png", "zero.png", "null"):
        assert "is a FIFO, a socket or a device; name a photo" in entries[name]["error"]
    assert files(tmp_path / "out") == ["a.png", "record.json"]


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


def test_input_in_output_in_input(tmp_path):
    photo_file(tmp_path / "in" / "a.png")
    for _ in range(3):
        entries = anonymize(tmp_path / "in", out=tmp_path / "in" / "out")
        assert list(entries) == ["a.png"]
    photo_file(tmp_path / "album" / "in" / "b.png")
    for _ in range(2):
        entries = anonymize(tmp_path / "album" / "in", out=tmp_path / "album")
        assert list(entries) == ["b.png"]
    assert files(tmp_path / "album") == ["b.png", "in/b.png", "record.json"]
