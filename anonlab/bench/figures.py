"""One figure for each view of a benchmark."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, NullLocator, StrMethodFormatter

# what the horizontal axis says, and whether speed or time is drawn
AXES = {
    "attribution": ("faces in a batch", "faces a second"),
    "encoding": ("faces in a batch", "faces a second"),
    "synthesis": ("pictures in a batch", "pictures a second"),
    "generators": ("", "seconds a picture"),
    "pipeline": ("", "seconds a photo"),
    "faces": ("faces in the photo", "seconds a photo"),
    "pixels": ("megapixels of the photo", "seconds a photo"),
}


def view_figure(view: str, rows: Sequence[dict], note: str = "") -> Figure:
    """A plot for each panel of a view; medians, with bars from the fastest to the slowest repeat.

    `rows` are those of `bench.json`; bars where a panel has one x only, else lines. Rows without
    `seconds` (they failed) are left out. `note` is written below.
    """
    label, quantity = AXES.get(view, ("", "seconds a call"))
    rows = [row for row in rows if row["view"] == view and "seconds" in row]
    panels = list(dict.fromkeys(row["panel"] for row in rows))
    figure = Figure(figsize=(1.2 + 4.4 * max(1, len(panels)), 4.2), layout="constrained")
    axes = figure.subplots(1, max(1, len(panels)), squeeze=False)[0]
    for axis, panel in zip(axes, panels, strict=False):
        shown = [row for row in rows if row["panel"] == panel]
        if len({row["x"] for row in shown}) == 1:
            _bars(axis, shown, quantity)
        else:
            _lines(axis, shown, label, quantity)
        axis.set_title(panel, fontsize=11)
        axis.spines[["top", "right"]].set_visible(False)
    if not panels:
        axes[0].text(0.5, 0.5, "nothing was measured", ha="center", va="center")
        axes[0].set_axis_off()
    figure.suptitle(view if not note else f"{view}   ({note})", fontsize=12)
    return figure


def memory_figure(rows: Sequence[dict], note: str = "") -> Figure:
    """How much memory the first call of every case took, in MB; what took less than 1 is left out."""
    rows = [row for row in rows if row.get("memory_mb", 0) >= 1]
    figure = Figure(figsize=(9, 1.4 + 0.24 * len(rows)), layout="constrained")
    axis = figure.subplots()
    names = [f"{row['view']}: {row['panel']}, {row['series']}, {row['x']:g}" for row in rows]
    bars = axis.barh(range(len(rows)), [row["memory_mb"] for row in rows], color="#7d5ba6")
    axis.bar_label(bars, fmt="%.0f", padding=4, fontsize=8)
    axis.set_yticks(range(len(rows)), names, fontsize=8)
    axis.invert_yaxis()
    axis.margins(x=0.1, y=0.02)
    axis.set_xlabel("MB that the first call needed beyond what was there")
    axis.spines[["top", "right"]].set_visible(False)
    figure.suptitle("memory" if not note else f"memory   ({note})", fontsize=12)
    return figure


def _value(row: dict, quantity: str) -> tuple[float, float, float]:
    """Median, lowest and highest of what is drawn."""
    seconds = row["seconds"]
    if quantity.startswith("seconds"):
        return seconds["median"], seconds["min"], seconds["max"]
    return tuple(row["images"] / seconds[name] for name in ("median", "max", "min"))


def _lines(axis: Axes, rows: Sequence[dict], label: str, quantity: str) -> None:
    for series in dict.fromkeys(row["series"] for row in rows):
        points = sorted((row for row in rows if row["series"] == series), key=lambda row: row["x"])
        values = [_value(row, quantity) for row in points]
        middle = [value[0] for value in values]
        spread = [[m - low for m, low, _ in values], [high - m for m, _, high in values]]
        axis.errorbar([row["x"] for row in points], middle, spread, fmt="o-", capsize=4, label=series)
    ticks = sorted({row["x"] for row in rows})
    axis.xaxis.set_major_locator(FixedLocator(ticks))
    axis.xaxis.set_minor_locator(NullLocator())
    axis.xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    axis.set(xlabel=label, ylabel=quantity, ylim=(0, None))
    axis.grid(axis="y", alpha=0.3)
    axis.legend(frameon=False, fontsize=9)


def _bars(axis: Axes, rows: Sequence[dict], quantity: str) -> None:
    values = [_value(row, quantity) for row in rows]
    middle = [value[0] for value in values]
    spread = [[m - low for m, low, _ in values], [high - m for m, _, high in values]]
    positions = range(len(rows))
    axis.barh(positions, middle, xerr=spread, height=0.55, color="#2e86ab", capsize=3)
    axis.set_yticks(positions, [_with_error(row) for row in rows], fontsize=9)
    axis.invert_yaxis()
    for position, (value, _, high) in zip(positions, values, strict=True):
        axis.annotate(
            f"{value:.3g}", (high, position), xytext=(6, 0), textcoords="offset points", va="center",
            fontsize=9,
        )  # fmt: skip
    axis.set_xlim(0, 1.18 * max(value[2] for value in values))
    axis.set_xlabel(quantity)


def _with_error(row: dict) -> str:
    """A bar's name, and below it how far its pixels are from the reference's, where measured."""
    if row.get("error_max", 0) < 0.05:
        return row["series"]
    return f"{row['series']}\nerror {row['error_mean']:.2f}/255,\nat most {row['error_max']:.0f}/255"
