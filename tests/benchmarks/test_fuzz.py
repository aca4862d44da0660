"""Two hundred mutated files, and a benchmark of them that notices what it looks for."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

sys.path.insert(0, str(Path(__file__).parent))
import fuzz


def test_two_hundred_mutated_files() -> None:
    """No crash, no error that nobody named, no hang, no result that is not anonymized."""
    report = fuzz.fuzz(200, seed=1)
    assert report["wrong"] == []
    assert report["count"] == 200
    assert report["refused"] > 40 and report["written"] > 20  # both happen


def test_sixty_mutated_clips() -> None:
    """The same for clips: every frame of a result is the negative of the clip's."""
    report = fuzz.fuzz(60, seed=0, clips=True)
    assert report["wrong"] == [] and report["count"] == 60
    assert report["refused"] > 10 and report["written"] > 20
    copied = fuzz.fuzz(6, seed=2, defect="copy", clips=True)
    assert any("from the negative" in one["ended"] for one in copied["wrong"])


@pytest.mark.parametrize(
    ("defect", "words"),
    [
        ("crash", "ended the process (-11)"),
        ("hang", "took over 1 s"),
        ("error", "nobody named"),
        ("copy", "not the negative"),
    ],
)
def test_it_notices(defect: str, words: str) -> None:
    """Each planted defect is named with its case; after a crash or hang the next process goes on."""
    report = fuzz.fuzz(6, seed=2, limit=1, defect=defect)
    assert report["count"] == 6
    assert report["refused"] >= 1
    assert any(words in one["ended"] for one in report["wrong"])


def test_every_seed_is_read_or_refused_for_what_it_is() -> None:
    """The files are valid: what is refused is animated, has pages, or is a second picture."""
    from anonlab.errors import SeveralPictures
    from anonlab.photo.photos import read_photo

    refused = 0
    for suffix, data in fuzz.seeds():
        path = Path(f"seed{suffix}")
        try:
            photo = read_photo(_named(data, path))
            assert {*photo.size} == {48, 64}
        except SeveralPictures:
            refused += 1
    assert refused == 4


def _named(data: bytes, path: Path) -> object:
    import io

    file = io.BytesIO(data)
    file.name = str(path)
    return file


def test_checksums_are_made_right(tmp_path: Path) -> None:
    """A mutated PNG whose checksums were mended is decoded, and differs."""
    pixels = np.random.default_rng(0).integers(0, 256, (48, 64, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    data = bytearray((tmp_path / "a.png").read_bytes())
    at = data.index(b"IHDR") + 8 + 3
    data[at] -= 8  # 40 rows instead of 48
    (tmp_path / "b.png").write_bytes(bytes(data))
    with pytest.raises(Exception, match=r"broken PNG|checksum|cannot identify"):
        Image.open(tmp_path / "b.png").load()
    (tmp_path / "b.png").write_bytes(fuzz.with_right_checksums(bytes(data)))
    with Image.open(tmp_path / "b.png") as image:
        np.testing.assert_array_equal(np.asarray(image), pixels[:40])
