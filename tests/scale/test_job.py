"""300 photos through Ray: killed in the middle, resumed, with photos that fail and photos that kill."""

from __future__ import annotations

import functools
import http.server
import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageEnhance

pytest.importorskip("ray.data")
import psutil
import pyarrow as pa
import pyarrow.parquet as pq
from painter import PAINT, painted

from anonlab.generators.samples import sample_photo
from anonlab.photo.photos import read_photo

pytestmark = pytest.mark.serial
ROOT = Path(__file__).parents[2]
KEY = "0123456789abcdef0123456789abcdef"
COUNT, PER_BLOCK = 300, 20


def environment() -> dict:
    paths = os.pathsep.join([str(ROOT), str(Path(__file__).parent)])
    return os.environ | {"PYTHONPATH": paths, "OMP_NUM_THREADS": "1"}


def drive(**given: object) -> subprocess.Popen:
    """A job by the painter, in a process group of its own."""
    given = {"factory": "painter:load", "rows_per_block": PER_BLOCK, "key": KEY} | given
    command = [sys.executable, str(Path(__file__).with_name("drive.py")), json.dumps(given)]
    return subprocess.Popen(
        command, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def face_photo(number: int) -> Image.Image:
    """A small face, 64–96 px, a little different for each number."""
    size = 64 + number % 33
    left, top = 160 + number % 7, 60 + number % 5
    face = sample_photo("astronaut").crop((left, top, left + 120, top + 120)).resize((size, size))
    return ImageEnhance.Brightness(face).enhance(0.7 + number / 500)


SPECIAL = {
    20: "kills always",
    150: "kills once",
    90: "nobody",
    130: "covered",
    40: "missing",
    260: "broken",
}


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """A manifest of 300 photos with telling names, one of them behind a URL."""
    folder = tmp_path_factory.mktemp("people")
    ids, paths = [], []
    for number in range(COUNT):
        name = f"Anna Miller {number:03d} {SPECIAL.get(number, '')}".strip()
        path = folder / (name + (".jpg" if number % 3 == 0 else ".png"))
        if SPECIAL.get(number) == "broken":
            path.write_bytes(b"\x89PNG\r\n\x1a\n and no more")
        elif SPECIAL.get(number) != "missing":
            face_photo(number).save(path, quality=95)
        ids.append(name)
        paths.append(path.name)
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=folder)
    handler.log_message = lambda *_: None
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    paths[7] = f"http://127.0.0.1:{server.server_port}/{paths[7].replace(' ', '%20')}"
    pq.write_table(pa.table({"id": ids, "path": paths}), folder / "manifest.parquet")
    yield folder
    server.shutdown()


def outputs(out: Path) -> list[Path]:
    return [path for path in (out / "photos").rglob("*") if path.is_file()]


