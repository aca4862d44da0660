"""Folders of photos: going on after any end, one run at a time; links, FIFOs and hostile names."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
import torch
from faked import Inverter, files, noise, photo_file, pixels_of, written
from PIL import Image

from anonlab.apps.folders.batch import NOTHING, anonymize_files, read_previous, recording
from anonlab.apps.folders.sources import digest
from anonlab.apps.resume import FINGERPRINT_BYTES
from anonlab.controls import Controls
from anonlab.errors import FolderBusy, InputDamaged, OutputNotWritable, UnknownOption
from anonlab.files import LOCK, folder_lock, printable, remove_partials
from anonlab.photo.photos import Photo
from anonlab.results import Result

ROOT = Path(__file__).resolve().parents[3]
KEY = b"0123456789abcdef"


def anonymize(inverter: Inverter, source: Path, out: Path, **options: object) -> dict:
    controls = options.pop("controls", Controls())
    return anonymize_files(inverter, [source], out, controls, "all", out / "record.json", **options)


def by_name(source: Path, out: Path) -> dict[str, dict]:
    """The record's entries of a folder's photos."""
    photos = anonymize(Inverter(), source, out)["photos"]
    return {os.path.basename(one["source"]): one for one in photos}


def assert_negatives(made: dict) -> None:
    """Each output is what the `Inverter` makes of its photo."""
    for one in made["photos"]:
        before, after = (pixels_of(Path(one[name])) for name in ("source", "output"))
        np.testing.assert_array_equal(after, 255 - before)


def test_what_is_done_is_not_done_again_and_the_key_is_known_and_not_kept(folder, tmp_path):
    """The record has a short, slow, salted fingerprint of it and nothing else."""
    first = anonymize(Inverter(), folder, tmp_path / "out", key=KEY)
    times = {name: (tmp_path / "out" / name).stat().st_mtime_ns for name in ("a.png", "below/c.png")}
    again = Inverter()
    assert anonymize(again, folder, tmp_path / "out", key=KEY, resume=True) == first
    assert again.seen == []
    text = (tmp_path / "out" / "record.json").read_text()
    assert json.loads(text) == first
    assert {name: (tmp_path / "out" / name).stat().st_mtime_ns for name in times} == times
    assert KEY.decode() not in text and KEY.hex() not in text
    assert first["run"]["key"].keys() == {"salt", "scrypt"}
    assert len(first["run"]["key"]["scrypt"]) == 2 * FINGERPRINT_BYTES


def test_only_what_changed_is_done(folder, tmp_path):
    """Another photo under the name, an output that is gone, one that was altered, and a new photo."""
    anonymize(Inverter(), folder, tmp_path / "out")
    photo_file(folder / "a.png", 11)
    (tmp_path / "out" / "b.png").unlink()
    (tmp_path / "out" / "d.png").write_bytes((folder / "d.png").read_bytes())  # the original!
    photo_file(folder / "e.png", 12)
    again = Inverter()
    made = anonymize(again, folder, tmp_path / "out", resume=True)
    assert again.seen == ["a.png", "b.png", "d.png", "e.png"]
    assert [Path(one["source"]).name[0] for one in made["photos"]] == [*"abcde"]
    assert_negatives(made)


@pytest.mark.parametrize(
    "changed",
    [
        {"controls": Controls(seed=1)},
        {"key": b"another-secret-key"},
        {"key": None},
        {"keep_metadata": ("date",)},
        {"made_by": {"method": "optimize"}},
    ],
    ids=lambda one: next(iter(one)),
)
def test_other_settings_are_other_results(folder, tmp_path, changed):
    options = {"key": KEY, "made_by": {"method": "encode"}}
    anonymize(Inverter(), folder, tmp_path / "out", **options)
    again, before = Inverter(), (tmp_path / "out" / "record.json").read_bytes()
    name = {"controls": "seed", "made_by": "method"}.get(next(iter(changed)), next(iter(changed)))
    with pytest.raises(InputDamaged, match=rf"record\.json was begun with another {name}; use the same"):
        anonymize(again, folder, tmp_path / "out", resume=True, **(options | changed))
    assert again.seen == [] and (tmp_path / "out" / "record.json").read_bytes() == before


class Asked(Inverter):
    """That keeps what it was asked for, and knows a person by the number of photos."""

    def recognise(self, photos: list[Path]) -> torch.Tensor:
        return torch.tensor([[float(ord(path.name[0]))] for path in photos])

    def __call__(self, photo: Photo, controls: Controls, **choice: object) -> Result:
        self.controls, self.choice = controls, choice
        return super().__call__(photo, controls)


def test_what_is_chosen_reaches_the_anonymizer_and_the_record_says_it(tmp_path):
    photo_file(tmp_path / "in" / "a.png")
    (tmp_path / "in" / "notes.txt").write_text("no photo")
    asked, known, out, controls = Asked(), object(), tmp_path / "out", Controls(seed=3, keep=("age",))
    record = anonymize_files(
        asked, [tmp_path / "in"], out, controls, [1], out / "record.json", fallback="blur",
        leave=[Path("ann.png")], only=[Path("bob.png")], known=known, keep_metadata=("date",),
        made_by={"method": "encode"},
    )  # fmt: skip
    faces = asked.choice.pop("faces")
    assert asked.controls == controls and asked.choice == {"fallback": "blur", "known": known}
    assert (faces.faces, faces.names) == ([1], ["ann.png"])
    assert faces.leave.item() == ord("a") and faces.only.item() == ord("b")
    said = {"faces": [1], "fallback": "blur", "leave": ["ann.png"], "only": ["bob.png"]}
    assert record["controls"] == json.loads(json.dumps(asdict(controls))) | said
    assert record["run"] == {"method": "encode", "keep_metadata": ["date"], "key": None}
    assert [one["source"] for one in record["left_out"]] == [str(tmp_path / "in" / "notes.txt")]
    assert json.loads((out / "record.json").read_text()) == record
    [entry] = record["photos"]
    assert entry.pop("faces")[0]["distance"] == 0.75
    source = tmp_path / "in" / "a.png"
    assert entry == {
        "source": str(source), "source_sha256": digest(source), "error": None, "notes": [],
        "output": str(out / "a.png"), "output_sha256": digest(out / "a.png"),
    }  # fmt: skip
    with pytest.raises(UnknownOption, match="metadata thumbnail does not exist"):
        anonymize(asked, source, tmp_path / "new", keep_metadata=("thumbnail",))
    assert not (tmp_path / "new").exists()


def test_without_choices_all_faces_are_anonymized_and_none_is_covered(tmp_path):
    photo_file(tmp_path / "in" / "a.png")
    asked = Asked()
    record = anonymize(asked, tmp_path / "in", tmp_path / "out")
    faces = asked.choice.pop("faces")
    assert (faces.faces, faces.leave, faces.only) == ("all", None, None)
    assert asked.choice == {"fallback": "none", "known": None} and "left_out" not in record
    assert record["run"] == {"keep_metadata": [], "key": None}


def test_a_photo_that_fails_is_named_and_photos_of_earlier_runs_stay_in_the_record(folder, tmp_path):
    dark = tmp_path / "more" / "dark.png"
    written(dark, noise() * 0)
    first = anonymize(Inverter(), folder, tmp_path / "out")
    made = anonymize(Inverter(), dark.parent, tmp_path / "out", resume=True)
    assert made["photos"][:-1] == first["photos"]
    error = f"{dark} shows no face that can be found; use a photo with a face"
    about = {"source": str(dark), "source_sha256": digest(dark), "error": error}
    assert made["photos"][-1] == NOTHING | about
    again = Inverter()
    assert anonymize(again, tmp_path / "more", tmp_path / "out", resume=True) == made
    assert again.seen == ["dark.png"]  # what failed is tried again


def test_a_record_says_at_any_time_what_is_done(tmp_path, monkeypatch):
    """Its journal has a line a photo, as long as the disk has room, and is gone at any end."""
    path, head = tmp_path / "record.json", {"controls": {"seed": 1}, "run": {"method": "encode"}}
    settings = {"seed": 1, "method": "encode", "key": None}
    with contextlib.suppress(KeyboardInterrupt), recording(path, head, None, False) as (record, add):
        assert read_previous(path) == ({}, []) and record["photos"] == []
        for number in range(3):
            add({"output": f"{number}.png"})
            entries = [{"output": f"{one}.png"} for one in range(number + 1)]
            assert read_previous(path) == (settings, entries)
        monkeypatch.setattr(os, "fsync", lambda _: (_ for _ in ()).throw(OSError("disk full")))
        add({"output": "3.png"})
        monkeypatch.undo()
        assert json.loads(path.read_text())["photos"] == []
        raise KeyboardInterrupt
    assert files(tmp_path) == ["record.json"]
    assert read_previous(path) == (settings, [*entries, {"output": "3.png"}])
    assert json.loads(path.read_text()) == record


@pytest.mark.parametrize(
    "content",
    ["", "{", "[]", "3", '{"photos": [1], "run": {}}', '{"photos": [1], "run": {}, "controls": []}'],
)
def test_a_damaged_record_is_none(tmp_path, content):
    path = tmp_path / "record.json"
    assert read_previous(path) == ({}, [])
    path.write_text(content)
    assert read_previous(path) == ({}, [])
    (tmp_path / "record.journal").write_text(content)
    path.write_text('{"photos": [1], "run": {"a": 2}, "controls": {"b": 3}}')
    assert read_previous(path) == ({"a": 2, "b": 3}, [1])


def test_photos_are_done_side_by_side_and_recorded_in_their_order(folder, tmp_path):
    together = threading.Barrier(2)
    torch.set_num_threads(2)
    made = anonymize(Inverter(lambda _: together.wait(20)), folder, tmp_path / "out")
    names = [Path(one["source"]).name for one in made["photos"]]
    assert names == ["a.png", "b.png", "c.png", "d.png"]
    assert_negatives(made)  # fails, too, where one had to wait for another


KILLED = """
import os, signal, sys
sys.path[:0] = [{root!r}, {tests!r}]
from pathlib import Path
import torch
from PIL import Image
from faked import Inverter
from anonlab.apps.folders.batch import anonymize_files
from anonlab.controls import Controls
torch.set_num_threads(1)
written, save = [], Image.Image.save
def save_or_die(image, path, **options):
    if len(written) == 2:
        Path(path).write_bytes(b"half a picture")
        os.kill(os.getpid(), signal.SIGKILL)
    written.append(path)
    save(image, path, **options)
