"""What was verified: a table for the terminal and a page that needs nothing beside it.

The page shows new faces only; one that still shows the person, or was left, is not in it.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ...files import atomic_path, printable
from ..folders.numbered import template
from .checks import COVERED, LEFT, NEW, NOTICED, PhotoCheck

LONGEST = 44  # characters of a name in the terminal's table


def report(checks: Sequence[PhotoCheck], page: Path) -> int:
    """Print the table, write `page`, and return how many photos leak. Raises `OutputNotWritable`."""
    print(table(checks))
    for one in checks:
        for leak in one.leaks:
            print(f"LEAK {printable(one.name)}: {printable(leak)}")
    with atomic_path(page) as partial:
        partial.write_text(html(checks), encoding="utf-8")
    print(headline(checks))
    print(f"page: {page}")
    return sum(bool(one.leaks) for one in checks)


def headline(checks: Sequence[PhotoCheck]) -> str:
    """The verdict in one line."""
    leaking = sum(bool(one.leaks) for one in checks)
    faces = [face for one in checks for face in one.faces]
    counts = ", ".join(
        f"{sum(face.state == state for face in faces)} {state}" for state in (NEW, COVERED, LEFT)
    )
    small = sum(face.told != face.state for face in faces)
    counts += f", {small} too small to judge" * bool(small)
    missing = sum(one.missing for one in checks)
    verdict = f"{leaking} of {len(checks)} photos leak" if leaking else "no leak found"
    return f"{verdict}: {len(checks)} photos ({missing} missing), {len(faces)} faces ({counts})"


def rows(checks: Sequence[PhotoCheck]) -> tuple[list[str], list[list[str]]]:
    """Heads and cells of the table, a line a photo."""
    judges = list(dict.fromkeys(name for one in checks for face in one.faces for name in face.measured))
    nearest = [f"nearest {name}" for name in judges]
    return ["photo", "faces", *nearest, "in the file", "outside", "verdict"], [
        _row(one, judges) for one in checks
    ]


def _row(one: PhotoCheck, judges: Sequence[str]) -> list[str]:
    states = [face.told for face in one.faces]
    faces = ", ".join(f"{states.count(state)} {state}" for state in dict.fromkeys(states)) or "none"
    outside = "same" if one.outside < NOTICED else f"{one.outside:.1%} changed"
    if one.problem:
        faces = outside = "–"
    changed = [face.measured for face in one.faces if face.state != LEFT]
    nearest = [min((seen[name] for seen in changed if name in seen), default=None) for name in judges]
    verdict = "missing" if one.missing else "LEAK" if one.leaks else "ok"
    measured = ["{:.2f} / {:.2f}".format(*pair) if pair else "–" for pair in nearest]
    return [one.name, faces, *measured, str(len(one.hidden) or "–"), outside, verdict]


def table(checks: Sequence[PhotoCheck]) -> str:
    """The table in plain text; distances stand before their thresholds."""
    heads, lines = rows(checks)
    lines = [[_short(printable(cell)) for cell in line] for line in lines]
    widths = [max(len(line[column]) for line in [heads, *lines]) for column in range(len(heads))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in [heads, *lines]
    )


def html(checks: Sequence[PhotoCheck]) -> str:
    """The page, with its pictures in it."""
    heads, lines = rows(checks)
    lines = [[printable(cell) for cell in line] for line in lines]
    return template("verify", "verify.html").render(
        headline=headline(checks),
        leaking=any(one.leaks for one in checks),
        heads=heads,
        photos=list(zip(checks, lines, strict=True)),
    )


def _short(text: str) -> str:
    return text if len(text) <= LONGEST else "…" + text[1 - LONGEST :]
