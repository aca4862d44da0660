"""The rooms of the package: each one uses only what stands above it, and nothing goes in a circle."""

import ast
import re
import subprocess
import sys
from graphlib import TopologicalSorter
from importlib.util import resolve_name
from pathlib import Path

import pytest

import anonlab

PACKAGE = Path(__file__).parents[1] / "anonlab"
ORDER = (  # each may use what stands before it
    *("errors", "images", "device", "files", "controls", "watch"),
    "side_by_side",
    "openvino_runtime",  # the ground floor
    *("weights", "photo", "recognizers"),
    "identity",  # before stage 1, which compares with its reference population
    *("generators", "perception", "encoding", "regeneration"),
    *("results", "checking", "selection", "pipeline"),
    *("metrics", "notebook", "training", "evaluation", "runner", "apps"),
)
# the same, inside apps
APPS = ("resume", "folders", "album", "video", "explorer", "verify", "scale", "cli")
FRONT = {"anonlab", "anonlab.__main__"}  # the names for users; nothing inside imports them


def imported(path: Path, module: str, modules: set[str]) -> set[str]:
    """The modules of anonlab that a file imports anywhere: inside functions and for types as well."""
    package = module if path.name == "__init__.py" else module.rpartition(".")[0]
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = resolve_name("." * node.level + (node.module or ""), package)
            found |= ({f"{base}.{alias.name}" for alias in node.names} & modules) or {base}
    return found & modules


def graph() -> dict[str, set[str]]:
    """Who imports whom, by full names."""
    paths = {}
    for path in PACKAGE.rglob("*.py"):
        name = path.relative_to(PACKAGE.parent).with_suffix("").as_posix().replace("/", ".")
        paths[name.removesuffix(".__init__")] = path
    return {module: imported(path, module, {*paths}) for module, path in paths.items()}


def room(module: str) -> str:
    return module.split(".")[1]


def test_every_file_is_in_a_room_of_the_order():
    assert {room(module) for module in graph().keys() - FRONT} == {*ORDER}


def place(module: str) -> tuple[int, int]:
    """Where a module stands in the order of rooms, and of the applications."""
    names = module.split(".")
    inner = APPS.index(names[2]) if names[1] == "apps" and len(names) > 2 else 0
    return ORDER.index(names[1]), inner


def test_a_room_uses_only_what_stands_above_it():
    wrong = [
        f"{module} imports {other}"
        for module, others in graph().items()
        if module not in FRONT
        for other in others
        if other in FRONT or place(other) > place(module)
    ]
    assert not wrong


def test_nothing_goes_in_a_circle():
    list(TopologicalSorter(graph()).static_order())  # raises CycleError, which names the circle


def test_the_controls_need_no_torch():
    code = "import anonlab.controls, anonlab.apps.cli, sys; sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], cwd=PACKAGE.parent, check=True)


def test_every_name_for_users_is_there_and_the_reading_path_leads_to_files():
    assert all(hasattr(anonlab, name) for name in anonlab.__all__)
    files = re.findall(r"^    ([a-z_]+(?:/[a-z_]+)?) {3,}", anonlab.__doc__, re.MULTILINE)
    assert len(files) == 11 and all((PACKAGE / f"{name}.py").is_file() for name in files)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        anonlab.nothing  # noqa: B018
