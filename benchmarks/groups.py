"""Group photos composed from single faces: is every face covered, and is none recognised?

    python benchmarks/groups.py FOLDER --out FOLDER [--unseen FILE.onnx --unseen-options JSON]

Each scene has 4–12 people on a noisy background, and one difficulty: rolled by up to 60° or by quarters
of a turn, small, cut by the edge, blurred, dark, grey, with something in front. Where every face stands
is known, so that a face that no detector found is counted too. Only numbers are printed; pictures are
kept where --keep says so. FOLDER has the layout person/photo.jpg, one face a photo.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import time
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from anonlab.errors import AnonlabError
from anonlab.photo.boxes import overlap
from anonlab.photo.detection import Detector
from anonlab.photo.faces import Face, align
from anonlab.photo.photos import Photo, read_photo
from anonlab.pipeline import Anonymizer
from anonlab.recognizers import OnnxRecognizer, matches

SIZE = (1280, 900)
KINDS = ("plain", "slanted", "rolled", "small", "edge", "blurred", "dark", "grey", "occluded", "crowd")


def visible(face: Face) -> float:
    """Measure the share of a face's box inside of the scene."""
    left, top, right, bottom = face.box
    inside = max(0, min(right, SIZE[0]) - max(left, 0)) * max(0, min(bottom, SIZE[1]) - max(top, 0))
    return inside / ((right - left) * (bottom - top))


