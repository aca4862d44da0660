"""Files that hold a StyleGAN2: NVIDIA's pickles, rosinality's checkpoints, and their tensors alone.

Nothing in a file is executed. Every tensor of a file must be used and every one of ours filled, or
the error lists both. The original keeps weights at unit variance and scales them when it runs
(equalised learning rates, Karras et al. 2018); our network has them scaled.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from ..errors import WeightsCorrupt, WeightsMismatch, WeightsMissing
from .safe_pickle import SavedModule, read_safely
from .stylegan2 import StyleGAN2, StyleGAN2Config

TORCH_MAGIC = bytes.fromhex("80028a0a6cfc9c46f9206aa850192e")  # torch.save before torch 1.6
DRAWS = 16384  # of z, for the mean and the spread of w
LISTED = 6  # names in an error
FORMATS = "a .pkl of NVIDIA, a .pt of rosinality or a .safetensors with the names of either"
FILTERS = re.compile(  # names of stored copies of the resampling filter
    r"synthesis\.b\d+\.(conv\d\.)?resample_filter|(convs\.\d+\.conv\.blur|to_rgbs\.\d+\.upsample)\.kernel"
)
TAPS = torch.tensor([1.0, 3.0, 3.0, 1.0]) / 8
MAPPING_RATE = 0.01  # the mapping network learns that much more slowly
Tensors = dict[str, torch.Tensor]  # by the publisher's names
Names = Callable[[str], str]  # from one of our names, such as `convs.3.affine.weight`, to a publisher's


def nvidia(ours: str) -> str:
    """Translate one of our names to that of stylegan2-ada-pytorch."""
    module, number, tensor = (*ours.split(".", 2), "0", "")[:3]
    at = int(number)
    where = {
        "w_avg": "mapping.w_avg",
        "const": "synthesis.b4.const",
        "mapping_layers": f"mapping.fc{at}.{tensor}",
        "convs": f"synthesis.b{4 * 2 ** ((at + 1) // 2)}.conv{(at + 1) % 2}.{tensor}",
        "to_rgbs": f"synthesis.b{4 * 2**at}.torgb.{tensor}",
    }[module]
    return where + "_const" if tensor == "noise" else where


def rosinality(ours: str) -> str:
    """Translate one of our names to that of rosinality's stylegan2-pytorch."""
    module, number, tensor = (*ours.split(".", 2), "0", "")[:3]
    at = int(number)
    if tensor == "noise":
        return f"noises.noise_{at}"
    inner = tensor.replace("affine", "conv.modulation").replace("noise_strength", "noise.weight")
    inner = {"weight": "conv.weight", "bias": "activate.bias"}.get(inner, inner)
    return {
        "w_avg": "latent_avg",
        "const": "input.input",
        "mapping_layers": f"style.{at + 1}.{tensor}",
        "convs": f"convs.{at - 1}.{inner}" if at else f"conv1.{inner}",
        "to_rgbs": (f"to_rgbs.{at - 1}." if at else "to_rgb1.") + inner.replace("activate.", ""),
    }[module]


def load_stylegan2(path: Path) -> StyleGAN2:
    """Load the generator of a file, float32 and on the CPU; the format is recognised by content.

    Its name is `stylegan2-` and a fingerprint of the weights, the same in every format. `w_std`, and
    `w_avg` where a file has none, are measured on seeded draws. Raises `WeightsMissing`,
    `WeightsCorrupt` or `WeightsMismatch`.
    """
    tensors, clamp = read_file(path)
    names = next((one for one in (nvidia, rosinality) if one("const") in tensors), None)
    if names is None:
        raise WeightsMismatch(
            f"{path} holds no StyleGAN2 that anonlab knows but {_listed(tensors)}; choose {FORMATS}"
        )
    filters = {name for name in tensors if FILTERS.fullmatch(name)}
    wrong = [name for name in filters if not _is_filter(tensors[name])]
    if wrong:
        raise WeightsMismatch(
            f"{path} resamples with another filter than [1, 3, 3, 1] ({_listed(wrong)}), which anonlab "
            f"does not know; choose an official StyleGAN2"
        )
    model = _filled(path, names, {n: tensors[n] for n in tensors if n not in filters}, clamp)
    if not all(tensor.isfinite().all() for tensor in model.state_dict().values()):
        raise WeightsCorrupt(f"{path} holds numbers that are not finite; copy it again")
    return model.eval().requires_grad_(False)


