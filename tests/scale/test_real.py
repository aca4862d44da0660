"""The command with the real networks: what it writes is what one `Anonymizer` with that key makes."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("ray.data")
import pyarrow.parquet as pq

from anonlab.generators.samples import sample_photo
from anonlab.photo.photos import read_photo
from anonlab.pipeline import Anonymizer

pytestmark = pytest.mark.serial
KEY = "0123456789abcdef0123456789abcdef"


@pytest.fixture(scope="module")
def people(tmp_path_factory, synthetic_faces) -> Path:
    """Four photos: two of them of one person, as the bytes of another file would be."""
    folder = tmp_path_factory.mktemp("people")
    sample_photo("astronaut").save(folder / "Anna.png")
    for number, face in enumerate(synthetic_faces[:2]):
        pixels = ((face.permute(1, 2, 0) + 1) * 127.5).round().byte().numpy()
        Image.fromarray(pixels).save(folder / f"Bob{number}.png")
    Image.fromarray(np.full((64, 64, 3), 90, np.uint8)).save(folder / "wall.png")
    return folder


def test_the_command_makes_what_one_anonymizer_with_that_key_makes(people, tmp_path):
    key, out = tmp_path / "my.key", tmp_path / "out"
    key.write_text(KEY + "\n")
    command = [sys.executable, "-m", "anonlab", "scale", people, "--out", out, "--key", key]
    command += ["--workers", "1", "--fallback", "none", "--mask-area", "0.3", "--device", "cpu"]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(__file__).parents[2])}
    done = subprocess.run([*map(str, command)], env=environment, capture_output=True, text=True)
    assert done.returncode == 1, done.stderr  # the wall has no face
    assert "4 photos: 3 anonymized, 1 failed" in done.stdout
    rows = {row["id"]: row for row in pq.read_table(out / "manifest").to_pylist()}
    assert {*rows} == {"Anna.png", "Bob0.png", "Bob1.png", "wall.png"}
    assert rows["wall.png"]["error"] and rows["wall.png"]["output"] is None
    anonymizer = Anonymizer.load(device="cpu", key=KEY.encode())
    for name in ("Anna.png", "Bob0.png", "Bob1.png"):
        expected = anonymizer(people / name, mask_area=0.3)
        written = out / rows[name]["output"]
        assert hashlib.sha256(written.read_bytes()).hexdigest() == rows[name]["output_sha256"]
        before, after = read_photo(people / name).pixels, read_photo(written).pixels
        difference = np.abs(after.astype(int) - np.asarray(expected.image).astype(int))
        assert difference.max() <= 1  # threads may add in another order
        assert (np.asarray(expected.image) != before).any()
        [face] = json.loads(rows[name]["faces"])
        assert face["distance"] == pytest.approx(expected.faces[0].distance, abs=1e-3)
        assert not face["matched"] and rows[name]["replaced"] == 1
