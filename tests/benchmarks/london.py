"""Anonymize real people and measure it, with a recogniser that took no part.

    python tests/benchmarks/london.py FACES_FOLDER RECOGNISER.onnx --people 12 --out outputs/london

FACES_FOLDER holds `index.csv` (columns file, dataset, identity). For each person the first photo
is anonymized and compared with itself and with the person's other photo. Pictures of people are
only written below `--out`.
"""

from __future__ import annotations

import argparse
import csv
import json
import resource
import statistics
import time
from pathlib import Path

import torch
from tqdm.auto import tqdm

from anonlab import Anonymizer
from anonlab.errors import AnonlabError
from anonlab.faces import align
from anonlab.images import resize
from anonlab.photos import read_photo
from anonlab.plots import stages_figure
from anonlab.recognizers import distance, load_recognizer


def people(folder: Path, dataset: str, count: int) -> dict[str, list[Path]]:
    """Photos of the first `count` people of a data set, spread over the whole of it."""
    photos: dict[str, list[Path]] = {}
    for row in csv.DictReader((folder / "index.csv").open()):
        if row["dataset"] == dataset:
            photos.setdefault(row["identity"], []).append(folder / row["file"])
    names = [name for name in sorted(photos) if len(photos[name]) > 1]
    return {name: photos[name] for name in names[:: max(1, len(names) // count)][:count]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("faces", type=Path)
    parser.add_argument("unseen", type=Path)
    parser.add_argument("--people", type=int, default=12)
    parser.add_argument("--dataset", default="london")
    parser.add_argument("--mask-area", type=float, default=0.25)
    parser.add_argument("--out", type=Path, default=Path("outputs/london"))
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    # FaceRes: crop, scaling and the similarity 0.645 at FAR 1e-3 as measured on 400 LFW people
    unseen = load_recognizer(
        "onnx", options.unseen, box=(36, 50, 476, 490), size=224, scale=1.0, offset=0.0,
        threshold=1 - 0.645, far=1e-3,
    )  # fmt: skip
    anonymizer = Anonymizer.load(key=b"a key for measuring only")
    judges = {"dlib": anonymizer.recognizer, "unseen": unseen}
    rows = []
    for name, photos in tqdm(people(options.faces, options.dataset, options.people).items()):
        start = time.monotonic()
        row: dict = {"person": name}
        try:
            result = anonymizer(photos[0], faces="largest", mask_area=options.mask_area)
        except AnonlabError as error:
            rows.append(row | {"error": str(error)})
            continue
        [face] = result.faces
        row |= {"error": None, "seconds": time.monotonic() - start} | face.record()
        result.image.save(options.out / f"{name}.png")
        stages_figure(result.faces).savefig(options.out / f"{name}-stages.png", dpi=60)
        after = read_photo(result.image)
        made = align(after, anonymizer.detector(after)[0])
        other = read_photo(photos[1])
        second = align(other, anonymizer.detector(other)[0])
        with torch.no_grad():
            for label, judge in judges.items():
                embeddings = [judge.embed(x) for x in (made, face.aligned, second)]
                for against, reference in zip(("own", "other"), embeddings[1:], strict=True):
                    value = distance(judge, embeddings[0], reference).item()
                    row[f"{label}_{against}"] = value
                    row[f"{label}_{against}_matched"] = value < judge.threshold
            similar = anonymizer.perceptual(resize(face.aligned, 256), resize(face.anonymized, 256))
        row["st_lpips"] = similar.item()
        rows.append(row)
    done = [row for row in rows if not row["error"]]

    def mean(key: str) -> float:
        return sum(row[key] for row in done) / len(done)

    summary = {
        "people": len(rows),
        "failed": [row for row in rows if row["error"]],
        "match_rate": {f"{a}_{b}": mean(f"{a}_{b}_matched") for a in judges for b in ("own", "other")},
        "distance": {f"{a}_{b}": mean(f"{a}_{b}") for a in judges for b in ("own", "other")},
        "st_lpips": mean("st_lpips"),
        "seconds_median": statistics.median(row["seconds"] for row in done),
        "attempts": mean("attempts"),
        "peak_memory_gib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20,
    }
    (options.out / "summary.json").write_text(json.dumps({"summary": summary, "rows": rows}, indent=2))
    print(json.dumps(summary, indent=2))


if __name__ == "__main__":
    main()
