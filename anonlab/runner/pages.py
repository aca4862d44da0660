"""HTML of a run's index: what ran, what is worse than accepted, numbers, pictures, trends."""

from __future__ import annotations

from html import escape
from pathlib import Path
from urllib.parse import quote

from .execution import Run
from .regression import VERDICTS, Comparison, Row, shown
from .trend import Trend

STYLE = """
body{font:16px/1.5 system-ui,sans-serif;max-width:70rem;margin:2rem auto;padding:0 1rem;color:#222}
table{border-collapse:collapse;margin:1rem 0}td,th{padding:.3rem .8rem;text-align:left;
border-bottom:1px solid #ddd}.failed,.skipped{color:#b03a2e}.ok,.better{color:#1e7e45}
pre{background:#f6f6f6;padding:1rem;overflow-x:auto;font-size:13px}img{max-width:100%;
border:1px solid #eee;margin:.4rem 0}small,.shown,.shown td{color:#777}tr.failed td{color:#b03a2e;
font-weight:600}.pair{display:grid;grid-template-columns:1fr 1fr;gap:1rem}figure{margin:0}
"""
FOLD = 40  # rows of a table that are shown without a click
WIDTH, HEIGHT, MARGIN = 240, 48, 6  # of a curve, in pixels


def index_page(
    title: str, profile: str, commit: str | None, runs: list[Run], skipped: int, accepting: bool
) -> str:
    """The index of a run: what ran, what is worse than accepted, numbers, pictures, trends.

    `skipped` counts the folders that were left out of the trends.
    """
    rows = "".join(
        f"<tr><td>{_link(one)}</td>"
        f"<td class='{one.status}'>{one.status}</td><td>{one.seconds:.0f} s</td>{_verdict(one)}</tr>"
        for one in runs
    )
    left_out = f"<p><small>{skipped} damaged or foreign folders are not in the trends.</small></p>"
    return (
        f"<!doctype html><meta charset='utf-8'><title>{escape(title)}</title>"
        f"<style>{STYLE}</style><h1>{escape(title)}</h1>{''.join(map(_headline, runs))}"
        f"<p>Profile <b>{escape(profile)}</b>, commit {escape(commit or 'unknown')}, "
        f"<a href='metrics.json'>metrics.json</a></p>"
        + (
            "<p>What ran to its end here was accepted: later runs are held to it.</p>"
            if accepting
            else ""
        )
        + "<table><tr><th>notebook</th><th>status</th><th>time</th><th>against what was accepted</th>"
        f"</tr>{rows}</table>{''.join(map(_section, runs))}{left_out if skipped else ''}"
    )


def _headline(one: Run) -> str:
    """What a notebook calls its headline comes first: the evaluation's claim, or that there is none."""
    text = one.numbers.get("headline")
    return f"<p><b>{escape(str(text))}</b></p>" if text else ""


def _link(one: Run) -> str:
    name = escape(one.name)
    return f"<a href='{quote(one.page)}'>{name}</a>" if one.page else name


def _verdict(one: Run) -> str:
    """One cell: how many metrics failed, are better, …"""
    if one.comparison is None:
        return "<td class='shown'>no baseline</td>"
    if one.comparison.differing:
        return "<td class='shown'>not compared</td>"
    counts = {verdict: len(one.comparison.named(verdict)) for verdict in VERDICTS[:-1]}
    text = ", ".join(f"{count} {verdict}" for verdict, count in counts.items() if count)
    return f"<td class='{'failed' if counts['failed'] else 'ok'}'>{text}</td>"


def _section(one: Run) -> str:
    error = f"<pre>{escape(one.error)}</pre>" if one.error else ""
    if one.comparison is None or one.comparison.differing:
        numbers = "".join(
            f"<tr><td>{escape(name)}</td><td>{escape(shown(value))}</td></tr>"
            for name, value in one.numbers.items()
        )
        table = _folded(f"<table>{numbers}</table>", len(one.numbers), "numbers")
    else:
        table = _comparison(one.comparison)
    return (
        f"<h2>{escape(one.name)}</h2>{error}{_remarks(one)}{table}{_trends(one.trends)}{_pictures(one)}"
    )


