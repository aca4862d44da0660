"""`anonlab anonymize` and its function, with an anonymizer without networks."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from faked import Inverter, photo_file

from anonlab.apps import cli
from anonlab.pipeline import Anonymizer


@dataclass
class Outcome:
    """What a command left: its exit status and what it printed."""

    status: int
    out: str
    err: str


@dataclass
class Loads:
    """Arguments of each `Anonymizer.load`, and what it gave."""

    arguments: list[tuple] = field(default_factory=list)
    given: list[Inverter] = field(default_factory=list)


@pytest.fixture
def loads(monkeypatch: pytest.MonkeyPatch) -> Loads:
    """Every `Anonymizer.load` gives an `Inverter`."""
    made = Loads()

    def load(*arguments: object, **_: object) -> Inverter:
        made.arguments.append(arguments)
        made.given.append(Inverter())
        return made.given[-1]

    monkeypatch.setattr(Anonymizer, "load", staticmethod(load))
    return made


@pytest.fixture
def command(loads: Loads, capsys: pytest.CaptureFixture[str]) -> Callable[..., Outcome]:
    """Runs `anonlab ...`; argparse's own exit counts as an exit status."""

    def run(*arguments: object) -> Outcome:
        capsys.readouterr()
        try:
            status = cli.main([*map(str, arguments)])
        except SystemExit as stop:
            status = stop.code
        printed = capsys.readouterr()
        assert "Traceback" not in printed.err
        return Outcome(status, printed.out, printed.err)

    return run


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Four photos, one of them deeper."""
    for seed, name in enumerate(("a.png", "b.png", "below/c.png", "d.png")):
        photo_file(tmp_path / "in" / name, seed)
    return tmp_path / "in"
