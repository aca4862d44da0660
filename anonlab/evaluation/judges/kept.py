"""What stays of a person between two pictures: differences, and correlations over people.

A mean difference hides that a variation is not followed: faces that all get one expression are near
the mean of all people. So each number has a correlation beside it, and both are read beside `floor`
and another photo of the person.
"""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch
from PIL import Image, ImageFilter

from ...images import to_tensor, to_uint8, warp
from ...metrics.intervals import bootstrap
from ..pictures import Pictures
from .reading import ETHNICITIES, Reading
from .worn import MARGIN, PLACES

CORRELATED = ("gaze_x", "gaze_y", "eye_opening", "mouth_opening", "mouth_width", "mouth_corners",
              "brow_height", "jaw", "yaw", "pitch", "happy", "age", "tone", "light_x",
              "light_y")  # fmt: skip
LABELS = ("expression", "ethnicity", "gender")
TURN, ZOOM, SHIFT, BLUR, QUALITY = 2.0, 0.03, 2 / 256, 0.6, 80  # degrees, shares, pixels of 256, JPEG
DRAWS = 1000  # of the bootstrap by person
SMALLEST = 5  # people of a cell that is worth a number
EDGES = {"yaw": (0, 15, 30, 45), "size": (0, 64, 128, 256)}  # degrees, pixels of the face's square
STATED = {  # what people say of themselves -> GEAR's number for it
    "ethnicity": {"white": 0, "black": 1, "east_asian": 2, "west_asian": 3},
    "gender": {"male": 0, "female": 1},
}
WORDS = {"gender": ("male", "female"), "ethnicity": ETHNICITIES}  # GEAR's


def floor(images: torch.Tensor) -> torch.Tensor:
    """Return unchanged faces `(N, 3, S, S)` as another camera would give them: turned by ±2°, scaled by
    ±3 %, moved by ±2 of 256 pixels, blurred by 0.6 pixels and saved as JPEG of quality 80.

    What an estimator says of these is its own noise, and no method can be better.
    """
    n, rng = len(images), torch.Generator().manual_seed(0)
    turn, zoom, dx, dy = (2.0 * torch.randint(2, (4, n), generator=rng) - 1).unbind()
    angle, scale = torch.deg2rad(TURN * turn), 1 + ZOOM * zoom
    cos, sin = scale * angle.cos(), scale * angle.sin()
    rows = torch.stack([cos, -sin, 2 * SHIFT * dx, sin, cos, 2 * SHIFT * dy], 1).view(-1, 2, 3)
    made = []
    for image in warp(images.float(), rows):
        picture = Image.fromarray(to_uint8(image[None])).filter(ImageFilter.GaussianBlur(BLUR))
        picture.save(file := io.BytesIO(), "JPEG", quality=QUALITY)
        made.append(to_tensor(np.asarray(Image.open(file))))
    return torch.cat(made)


def differences(before: Reading, after: Reading) -> dict[str, torch.Tensor]:
    """Return one number a person `(N,)`: gaze in degrees, `mesh_error` in distances of the outer eye
    corners, `age_change` in years with its sign, `PLACES` kept where they are worn and come where they
    are not (NaN for other people), `…_kept` 1 where the label stays."""
    change = {name: after[name] - before[name] for name in CORRELATED}
    found = {
        "gaze_error": torch.hypot(change["gaze_x"], change["gaze_y"]),
        "eye_error": change["eye_opening"].abs(),
        "mouth_error": change["mouth_opening"].abs(),
        "mesh_error": mesh_error(before["points"], after["points"]),
        "yaw_error": change["yaw"].abs(),
        "age_change": change["age"],
        "age_error": change["age"].abs(),
        "tone_error": change["tone"].abs(),
        "light_error": (after["light"] - before["light"])[:, 1:4].norm(dim=1),
        "found": after["found"],
    }
    for name in PLACES:
        was, now = before[name], after[name]
        found[f"{name}_kept"] = (now > -MARGIN).float().where(was > MARGIN, torch.nan)
        found[f"{name}_come"] = (now > MARGIN).float().where(was < -MARGIN, torch.nan)
    for name in LABELS:
        found[f"{name}_kept"] = (before[name].argmax(1) == after[name].argmax(1)).float()
    return found


def mesh_error(before: torch.Tensor, after: torch.Tensor) -> torch.Tensor:
    """Return the mean distance of points `(N, 468, 3)` in the picture, the second mesh moved, turned and
    scaled onto the first, in distances of the outer eye corners: `(N,)`."""
    a, b = (torch.complex(one[..., 0], one[..., 1]) for one in (before, after))
    unit = (a[:, 33] - a[:, 263]).abs()
    a, b = a - a.mean(1, keepdim=True), b - b.mean(1, keepdim=True)
    factor = (b.conj() * a).sum(1, keepdim=True) / b.abs().square().sum(1, keepdim=True)
    return (factor * b - a).abs().mean(1) / unit


