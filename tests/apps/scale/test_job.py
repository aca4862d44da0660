"""A job of many photos: killed in the middle and resumed, with photos that fail and photos that kill."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import psutil
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from faked import noise, pixels_of, written

sys.path.insert(0, str(Path(__file__).parent))
from painter import KEY

from anonlab.apps.scale import LIMIT, anonymize_set, names_by, write_work
from anonlab.controls import Controls
from anonlab.errors import InputDamaged, InputMissing, OutputNotWritable

pytestmark = pytest.mark.serial
ROOT = Path(__file__).parents[3]
NONE = pa.array([], pa.string())
COUNT, PER_PART = 80, 8
SPECIAL = {5: "kills always", 40: "kills once", 21: "nobody", 33: "covered", 12: "missing", 66: "broken"}


def drive(photos: Path, out: Path, **given: object) -> subprocess.Popen:
    """A job by the painter, in a process of its own."""
    given |= {"source": str(photos / "manifest.parquet"), "out": str(out), "rows_per_part": PER_PART}
    paths = os.pathsep.join(map(str, (ROOT, ROOT / "tests", Path(__file__).parent)))
    return subprocess.Popen(
        [sys.executable, str(Path(__file__).with_name("painter.py")), json.dumps(given)],
        env=os.environ | {"PYTHONPATH": paths, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


@pytest.fixture(scope="module")
def photos(tmp_path_factory) -> Path:
    """A manifest of photos with telling names, one of them a URL."""
    folder = tmp_path_factory.mktemp("people")
    ids = [f"Anna Miller {number:03d} {SPECIAL.get(number, '')}".strip() for number in range(COUNT)]
    paths = [f"{name}.png" for name in ids]
    for number, path in enumerate(paths):
        if SPECIAL.get(number) == "broken":
            (folder / path).write_bytes(b"\x89PNG\r\n\x1a\n and no more")
        elif SPECIAL.get(number) != "missing":
            written(folder / path, noise(number) // (29 if SPECIAL.get(number) == "nobody" else 1))
    paths[7] = (folder / paths[7]).as_uri()
    pq.write_table(pa.table({"id": ids, "path": paths}), folder / "manifest.parquet")
    return folder


def outputs(out: Path) -> list[Path]:
    return [path for path in (out / "photos").rglob("*") if path.is_file() and path.name[0] != "."]


@pytest.fixture(scope="module")
def killed(photos, tmp_path_factory) -> tuple[Path, int, set[str]]:
    """What a job leaves whose driver is killed after two parts: folder, rows, where it listened."""
    out, listening = tmp_path_factory.mktemp("job") / "out", set()
    driver = drive(photos, out, workers=2)
    deadline = time.monotonic() + 200
    while len(list((out / "manifest").glob("*.parquet"))) < 2:
        assert driver.poll() is None and time.monotonic() < deadline, driver.communicate()
        for process in psutil.Process(driver.pid).children(recursive=True):
            try:
                sockets = process.net_connections(kind="inet")
            except psutil.Error:
                continue
            listening |= {one.laddr.ip for one in sockets if one.status == psutil.CONN_LISTEN}
        time.sleep(0.05)
    children = psutil.Process(driver.pid).children(recursive=True)
    driver.kill()
    driver.wait()
    psutil.wait_procs(children, timeout=30)
    for path in outputs(out):  # whole and anonymized, whatever was in work
        pixels_of(path)
    return out, sum(pq.read_metadata(one).num_rows for one in out.glob("manifest/*.parquet")), listening


@pytest.fixture(scope="module")
def resumed(photos, killed) -> tuple[Path, dict[str, dict], dict]:
    """The same job after it has gone on to its end: folder, rows by id, and what it said."""
    out = killed[0]
    driver = drive(photos, out, workers=1, resume=True)
    said, errors = driver.communicate(timeout=300)
    assert driver.returncode == 0, errors
    rows = pq.read_table(out / "manifest").to_pylist()
    asked = pq.read_table(photos / "manifest.parquet")["id"].to_pylist()
    assert sorted(row["id"] for row in rows) == asked
    return out, {row["id"]: row for row in rows}, json.loads(said.splitlines()[-1])


def test_it_was_in_the_middle_and_nothing_listened_beyond_this_machine(killed):
    assert 0 < killed[1] < COUNT
    assert killed[2] and {ip.removeprefix("::ffff:") for ip in killed[2]} == {"127.0.0.1"}


def test_every_photo_has_one_row_and_every_output_is_anonymized_and_hides_its_name(photos, resumed):
    out, rows, found = resumed
    assert found == {"photos": COUNT, "failed": 4, "covered": 1}
    assert {out / row["output"] for row in rows.values() if row["output"]} == {*outputs(out)}
    for name, row in rows.items():
        assert (row["output"] is None) == (row["error"] is not None)
        if row["output"]:
            path = out / row["output"]
            np.testing.assert_array_equal(pixels_of(path), 255 - pixels_of(photos / f"{name}.png"))
            assert len(path.stem) == 32 and path.parent.name == path.stem[:3]
            assert b"Miller" not in path.read_bytes()
    for path in out.rglob("*"):
        assert path.is_dir() or KEY.encode() not in path.read_bytes()


def test_errors_are_rows_and_a_photo_that_kills_three_times_is_left(photos, resumed):
    _, rows, _ = resumed
    errors = {name[16:]: row["error"] for name, row in rows.items() if row["error"]}
    assert {*errors} == {"kills always", "nobody", "missing", "broken"}
    assert "does not exist" in errors["missing"] and "damaged" in errors["broken"]
    assert f"ended its worker {LIMIT} times" in errors["kills always"]
    assert next(photos.glob("*kills always.begun")).read_text() == LIMIT * "."
    assert next(photos.glob("*kills once.begun")).read_text() == "."


def test_a_job_with_other_settings_and_without_resume_is_refused(photos, resumed):
    out, source = resumed[0], photos / "manifest.parquet"
    with pytest.raises(OutputNotWritable, match="holds a job already"):
        anonymize_set(source, out, KEY.encode())
    for name, value in {"controls": Controls(seed=1), "key": b"another" * 4}.items():
        given = {"key": KEY.encode()} | {name: value}
        with pytest.raises(InputDamaged, match=f"another {name}"):
            anonymize_set(source, out, resume=True, **given)


@pytest.mark.parametrize(
    ("columns", "error", "words"),
    [
        (None, InputMissing, "does not exist"),
        ({"file": ["a.png"]}, InputDamaged, "no column path, only file"),
        ({"path": [], "id": []}, InputMissing, "has no photos"),
        ({"path": ["a.png", "b.png"], "id": ["a", "a"]}, InputDamaged, "the id a twice"),
        ({"path": ["a.png", None]}, InputDamaged, "a row without id or path"),
    ],
)
def test_a_wrong_list_of_photos_is_refused(tmp_path, columns, error, words):
    if columns is not None:
        pq.write_table(pa.table({name: pa.array(one, pa.string()) for name, one in columns.items()}),
                       tmp_path / "in.parquet")  # fmt: skip
    with pytest.raises(error, match=words):
        write_work(tmp_path / "in.parquet", tmp_path, names_by(b"key"), NONE, tmp_path / "work.parquet")
    assert not (tmp_path / "work.parquet").exists()


def test_a_folder_is_listed_without_what_is_hidden_done_or_a_result(tmp_path):
    for name in ("a.png", "below/b.jpg", ".hidden.png", "notes.txt", "out/photos/c.png"):
        written(tmp_path / name, noise()) if name[-3:] != "txt" else (tmp_path / name).touch()
    naming, work = names_by(b"key"), tmp_path / "work.parquet"
    assert write_work(tmp_path, tmp_path / "out", naming, pa.array([naming("a.png")]), work) == (2, 1)
    [row] = pq.read_table(work).to_pylist()
    assert row == {"name": naming("below/b.jpg"), "id": "below/b.jpg",
                   "path": str(tmp_path / "below" / "b.jpg")}  # fmt: skip
    assert naming("a.png") != names_by(b"another key")("a.png")
