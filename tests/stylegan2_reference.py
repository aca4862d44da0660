"""StyleGAN2 by slow, direct formulas, and files as their publishers write them: for the tests only.

Nothing here uses anonlab. The network is computed from NVIDIA's raw tensors, sample by sample and
channel by channel where it matters; resampling inserts zeros and asks scipy.
"""

import io
import math
import pickle
import sys
import types
import warnings
from collections import OrderedDict

import numpy as np
import torch
from scipy.signal import convolve2d

KERNEL = np.outer([1, 3, 3, 1], [1, 3, 3, 1]) / 64


def official_channels(size: int, multiplier: int = 2) -> list[int]:
    """Channels at 4, 8, … px of the official networks: multiplier 2 is config F, 1 half of it."""
    return [min(16384 * multiplier // 2**k, 512) for k in range(2, size.bit_length())]


def raw_tensors(size: int, channels: list[int], w_dim: int = 16, layers: int = 2, seed: int = 0) -> dict:
    """Random weights under NVIDIA's names, at the scale at which they are stored."""
    rng = torch.Generator().manual_seed(seed)

    def draw(*shape: int) -> torch.Tensor:
        return torch.randn(shape, generator=rng)

    filters = torch.tensor(KERNEL, dtype=torch.float32)
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
        raw[f"{block}.resample_filter"] = filters.clone()
        for conv in ("conv0", "conv1")[level == 0 :]:
            layer(f"{block}.{conv}", channels[level - 1] if conv == "conv0" else fan_out, fan_out, 3)
            raw[f"{block}.{conv}.noise_strength"] = draw() / 2
            raw[f"{block}.{conv}.noise_const"] = draw(4 * 2**level, 4 * 2**level)
            raw[f"{block}.{conv}.resample_filter"] = filters.clone()
        layer(f"{block}.torgb", fan_out, 3, 1)
    assert 4 * 2 ** (len(channels) - 1) == size
    return raw


def slow_upsample(x: torch.Tensor) -> torch.Tensor:
    """`(N, C, H, W)` to twice the size: zeros between the pixels, then a true convolution."""
    n, c, h, w = x.shape
    out = np.zeros((n, c, 2 * h, 2 * w))
    for i in range(n):
        for j in range(c):
            sparse = np.zeros((2 * h, 2 * w))
            sparse[::2, ::2] = x[i, j].double().numpy()
            full = convolve2d(np.pad(sparse, ((2, 1), (2, 1))), 4 * KERNEL, mode="valid")
            out[i, j] = full
    return torch.tensor(out, dtype=x.dtype)


def slow_convolution(x: np.ndarray, kernels: np.ndarray, up: bool) -> np.ndarray:
    """`x (I, H, W)` and `kernels (I, 3, 3)` to one channel: zero-padded, or doubled and blurred."""
    if not up:  # networks correlate, signal processing convolves
        return sum(convolve2d(a, k[::-1, ::-1], mode="same") for a, k in zip(x, kernels, strict=True))
    sparse = np.zeros((len(x), 2 * x.shape[1] - 1, 2 * x.shape[2] - 1))
    sparse[:, ::2, ::2] = x
    larger = sum(convolve2d(a, k, mode="full") for a, k in zip(sparse, kernels, strict=True))
    return convolve2d(np.pad(larger, 1), 4 * KERNEL, mode="valid")


def slow_styled(raw: dict, name: str, x: torch.Tensor, w: torch.Tensor, up: bool, noise: bool):
    """A modulated convolution with an explicit kernel for every sample; noise, bias, leaky ReLU."""
    weight = raw[f"{name}.weight"].double()
    affine = raw[f"{name}.affine.weight"].double() / math.sqrt(w.shape[1])
    out = []
    for i in range(len(x)):
        style = affine @ w[i].double() + raw[f"{name}.affine.bias"].double()
        kernel = weight * style[None, :, None, None]
        kernel = kernel / torch.sqrt((kernel**2).sum((1, 2, 3), keepdim=True) + 1e-8)
        maps = [slow_convolution(x[i].double().numpy(), one.numpy(), up) for one in kernel]
        out.append(torch.tensor(np.stack(maps)))
    y = torch.stack(out)
    if noise:
        y = y + raw[f"{name}.noise_strength"].double() * raw[f"{name}.noise_const"].double()
    y = y + raw[f"{name}.bias"].double()[:, None, None]
    return math.sqrt(2) * torch.maximum(y, 0.2 * y)


def slow_rgb(raw: dict, name: str, x: torch.Tensor, w: torch.Tensor) -> torch.Tensor:
    """To-RGB: scaled by the fan-in, and not demodulated."""
    affine = raw[f"{name}.affine.weight"].double() / math.sqrt(w.shape[1])
    styles = w.double() @ affine.T + raw[f"{name}.affine.bias"].double()
    weight = raw[f"{name}.weight"].double()[:, :, 0, 0] / math.sqrt(x.shape[1])
    rgb = torch.einsum("oi,ni,nihw->nohw", weight, styles, x.double())
    return rgb + raw[f"{name}.bias"].double()[:, None, None]


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


def slow_synthesis(raw: dict, ws: torch.Tensor, size: int, noise: bool = True) -> torch.Tensor:
    """The skip architecture, up to `size`, in float64."""
    x = raw["synthesis.b4.const"].double().expand(len(ws), -1, -1, -1)
    x = slow_styled(raw, "synthesis.b4.conv1", x, ws[:, 0], False, noise)
    image = slow_rgb(raw, "synthesis.b4.torgb", x, ws[:, 1])
    here, row = 4, 1
    while here < size:
        here *= 2
        x = slow_styled(raw, f"synthesis.b{here}.conv0", x, ws[:, row], True, noise)
        x = slow_styled(raw, f"synthesis.b{here}.conv1", x, ws[:, row + 1], False, noise)
        rgb = slow_rgb(raw, f"synthesis.b{here}.torgb", x, ws[:, row + 2])
        image, row = slow_upsample(image) + rgb, row + 2
    return image


def _blob(tensor: torch.Tensor) -> bytes:
    file = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.save(tensor.contiguous().storage(), file, _use_new_zipfile_serialization=False)
    return file.getvalue()


def fake_modules() -> dict[str, types.ModuleType]:
    """Modules with the functions that NVIDIA's pickles name, as far as pickling needs them."""
    found = {}
    for path in ("dnnlib.util.EasyDict", "torch_utils.persistence._reconstruct_persistent_obj"):
        name, attribute = path.rsplit(".", 1)
        package = name.split(".")[0]
        found.setdefault(package, types.ModuleType(package))
        module = found.setdefault(name, types.ModuleType(name))
        base = (dict,) if attribute == "EasyDict" else ()
        made = type(attribute, base, {"__module__": name, "__qualname__": attribute})
        if not base:
            made = lambda _: None  # noqa: E731
            made.__module__, made.__qualname__, made.__name__ = name, attribute, attribute
        setattr(module, attribute, made)
    return found


class Persistent:
    """An object of a class with `persistence.persistent_class`: pickled as source and state."""

    def __init__(self, class_name: str, state: dict, reconstruct, easy_dict):
        self.meta = easy_dict(
            type="class", version=6, module_src="raise SystemExit('executed')\n",
            class_name=class_name, state=state,
        )  # fmt: skip
        self.reconstruct = reconstruct

    def __reduce__(self):
        return self.reconstruct, (self.meta,), None


class Parameter:
    """A parameter as old versions of torch pickled it: storages as nested files of torch.save."""

    def __init__(self, tensor: torch.Tensor):
        self.tensor = tensor

    def __reduce__(self):
        return torch._utils._rebuild_parameter, (Stored(self.tensor), False, OrderedDict())


class Stored:
    """A tensor of such a file. `blob` replaces what is nested in it."""

    def __init__(self, tensor: torch.Tensor, blob: bytes | None = None):
        self.tensor, self.blob = tensor, blob

    def __reduce__(self):
        t = self.tensor
        storage = Storage(self.blob or _blob(t))
        return torch._utils._rebuild_tensor_v2, (
            storage, 0, tuple(t.shape), t.contiguous().stride(), False, OrderedDict(),
        )  # fmt: skip


class Storage:
    """A storage of such a file."""

    def __init__(self, blob: bytes):
        self.blob = blob

    def __reduce__(self):
        return torch.storage._load_from_bytes, (self.blob,)


def nvidia_pickle(
    raw: dict, key: str = "G_ema", extra: dict | None = None, clamp=None, protocol=4
) -> bytes:
    """A pickle as stylegan2-ada-pytorch writes it: nested persistent modules, `extra` beside them."""
    modules = fake_modules()
    reconstruct = modules["torch_utils.persistence"]._reconstruct_persistent_obj
    easy_dict = modules["dnnlib.util"].EasyDict

    def module(prefix: str, class_name: str) -> Persistent:
        inside = {name[len(prefix) :]: x for name, x in raw.items() if name.startswith(prefix)}
        buffers = ("w_avg", "resample_filter", "noise_const")
        own = {name: x for name, x in inside.items() if "." not in name}
        children = dict.fromkeys(name.split(".")[0] for name in inside if "." in name)
        state = {
            "training": False,
            "_parameters": OrderedDict((n, Parameter(x)) for n, x in own.items() if n not in buffers),
            "_buffers": OrderedDict((n, Stored(x)) for n, x in own.items() if n in buffers),
            "_non_persistent_buffers_set": set(),
            "_backward_hooks": OrderedDict(),
            "_modules": OrderedDict((n, module(f"{prefix}{n}.", "Layer")) for n in children),
            "_init_kwargs": easy_dict(class_name="training.networks.Generator"),
            "dtype": np.float64(3.5),
            "weights": np.arange(3.0),
        }
        if ".conv" in prefix:
            state["conv_clamp"] = clamp
        return Persistent(class_name, state, reconstruct, easy_dict)

    content = {key: module("", "Generator"), "training_set_kwargs": easy_dict(path="x"), **(extra or {})}
    kept = {name: sys.modules.get(name) for name in modules}
    sys.modules.update(modules)
    try:
        return pickle.dumps(content, protocol)
    finally:
        for name, before in kept.items():
            sys.modules.pop(name)
            if before is not None:
                sys.modules[name] = before


def rosinality(raw: dict) -> dict:
    """The same network as a checkpoint of rosinality's stylegan2-pytorch."""
    ema: dict[str, torch.Tensor] = {}
    row = {"b4.conv1": "conv1", "b4.torgb": "to_rgb1"}
    sizes = sorted({int(name.split(".")[1][1:]) for name in raw if name.startswith("synthesis.b")})
    for level, size in enumerate(sizes[1:]):
        row |= {f"b{size}.conv0": f"convs.{2 * level}", f"b{size}.conv1": f"convs.{2 * level + 1}"}
        row[f"b{size}.torgb"] = f"to_rgbs.{level}"
        ema[f"convs.{2 * level}.conv.blur.kernel"] = torch.tensor(4 * KERNEL, dtype=torch.float32)
        ema[f"to_rgbs.{level}.upsample.kernel"] = torch.tensor(4 * KERNEL, dtype=torch.float32)
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
