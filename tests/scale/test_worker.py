"""What one worker does with its photos, and what a job is told and refuses: without starting Ray."""

from __future__ import annotations

import hashlib
import json
import stat
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("ray.data")
import pyarrow as pa
import pyarrow.parquet as pq
from painter import painted

from anonlab.controls import Controls
from anonlab.errors import InputDamaged, InputMissing, OutputNotWritable, PackageMissing, WorkerDies
from anonlab.photo.photos import read_photo
from anonlab.scale import Task, before_ray, job, manifest
from anonlab.scale.attempts import LIMIT, Attempts
from anonlab.scale.names import Names, shard
from anonlab.scale.worker import LOADING, Worker

KEY = b"0123456789abcdef"


@pytest.fixture
def task(tmp_path) -> Task:
    made = Task(tmp_path / "out", KEY, factory="painter:load")
    made.attempts.mkdir(parents=True)
    return made


def photo(path: Path, seed: int = 0, **options: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (64, 80, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path, **options)
    return path


def block(names: Names, **paths: Path | str) -> pa.Table:
    rows = [
        dict(zip(("number", "name", "id", "path"), (*names(one), one, str(path)), strict=True))
        for one, path in paths.items()
    ]
    return pa.Table.from_pylist(rows, schema=manifest.WORK)


def test_rows_come_in_order_and_an_error_stops_only_its_photo(task, tmp_path):
    exif = Image.Exif()
    exif[0x010F] = "camera of Anna"
    good, again = photo(tmp_path / "a.png"), photo(tmp_path / "b.jpg", 1, exif=exif)
    table = block(Names(KEY), one=good, lost=tmp_path / "no.jpg", two=again, url=again.as_uri())
    made = Worker(task)(table)
    assert made.schema == manifest.ROWS
    assert made["id"].to_pylist() == ["one", "lost", "two", "url"]
    rows = made.to_pylist()
    assert [bool(row["error"]) for row in rows] == [False, True, False, False]
    assert rows[0]["source_sha256"] == hashlib.sha256(good.read_bytes()).hexdigest()
    written = task.out / rows[0]["output"]
    assert rows[0]["output_sha256"] == hashlib.sha256(written.read_bytes()).hexdigest()
    assert (read_photo(written).pixels == painted(read_photo(good).pixels)).all()
    assert rows[2]["output"].endswith(".jpg")
    assert b"Anna" not in (task.out / rows[2]["output"]).read_bytes()
    assert not [*task.attempts.iterdir()]  # nothing is in work any longer


def test_several_at_once_give_the_same_rows_in_the_same_order(task, tmp_path):
    names = Names(KEY)
    paths = {f"photo {n}": photo(tmp_path / f"{n}.png", n) for n in range(12)}
    table = block(names, **paths, lost=tmp_path / "no.jpg")
    rows = Worker(replace(task, at_once=4))(table).drop(["seconds"])
    alone = Worker(task)(table).drop(["seconds"])
    assert rows == alone and rows["id"].to_pylist() == [*paths, "lost"]
    assert not [*task.attempts.iterdir()]


def test_after_a_death_who_was_in_hand_is_done_alone_and_first(task, tmp_path, monkeypatch):
    """With several in hand nobody knows which of them the process died of."""
    names, hands = Names(KEY), []
    table = block(names, **{str(n): photo(tmp_path / f"{n}.png", n) for n in range(8)})
    attempts = Attempts(task.attempts)
    for suspect in ("2", "5", "6"):
        attempts.begin(names(suspect)[1])
    worker = Worker(replace(task, at_once=4))
    written = worker.written

    def noted(data: bytes, path: str, target: Path) -> dict:
        hands.append((Path(path).stem, {one.name for one in task.attempts.iterdir()}))
        return written(data, path, target)

    monkeypatch.setattr(worker, "written", noted)
    assert worker(table)["id"].to_pylist() == [str(n) for n in range(8)]
    assert [stem for stem, _ in hands[:3]] == ["2", "5", "6"]
    waiting = [names(one)[1] for one in ("2", "5", "6")]
    assert [in_hand for _, in_hand in hands[:3]] == [{*waiting[number:]} for number in range(3)]


def test_an_error_removes_what_an_earlier_attempt_wrote(task, tmp_path):
    path, names = photo(tmp_path / "a.png"), Names(KEY)
    [row] = Worker(task)(block(names, one=path)).to_pylist()
    path.unlink()
    [failed] = Worker(task)(block(names, one=path)).to_pylist()
    assert failed["error"] and not (task.out / row["output"]).exists()


def test_an_attempt_that_never_ended_counts_and_the_last_one_is_refused(task, tmp_path):
    path, names = photo(tmp_path / "a.png"), Names(KEY)
    name = names("one")[1]
    for _ in range(LIMIT - 1):
        assert Attempts(task.attempts).begin(name)  # and the process dies
    [row] = Worker(task)(block(names, one=path)).to_pylist()
    assert not row["error"]  # the third one lived
    for _ in range(LIMIT):
        Attempts(task.attempts).begin(name)
    for _ in range(2):  # also when its block is done again
        [row] = Worker(task)(block(names, one=path)).to_pylist()
        assert f"{LIMIT} times" in row["error"] and row["output"] is None


def test_a_stop_is_no_photos_fault_unless_it_was_one_before(task):
    attempts = Attempts(task.attempts)
    attempts.begin("in work")
    for _ in range(LIMIT):
        attempts.begin("killer")
    attempts.forgive()
    assert [path.name for path in task.attempts.iterdir()] == ["killer"]


def test_a_worker_that_always_dies_while_loading_ends_the_job(task):
    for _ in range(LIMIT):
        Attempts(task.attempts).begin(LOADING)
    with pytest.raises(WorkerDies, match="memory"):
        Worker(task)


def test_many_workers_may_load_at_the_same_time(task):
    many = replace(task, workers=LIMIT + 2)
    for _ in range(many.workers):  # none of them is done
        assert Attempts(many.attempts).begin(LOADING, many.workers)
    Worker(many)
    for _ in range(LIMIT * many.workers):
        Attempts(many.attempts).begin(LOADING, many.workers)
    with pytest.raises(WorkerDies, match="memory"):
        Worker(many)


def test_names_need_the_key_and_are_the_same_on_every_machine():
    names, other = Names(KEY), Names(b"another key, 16 bytes")
    number, name = names("anna.jpg")
    assert Names(KEY)("anna.jpg") == (number, name)
    assert other("anna.jpg")[1] != name and names.fingerprint() != other.fingerprint()
    assert int(name[:16], 16) == number % (1 << 64)
    assert name not in (
        hashlib.sha256(b"anna.jpg").hexdigest()[:32],
        hashlib.md5(b"anna.jpg").hexdigest(),
    )
    assert shard(name) == name[:3]


def work(source: Path, tmp_path: Path) -> list[dict]:
    path = tmp_path / "work.parquet"
    count = manifest.write_work(source, tmp_path / "out", Names(KEY), path)
    rows = pq.read_table(path).to_pylist()
    assert len(rows) == count
    return rows


def test_a_folders_photos_are_known_by_their_relative_path(tmp_path):
    folder = tmp_path / "in"
    photo(folder / "a.jpg")
    photo(folder / "sub" / "b.PNG", format="png")
    photo(folder / ".hidden" / "c.png")
    (folder / "notes.txt").write_text("no photo")
    rows = work(folder, tmp_path)
    assert {(row["id"], row["path"]) for row in rows} == {
        ("a.jpg", str(folder / "a.jpg")),
        ("sub/b.PNG", str(folder / "sub/b.PNG")),
    }


def test_results_in_the_folder_of_the_photos_are_no_photos(tmp_path):
    photo(tmp_path / "a.jpg")
    photo(tmp_path / "out" / "photos" / "123" / "b.jpg")
    assert [row["id"] for row in work(tmp_path, tmp_path)] == ["a.jpg"]


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        ({"id": ["a", "b", "a"], "path": ["1.jpg", "2.jpg", "3.jpg"]}, "more than once"),
        ({"path": ["1.jpg", "1.jpg"]}, "more than once"),
        ({"file": ["1.jpg"]}, "needs path"),
        ({"path": ["1.jpg", None]}, "without id or path"),
        ({"path": ["nowhere://x/1.jpg"]}, "nowhere://"),
    ],
)
def test_a_manifest_that_cannot_be_right_is_refused(columns, said, tmp_path):
    pq.write_table(pa.table(columns), tmp_path / "m.parquet")
    with pytest.raises(InputDamaged, match=said):
        work(tmp_path / "m.parquet", tmp_path)