def read_file(path: Path) -> tuple[Tensors, float | None]:
    """Read a file's tensors, unchecked, and what clamps the activations. Raises as `load_stylegan2`."""
    if not path.is_file():
        raise WeightsMissing(f"{path} (StyleGAN2) is missing; give the path of {FORMATS}")
    with path.open("rb") as file:
        head = file.read(16)
    if head[8:9] == b"{":
        try:
            return load_file(path), None
        except (SafetensorError, OSError) as error:
            raise WeightsCorrupt(f"{path} is truncated or damaged ({error}); copy it again") from None
    is_torch = head.startswith((b"PK\x03\x04", TORCH_MAGIC))
    if not is_torch and not head.startswith(b"\x80"):
        raise WeightsMismatch(f"{path} is no file of weights that anonlab knows; choose {FORMATS}")
    content, average, clamp = read_safely(path, is_torch), None, None
    if isinstance(content, dict):
        average = content.get("latent_avg")
        content = next((content[key] for key in ("G_ema", "g_ema") if key in content), content)
    if isinstance(content, SavedModule):
        clamp = max(content.clamps, default=None)
        content = content.tensors
    elif isinstance(content, dict) and isinstance(average, torch.Tensor):
        content = {**content, "latent_avg": average}
    if not isinstance(content, dict) or not all(
        isinstance(name, str) and isinstance(tensor, torch.Tensor) for name, tensor in content.items()
    ):
        keys = f" but {_listed(content)}" if isinstance(content, dict) else ""
        raise WeightsMismatch(
            f"{path} holds no generator under G_ema or g_ema{keys}; choose a checkpoint that has one"
        )
    return content, clamp


def config_of(theirs: Names, tensors: Tensors, clamp: float | None) -> StyleGAN2Config:
    """Infer the network that a file holds, from shapes. Raises `KeyError` with a missing name."""
    channels: list[int] = []
    while len(channels) < 2 or theirs(f"convs.{2 * len(channels)}.weight") in tensors:
        channels.append(tensors[theirs(f"convs.{2 * len(channels)}.weight")].shape[-4])
    layers = [tensors[theirs("mapping_layers.0.weight")]]
    while (name := theirs(f"mapping_layers.{len(layers)}.weight")) in tensors:
        layers.append(tensors[name])
    z_dim, w_dim, size = layers[0].shape[1], layers[-1].shape[0], 2 * 2 ** len(channels)
    return StyleGAN2Config(size, tuple(channels), z_dim, w_dim, len(layers), clamp)


def factor(ours: str, shape: torch.Size) -> float:
    """Compute what a publisher's tensor, of our name and `shape`, is multiplied by."""
    rate = MAPPING_RATE if ours.startswith("mapping") else 1.0
    return rate / shape[1:].numel() ** 0.5 if ours.endswith("weight") else rate


def _filled(path: Path, theirs: Names, tensors: Tensors, clamp: float | None) -> StyleGAN2:
    """Make the network that the tensors describe. Every tensor must be used and every parameter filled,
    in its shape but for axes of 1."""
    try:
        config = config_of(theirs, tensors, clamp)
    except (KeyError, IndexError, AssertionError) as error:
        raise WeightsMismatch(
            f"{path} is not a whole StyleGAN2 with the names of {theirs.__name__}: {error} is missing; "
            f"choose another file"
        ) from None
    with torch.device("meta"):  # without memory for them: a header could ask for much
        empty = StyleGAN2(config).state_dict()
    names = {theirs(ours): ours for ours in empty if ours != "w_std"}
    if theirs("w_avg") not in tensors:
        del names[theirs("w_avg")]
    wrong = [
        f"{name} {tuple(tensors[name].shape)} instead of {tuple(empty[ours].shape)}"
        for name, ours in names.items()
        if name in tensors and tensors[name].squeeze().shape != empty[ours].squeeze().shape
    ]
    missing, unused = sorted(names.keys() - tensors.keys()), sorted(tensors.keys() - names.keys())
    lists = (("missing", missing), ("not used", unused), ("of a wrong shape", wrong))
    faults = [f"{title}: {_listed(those)}" for title, those in lists if those]
    if faults:
        raise WeightsMismatch(
            f"{path} does not fit a StyleGAN2 ({'; '.join(faults)}); choose an official StyleGAN2, or "
            f"convert it again"
        )
    model = StyleGAN2(config)
    state = {
        ours: (tensors[name].float() * factor(ours, empty[ours].shape)).reshape(empty[ours].shape)
        for name, ours in names.items()
    }
    model.load_state_dict(state, strict=False)
    average, spread = model.statistics(DRAWS)
    model.w_std.copy_(spread)
    if "w_avg" not in state:
        model.w_avg.copy_(average)
    digest = hashlib.sha256()
    # these are stored alike everywhere, to the bit
    for tensor in (model.const, *(layer.bias for layer in (*model.convs, *model.to_rgbs))):
        digest.update(tensor.detach().numpy().tobytes())
    model.name = f"stylegan2-{digest.hexdigest()[:8]}"
    return model


def _is_filter(kernel: torch.Tensor) -> bool:
    """Tell whether it is the filter [1, 3, 3, 1] that our network has built in, at any gain."""
    expected = torch.outer(TAPS, TAPS)
    return kernel.shape == (4, 4) and torch.allclose(kernel.float() / kernel.sum(), expected)


def _listed(names: Iterable) -> str:
    names = [str(name) for name in names]
    more = f" and {len(names) - LISTED} more" if len(names) > LISTED else ""
    return ", ".join(names[:LISTED]) + more
