"""Anonymize real people and measure it, with judges that took no part.

    python tests/benchmarks/london.py FACES_FOLDER RECOGNISER.onnx --people 12 --out outputs/london

FACES_FOLDER holds `index.csv` (columns file, dataset, identity). For each person the first photo
is anonymized and compared with itself and with the person's other photo; the gallery of the
linkage attacks is everybody's other photo. Pictures of people are only written below `--out`.
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

from anonlab import Anonymizer, Controls, metrics
from anonlab.errors import AnonlabError
from anonlab.figures.plots import stages_figure
from anonlab.images import resize
from anonlab.perception.masks import build_mask
from anonlab.photo.faces import align
from anonlab.photo.photos import read_photo
from anonlab.recognizers import centred, load_recognizer
from anonlab.recognizers.judges import AttributeJudge, DlibLandmarks

JUDGED = 512  # pixels of the aligned faces that the judges see


def people(folder: Path, dataset: str, count: int) -> dict[str, list[Path]]:
    """Photos of the first `count` people of a data set, spread over the whole of it."""
    photos: dict[str, list[Path]] = {}
    for row in csv.DictReader((folder / "index.csv").open()):
        if row["dataset"] == dataset:
            photos.setdefault(row["identity"], []).append(folder / row["file"])
    names = [name for name in sorted(photos) if len(photos[name]) > 1]
    return {name: photos[name] for name in names[:: max(1, len(names) // count)][:count]}


def look(anonymizer: Anonymizer, source) -> torch.Tensor:
    """The largest face of a photo, aligned for the judges."""
    photo = read_photo(source)
    return align(photo, anonymizer.detector(photo)[0], JUDGED)


def rebuilt(anonymizer: Anonymizer, aligned: torch.Tensor) -> tuple[float, float]:
    """Strength 0, the whole generated face: centred cosine and ST-LPIPS to the photo."""
    controls = Controls(strength=0.0)
    mask = build_mask(anonymizer.perception(aligned), controls, size=aligned.shape[-1])
    with torch.no_grad():
        source = anonymizer.recognizer.embed(aligned)
    _, made, _ = anonymizer.regenerate(aligned, mask, source, controls)
    with torch.no_grad():
        both = centred(anonymizer.recognizer, anonymizer.recognizer.embed(torch.cat([made, aligned])))
        similar = anonymizer.perceptual(resize(made, 256), resize(aligned, 256)).item()
    return (both[0] @ both[1]).item(), similar


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("faces", type=Path)
    parser.add_argument("unseen", type=Path)
    parser.add_argument("--people", type=int, default=12)
    parser.add_argument("--dataset", default="london")
    parser.add_argument("--mask-area", type=float, default=0.25)
    parser.add_argument("--method", default="auto")
    parser.add_argument("--polish", type=int, default=None)
    parser.add_argument("--rebuild", type=int, default=0, help="people to rebuild as themselves")
    parser.add_argument("--out", type=Path, default=Path("outputs/london"))
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    # FaceRes: crop, scaling and the similarity 0.645 at FAR 1e-3 as measured on 400 LFW people
    unseen = load_recognizer(
        "onnx", options.unseen, box=(36, 50, 476, 490), size=224, scale=1.0, offset=0.0,
        threshold=1 - 0.645, far=1e-3,
    )  # fmt: skip
    anonymizer = Anonymizer.load(method=options.method, key=b"a key for measuring only")
    judges = {"dlib": anonymizer.recognizer, "unseen": unseen}
    rows: list[dict] = []
    before, after, other, rebuilds = [], [], [], []
    for name, photos in tqdm(people(options.faces, options.dataset, options.people).items()):
        start = time.monotonic()
        try:
            result = anonymizer(
                photos[0], faces="largest", mask_area=options.mask_area, polish=options.polish
            )
        except AnonlabError as error:
            rows.append({"person": name, "error": str(error)})
            continue
        [face] = result.faces
        rows.append({"person": name, "error": None, "seconds": time.monotonic() - start} | face.record())
        result.image.save(options.out / f"{name}.png")
        stages_figure(result.faces).savefig(options.out / f"{name}-stages.png", dpi=60)
        before.append(resize(face.aligned, JUDGED))
        after.append(look(anonymizer, result.image))
        other.append(look(anonymizer, photos[1]))
        with torch.no_grad():
            pair = (resize(x, 256) for x in (face.anonymized, face.aligned))
            rows[-1]["st_lpips"] = anonymizer.perceptual(*pair).item()
        if len(rebuilds) < options.rebuild:
            rebuilds.append(rebuilt(anonymizer, face.aligned))
    done = [row for row in rows if not row["error"]]
    summary: dict = {
        "people": len(rows),
        "failed": [row for row in rows if row["error"]],
        "method": "encode" if anonymizer.regenerator.encoder else "optimize",
        "match_rate": {},
        "distance": {},
        "linkage_rank_1": {},
    }
    for label, judge in judges.items():
        with torch.no_grad():
            were, are, others = (
                torch.cat([judge.embed(face) for face in faces]) for faces in (before, after, other)
            )
        for row, reference, against in (("own", were, "before"), ("other", others, "other photo")):
            rate = metrics.match_rate(judge, are, reference)
            summary["match_rate"][f"{label}_{row}"] = rate
            away = metrics.pairwise(judge, are, reference)
            summary["distance"][f"{label}_{row}"] = away.diagonal().mean().item()
            summary["linkage_rank_1"][f"{label}, {against}"] = metrics.linkage(away)
        if label == "dlib":
            undone = metrics.undone_distances(anonymizer.population, are, others)
            summary["linkage_rank_1"]["dlib, method undone"] = metrics.linkage(undone)
            least = -metrics.pairwise(judge, are, others)
            summary["linkage_rank_1"]["dlib, least similar"] = metrics.linkage(least)
            both = [centred(judge, x) for x in (are, were)]
            summary["centred_cosine"] = (both[0] * both[1]).sum(1).mean().item()
        summary.setdefault("collapse_ratio", {})[label] = metrics.collapse_ratio(judge, are, were)
    landmarks, attributes = DlibLandmarks(), AttributeJudge()
    points = [torch.cat([landmarks(face) for face in faces]) for faces in (before, after)]
    summary |= metrics.utility(*points)
    (gender, age), (new_gender, new_age) = (attributes(torch.cat(faces)) for faces in (before, after))
    summary["kept"] = {
        "gender": metrics.kept(gender, new_gender),
        "age within 10 years": metrics.kept(age, new_age, 10),
        "tone within 10 degrees": metrics.kept(metrics.tones(before), metrics.tones(after), 10),
    }
    if rebuilds:
        cosines, distances = zip(*rebuilds, strict=True)
        summary["rebuilt_centred_cosine"] = statistics.mean(cosines)
        summary["rebuilt_st_lpips"] = statistics.mean(distances)
    summary |= {
        "st_lpips": statistics.mean(row["st_lpips"] for row in done),
        "seconds_median": statistics.median(row["seconds"] for row in done),
        "attempts": statistics.mean(row["attempts"] for row in done),
        "peak_memory_gib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20,
    }
    (options.out / "summary.json").write_text(json.dumps({"summary": summary, "rows": rows}, indent=2))
    print(json.dumps(summary, indent=2))


if __name__ == "__main__":
    main()