def _remarks(one: Run) -> str:
    if one.comparison is None:
        return ""
    remarks = []
    if one.comparison.differing:
        remarks.append(f"not compared: parameters differ ({', '.join(one.comparison.differing)})")
    if one.comparison.named("better"):
        remarks.append("better than accepted: renew the baseline with --accept")
    if one.comparison.cannot_fail:
        remarks.append(
            "cannot fail, because the tolerance is as large as the number: "
            + ", ".join(one.comparison.cannot_fail)
        )
    if one.changed:
        remarks.append(f"not as in the accepted run: {', '.join(one.changed)}")
    return "".join(f"<p><small>{escape(remark)}</small></p>" for remark in remarks)


def _comparison(comparison: Comparison) -> str:
    """What needs a reader first; what is as accepted is folded where there is much of it."""
    calm = ("ok", "shown")
    parts = ([row for row in comparison.rows if row.verdict not in calm],
             [row for row in comparison.rows if row.verdict in calm])  # fmt: skip
    head = "<th>metric</th><th>accepted</th><th>new</th><th>tolerance</th><th>verdict</th>"
    tables = [
        f"<table><tr>{head}</tr>{''.join(map(_row, rows))}</table>" if rows else "" for rows in parts
    ]
    return tables[0] + _folded(tables[1], len(parts[1]), "numbers as accepted")


def _row(row: Row) -> str:
    return (
        f"<tr class='{row.verdict}'><td>{escape(row.name)}</td><td>{escape(shown(row.accepted))}</td>"
        f"<td>{escape(shown(row.now))}</td><td>{escape(shown(row.tolerance))}</td>"
        f"<td class='{row.verdict}'>{row.verdict}</td></tr>"
    )


def _folded(table: str, count: int, what: str) -> str:
    """A table as it is, or behind a line to click on when it is long."""
    if count <= FOLD:
        return table
    return f"<details><summary>{count} {what}</summary>{table}</details>"


def _pictures(one: Run) -> str:
    """The new pictures; beside each the accepted one of that name, once there is a baseline."""
    if one.comparison is None:
        return "".join(f"<p>{_image(path)}</p>" for path in one.figures)
    if not one.accepted_figures:
        new = "".join(f"<p>{_image(path)}</p>" for path in one.figures)
        return f"<p><small>no accepted pictures on this machine</small></p>{new}"
    accepted = {Path(path).name: path for path in one.accepted_figures}
    new = {Path(path).name: path for path in one.figures}
    return "".join(
        f"<div class='pair'>{_figure('accepted', accepted.get(name))}"
        f"{_figure('new', new.get(name))}</div>"
        for name in sorted(accepted | new)
    )


def _figure(caption: str, path: str | None) -> str:
    image = _image(path) if path else "<p>no such picture</p>"
    return f"<figure><figcaption><small>{caption}</small></figcaption>{image}</figure>"


def _image(path: str) -> str:
    return f"<img src='{quote(path)}' alt='{escape(Path(path).stem)}'>"


def _trends(lines: list[Trend]) -> str:
    rows = "".join(
        f"<tr><td>{escape(line.name)}</td><td>{curve(line)}</td>"
        f"<td>{escape('–' if line.values[-1] is None else shown(line.values[-1]))}</td></tr>"
        for line in lines
        if len(line.runs) > 1
    )
    if not rows:
        return ""
    head = f"<th>trend</th><th>{len(lines[0].runs)} runs, oldest first</th><th>newest</th>"
    return f"<table><tr>{head}</tr>{rows}</table>"


def curve(line: Trend) -> str:
    """A metric over the runs as inline SVG: a dot a run with its numbers as a tooltip, newest red."""
    known = [value for value in line.values if value is not None]
    if not known:
        return ""
    low, high = min(known), max(known)
    step = (WIDTH - 2 * MARGIN) / max(len(line.runs) - 1, 1)
    dots, points = [], []
    for i in range(len(line.runs)):
        value = line.values[i]
        if value is None:
            continue
        x = MARGIN + i * step
        share = (value - low) / (high - low) if high > low else 0.5
        y = HEIGHT - MARGIN - share * (HEIGHT - 2 * MARGIN)
        newest = i == len(line.runs) - 1
        points.append(f"{x:.1f},{y:.1f}")
        dots.append(
            f"<circle cx='{x:.1f}' cy='{y:.1f}' r='{4 if newest else 2}' "
            f"fill='{'#b03a2e' if newest else '#555'}'>"
            f"<title>{escape(line.runs[i])}: {escape(shown(value))}</title></circle>"
        )
    return (
        f"<svg width='{WIDTH}' height='{HEIGHT}' role='img' aria-label='{escape(line.name)}'>"
        f"<polyline points='{' '.join(points)}' fill='none' stroke='#999'/>{''.join(dots)}</svg>"
    )
