"""How fast `anonlab scale` is, and what it costs over a plain loop in one process.

    python benchmarks/scale.py [--photos 24] [--workers 1,2,4] [--rows-per-part 8] [--out FILE]

The photos are generated faces of 1024 px. The plain loop reads, anonymizes and writes one after another
with one thread, as one worker does; so its overhead is that of attempts, hashes, blocks and manifest. It
is measured from the first photo's beginning to the last part of the manifest: starting Ray and loading
weights, which a long job does once, stands in a column of its own. On a machine that others use, too,
the plain loop is repeated afterwards, and both are shown.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import threading
import time
from pathlib import Path

import torch

from anonlab.apps.scale import LOADING, anonymize_set
from anonlab.files import write_json
from anonlab.generators import load_generator
from anonlab.notebook.provenance import provenance
from anonlab.notebook.samples import sample_photo
from anonlab.photo.photos import read_photo, write_photo
from anonlab.pipeline import Anonymizer

KEY = b"a key of the benchmark, no secret"


def plain(photos: list[Path], out: Path) -> float:
    """Measure seconds for all, after the weights are loaded and one photo is done."""
    out.mkdir()
    anonymizer = Anonymizer.load(device="cpu", key=KEY)
    for number, path in enumerate((photos[0], *photos)):
        if number == 1:
            start = time.time()
        photo = read_photo(path)
        result = anonymizer(photo, fallback="blur")
        write_photo(result.image, out / path.name, photo.icc_profile, photo)
    return time.time() - start


def scaled(photos: Path, out: Path, workers: int, rows: int) -> dict[str, float]:
    """Measure seconds until the first photo begins, and from then to the last part of the manifest."""
    begun, over = [], threading.Event()

    def watch() -> None:
        while not begun and not over.wait(0.02):
            folder = out / "job" / "attempts"
            if folder.is_dir() and any(path.name != LOADING for path in folder.iterdir()):
                begun.append(time.time())

    watching = threading.Thread(target=watch)
    watching.start()
    start = time.time()
    try:
        found = anonymize_set(
            photos, out, KEY, workers=workers, rows_per_part=rows, fallback="blur", device="cpu"
        )
    finally:
        over.set()
        watching.join()
    end = max(path.stat().st_mtime for path in (out / "manifest").iterdir())
    return {"start": begun[0] - start, "seconds": end - begun[0], "failed": found["failed"]}


def main() -> None:
    """Measure, print a table, write a file."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--photos", type=int, default=24)
    options.add_argument("--workers", default="1,2,4")
    options.add_argument("--rows-per-part", type=int, default=8)
    options.add_argument("--out", type=Path, default=Path("outputs/bench/scale.json"))
    given = options.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory(prefix="anonlab-bench-") as name:
        folder, generator = Path(name), load_generator()
        (folder / "in").mkdir()
        photos = [folder / "in" / f"{number:04d}.jpg" for number in range(given.photos)]
        for number, path in enumerate(photos):
            sample_photo(f"synthetic-{number}", generator).save(path, quality=95)
        rows = []

        def note(what: str, seconds: float, **more: float) -> None:
            rate = 60 * len(photos) / seconds
            more["load"] = round(os.getloadavg()[0], 1)
            rows.append({"what": what, "seconds": seconds, "rows_per_minute": rate, **more})
            print(f"{what:12} {seconds:7.1f} s {rate:7.1f} rows/min {more}", flush=True)

        note("plain loop", plain(photos, folder / "plain"))
        for workers in map(int, given.workers.split(",")):
            made = scaled(folder / "in", folder / f"scale{workers}", workers, given.rows_per_part)
            note(f"{workers} workers", made.pop("seconds"), **made)
        note("plain loop", plain(photos, folder / "again"))
    written = {"photos": given.photos, "rows_per_part": given.rows_per_part, "rows": rows}
    write_json(given.out, written | {"provenance": provenance()})


if __name__ == "__main__":
    main()