def check_painted(path: Path) -> None:
    """Whole, and the face is gone."""
    with Image.open(path) as image:
        pixels = np.array(image.convert("RGB")).astype(int)
    height, width, _ = pixels.shape
    middle = pixels[height // 4 + 2 : -height // 4 - 2, width // 4 + 2 : -width // 4 - 2]
    assert np.abs(middle - PAINT).max() < 40, path


@pytest.fixture(scope="module")
def killed(photos, tmp_path_factory):
    """What a job leaves whose driver was killed after two parts of the manifest."""
    out = tmp_path_factory.mktemp("job") / "out"
    driver = drive(source=str(photos / "manifest.parquet"), out=str(out), workers=2)
    checkpoint = out / "job" / "checkpoint"
    listening = set()
    deadline = time.monotonic() + 300
    while len(list(checkpoint.glob("*[!g].parquet"))) < 2:
        assert driver.poll() is None, driver.communicate()
        assert time.monotonic() < deadline
        for process in psutil.Process(driver.pid).children(recursive=True):
            try:
                sockets = process.net_connections(kind="inet")
            except psutil.Error:
                continue
            listening |= {one.laddr.ip for one in sockets if one.status == psutil.CONN_LISTEN}
        time.sleep(0.1)
    children = psutil.Process(driver.pid).children(recursive=True)
    driver.kill()
    driver.wait()
    psutil.wait_procs(children, timeout=30)
    rows = sum(pq.read_metadata(path).num_rows for path in (out / "manifest").glob("*.parquet"))
    return out, rows, listening, [path for path in outputs(out) if path.name[0] != "."]


@pytest.fixture(scope="module")
def resumed(photos, killed):
    """The same job after it has gone on to its end: its folder, its rows by id, and what it said."""
    out, *_ = killed
    driver = drive(source=str(photos / "manifest.parquet"), out=str(out), workers=1, resume=True)
    said, errors = driver.communicate(timeout=400)
    assert driver.returncode == 0, errors
    rows = pq.read_table(out / "manifest").to_pylist()
    return out, rows, json.loads(said.splitlines()[-1])


def test_killing_the_driver_leaves_only_whole_and_anonymized_photos(killed):
    _, rows, _, written = killed
    assert 0 < rows < COUNT  # it was in the middle
    assert written
    for path in written:
        check_painted(path)


def test_nothing_listens_beyond_this_machine(killed):
    _, _, listening, _ = killed
    assert listening and {ip.removeprefix("::ffff:") for ip in listening} == {"127.0.0.1"}


def test_after_resuming_every_id_is_there_exactly_once(photos, resumed):
    _, rows, found = resumed
    wanted = pq.read_table(photos / "manifest.parquet")["id"].to_pylist()
    assert sorted(row["id"] for row in rows) == sorted(wanted)
    assert found == {"photos": COUNT, "failed": 4, "covered": 1}


def test_every_output_has_its_row_and_is_anonymized(photos, resumed):
    out, rows, _ = resumed
    assert {str(out / row["output"]) for row in rows if row["output"]} == {*map(str, outputs(out))}
    for row in rows:
        assert (row["output"] is None) == (row["error"] is not None)
        if row["output"]:
            check_painted(out / row["output"])
    [exact] = [row for row in rows if row["id"] == "Anna Miller 001"]  # PNG: to the pixel
    before, after = (
        read_photo(path).pixels for path in (photos / "Anna Miller 001.png", out / exact["output"])
    )
    assert (after == painted(before)).all()
    assert json.loads(exact["faces"])[0]["distance"] == 0.75 and exact["replaced"] == 1


def test_errors_are_rows_that_name_the_photo(resumed):
    _, rows, _ = resumed
    errors = {row["id"][16:]: row["error"] for row in rows if row["error"]}
    assert {*errors} == {"kills always", "nobody", "missing", "broken"}
    assert "does not exist" in errors["missing"] and "damaged" in errors["broken"]
    assert all("Anna Miller" in error for error in errors.values())


def test_a_photo_that_kills_its_worker_three_times_is_left(photos, resumed):
    _, rows, _ = resumed
    [path] = photos.glob("*kills always.begun")
    assert path.read_text() == "..."
    [row] = [row for row in rows if "kills always" in row["id"]]
    assert "ended its worker 3 times" in row["error"]


def test_a_photo_that_killed_its_worker_once_is_done(photos, resumed):
    _, rows, _ = resumed
    [path] = photos.glob("*kills once.begun")
    assert path.read_text() == "."
    [row] = [row for row in rows if "kills once" in row["id"]]
    assert row["output"] and not row["error"]


def test_nothing_in_an_output_tells_what_its_photo_was_called(resumed):
    out, *_ = resumed
    for path in outputs(out):
        assert len(path.stem) == 32 and int(path.stem, 16) >= 0
        assert path.parent.name == path.stem[:3]
        assert b"Miller" not in path.read_bytes()


def test_a_url_is_read_like_a_file(resumed):
    _, rows, _ = resumed
    [row] = [row for row in rows if row["id"] == "Anna Miller 007"]
    assert row["source"].startswith("http://") and row["output"]


def test_the_key_is_in_no_file_of_the_job(resumed):
    out, *_ = resumed
    for path in out.rglob("*"):
        assert path.is_dir() or KEY.encode() not in path.read_bytes()
