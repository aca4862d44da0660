"""How fast our StyleGAN2 is, against the same network by slow formulas and against MobileStyleGAN.

    python tests/benchmarks/stylegan2.py --resolution 256 --multiplier 1 --repeats 3 --device cpu

The weights are random, of the shape of config F (multiplier 2) or half of its channels (1), in a
file as NVIDIA writes it: time does not depend on what a network has learned. Every way to compute
the picture is compared with the slow formulas; where they are left out (`--no-slow`; they take
minutes, and hours for 1024 pixels) with the first of ours. Writes `stylegan2.json` below `--out`.
"""

from __future__ import annotations

import argparse
import functools
import itertools
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from unittest import mock

import torch

sys.path.insert(0, str(Path(__file__).parents[1]))
import stylegan2_reference as slow

from anonlab.bench.run import about
from anonlab.bench.variants import HALF, VARIANTS, compiled, has_compiler, variants
from anonlab.device import pick_device
from anonlab.files import write_json
from anonlab.generators import load_generator
from anonlab.generators import stylegan2 as network
from anonlab.provenance import provenance

# how far a picture may be off, in its standard deviations: float32 and float16 against float64
PARITY, HALF_PARITY = 1e-3, 0.1
SLOW = "slow formulas (float64, scipy)"
Work = Callable[[], torch.Tensor]


def random_file(folder: Path, resolution: int, multiplier: int) -> tuple[dict, Path]:
    """Random tensors under NVIDIA's names, and a pickle of them."""
    channels = list(network.standard_channels(resolution, multiplier))
    raw = slow.raw_tensors(resolution, channels, w_dim=512, layers=8)
    path = folder / f"random-{resolution}-{multiplier}.pkl"
    path.write_bytes(slow.nvidia_pickle(raw))
    return raw, path


def synthesis(
    path: Path, device: torch.device, fused: bool | None, channels_last: bool, half: int = 0,
    through: Callable = lambda model: model,
) -> Work:  # fmt: skip
    """A call that makes one picture, with one form of the modulated convolution."""
    model = load_generator("stylegan2", path, device, half, channels_last)
    ws = codes(model)
    model = through(model)
    form = functools.partial(network.modulated_conv2d, fused=fused)

    def work() -> torch.Tensor:
        with mock.patch.object(network, "modulated_conv2d", form), torch.no_grad():
            return model.synthesis(ws)

    return work


def codes(model: network.StyleGAN2) -> torch.Tensor:
    """W+ `(1, num_ws, 512)` of one fixed draw."""
    z = torch.randn(1, 512, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        return model.broadcast(model.mapping(z.to(model.w_avg.device), 0.7))


def ours(path: Path, device: torch.device) -> dict[str, Callable[[], Work]]:
    """Every way of ours for a device, to be loaded when it is its turn."""
    forms = {
        "unfused, contiguous": (False, False),
        "unfused, channels_last": (False, True),
        "fused, contiguous": (True, False),
        "fused, channels_last": (True, True),
    }
    ways = {name: functools.partial(synthesis, path, device, *form) for name, form in forms.items()}
    fast = functools.partial(synthesis, path, device, None, True)
    if has_compiler():
        ways["torch.compile"] = functools.partial(fast, 0, compiled)
    if device.type == "cuda":
        ways[f"float16 in {HALF} sizes"] = functools.partial(fast, HALF)
        ways["torch.compile, float16"] = functools.partial(fast, HALF, compiled)
    return ways


def mobile(name: str, device: torch.device, resolution: int) -> Work:
    """A call that makes one picture with a variant of MobileStyleGAN."""
    model = VARIANTS[name].load(device)
    ws = codes(model)
    return torch.no_grad()(lambda: model.synthesis(ws, resolution))


def timed(work: Work, repeats: int, device: torch.device, warm: bool = True) -> tuple:
    """The picture `(1, 3, R, R)`, in float64 on the CPU, and the seconds of every repeat."""
    made = work() if warm else None
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        made = work()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        seconds.append(time.perf_counter() - start)
    return made.cpu().double(), seconds


def row(network: str, way: str, seconds: list[float], difference: float | None = None) -> dict:
    """One line of the table; `difference` is in standard deviations of the picture."""
    median = statistics.median(seconds)
    return {"network": network, "way": way, "seconds": seconds, "images_per_second": 1 / median,
            "difference": difference}  # fmt: skip


def compare(path: Path, raw: dict, size: int, repeats: int, device: torch.device, with_slow: bool):
    """A row for every way of the same network; the first one is what the others are compared with."""
    name, reference = f"StyleGAN2, {size} px", None
    if with_slow:
        ws = codes(load_generator("stylegan2", path))
        slowly = functools.partial(slow.slow_synthesis, raw, ws, size)
        reference, seconds = timed(slowly, 1, torch.device("cpu"), warm=False)
        yield row(name, SLOW, seconds)
    for way, load in ours(path, device).items():
        made, seconds = timed(load(), repeats, device)
        reference = made if reference is None else reference
        difference = ((made - reference).abs().max() / reference.std()).item()
        yield row(name, way, seconds, difference)


def compare_mobile(size: int, repeats: int, device: torch.device):
    """A row for every variant of the embedded generator, at this size if it has it and at its own."""
    for name, one in variants(device).items():
        for resolution in sorted({size, 1024} & set(one.resolutions)):
            _, seconds = timed(mobile(name, device, resolution), repeats, device)
            yield row(f"MobileStyleGAN, {resolution} px", name, seconds)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--resolution", type=int, default=256, choices=(64, 128, 256, 512, 1024))
    parser.add_argument("--multiplier", type=int, default=1, choices=(1, 2), help="of the channels")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    parser.add_argument("--no-slow", action="store_true", help="leave the slow formulas out")
    parser.add_argument("--out", type=Path, default=Path("outputs/bench"))
    options = parser.parse_args()
    device, size, repeats = pick_device(options.device), options.resolution, options.repeats
    result = {
        "provenance": provenance(device) | {"device": about(device)},
        "settings": {"resolution": size, "multiplier": options.multiplier, "repeats": repeats},
        "rows": [],
    }
    failed = 0
    with tempfile.TemporaryDirectory() as folder:
        raw, path = random_file(Path(folder), size, options.multiplier)
        rows = itertools.chain(
            compare(path, raw, size, repeats, device, not options.no_slow),
            compare_mobile(size, repeats, device),
        )
        for one in rows:
            result["rows"].append(one)
            write_json(options.out / "stylegan2.json", result)  # what was measured survives a stop
            allowed = HALF_PARITY if "float16" in one["way"] or device.type == "cuda" else PARITY
            differs = one["difference"] is not None and not one["difference"] <= allowed
            failed += differs
            text = "" if one["difference"] is None else f"   differs by {one['difference']:.1e}"
            print(
                f"{one['network']:24} {one['way']:30} {statistics.median(one['seconds']):8.3f} s "
                f"{one['images_per_second']:8.3f} /s{text}{'   NOT THE SAME' if differs else ''}",
                flush=True,
            )
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