def test_manifests_that_are_missing_or_empty_or_none(tmp_path):
    with pytest.raises(InputMissing, match="does not exist"):
        work(tmp_path / "m.parquet", tmp_path)
    pq.write_table(pa.table({"path": pa.array([], pa.string())}), tmp_path / "m.parquet")
    with pytest.raises(InputMissing, match="no photos"):
        work(tmp_path / "m.parquet", tmp_path)
    (tmp_path / "m.parquet").write_text("id,path")
    with pytest.raises(InputDamaged, match="Parquet"):
        work(tmp_path / "m.parquet", tmp_path)


def test_ids_may_be_numbers_and_relative_paths_stand_beside_the_manifest(tmp_path):
    pq.write_table(
        pa.table({"id": [4, 7], "path": ["x/1.jpg", "https://host/2.jpg"]}), tmp_path / "m.parquet"
    )
    rows = work(tmp_path / "m.parquet", tmp_path)
    assert [(row["id"], row["path"]) for row in rows] == [
        ("4", str(tmp_path / "x/1.jpg")),
        ("7", "https://host/2.jpg"),
    ]


def part(path: Path, *numbers: int) -> None:
    path.parent.mkdir(exist_ok=True)
    pq.write_table(pa.table({"number": pa.array(numbers, pa.int64())}), path)


