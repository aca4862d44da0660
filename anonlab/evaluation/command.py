"""The whole evaluation as one call: what `anonlab evaluate` does, and what notebook 05 shows."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from ..device import cores
from ..files import atomic_path, output_folder, write_json
from ..pipeline import Anonymizer
from ..provenance import provenance
from . import figures
from .attackers.table import attack_everybody, attackers_figure, sentence
from .evaluate import evaluate
from .judging import Instruments, Judge, load_judges
from .methods import Protocol
from .people import load_people
from .results import Evaluation
from .summary import failures, headline, summarise
from .tradeoff import tradeoff_figure

MOST_WORKERS = 8  # people at a time; each takes some hundred megabytes


@dataclass(frozen=True)
class Report:
    """What came out, and who judged."""

    evaluation: Evaluation
    judges: list[Judge]
    protocol: Protocol
    summary: dict

    @property
    def headline(self) -> str:
        """The first line of every report; with attackers the worst of them comes first."""
        line = headline(self.summary, self.protocol)
        found = self.summary.get("attackers")
        return line if found is None else f"{sentence(found)}; {line}"

    def worst_first(self) -> list:
        """Everybody, by how near anonlab's result still is to the person (`summary.nearness`)."""
        return failures(self.evaluation, self.judges, self.summary, self.protocol.main)

    def sheets(self) -> list:
        """Contact sheets of everybody, failures first."""
        results = self.worst_first()
        return [
            figures.contact_sheet(results[start : start + figures.SHEET], self.judges, self.protocol)
            for start in range(0, len(results), figures.SHEET)
        ]


def evaluate_sources(
    sources: Mapping[str, int | None],
    protocol: Protocol,
    state: Path,
    unseen: str | Path | None = None,
    unseen_options: dict | None = None,
    device: str = "auto",
    progress: bool = False,
    anonymizer: Anonymizer | None = None,
    learn_from: Mapping[str, int | None] | None = None,
) -> Report:
    """Evaluate the people of every source (`embedded`, `lfw` or a folder; how many, or None for all).

    With `learn_from` (`generated` or folders, in the same way) all attackers of `attackers` are tried
    as well, and these learn from them. Finished people are kept in `state`. Raises `UnknownOption`,
    `OutputNotWritable`, `WeightsMissing`, `WeightsCorrupt`.
    """
    people = [
        # two folders may each have a person 001
        one if len(sources) == 1 else replace(one, name=f"{Path(source).name}/{one.name}")
        for source, count in sources.items()
        for one in load_people(source, count)
    ]
    output_folder(state)
    anonymizer = anonymizer or Anonymizer.load(device=device)
    judges = load_judges(anonymizer.recognizer, unseen, unseen_options, anonymizer.device)
    instruments = Instruments(judges, anonymizer.detector, anonymizer.device)
    on_cpu = anonymizer.device.type == "cpu"
    workers = min(MOST_WORKERS, cores()) if on_cpu else 1
    evaluation = evaluate(anonymizer, people, instruments, protocol, state, progress, workers)
    summary = summarise(evaluation, judges, anonymizer.population) | {"judges": instruments.names()}
    if learn_from is not None:
        summary["attackers"] = attack_everybody(
            anonymizer, people, evaluation, instruments, protocol, learn_from, state, progress
        )
    return Report(evaluation, judges, protocol, summary)


def write_report(report: Report, out: Path) -> None:
    """`summary.json`, `table.csv`, `problems.json` and all figures below `out`."""
    made_by = {
        "protocol": asdict(report.protocol),
        "provenance": provenance(seeds=[report.protocol.seed]),
    }
    write_json(out / "summary.json", {"headline": report.headline} | report.summary | made_by)
    write_json(out / "problems.json", report.evaluation.problems)
    lines = figures.table(report.summary)
    text = io.StringIO()
    writer = csv.DictWriter(text, ["method", *next(iter(lines.values()))])
    writer.writeheader()
    writer.writerows({"method": method} | line for method, line in lines.items())
    with atomic_path(out / "table.csv") as partial:
        partial.write_text(text.getvalue())
    drawn = {
        "table": figures.table_figure(report.summary),
        "tradeoff": tradeoff_figure(report.summary, report.protocol),
        "calibration": figures.calibration_figure(report.summary),
        "roc": figures.roc_figure(report.evaluation, report.judges, report.protocol),
    }
    if report.summary.get("attackers"):
        drawn["attackers"] = attackers_figure(report.summary["attackers"])
    drawn |= {f"people-{number:02}": sheet for number, sheet in enumerate(report.sheets(), 1)}
    for name, figure in drawn.items():
        with atomic_path(out / f"{name}.png") as partial:
            figure.savefig(partial, format="png", dpi=110)