def correlation(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """Return Pearson's correlation over people, the last axis of `a` and `b (…, N)`; 0 where one of them
    does not vary, because nothing is followed."""
    a, b = a - a.mean(-1, keepdim=True), b - b.mean(-1, keepdim=True)
    spread = a.norm(dim=-1) * b.norm(dim=-1)
    return torch.where(spread > 1e-9, (a * b).sum(-1) / spread.clamp_min(1e-9), 0.0)


def by_person(statistic: Callable[..., torch.Tensor], *columns: torch.Tensor) -> dict:
    """Return a statistic over the last axis of columns `(N,)` with its 95 % interval by a bootstrap that
    draws people. NaN is a person to whom the question does not apply; None where none is left."""
    asked = ~torch.stack(columns).isnan().any(0)
    columns = tuple(one[asked] for one in columns)
    count = len(columns[0])
    if not count:
        return {"people": 0, "value": None, "interval": [None, None]}

    def drawn(people: np.ndarray, axis: int) -> np.ndarray:  # noqa: ARG001
        return statistic(*(one[torch.from_numpy(people).long()] for one in columns)).numpy()

    found = bootstrap(np.arange(count), drawn, DRAWS)
    return {"people": count, "value": statistic(*columns).item(), "interval": list(found)}


def kept(before: Reading, after: Reading) -> dict:
    """Measure `differences` (means) and `correlations` over people, each with its interval by person."""
    changes = differences(before, after).items()
    means = {name: by_person(lambda one: one.mean(-1), values) for name, values in changes}
    return means | {
        f"{name}, correlation": by_person(correlation, before[name], after[name]) for name in CORRELATED
    }


def cells(people: Sequence[Pictures], before: Reading, after: Reading) -> dict[str, dict]:
    """Average errors and kept labels by head turn, by the face's size in the photo and by stated group;
    cells of fewer than `SMALLEST` people are left out. `worst` names the cell of each measure."""
    measured = {
        name: values for name, values in differences(before, after).items() if not values.isnan().any()
    }
    of = {"yaw": before["yaw"].abs(), "size": torch.tensor([float(one.size) for one in people])}
    groups: dict[str, torch.Tensor] = {}
    for name, edges in EDGES.items():
        for low, high in zip(edges, [*edges[1:], float("inf")], strict=True):
            groups[f"{name} {low}–{high:g}"] = (of[name] >= low) & (of[name] < high)
    for kind in ("gender", "ethnicity"):
        stated = [one.person.tags.get(kind, "") for one in people]
        for value in sorted(set(stated) - {""}):
            groups[f"{kind} {value}"] = torch.tensor([one == value for one in stated])
    made: dict[str, dict] = {
        name: {"people": int(chosen.sum())}
        | {key: values[chosen].mean().item() for key, values in measured.items()}
        for name, chosen in groups.items()
        if chosen.sum() >= SMALLEST
    }
    worst = {}
    for key in measured if made else ():
        pick = min if key.endswith("_kept") or key == "found" else max
        worst[key] = pick(made, key=lambda name: made[name][key])
    return made | {"worst": worst}


def truth(people: Sequence[Pictures], read: Mapping[str, Reading]) -> dict:
    """Compare GEAR with what people say of themselves, by picture: error and bias in years, and as what
    each stated gender and group is read. Empty where nothing is stated."""
    tags = [one.person.tags for one in people]
    told = [tag.get("age", "") for tag in tags]  # "NA" where it is not stated
    ages = torch.tensor([float(one) if one.isdigit() else torch.nan for one in told])
    made: dict = {}
    for name, reading in read.items():
        line = made[name] = {}
        off = (reading["age"] - ages)[~ages.isnan()]
        if len(off):
            error, bias = off.abs().mean().item(), off.mean().item()
            line["age"] = {"people": len(off), "error": error, "bias": bias}
        for kind, known in STATED.items():
            said = reading[kind].argmax(1).tolist()
            for value, number in known.items():
                mine = [one for one, tag in zip(said, tags, strict=True) if tag.get(kind) == value]
                words = Counter(sorted(WORDS[kind][one] for one in mine))
                if mine:
                    right = mine.count(number)
                    line[f"{kind} {value}"] = {"people": len(mine), "right": right, "read_as": {**words}}
    return made if any(made.values()) else {}
