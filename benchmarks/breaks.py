"""Write the mutants that no test finds to tests/survivors.txt, under each file's count, now and before.

    python benchmarks/breaks.py

`make breaks` runs it after mutmut, whose results lie in `mutants/`.
"""

import collections
import datetime
import json
from pathlib import Path

from mutmut.stats import status_by_exit_code

ROOT = Path(__file__).resolve().parents[1]
SURVIVORS = ROOT / "tests" / "survivors.txt"
STATES = ("killed", "survived", "timeout", "no tests", "not checked")


def main() -> None:
    last = SURVIVORS.read_text().splitlines() if SURVIVORS.exists() else []
    now, names = [], []
    for path in sorted((ROOT / "mutants" / "anonlab").rglob("*.meta")):
        codes = json.loads(path.read_text())["exit_code_by_key"]
        states = {name: status_by_exit_code[code] for name, code in codes.items()}
        counts = collections.Counter(states.values())
        file = str(path.relative_to(ROOT / "mutants").with_suffix(""))
        now.append(f"# {file:32}" + "".join(f"{counts[state]:>12}" for state in STATES))
        names += [
            f"{name} {state}" for name, state in states.items() if state not in ("killed", "not checked")
        ]
    head = f"# {datetime.date.today()}" + " " * 22 + "".join(f"{state:>12}" for state in STATES)
    before = [f"#{line}" for line in last if line.startswith("# ")]
    SURVIVORS.write_text("\n".join([head, *now, *before, *sorted(names)]) + "\n")


if __name__ == "__main__":
    main()
