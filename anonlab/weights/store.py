"""Find every pretrained file of `table.toml`: where it is, whether it is whole, how to get it.

The only place that knows paths. Files come with pip packages, ship in `data/`, or are optional
and fetched only on request, by name.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import json
import os
import tomllib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from platformdirs import user_cache_path
from safetensors.torch import load_file, save_file

from ..errors import AnonlabError, OutputNotWritable, UnknownOption, WeightsCorrupt, WeightsMissing
from ..files import atomic_path


@dataclass(frozen=True)
class Weight:
    """One pretrained file, a table of `table.toml`."""

    what: str
    licence: str
    path: str  # inside the package, in `data/`, or in torch's download cache
    package: str = ""  # the pip requirement that brings it; "" for a file in `data/`
    module: str = ""  # the folder of that package
    sha256: str = ""  # whole, or as many digits as its publisher states
    url: str = ""  # only for optional files
    train: str = ""  # the command that makes a file which we trained; its card holds the sha256

    @property
    def optional(self) -> bool:
        """Whether it is fetched only on request, by name."""
        return bool(self.url)


PACKAGE = Path(__file__).parents[1]
_TABLE = tomllib.loads(Path(__file__).with_name("table.toml").read_text(encoding="utf-8"))
WEIGHTS = {key: Weight(**row) for key, row in _TABLE.items()}


def installed() -> bool:
    """Return whether this is the copy of a wheel, whose files are not changed, and no checkout."""
    return (PACKAGE / "_data").is_dir()


def data_folder() -> Path:
    """Return the folder of what ships with anonlab: `data/` of a checkout, or its copy in a wheel."""
    return PACKAGE / "_data" if installed() else PACKAGE.parent / "data"


def notebooks_folder() -> Path:
    """Return the folder of the notebooks, of a checkout or in a wheel."""
    return PACKAGE / "_notebooks" if installed() else PACKAGE.parent / "notebooks"


def accepted_folder() -> Path:
    """Return the folder of the accepted numbers, of a checkout or in a wheel."""
    return PACKAGE / "_accepted" if installed() else PACKAGE.parent / "tests/accepted"


def cache_folder() -> Path:
    """Return `$ANONLAB_CACHE`, or the user's cache folder for anonlab."""
    return Path(os.environ.get("ANONLAB_CACHE") or user_cache_path("anonlab"))


def weight_of(key: str) -> Weight:
    """Return the table's entry for `key`. Encoders of other generators need none."""
    if key not in WEIGHTS and key.startswith("encoder-"):
        return Weight(
            f"stage 2 for the generator {key.removeprefix('encoder-')}",
            "that of the generator's weights",
            f"{key}.safetensors",
            train="python -m anonlab train encoder --ship --generator stylegan2 "
            "--generator-weights FILE",
        )
    return WEIGHTS[key]


def other_encoders() -> list[str]:
    """List the keys of the encoders in `data/` that are not in the table: those of other generators."""
    keys = (path.stem for path in data_folder().glob("encoder-*.safetensors"))
    return sorted(key for key in keys if key not in WEIGHTS)


def path_of(key: str) -> Path:
    """Find where the file of `key` is or would be."""
    weight = weight_of(key)
    if weight.module:
        spec = importlib.util.find_spec(weight.module)
        places = spec.submodule_search_locations if spec else None
        return Path(places[0] if places else weight.module) / weight.path
    if weight.optional:
        return Path(torch.hub.get_dir()) / "checkpoints" / weight.path
    return data_folder() / weight.path


def find(key: str) -> Path | None:
    """Find the file of `key`, unverified; None where there is none."""
    path = path_of(key)
    return path if path.is_file() else None


def repair(key: str) -> str:
    """Return the command that brings the file of `key` back."""
    weight = weight_of(key)
    if weight.module:
        return f"pip install --force-reinstall --no-deps {weight.package}"
    if weight.optional:
        return f"python -m anonlab doctor --download {key}"
    if weight.train and not card_of(key):
        return weight.train
    if installed():
        return "pip install --force-reinstall --no-deps anonlab"
    return f"git checkout -- data/{weight.path}"


