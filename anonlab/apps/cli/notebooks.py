"""`anonlab run`: execute the notebooks; `anonlab course`: make a book of them."""

from __future__ import annotations

import argparse
import os
from pathlib import Path


def add_notebooks(menu: argparse._SubParsersAction) -> None:
    """Add both commands to the menu."""
    run = menu.add_parser("run", help="execute the notebooks and write an HTML report")
    run.add_argument("--profile", choices=("quick", "full"), default="quick")
    run.add_argument("--only", default=None, metavar="NN,NN", help="these notebooks, by number")
    run.add_argument("--out", type=Path, default=Path("outputs/runs"))
    run.add_argument(
        "-p",
        "--parameter",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="set a notebook parameter; an unknown name is an error",
    )
    run.add_argument(
        "--accepted",
        type=Path,
        default=None,
        metavar="DIR",
        help="accepted numbers to compare with (default tests/accepted of the checkout)",
    )
    run.add_argument(
        "--accept",
        action="store_true",
        help="make this run's numbers the accepted ones, notebook by notebook, and say what changes; "
        "the tolerances are measured by repeating each with other seeds and instruction sets",
    )
    run.add_argument(
        "--environment",
        default="native",
        metavar="NAME",
        help="compute as another machine does: sse41, avx, avx2, avx2-1-thread or avx512",
    )
    run.set_defaults(command=run_notebooks)

    course = menu.add_parser("course", help="make a browsable book of the newest executed notebooks")
    course.add_argument("--runs", type=Path, default=Path("outputs/runs"), help="where they are")
    course.add_argument("--out", type=Path, default=Path("outputs/course"))
    course.set_defaults(command=make_course)


def run_notebooks(options: argparse.Namespace) -> int:
    """`anonlab run`: every notebook by papermill, and an index of what they made."""
    from ...runner.report import run

    status = run(
        options.profile,
        options.only,
        options.out,
        [from_here(one) for one in options.parameter],
        accepted=options.accepted,
        accept=options.accept,
        environment=options.environment,
    )
    print("to browse them as a book, in two minutes: make course")
    return status


def from_here(parameter: str) -> str:
    """Make the file in `NAME=FILE` absolute: it is named from the current folder, and notebooks run in
    their own folder."""
    name, _, value = parameter.partition("=")
    is_path = ("/" in value or "." in value) and os.path.exists(value)
    return f"{name}={os.path.abspath(value)}" if is_path else parameter


def make_course(options: argparse.Namespace) -> int:
    """`anonlab course`: executed notebooks as a book that needs no network."""
    from ...runner.course import build_course
    from ..explorer.book import write_turning

    missing = build_course(options.runs, options.out, turning=write_turning)
    if missing:
        print(f"not run yet, so shown without results: {', '.join(missing)}; run: make run")
    print(f"course: {options.out / 'index.html'}")
    return 0
