"""`anonlab anonymize` and its function, with an anonymizer without networks."""

from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from faked import Inverter, photo_file

from anonlab.apps import cli
from anonlab.device import torch_threads
from anonlab.pipeline import Anonymizer


@pytest.fixture(autouse=True)
def one_after_the_other() -> Iterator[None]:
    """One thread, so that photos are done in their order."""
    with torch_threads(1):
        yield


@pytest.fixture
def loads(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """Every `Anonymizer.load` gives an `Inverter`: the `arguments` of each, and what was `given`."""
    made = SimpleNamespace(arguments=[], given=[])

    def load(*arguments: object, **_: object) -> Inverter:
        made.arguments.append(arguments)
        made.given.append(Inverter())
        return made.given[-1]

    monkeypatch.setattr(Anonymizer, "load", staticmethod(load))
    return made


@pytest.fixture
def command(
    loads: SimpleNamespace, capsys: pytest.CaptureFixture[str]
) -> Callable[..., SimpleNamespace]:
    """Run `anonlab ...`: `status`, `out` and `err`; argparse's own exit counts as an exit status."""

    def run(*arguments: object) -> SimpleNamespace:
        capsys.readouterr()
        try:
            status = cli.main([*map(str, arguments)])
        except SystemExit as stop:
            status = stop.code
        printed = capsys.readouterr()
        assert "Traceback" not in printed.err
        return SimpleNamespace(status=status, out=printed.out, err=printed.err)

    return run


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Four photos, one of them deeper."""
    for seed, name in enumerate(("a.png", "b.png", "below/c.png", "d.png")):
        photo_file(tmp_path / "in" / name, seed)
    return tmp_path / "in"
