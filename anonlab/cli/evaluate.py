"""`anonlab evaluate`: measure privacy, similarity and utility on people."""

from __future__ import annotations

import argparse
from pathlib import Path

from .options import add, complain


def add_evaluate(menu: argparse._SubParsersAction) -> None:
    """Add the command to the menu."""
    judge = menu.add_parser("evaluate", help="measure privacy, similarity and utility on people")
    judge.add_argument(
        "people",
        nargs="+",
        metavar="FOLDER[:COUNT]",
        help="folders in the layout person/photo.jpg, or embedded, or lfw (scikit-learn's cache)",
    )
    judge.add_argument("--out", type=Path, default=Path("outputs/evaluation"))
    add(judge, "--unseen", "--unseen-options", "--device")
    judge.add_argument(
        "--default-only",
        action="store_true",
        help="anonlab's defaults and the attackers on them, without controls and other methods",
    )
    judge.add_argument(
        "--judged",
        action="store_true",
        help="the default by judges that guide nothing (anonlab doctor names them): judged.json",
    )
    judge.add_argument(
        "--attackers",
        nargs="*",
        default=None,
        metavar="SOURCE[:COUNT]",
        help="all attackers as well, and what they learn from: generated:300 (the default), folders "
        "of other people's photos",
    )
    judge.add_argument("--optimised", type=int, default=10, help="people for the slow optimisation")
    judge.add_argument("--calibrated", type=int, default=3, help="people for target_distance")
    judge.add_argument("--seed", type=int, default=0)
    judge.set_defaults(command=evaluate_people)


def evaluate_people(options: argparse.Namespace) -> int:
    """`anonlab evaluate`: every method on the same people; stopped and started again it goes on."""
    if options.judged:
        return judge_people(options)
    from ..evaluation.attackers.pairs import GENERATED
    from ..evaluation.command import evaluate_sources, write_report
    from ..evaluation.methods import Protocol

    if options.default_only:
        protocol = Protocol.default_only(options.seed)
    else:
        protocol = Protocol(
            optimised=options.optimised, calibrated=options.calibrated, seed=options.seed
        )
    sources = dict(source_and_count(text) for text in options.people)
    learn_from = None
    if options.attackers is not None:
        learn_from = dict(source_and_count(text) for text in options.attackers or [GENERATED])
    report = evaluate_sources(
        sources, protocol, options.out / "people", options.unseen, options.unseen_options,
        options.device, progress=True, learn_from=learn_from,
    )  # fmt: skip
    write_report(report, options.out)
    print(report.headline)
    for one in report.evaluation.problems:
        complain(f"{one['person']}: {one['problem']}")
    print(f"written to {options.out}")
    return 0


def judge_people(options: argparse.Namespace) -> int:
    """`anonlab evaluate --judged`: every data set apart, `judged.json` below the output folder."""
    from ..evaluation.judged import judge_sources
    from ..evaluation.judges import FaceRes, load_mobilefacenet
    from ..evaluation.judging import load_judges
    from ..files import output_folder, write_json
    from ..pipeline import Anonymizer
    from ..provenance import provenance

    state = options.out / "pictures"
    output_folder(state)
    anonymizer = Anonymizer.load(device=options.device)
    known = load_judges(anonymizer.recognizer, options.unseen, options.unseen_options)
    recognizers = [load_mobilefacenet(), FaceRes(), *(one.recognizer for one in known if not one.seen)]
    sources = dict(source_and_count(text) for text in options.people)
    made = judge_sources(sources, anonymizer, recognizers, state, progress=True)
    write_json(options.out / "judged.json", made | {"provenance": provenance(seeds=[0])})
    for one in made["problems"]:
        complain(f"{one['person']}: {one['problem']}")
    print(f"written to {options.out / 'judged.json'}")
    return 0


def source_and_count(text: str) -> tuple[str, int | None]:
    """`folder:100` as a folder and a number; all people without one."""
    source, colon, count = text.rpartition(":")
    return (source, int(count)) if colon and count.isdigit() else (text, None)
