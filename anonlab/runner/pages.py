"""HTML of a run's index: the verdict, what is worse than accepted, numbers, pictures, trends.

What it looks like is in `templates/` (Jinja2, with autoescape); what it says is worked out here.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from ..measured import WORDS
from .execution import Run
from .regression import VERDICTS, Row, brief
from .trend import Trend

FOLD = 40  # rows of a table that are shown without a click
NAMED = 5  # failures that the verdict names
WIDTH, HEIGHT, MARGIN = 240, 48, 6  # of a curve, in pixels


def index_page(
    title: str, profile: str, commit: str | None, runs: list[Run], skipped: int, accepting: bool
) -> str:
    """The index of a run: verdict, contents, what is worse, numbers, pictures, trends.

    `skipped` counts the folders that were left out of the trends.
    """
    page = _environment().get_template("index.html")
    line = verdict(runs, accepting)
    return page.render(
        title=title,
        verdict=line,
        failed=line.startswith("FAILED"),
        profile=profile,
        commit=commit,
        runs=runs,
        worse=[] if accepting else worst_first(runs),
        accepting=accepting,
        skipped=skipped,
        verdicts=VERDICTS,
        words=WORDS,
        fold=FOLD,
    )


def verdict(runs: Sequence[Run], accepting: bool = False) -> str:
    """One line on the whole run: `FAILED: 05: faces_found 4 → 3 (−8.0 σ)`.

    A run of which nothing was compared has not passed, and the line says so.
    """
    broken = [f"{one.name[:2]} {one.status}: {_first_line(one)}" for one in runs if one.status != "ok"]
    worse = (
        []
        if accepting
        else [f"{one.name[:2]}: {row.name} {row.change}" for one, row in worst_first(runs)]
    )
    if broken or worse:
        said = [*broken, *worse]
        more = f"; and {len(said) - NAMED} more" if len(said) > NAMED else ""
        return "FAILED: " + "; ".join(said[:NAMED]) + more
    if accepting:
        return f"ACCEPTED: {_notebooks(len(runs))}"
    held = [one for one in runs if one.comparison and not one.comparison.differing]
    if not held:
        return (
            f"NOT JUDGED: {_notebooks(len(runs))} ran to the end; there are no accepted numbers for this"
        )
    rows = [row for one in held for row in one.comparison.rows]
    counts = {name: sum(row.verdict == name for row in rows) for name in ("ok", "better")}
    better = f", {counts['better']} better" if counts["better"] else ""
    left = len(runs) - len(held)
    unheld = f"; {_notebooks(left)} not compared" if left else ""
    return f"PASSED: {_notebooks(len(held))}, {counts['ok']} metrics as accepted{better}{unheld}"


def worst_first(runs: Sequence[Run]) -> list[tuple[Run, Row]]:
    """Every failed metric, those that moved by most standard deviations first.

    What has none (an exact number, a text) is the most certain failure of all.
    """
    found = [(one, row) for one in runs for row in one.failed]
    return sorted(found, key=lambda pair: -abs(pair[1].sigmas or float("inf")))


def _first_line(one: Run) -> str:
    return one.error.partition("\n")[0]


def _notebooks(count: int) -> str:
    return f"{count} notebook{'s' * (count != 1)}"


def _environment() -> Environment:
    made = Environment(
        loader=PackageLoader("anonlab.runner"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= {
        "brief": brief,
        "curve": curve,
        "pairs": pairs,
        "stem": lambda path: Path(path).stem,
    }
    return made


def pairs(one: Run) -> list[tuple[str, str | None, str | None]]:
    """Name, accepted picture and new picture; None where there is no such picture."""
    accepted = {Path(path).stem: path for path in one.accepted_figures}
    new = {Path(path).stem: path for path in one.figures}
    return [(name, accepted.get(name), new.get(name)) for name in sorted(accepted | new)]


def curve(line: Trend) -> Markup:
    """A metric over the runs as inline SVG: a dot a run with its numbers as a tooltip, newest red.

    The band is what the tolerance allows around the accepted number.
    """
    known = [value for value in line.values if value is not None]
    if not known:
        return Markup("")
    low, high = min([*known, *(line.band or ())]), max([*known, *(line.band or ())])
    step = (WIDTH - 2 * MARGIN) / max(len(line.runs) - 1, 1)

    def height(value: float) -> float:
        share = (value - low) / (high - low) if high > low else 0.5
        return HEIGHT - MARGIN - share * (HEIGHT - 2 * MARGIN)

    dots = [
        {
            "x": MARGIN + index * step,
            "y": height(value),
            "newest": index == len(line.runs) - 1,
            "title": f"{run}: {brief(value)}",
        }
        for index, (run, value) in enumerate(zip(line.runs, line.values, strict=True))
        if value is not None
    ]
    band = None
    if line.band:
        top, bottom = height(line.band[1]), height(line.band[0])
        band = top, max(bottom - top, 1.0)  # an exact number is a line
    drawn = (
        _environment()
        .get_template("curve.svg")
        .render(
            width=WIDTH,
            height=HEIGHT,
            name=line.name,
            points=" ".join(f"{dot['x']:.1f},{dot['y']:.1f}" for dot in dots),
            dots=dots,
            band=band,
        )
    )
    return Markup(drawn)
