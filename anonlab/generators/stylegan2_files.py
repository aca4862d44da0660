"""Files that hold a StyleGAN2: NVIDIA's pickles, rosinality's checkpoints, and their tensors alone.

Nothing in a file is executed. Every tensor of a file must be used and every one of ours filled, or
the error lists both.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from ..errors import WeightsCorrupt, WeightsMismatch, WeightsMissing
from .safe_pickle import SavedModule, read_safely
from .stylegan2 import StyleGAN2
from .stylegan2_names import NAMINGS, Naming, is_filter

TORCH_MAGIC = bytes.fromhex("80028a0a6cfc9c46f9206aa850192e")  # torch.save before torch 1.6
DRAWS = 16384  # of z, for the mean and the spread of w
LISTED = 6  # names in an error
FORMATS = "a .pkl of NVIDIA, a .pt of rosinality or a .safetensors with the names of either"
Tensors = dict[str, torch.Tensor]  # by the publisher's names


def load_stylegan2(path: Path) -> StyleGAN2:
    """Load the generator of a file, float32 and on the CPU; the format is recognised by content.

    Its name is `stylegan2-` and a fingerprint of the weights, the same in every format. `w_std`, and
    `w_avg` where a file has none, are measured on seeded draws. Raises `WeightsMissing`,
    `WeightsCorrupt` or `WeightsMismatch`.
    """
    tensors, clamp = read_file(path)
    naming = next((one for one in NAMINGS if one.tensors["const"] in tensors), None)
    if naming is None:
        raise WeightsMismatch(
            f"{path} holds no StyleGAN2 that anonlab knows but {_listed(tensors)}; choose {FORMATS}"
        )
    filters = {name for name in tensors if re.fullmatch(naming.filters, name)}
    wrong = [name for name in filters if not is_filter(tensors[name])]
    if wrong:
        raise WeightsMismatch(
            f"{path} resamples with another filter than [1, 3, 3, 1] ({_listed(wrong)}), which anonlab "
            f"does not know; choose an official StyleGAN2"
        )
    model = _filled(path, naming, {n: tensors[n] for n in tensors if n not in filters}, clamp)
    if not all(tensor.isfinite().all() for tensor in model.state_dict().values()):
        raise WeightsCorrupt(f"{path} holds numbers that are not finite; copy it again")
    return model.eval().requires_grad_(False)


def read_file(path: Path) -> tuple[Tensors, float | None]:
    """Read the tensors of a file in any of the formats, unchecked, and what clamps the activations.
    Raises as `load_stylegan2`."""
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


def _filled(path: Path, naming: Naming, tensors: Tensors, clamp: float | None) -> StyleGAN2:
    """Make the network that the tensors describe. Every tensor must be used and every parameter filled,
    in its shape but for axes of 1."""
    try:
        config = naming.config(tensors, clamp)
    except (KeyError, IndexError, AssertionError) as error:
        raise WeightsMismatch(
            f"{path} is not a whole StyleGAN2 with the names of {naming.publisher}: {error} is missing; "
            f"choose another file"
        ) from None
    with torch.device("meta"):  # without memory for them: a header could ask for much
        shapes = {ours: empty.shape for ours, empty in StyleGAN2(config).state_dict().items()}
    names = {naming.theirs(ours): ours for ours in shapes if ours != "w_std"}
    if naming.tensors["w_avg"] not in tensors:
        del names[naming.tensors["w_avg"]]
    wrong = [
        f"{name} {tuple(tensors[name].shape)} instead of {tuple(shapes[ours])}"
        for name, ours in names.items()
        if name in tensors and _squeezed(tensors[name].shape) != _squeezed(shapes[ours])
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
        ours: (tensors[name].float() * naming.factor(ours, shapes[ours])).reshape(shapes[ours])
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


def _squeezed(shape: torch.Size) -> list[int]:
    return [side for side in shape if side > 1]


def _listed(names: Iterable) -> str:
    names = [str(name) for name in names]
    more = f" and {len(names) - LISTED} more" if len(names) > LISTED else ""
    return ", ".join(names[:LISTED]) + more
