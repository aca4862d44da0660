"""The wheel: built, installed into an empty environment without the extra `dev`, and used there."""

import importlib.metadata
import json
import os
import subprocess
import sys
import venv
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[1]
PLATFORM = """
class get_ipython:
    def run_line_magic(self, name, line):
        print(name, line)
"""


def needed(asked: str, found: dict[tuple[str, str], importlib.metadata.Distribution]) -> None:
    """Collect the installed distributions that a requirement needs, by name and extra."""
    wanted = Requirement(asked)
    for extra in {"", *wanted.extras} - {extra for name, extra in found if name == wanted.name}:
        found[wanted.name, extra] = importlib.metadata.distribution(wanted.name)
        for line in found[wanted.name, extra].requires or ():
            marker = Requirement(line).marker
            if marker is None or marker.evaluate({"extra": extra}):
                needed(line, found)


@pytest.fixture(scope="module")
def installed(tmp_path_factory) -> Path:
    """The folder of a new environment with what the wheel requires, torch too, as a platform has it: the
    wheel, installed as the first cell of a notebook asks pip to.

    (The rest are links: installing torch and JupyterLab again would take minutes.)
    """
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(build, cwd=ROOT, check=True)
    place = folder / "env"
    venv.create(place, with_pip=False)
    site = Path(sys.prefix).joinpath("lib", f"python3.{sys.version_info.minor}", "site-packages")
    target = place / site.relative_to(sys.prefix)
    found: dict[tuple[str, str], importlib.metadata.Distribution] = {}
    needed("anonlab", found)
    found.pop(("anonlab", ""))
    for one in found.values():
        for file in one.files or ():
            top = file.parts[0]
            if top not in ("..", "__pycache__") and not (target / top).is_symlink():
                (target / top).symlink_to(site / top)
    templates = place / "share" / "jupyter" / "nbconvert"
    templates.parent.mkdir(parents=True)
    templates.symlink_to(Path(sys.prefix) / "share/jupyter/nbconvert")
    cells = json.loads((ROOT / "notebooks" / "00_setup_and_faces.ipynb").read_text())["cells"]
    python = str(place / "bin" / "python")
    asking = subprocess.run(
        [python, "-I", "-c", PLATFORM + "".join(cells[1]["source"])],
        cwd=folder, check=True, capture_output=True, text=True,
    )  # fmt: skip
    pip, *asked = asking.stdout.split()
    assert pip == "pip" and f"torch=={importlib.metadata.version('torch')}" in asked
    command = [sys.executable, "-m", "pip", "--python", python, *asked, "--no-index", "--no-compile"]
    subprocess.run(command, cwd=folder, check=True)
    return place


@pytest.fixture
def anonlab(installed, tmp_path):
    """Run a command of the installed copy, in an empty folder, without a home, a network or git."""

    def run(*arguments: str, status: int = 0) -> str:
        kept = {name: os.environ[name] for name in ("OMP_NUM_THREADS", "LANG") if name in os.environ}
        offline = {"https_proxy": "http://127.0.0.1:9", "http_proxy": "http://127.0.0.1:9"}
        environment = {"PATH": str(installed / "bin"), "HOME": "/dev/null"} | kept | offline
        environment["JUPYTER_RUNTIME_DIR"] = str(tmp_path / "runtime")  # a server cannot do without
        command = [str(installed / "bin" / "python"), *arguments]
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
        assert done.returncode == status, done.stdout + done.stderr
        return done.stdout + done.stderr

    return run


def files(folder: Path) -> set[tuple[str, int]]:
    package = next(folder.rglob("site-packages/anonlab"))
    kept = (path for path in package.rglob("*") if path.is_file() and path.suffix != ".pyc")
    return {(str(path.relative_to(package)), path.stat().st_mtime_ns) for path in kept}


def test_it_is_the_installed_copy_without_development_packages(anonlab, installed):
    code = "import anonlab, importlib.util as u; print(anonlab.__file__, u.find_spec('pytest'))"
    assert anonlab("-c", code).split() == [
        str(next(installed.rglob("site-packages/anonlab")) / "__init__.py"),
        "None",
    ]


def test_the_first_cell_of_a_notebook_leaves_what_the_platform_has_as_it_is(installed):
    [site] = installed.rglob("site-packages")
    own = {path.name.split("-")[0] for path in site.iterdir() if not path.is_symlink()}
    assert own == {"anonlab"} and (site / "torch").is_symlink()


def test_it_writes_nothing_beside_the_package(installed):
    """Files below `etc` or `share` would be those of every Jupyter server of the environment."""
    [listed] = installed.rglob("anonlab-*.dist-info/RECORD")
    names = [row.split(",")[0] for row in listed.read_text().splitlines()]
    beside = [one for one in names if not one.startswith(("anonlab/", "anonlab-"))]
    assert beside == ["../../../bin/anonlab"]


def test_a_photo_is_anonymized(anonlab, tmp_path):
    astronaut = "from skimage import data, io; io.imsave('astronaut.png', data.astronaut())"
    anonlab("-c", astronaut)
    said = anonlab("-m", "anonlab", "anonymize", "astronaut.png", "--out", "new")
    assert "astronaut.png -> new/astronaut.png (distance" in said
    record = json.loads((tmp_path / "new" / "record.json").read_text())
    assert [face["matched"] for face in record["photos"][0]["faces"]] == [False]


def test_doctor_finds_every_weight(anonlab):
    said = anonlab("-m", "anonlab", "doctor")
    assert "git checkout" not in said and "corrupt" not in said


def test_a_notebook_runs_is_judged_and_changes_nothing_of_the_copy(anonlab, installed, tmp_path):
    before = files(installed)
    said = anonlab("-m", "anonlab", "run", "--only", "00")
    assert "Did everything run? Yes" in said and "judged numbers hold." in said
    [page] = (tmp_path / "outputs" / "runs").glob("*/00_setup_and_faces.html")
    assert page.stat().st_size > 100_000
    said = anonlab("-m", "anonlab", "run", "--only", "00", "--accept", status=1)
    assert "is an installed copy, whose files are not changed" in said
    assert files(installed) == before


def test_the_explorers_page_comes_along(anonlab):
    code = (
        "from anonlab.apps.explorer.panel import page_file\n"
        "print([page_file(name)[:9] for name in ('index.html', 'panel.js', 'panel.css', 'book.html')])"
    )
    assert "<!doctype" in anonlab("-c", code)
