"""Files that hold a StyleGAN2: NVIDIA's pickles, rosinality's checkpoints, and their tensors alone.

Nothing in a file is executed. Every tensor of a file must be used and every one of ours filled, or
the error lists both; what is not a StyleGAN2 is refused with a sentence that says what it is.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open

from ..errors import WeightsCorrupt, WeightsMismatch, WeightsMissing
from .safe_pickle import SavedModule, read_safely
from .stylegan2 import StyleGAN2
from .stylegan2_names import NAMINGS, is_filter

TORCH_MAGIC = bytes.fromhex("80028a0a6cfc9c46f9206aa850192e")  # torch.save before torch 1.6
DRAWS = 16384  # of z, for the mean and the spread of w
LISTED = 6  # names in an error
FORMATS = "a .pkl of NVIDIA, a .pt of rosinality or a .safetensors with the names of either"
# What else people have files of: part of a tensor's name, and what has it.
OTHERS = {
    "synthesis.input.freqs": "a StyleGAN3 generator",
    "progression.": "a StyleGAN1 network",
    "g_synthesis.": "a StyleGAN1 generator",
    "mapping.embed.": "a conditional StyleGAN2, which needs a class for every picture",
    "fromrgb.": "a discriminator",
    "final_linear.": "a discriminator",
}


Found = tuple[dict[str, torch.Tensor], float | None]  # by the publisher's names, and what clamps them


def load_stylegan2(path: Path) -> StyleGAN2:
    """Load the generator of a file, float32 and on the CPU; the format is recognised by content.

    Its name is `stylegan2-` and a fingerprint of the weights, the same in every format. `w_std`, and
    `w_avg` where a file has none, are measured on seeded draws. Raises `WeightsMissing`,
    `WeightsCorrupt` or `WeightsMismatch`.
    """
    model = _translated(path, *read_file(path))
    model.name = f"stylegan2-{fingerprint(model)}"
    if not all(tensor.isfinite().all() for tensor in model.state_dict().values()):
        raise WeightsCorrupt(f"{path} holds numbers that are not finite; copy it again")
    return model.eval().requires_grad_(False)


def fingerprint(model: StyleGAN2) -> str:
    """Compute eight digits of a set of weights, the same in every format."""
    digest = hashlib.sha256()
    # these are stored alike everywhere, to the bit
    for tensor in (model.const, *(layer.bias for layer in (*model.convs, *model.to_rgbs))):
        digest.update(tensor.detach().cpu().float().contiguous().numpy().tobytes())
    return digest.hexdigest()[:8]


def read_file(path: Path) -> Found:
    """Read the tensors of a file in any of the formats, unchecked. Raises as `load_stylegan2`."""
    if not path.is_file():
        raise WeightsMissing(f"{path} (StyleGAN2) is missing; give the path of {FORMATS}")
    with path.open("rb") as file:
        head = file.read(16)
    if head[8:9] == b"{":
        return _read_safetensors(path)
    is_torch = head.startswith((b"PK\x03\x04", TORCH_MAGIC))
    if not is_torch and not head.startswith(b"\x80"):
        kind = "a text file" if head.isascii() and head else "no file of weights that anonlab knows"
        raise WeightsMismatch(f"{path} is {kind}; choose {FORMATS}")
    average, content = None, read_safely(path, is_torch)
    if isinstance(content, dict):
        average = content.get("latent_avg")
        held = [content[key] for key in ("G_ema", "g_ema", "g_running") if key in content]
        content = held[0] if held else content
    clamp = None
    if isinstance(content, SavedModule):
        clamps = [value for name, value in content.settings.items() if name.endswith("conv_clamp")]
        clamp = max((float(c) for c in clamps if isinstance(c, int | float)), default=None)
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


def _read_safetensors(path: Path) -> Found:
    try:
        with safe_open(path, "pt") as file:
            return {name: file.get_tensor(name) for name in file.keys()}, None  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise WeightsCorrupt(f"{path} is truncated or damaged ({error}); copy it again") from None


def _translated(path: Path, tensors: dict[str, torch.Tensor], clamp: float | None) -> StyleGAN2:
    naming = next((candidate for candidate in NAMINGS if candidate.tensors["const"] in tensors), None)
    for part, what in OTHERS.items():
        if any(part in name for name in tensors):
            raise WeightsMismatch(f"{path} is {what}; choose an unconditional StyleGAN2 of faces")
    if naming is None:
        raise WeightsMismatch(
            f"{path} holds no StyleGAN2 that anonlab knows but {_listed(tensors)}; choose {FORMATS}"
        )
    try:
        config = naming.config(tensors, clamp)
    except (KeyError, IndexError, AssertionError) as error:
        raise WeightsMismatch(
            f"{path} is not a whole StyleGAN2 with the names of {naming.publisher}: {error} is missing; "
            f"choose another file"
        ) from None
    filters = {name for name in tensors if re.fullmatch(naming.filters, name)}
    wrong = [name for name in filters if not is_filter(tensors[name])]
    if wrong:
        raise WeightsMismatch(
            f"{path} resamples with another filter than [1, 3, 3, 1] ({_listed(wrong)}), which anonlab "
            f"does not know; choose an official StyleGAN2"
        )
    with torch.device("meta"):  # without memory for them: a header could ask for much
        empty = StyleGAN2(config).state_dict()
    names = {ours: naming.theirs(ours) for ours in empty if ours != "w_std"}
    if names["w_avg"] not in tensors:
        del names["w_avg"]
    given = {name: tensor for name, tensor in tensors.items() if name not in filters}
    _check(path, given, {theirs: empty[ours].shape for ours, theirs in names.items()})
    model = StyleGAN2(config)
    state = model.state_dict()
    for ours, theirs in names.items():
        shape = state[ours].shape
        state[ours] = (tensors[theirs].float() * naming.factor(ours, shape)).reshape(shape)
    model.load_state_dict(state)
    average, spread = model.statistics(DRAWS)
    model.w_std.copy_(spread)
    if "w_avg" not in names:
        model.w_avg.copy_(average)
    return model


def _check(path: Path, given: dict[str, torch.Tensor], wanted: dict[str, torch.Size]) -> None:
    """Check that every tensor is used and every parameter filled, in its shape but for axes of 1."""
    missing, unused = sorted(wanted.keys() - given.keys()), sorted(given.keys() - wanted.keys())
    wrong = [
        f"{name} {tuple(given[name].shape)} instead of {tuple(shape)}"
        for name, shape in wanted.items()
        if name in given and [n for n in given[name].shape if n > 1] != [n for n in shape if n > 1]
    ]
    lists = (("missing", missing), ("not used", unused), ("of a wrong shape", wrong))
    faults = [f"{title}: {_listed(names)}" for title, names in lists if names]
    if faults:
        raise WeightsMismatch(
            f"{path} does not fit a StyleGAN2 ({'; '.join(faults)}); choose an official StyleGAN2, or "
            f"convert it again"
        )


def _listed(names: Iterable) -> str:
    names = [str(name) for name in names]
    more = f" and {len(names) - LISTED} more" if len(names) > LISTED else ""
    return ", ".join(names[:LISTED]) + more