def card_of(key: str) -> dict:
    """Read the JSON card beside a file that we trained: its sha256, and how it was made; {} without."""
    try:
        return json.loads(path_of(key).with_suffix(".json").read_text())
    except (OSError, ValueError):
        return {}


def sha256(path: Path) -> str:
    """Compute the sha256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def expected_sha256(key: str) -> str:
    """Return the sha256 that the file of `key` must have: from the table, from the card of what we
    trained, or from the seal that its download left; "" without any."""
    weight = weight_of(key)
    if weight.train:
        return card_of(key).get("sha256", "")
    return weight.sha256 or (_sealed(path_of(key)) if weight.optional else "")


def _seal(path: Path) -> None:
    """Write down the sha256 of a file beside it."""
    with atomic_path(path.with_suffix(".sha256")) as partial:
        partial.write_text(sha256(path))


def _sealed(path: Path) -> str:
    """Read the sha256 that a file had when it was sealed; "" without a seal."""
    seal = path.with_suffix(".sha256")
    return seal.read_text().strip() if seal.is_file() else ""


def locate(key: str) -> Path:
    """Return the verified path of a pretrained file.

    Raises `WeightsMissing` when it is not there and `WeightsCorrupt` when its sha256 is another, or a
    file that we trained has no card; both name the file, the package and the command that repairs it.
    """
    weight, path, expected = weight_of(key), path_of(key), expected_sha256(key)
    error: type[AnonlabError] | None = None
    if not path.is_file():
        error, fault = WeightsMissing, "is missing"
    elif not sha256(path).startswith(expected) or (weight.train and not expected):
        error, fault = WeightsCorrupt, "is not the file it should be"
    if error:
        origin = f"from the package {weight.package}" if weight.package else "of anonlab"
        raise error(f"{path} ({weight.what}, {origin}) {fault}; repair it with: {repair(key)}")
    return path


def load_shipped(key: str) -> dict[str, torch.Tensor]:
    """Load the tensors of a safetensors file that ships in `data/`, verified."""
    return load_file(locate(key))


def status(key: str) -> tuple[str, str]:
    """Return `ok`, `missing`, `corrupt` or `optional`, and a path or the sentence with the remedy."""
    try:
        return "ok", str(locate(key))
    except WeightsMissing as error:
        spare = weight_of(key).optional or key.startswith("encoder")
        return ("optional" if spare else "missing"), str(error)
    except WeightsCorrupt as error:
        return "corrupt", str(error)


def download(key: str, digest: str = "") -> Path:
    """Fetch an optional file by name, and verify it.

    `digest` is its sha256, for files whose publisher states none; without one the first download is
    trusted. Either way a seal beside the file remembers what it was.
    """
    if key not in WEIGHTS or not WEIGHTS[key].optional:
        names = ", ".join(name for name, weight in WEIGHTS.items() if weight.optional)
        raise UnknownOption(f"{key} is not an optional model; choose from: {names}")
    weight, path = WEIGHTS[key], path_of(key)
    try:
        with atomic_path(path) as partial:
            torch.hub.download_url_to_file(weight.url, str(partial), digest or weight.sha256 or None)
        _seal(path)
    except Exception as error:
        raise WeightsMissing(
            f"{path} ({weight.what}) could not be downloaded from {weight.url} ({error}); "
            f"fetch it elsewhere and put it there"
        ) from None
    return locate(key)


def converted(name: str, keys: list[str], convert: Callable[[], dict]) -> dict[str, torch.Tensor]:
    """Return the state dict that `convert()` makes of the files `keys`, kept in the user's cache folder.

    The copy's name carries the sha256 of what it was made from, and a second file its own, so a
    stale or damaged copy is made again. A cache that cannot be written is done without.
    """
    for key in keys:
        locate(key)
    source = hashlib.sha256("".join(expected_sha256(key) for key in keys).encode()).hexdigest()
    path = cache_folder() / f"{name}-{source[:16]}.safetensors"
    if path.is_file() and _sealed(path) == sha256(path):
        return load_file(path)
    state = {key: tensor.contiguous() for key, tensor in convert().items()}
    with contextlib.suppress(OSError, OutputNotWritable):
        with atomic_path(path) as partial:
            save_file(state, partial)
        _seal(path)
    return state