def scene(
    photos: list[tuple[Image.Image, Face]], kind: str, rng: np.random.Generator
) -> tuple[Image.Image, list[Face], list[float]]:
    """Compose one photo: it, the faces in it, and the width of each before it was turned, in pixels."""
    many = {"crowd": 12, "small": 10, "plain": 4}.get(kind, 5)
    columns = {12: 4, 10: 5, 4: 2, 5: 3}[many]
    rows = -(-many // columns)
    noise = rng.normal(0, 6, (SIZE[1] // 4, SIZE[0] // 4, 3)) + rng.integers(60, 200, 3)
    canvas = Image.fromarray(noise.clip(0, 255).astype(np.uint8)).resize(SIZE)
    placed, widths = [], []
    for number, index in enumerate(rng.choice(len(photos), many, replace=False)):
        picture, face = photos[index]
        width = face.box[2] - face.box[0]
        wanted = {"small": rng.uniform(24, 48), "crowd": rng.uniform(60, 110)}.get(
            kind, rng.uniform(90, 170)
        )
        scale = wanted / width
        angle = {"slanted": rng.uniform(-60, 60), "rolled": rng.choice([90, 180, 270])}.get(kind, 0.0)
        side = round(picture.width * scale)
        small = picture.resize((side, side), Image.Resampling.LANCZOS)
        oval = Image.new("L", (side, side), 0)
        ImageDraw.Draw(oval).ellipse((side * 0.12, side * 0.02, side * 0.88, side * 0.98), fill=255)
        oval = oval.filter(ImageFilter.GaussianBlur(side * 0.02))
        cell = np.array(SIZE) / (columns, rows)
        middle = cell * (number % columns + 0.5, number // columns + 0.5)
        middle = middle + rng.uniform(-0.08, 0.08, 2) * cell
        corners = np.array([face.box[:2], (face.box[2], face.box[1]), (face.box[0], face.box[3]),
                            face.box[2:]]) * scale - side / 2  # fmt: skip
        if kind == "edge" and number % columns in (0, columns - 1):
            cut = rng.uniform(0.15, 0.6) * wanted  # of the face, beyond the frame
            left = number % columns == 0
            middle[0] = (-corners[:, 0].min() - cut) if left else (SIZE[0] - corners[:, 0].max() + cut)
        if kind == "occluded":
            draw = ImageDraw.Draw(small)
            left, top, right, bottom = (np.array(face.box) * scale).tolist()
            colour = tuple(int(v) for v in rng.integers(0, 256, 3))
            if number % 2:  # a mask over mouth and nose
                draw.rectangle((left, (top + bottom) / 2 + 0.08 * wanted, right, bottom), fill=colour)
            else:  # a microphone before the mouth
                x, y = (left + right) / 2, top + 0.8 * (bottom - top)
                r = 0.15 * wanted
                draw.ellipse((x - r, y - r, x + r, y + r), fill=(20, 20, 22))
                draw.line((x, y, x + 0.3 * wanted, bottom + wanted), fill=(30, 30, 30), width=6)
        if angle:
            small, oval = (
                one.rotate(angle, Image.Resampling.BICUBIC, expand=True) for one in (small, oval)
            )
            turn = np.deg2rad(-angle)
            corners = corners @ np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])
        corners = corners + middle
        at = np.rint(middle - np.array(small.size) / 2).astype(int)
        canvas.paste(small, tuple(at.tolist()), oval)
        box = tuple(np.concatenate([corners.min(0), corners.max(0)]).tolist())
        placed.append(Face(box, np.zeros((5, 2)), 1.0))
        widths.append(wanted)
    if kind == "blurred":
        canvas = canvas.filter(ImageFilter.GaussianBlur(2.5))
    elif kind == "dark":
        grain = rng.normal(0, 5, (SIZE[1], SIZE[0], 3))
        canvas = Image.fromarray((np.asarray(canvas) * 0.25 + grain).clip(0, 255).astype(np.uint8))
    elif kind == "grey":
        canvas = canvas.convert("L").convert("RGB")
    return canvas, placed, widths


def measure(
    scene_kind: str,
    image: Image.Image,
    placed: list[Face],
    widths: list[float],
    anonymizer: Anonymizer,
    judges: list,
    keep: Path | None,
) -> list[dict]:
    """Tell what became of every face of a scene."""
    before = read_photo(image)
    began = time.monotonic()
    try:
        result = anonymizer(image, fallback="blur")
    except AnonlabError as error:
        return [{"kind": scene_kind, "size": size, "done": "refused", "error": str(error)}
                for size in widths]  # fmt: skip
    seconds = (time.monotonic() - began) / len(placed)
    after = Photo(np.asarray(result.image.convert("RGB")), "after")
    rows = []
    for place, size in zip(placed, widths, strict=True):
        row = {"kind": scene_kind, "size": size, "visible": visible(place), "seconds": seconds}
        row["done"] = "skipped"
        for how, group in (("generated", result.faces), ("covered", result.covered)):
            for face in group:
                if overlap(Face(face.box, np.zeros((5, 2)), 1.0), place) > 0.25:
                    row["done"] = how
                    if how == "covered":
                        row["reason"] = face.reason[-80:]
        left, top, right, bottom = (int(v) for v in place.box)
        left, top = max(left, 0), max(top, 0)
        window = (slice(top, max(bottom, top)), slice(left, max(right, left)))
        changed = (before.pixels[window] != after.pixels[window]).any(2)
        row["changed"] = float(changed.mean()) if changed.size else 0.0
        rows.append(row)
    if keep:
        result.image.save(keep)
    try:
        seen = anonymizer.detector(before)
    except AnonlabError:
        seen = []
    originals: dict[str, list] = {judge.name: [] for judge in judges}
    for face in seen:  # an attacker's, with the places of the original
        best = max(range(len(placed)), key=lambda number, face=face: overlap(placed[number], face))
        if overlap(placed[best], face) < 0.25:
            continue
        try:
            pair = align(before, face), align(after, face)
        except AnonlabError:
            continue
        for judge in judges:
            was, now = (judge.embed(one) for one in pair)
            rows[best][f"matched {judge.name}"] = bool(matches(judge, was, now))
            strangers = [bool(matches(judge, was, other)) for other in originals[judge.name]]
            rows[best][f"strangers {judge.name}"] = strangers
            originals[judge.name].append(was)
    return rows


def main() -> None:
    """Compose, anonymize, measure, print a table."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("folder", type=Path)
    options.add_argument("--out", type=Path, required=True)
    options.add_argument("--scenes", type=int, default=60)
    options.add_argument("--kinds", nargs="+", choices=KINDS, default=KINDS)
    options.add_argument("--unseen", type=Path)
    options.add_argument("--unseen-options", type=json.loads, default={})
    options.add_argument("--keep", action="store_true", help="keep the scenes, before and after")
    chosen = options.parse_args()
    chosen.out.mkdir(parents=True, exist_ok=True)
    anonymizer = Anonymizer.load(key=b"a key for scenes, 16 bytes or more")
    judges = [anonymizer.recognizer]
    if chosen.unseen:
        judges.append(OnnxRecognizer(chosen.unseen, **chosen.unseen_options))
    finder, photos = Detector(), []
    for person in sorted(chosen.folder.iterdir()):
        for path in sorted(person.glob("*.jpg")):
            photo = read_photo(path)
            with contextlib.suppress(AnonlabError):
                photos.append((Image.fromarray(photo.pixels), finder.once(photo)[0]))
                break
    rows = []
    for number in range(chosen.scenes):
        kind = chosen.kinds[number % len(chosen.kinds)]
        image, *placed = scene(photos, kind, np.random.default_rng(number))
        if chosen.keep:
            image.save(chosen.out / f"{number:03d}-{kind}.png")
        after = chosen.out / f"{number:03d}-{kind}-after.png" if chosen.keep else None
        rows += measure(kind, image, *placed, anonymizer, judges, after)
        (chosen.out / "groups.json").write_text(json.dumps(rows, indent=1))
    report(rows, [judge.name for judge in judges])


def report(rows: list[dict], judges: list[str]) -> None:
    """Print one line for each difficulty, faces of 32 pixels and more of which at least .4 is
    visible."""
    counted = [row for row in rows if row["size"] >= 32 and row.get("visible", 1) >= 0.4]
    print(f"{'':10} faces generated covered skipped refused", *(f"matched {name}" for name in judges))
    for kind in (*dict.fromkeys(row["kind"] for row in rows), "all"):
        mine = [row for row in counted if kind in (row["kind"], "all")]
        counts = [sum(row["done"] == how for row in mine)
                  for how in ("generated", "covered", "skipped", "refused")]  # fmt: skip
        found = [sum(row.get(f"matched {name}", False) for row in mine) for name in judges]
        print(f"{kind:10} {len(mine):5} {counts[0]:9} {counts[1]:7} {counts[2]:7} {counts[3]:7}", *found)
    for name in judges:  # of untouched people, in the same light and size
        pairs = [one for row in counted for one in row.get(f"strangers {name}", [])]
        print(f"{name}: {sum(pairs)} of {len(pairs)} pairs of different people match, in the originals")


if __name__ == "__main__":
    main()
