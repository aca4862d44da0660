"""`anonlab evaluate`: measure privacy, similarity and utility on people."""

from __future__ import annotations

import argparse
from pathlib import Path

from .options import add, complain

PAIRS = 300  # generated people that attackers learn from


def add_evaluate(menu: argparse._SubParsersAction) -> None:
    """Add the command to the menu."""
    judge = menu.add_parser(
        "evaluate",
        help="measure privacy and what stays of people, by judges that guide nothing",
    )
    judge.add_argument(
        "people",
        nargs="+",
        metavar="FOLDER[:COUNT]",
        help="folders in the layout person/photo.jpg, or embedded, or lfw (scikit-learn's cache)",
    )
    judge.add_argument(
        "--out",
        type=Path,
        default=Path("outputs/evaluation"),
        help="for judged.json; pictures are kept below it, so that an interrupted run goes on",
    )
    add(judge, "--unseen", "--unseen-options", "--device")
    judge.add_argument(
        "--pairs", type=int, default=PAIRS, help="generated people that attackers learn from; 0 for none"
    )
    judge.add_argument(
        "--rivals",
        action="store_true",
        help="also a box, blur, pixels and k-same, by the same judges",
    )
    judge.add_argument("--seed", type=int, default=0)
    judge.set_defaults(command=evaluate_people)


def evaluate_people(options: argparse.Namespace) -> int:
    """`anonlab evaluate`: every data set by itself, `judged.json` below the output folder."""
    from ...evaluation.evaluate import evaluate
    from ...evaluation.judges import FaceRes, Judges, load_mobilefacenet
    from ...evaluation.judging import Judge, load_judges
    from ...evaluation.pictures import peer_recipes
    from ...evaluation.tables import headline
    from ...files import output_folder, write_json
    from ...pipeline import Anonymizer
    from ...provenance import provenance

    output_folder(options.out)  # before anything takes time
    strong = [Judge(one.name, one, False) for one in (load_mobilefacenet(), FaceRes())]
    estimators = Judges()
    anonymizer = Anonymizer.load(device=options.device)
    guide, *own = load_judges(anonymizer.recognizer, options.unseen, options.unseen_options)
    made = evaluate(
        dict(source_and_count(text) for text in options.people),
        anonymizer,
        [guide, *strong, *own],
        options.out / "pictures",
        estimators=estimators,
        methods=peer_recipes() if options.rivals else {},
        k=(5, 10) if options.rivals else (),
        pairs=options.pairs,
        seed=options.seed,
        progress=True,
    )
    about = {"provenance": provenance(seeds=[options.seed])}
    write_json(options.out / "judged.json", made.record() | about)
    for one in made.problems:
        complain(f"{one['person']}: {one['problem']}")
    for name, one in made.sets.items():
        print(headline(name, one))
    print(f"written to {options.out / 'judged.json'}")
    return 0


def source_and_count(text: str) -> tuple[str, int | None]:
    """`folder:100` as a folder and a number; all people without one."""
    source, colon, count = text.rpartition(":")
    return (source, int(count)) if colon and count.isdigit() else (text, None)
