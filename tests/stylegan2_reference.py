"""StyleGAN2 by slow, direct formulas, and files as their publishers write them: for the tests only.

Nothing here uses anonlab. The network is computed from NVIDIA's raw tensors, sample by sample, in
float64; resampling inserts zeros.
"""

import io
import math
import pickle
import sys
import warnings
from collections import OrderedDict
from collections.abc import Callable
from unittest import mock

import numpy as np
import torch
import torch.nn.functional as F

KERNEL = torch.outer(torch.tensor([1.0, 3, 3, 1]), torch.tensor([1.0, 3, 3, 1])) / 64


def official_channels(size: int, multiplier: int = 2) -> list[int]:
    """Channels at 4, 8, … px of the official networks: multiplier 2 is config F, 1 half of it."""
    return [min(16384 * multiplier // 2**k, 512) for k in range(2, size.bit_length())]


def raw_tensors(size: int, channels: list[int], w_dim: int = 16, layers: int = 2, seed: int = 0) -> dict:
    """Random weights under NVIDIA's names, at the scale at which they are stored."""
    rng = torch.Generator().manual_seed(seed)

    def draw(*shape: int) -> torch.Tensor:
        return torch.randn(shape, generator=rng)

    raw = {"mapping.w_avg": draw(w_dim) / 4, "synthesis.b4.const": draw(channels[0], 4, 4)}
    for i in range(layers):
        raw[f"mapping.fc{i}.weight"] = draw(w_dim, w_dim) * 100  # divided by the learning rate 0.01
        raw[f"mapping.fc{i}.bias"] = draw(w_dim) * 10

    def layer(name: str, fan_in: int, fan_out: int, kernel: int) -> None:
        raw[f"{name}.weight"] = draw(fan_out, fan_in, kernel, kernel)
        raw[f"{name}.bias"] = draw(fan_out) / 4
        raw[f"{name}.affine.weight"] = draw(fan_in, w_dim)
        raw[f"{name}.affine.bias"] = 1 + draw(fan_in) / 4

    for level, fan_out in enumerate(channels):
        block = f"synthesis.b{4 * 2**level}"
        raw[f"{block}.resample_filter"] = KERNEL.clone()
        for conv in ("conv0", "conv1")[level == 0 :]:
            layer(f"{block}.{conv}", channels[level - 1] if conv == "conv0" else fan_out, fan_out, 3)
            raw[f"{block}.{conv}.noise_strength"] = draw() / 2
            raw[f"{block}.{conv}.noise_const"] = draw(4 * 2**level, 4 * 2**level)
            raw[f"{block}.{conv}.resample_filter"] = KERNEL.clone()
        layer(f"{block}.torgb", fan_out, 3, 1)
    assert 4 * 2 ** (len(channels) - 1) == size
    return raw


def slow_mapping(raw: dict, z: torch.Tensor) -> torch.Tensor:
    """Normalise, then fully connected layers with a learning rate of 0.01."""
    x = z.double() / torch.sqrt((z.double() ** 2).mean(1, keepdim=True) + 1e-8)
    i = 0
    while f"mapping.fc{i}.weight" in raw:
        weight = raw[f"mapping.fc{i}.weight"].double() * 0.01 / math.sqrt(x.shape[1])
        x = x @ weight.T + raw[f"mapping.fc{i}.bias"].double() * 0.01
        x = math.sqrt(2) * torch.maximum(x, 0.2 * x)
        i += 1
    return x


def slow_synthesis(raw: dict, ws: torch.Tensor, size: int) -> torch.Tensor:
    """The skip architecture, up to `size`."""
    raw = {name: x.double() for name, x in raw.items()}

    def spread(x: torch.Tensor) -> torch.Tensor:
        """`(C, H, W)` to twice the size, with zeros between the pixels."""
        sparse = x.new_zeros(len(x), 2 * x.shape[1], 2 * x.shape[2])
        sparse[:, ::2, ::2] = x
        return sparse

    def smoothed(x: torch.Tensor, before: int, after: int) -> torch.Tensor:
        padded = F.pad(x[:, None], (before, after, before, after))
        return F.conv2d(padded, 4 * KERNEL.double()[None, None])[:, 0]

    def kernels(name: str, w: torch.Tensor) -> torch.Tensor:
        style = raw[f"{name}.affine.weight"] @ w / math.sqrt(len(w)) + raw[f"{name}.affine.bias"]
        return raw[f"{name}.weight"] * style[:, None, None]

    def styled(name: str, x: torch.Tensor, w: torch.Tensor, up: bool = False) -> torch.Tensor:
        """A modulated and demodulated convolution; noise, bias, leaky ReLU."""
        kernel = kernels(name, w)
        kernel = kernel / torch.sqrt((kernel**2).sum((1, 2, 3), keepdim=True) + 1e-8)
        if up:  # networks correlate, signal processing convolves
            y = smoothed(F.conv2d(spread(x)[:, :-1, :-1], kernel.flip(2, 3), padding=2), 1, 1)
        else:
            y = F.conv2d(x, kernel, padding=1)
        y = y + raw[f"{name}.noise_strength"] * raw[f"{name}.noise_const"]
        y = y + raw[f"{name}.bias"][:, None, None]
        return math.sqrt(2) * torch.maximum(y, 0.2 * y)

    def rgb(name: str, x: torch.Tensor, w: torch.Tensor) -> torch.Tensor:
        """Scaled by the fan-in, and not demodulated."""
        return F.conv2d(x, kernels(name, w) / math.sqrt(len(x))) + raw[f"{name}.bias"][:, None, None]

    made = []
    for rows in ws.double():
        x = styled("synthesis.b4.conv1", raw["synthesis.b4.const"], rows[0])
        image = rgb("synthesis.b4.torgb", x, rows[1])
        for level in range(3, size.bit_length()):
            block, (first, second, third) = f"synthesis.b{2**level}", rows[2 * level - 5 :][:3]
            x = styled(f"{block}.conv1", styled(f"{block}.conv0", x, first, up=True), second)
            image = smoothed(spread(image), 2, 1) + rgb(f"{block}.torgb", x, third)
        made.append(image)
    return torch.stack(made)


class Call:
    """An object that is pickled as the call of a function."""

    def __init__(self, function: Callable, *arguments: object):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


def stored(tensor: torch.Tensor, blob: bytes | None = None, shape: tuple | None = None) -> Call:
    """A tensor as old versions of torch pickled it: its storage as a nested file of torch.save."""
    if blob is None:
        file = io.BytesIO()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            torch.save(tensor.contiguous().storage(), file, _use_new_zipfile_serialization=False)
        blob = file.getvalue()
    strides = tensor.contiguous().stride() if shape is None else (0,) * len(shape)
    return Call(
        torch._utils._rebuild_tensor_v2, Call(torch.storage._load_from_bytes, blob), 0,
        tuple(tensor.shape) if shape is None else shape, strides, False, OrderedDict(),
    )  # fmt: skip


class EasyDict(dict):
    """NVIDIA's, as far as pickling needs it."""

    __module__ = "dnnlib.util"


def _reconstruct_persistent_obj(meta: EasyDict) -> None:
    """NVIDIA's, which would execute the source in `meta`."""


_reconstruct_persistent_obj.__module__ = "torch_utils.persistence"
NVIDIAS = ("dnnlib", "dnnlib.util", "torch_utils", "torch_utils.persistence")


def nvidia_pickle(raw: dict, key: str = "G_ema", extra: dict | None = None, protocol: int = 4) -> bytes:
    """A pickle as stylegan2-ada-pytorch writes it: nested persistent modules, `extra` beside them."""

    def parameter(x: torch.Tensor) -> Call:
        return Call(torch._utils._rebuild_parameter, stored(x), False, OrderedDict())

    def module(prefix: str, class_name: str) -> Call:
        inside = {name[len(prefix) :]: x for name, x in raw.items() if name.startswith(prefix)}
        buffers = ("w_avg", "resample_filter", "noise_const")
        own = {name: x for name, x in inside.items() if "." not in name}
        children = dict.fromkeys(name.split(".")[0] for name in inside if "." in name)
        state = {
            "training": False,
            "_parameters": OrderedDict((n, parameter(x)) for n, x in own.items() if n not in buffers),
            "_buffers": OrderedDict((n, stored(x)) for n, x in own.items() if n in buffers),
            "_non_persistent_buffers_set": set(),
            "_backward_hooks": OrderedDict(),
            "_modules": OrderedDict((n, module(f"{prefix}{n}.", "Layer")) for n in children),
            "_init_kwargs": EasyDict(class_name="training.networks.Generator"),
            "dtype": np.float64(3.5),
            "weights": np.arange(3.0),
        }
        if ".conv" in prefix:
            state["conv_clamp"] = None
        source = {"module_src": "raise SystemExit('executed')\n", "class_name": class_name}
        meta = EasyDict(type="class", version=6, **source, state=state)
        return Call(_reconstruct_persistent_obj, meta)

    content = {key: module("", "Generator"), "training_set_kwargs": EasyDict(path="x"), **(extra or {})}
    with mock.patch.dict(sys.modules, dict.fromkeys(NVIDIAS, sys.modules[__name__])):
        return pickle.dumps(content, protocol)


def rosinality(raw: dict) -> dict:
    """The same network as a checkpoint of rosinality's stylegan2-pytorch."""
    ema: dict[str, torch.Tensor] = {}
    row = {"b4.conv1": "conv1", "b4.torgb": "to_rgb1"}
    sizes = sorted({int(name.split(".")[1][1:]) for name in raw if name.startswith("synthesis.b")})
    for level, size in enumerate(sizes[1:]):
        row |= {f"b{size}.conv0": f"convs.{2 * level}", f"b{size}.conv1": f"convs.{2 * level + 1}"}
        row[f"b{size}.torgb"] = f"to_rgbs.{level}"
        ema[f"convs.{2 * level}.conv.blur.kernel"] = 4 * KERNEL
        ema[f"to_rgbs.{level}.upsample.kernel"] = 4 * KERNEL
    noises = 0
    for name, x in raw.items():
        if name.startswith("mapping.fc"):
            _, layer, part = name.split(".")
            ema[f"style.{int(layer[2:]) + 1}.{part}"] = x
        elif name == "synthesis.b4.const":
            ema["input.input"] = x[None]
        elif name.startswith("synthesis.") and not name.endswith("resample_filter"):
            _, block, layer, *part = name.split(".")
            theirs, part = row[f"{block}.{layer}"], ".".join(part)
            if part == "noise_const":
                ema[f"noises.noise_{noises}"] = x[None, None]
                noises += 1
                continue
            inner = {"weight": "conv.weight", "affine.weight": "conv.modulation.weight",
                     "affine.bias": "conv.modulation.bias", "noise_strength": "noise.weight",
                     "bias": "bias" if layer == "torgb" else "activate.bias"}[part]  # fmt: skip
            if inner == "conv.weight":
                x = x[None]
            if inner == "bias":
                x = x[None, :, None, None]
            ema[f"{theirs}.{inner}"] = x[None] if inner == "noise.weight" else x
    return {"g_ema": ema, "latent_avg": raw["mapping.w_avg"]}