Image.Image.save = save_or_die
out = Path({out!r})
anonymize_files(Inverter(), [Path({folder!r})], out, Controls(), "all", out / "record.json")
"""


def test_killed_while_writing_and_resumed(folder, tmp_path):
    out = tmp_path / "out"
    code = KILLED.format(root=str(ROOT), tests=str(ROOT / "tests"), out=str(out), folder=str(folder))
    killed = subprocess.run([sys.executable, "-c", code], timeout=120)
    assert killed.returncode == -signal.SIGKILL
    left = files(out)
    whole = ["a.png", "b.png", "record.journal", "record.json"]
    assert [name for name in left if ".anonlab" not in name] == whole
    assert sum(name.endswith(".partial") for name in left) == 1
    assert LOCK in left
    _, previous = read_previous(out / "record.json")
    assert [Path(one["output"]).name for one in previous] == ["a.png", "b.png"]
    again = Inverter()
    made = anonymize(again, folder, out, resume=True)
    assert again.seen == ["c.png", "d.png"]
    assert files(out) == ["a.png", "b.png", "below/c.png", "d.png", "record.json"]
    assert [one["error"] for one in made["photos"]] == [None] * 4
    assert_negatives(made)


def test_a_run_killed_at_once_loses_nothing_and_a_torn_line_one_photo(folder, tmp_path):
    made = anonymize(Inverter(), folder, tmp_path / "out")
    head = {name: made[name] for name in ("controls", "run")}
    killed = recording(tmp_path / "out" / "record.json", head, None, resume=True)
    killed.__enter__()  # and nothing more: its end is not reached while it is held
    journal = tmp_path / "out" / "record.journal"
    was = made["controls"] | made["run"], made["photos"]
    assert read_previous(tmp_path / "out" / "record.json") == was  # a run that is killed at once
    journal.write_text(journal.read_text()[:-20])
    (tmp_path / "out" / "record.json").write_text("{")
    again = Inverter()
    assert anonymize(again, folder, tmp_path / "out", resume=True)["photos"][:3] == made["photos"][:3]
    assert again.seen == ["d.png"]


def test_a_second_run_into_the_folder_is_refused(folder, tmp_path):
    with folder_lock(tmp_path):
        (tmp_path / "link").symlink_to(tmp_path)
        for out in (tmp_path, tmp_path / "link"):
            with pytest.raises(FolderBusy, match="another run; wait for it"):
                anonymize(Inverter(), folder, out)
    assert not (tmp_path / "record.json").exists()
    anonymize(Inverter(), folder, tmp_path)
    assert LOCK not in files(tmp_path)


def test_a_lock_that_is_a_link_is_not_written_through(tmp_path):
    (tmp_path / "letter").write_text("here first")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / LOCK).symlink_to(tmp_path / "letter")
    with pytest.raises(OutputNotWritable, match="cannot be written"), folder_lock(tmp_path / "out"):
        pass
    assert (tmp_path / "letter").read_text() == "here first"


def test_only_leftovers_of_dead_processes_are_removed(tmp_path):
    dead = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True)
    number = int(dead.stdout)
    for name in (f".anonlab-{number}-x.partial", f".anonlab-{os.getpid()}-x.partial", "own.partial"):
        (tmp_path / name).touch()
    assert remove_partials([tmp_path, tmp_path]) == 1
    assert files(tmp_path) == sorted([f".anonlab-{os.getpid()}-x.partial", "own.partial"])


def test_a_result_is_on_the_disk_before_its_name_is(folder, tmp_path, monkeypatch):
    done, fsync, replace = [], os.fsync, os.replace
    monkeypatch.setattr(
        os, "fsync", lambda handle: (done.append(os.readlink(f"/proc/self/fd/{handle}")), fsync(handle))
    )
    monkeypatch.setattr(os, "replace", lambda old, new: (done.append(str(new)), replace(old, new)))
    anonymize(Inverter(), folder, tmp_path / "out")
    at = done.index(str(tmp_path / "out" / "a.png"))
    assert done[at - 1].endswith(".partial")
    assert done[at + 1] == str(tmp_path / "out")


def test_resume_and_keep_metadata_are_options(folder, tmp_path, command, loads):
    """The second call does nothing, and tells of all four photos again."""
    exif = Image.Exif()
    exif[0x013B] = "Ada"
    Image.fromarray(noise()).save(folder / "a.png", exif=exif)
    words = ["anonymize", folder, "--out", tmp_path / "out", "--resume", "--keep-metadata"]
    assert command(*words, "copyright").status == 0
    outcome = command(*words, "copyright")
    assert (outcome.status, outcome.err, len(outcome.out.splitlines())) == (0, "", 4)
    assert [len(one.seen) for one in loads.given] == [4, 0]
    with Image.open(tmp_path / "out" / "a.png") as image:
        assert image.getexif()[0x013B] == "Ada"
    assert command(*words, "thumbnail").status == 2


# Links, FIFOs and names that are meant to trip a program


@pytest.fixture
def within_a_minute() -> Iterator[None]:
    before = signal.signal(signal.SIGALRM, lambda *_: pytest.fail("it took more than a minute"))
    signal.alarm(60)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


def test_a_linked_folder_is_named_and_not_followed(tmp_path, within_a_minute):
    """It may lead in a circle; nothing in it is skipped in silence."""
    photo_file(tmp_path / "in" / "a.png")
    (tmp_path / "in" / "loop").symlink_to(tmp_path / "in")
    entries = by_name(tmp_path / "in", tmp_path / "out")
    assert entries["a.png"]["error"] is None
    assert "is a link to a folder and not followed; name it on its own" in entries["loop"]["error"]
    assert files(tmp_path / "out") == ["a.png", "record.json"]


def test_fifos_sockets_and_devices_are_not_opened(tmp_path, within_a_minute):
    """Opening a FIFO waits for somebody to write; reading /dev/zero has no end."""
    photo_file(tmp_path / "in" / "a.png")
    os.mkfifo(tmp_path / "in" / "fifo.jpg")
    (tmp_path / "in" / "zero.png").symlink_to("/dev/zero")
    (tmp_path / "in" / "folder.png").mkdir()
    with socket.socket(socket.AF_UNIX) as listening, contextlib.chdir(tmp_path / "in"):
        listening.bind("socket.png")
        entries = by_name(tmp_path / "in", tmp_path / "out") | by_name(
            Path("/dev/null"), tmp_path / "out"
        )
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
    ids=ascii,
)
def test_names_of_every_kind(tmp_path, name, command, within_a_minute):
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


def test_input_in_output_in_input(tmp_path, within_a_minute):
    photo_file(tmp_path / "in" / "a.png")
    for _ in range(3):
        entries = by_name(tmp_path / "in", tmp_path / "in" / "out")
        assert list(entries) == ["a.png"]
    photo_file(tmp_path / "album" / "in" / "b.png")
    for _ in range(2):
        entries = by_name(tmp_path / "album" / "in", tmp_path / "album")
        assert list(entries) == ["b.png"]
    assert files(tmp_path / "album") == ["b.png", "in/b.png", "record.json"]