def test_parts_and_checkpoint_that_do_not_belong_together_are_dropped(tmp_path):
    parts, checkpoint = tmp_path / "manifest", tmp_path / "checkpoint"
    for base in ("a_0", "a_1", "a_2"):
        part(parts / f"{base}-0.parquet", 1, 2)
    for base in ("a_0", "a_2", "a_3", "a_1.pending"):
        part(checkpoint / f"{base}.parquet", 1, 2)
    (parts / "a_2-0.parquet").write_bytes(b"")  # as after a power cut
    manifest.drop_torn(parts, checkpoint)
    assert [path.name for path in parts.iterdir()] == ["a_0-0.parquet"]
    assert [path.name for path in checkpoint.iterdir()] == ["a_0.parquet"]


def test_an_outcome_tells_a_row_that_stands_twice(tmp_path):
    rows = [{"number": 1, "covered": 2}, {"number": 2, "error": "lost"}, {"number": 3, "covered": 0}]
    for name, some in (("a", rows), ("b", rows[:1])):
        pq.write_table(pa.Table.from_pylist(some, schema=manifest.ROWS), tmp_path / f"{name}.parquet")
        found, once = manifest.outcome(tmp_path)
        assert once == (name == "a")
    assert (found.photos, found.failed, found.covered) == (4, 1, 2)


def test_settings_of_a_job_hold_no_key_and_differences_are_refused(task, tmp_path):
    path = tmp_path / "job" / "settings.json"
    job._keep_settings(path, task, "1234")
    job._keep_settings(path, task, "1234")
    assert KEY.decode() not in path.read_text() and json.loads(path.read_text())["key"] == "1234"
    with pytest.raises(OutputNotWritable, match="another key"):
        job._keep_settings(path, task, "4321")
    other = Task(task.out, KEY, Controls(seed=1), factory=task.factory)
    with pytest.raises(OutputNotWritable, match="another controls"):
        job._keep_settings(path, other, "1234")


def test_a_drawn_key_is_the_same_when_the_job_goes_on(tmp_path):
    key = job._drawn(tmp_path / "key")
    assert job._drawn(tmp_path / "key") == key and len(key) == 64
    assert stat.S_IMODE((tmp_path / "key").stat().st_mode) == 0o600


def test_a_job_is_not_begun_over_another(task):
    (task.out / "job" / "settings.json").write_text("{}")
    with pytest.raises(OutputNotWritable, match="--resume"):
        job.anonymize_set(task.out, task.out, KEY)


def test_without_ray_the_error_says_how_to_install_it(monkeypatch):
    monkeypatch.setattr(before_ray, "NEEDED", ("ray", "no_such_package"))
    with pytest.raises(PackageMissing, match=r'no_such_package.*pip install "anonlab\[scale\]"'):
        before_ray.check_packages()
