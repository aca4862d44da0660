"""How fast the forms of our StyleGAN2 are, each of them the same network as the slow formulas.

    python benchmarks/stylegan2.py --resolution 256 --multiplier 1 --device cpu

The weights are random, of the shape of config F (multiplier 2) or half of its channels (1), in a
file as NVIDIA writes it: time does not depend on what a network has learned. Every picture is first
compared with that of the slow formulas; where they are left out (`--no-slow`; they take minutes, and
hours for 1024 pixels) with the first of ours. Writes `outputs/bench/stylegan2.json`.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from functools import partial
from pathlib import Path

import torch
from bench import Variant, layouts
from timing import OUT, Case, Work, run

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
import stylegan2_reference as slow

from anonlab.device import pick_device
from anonlab.generators import Generator, load_generator
from anonlab.generators.base import draw_z

# how far a picture may be off, in its standard deviations: float32, and TF32 of a GPU, against float64
PARITY, TF32_PARITY = 1e-3, 0.1


class Parts:
    """A device, and the picture that every way must make of one draw: by the slow formulas, or else by
    the first way that is asked."""

    def __init__(self, device: torch.device, expected: torch.Tensor | None):
        self.device, self.expected = device, expected


def codes(model: Generator) -> torch.Tensor:
    """Make W+ `(1, num_ws, 512)` of one fixed draw."""
    with torch.no_grad():
        return model.broadcast(model.mapping(draw_z(model, 0), 0.7))


@torch.no_grad()
def checked(parts: Parts, way: Variant) -> Work:
    """Return one picture, after a look at it. Raises `ValueError` where it is another one than
    expected."""
    model = way.load(parts.device)
    ws = codes(model)
    work = torch.no_grad()(lambda: model.synthesis(ws))
    made = work().cpu().double()
    parts.expected = made if parts.expected is None else parts.expected
    difference = ((made - parts.expected).abs().max() / parts.expected.std()).item()
    if not difference <= (PARITY if parts.device.type == "cpu" else TF32_PARITY):
        raise ValueError(f"the picture differs by {difference:.1e} standard deviations")
    return work


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--resolution", type=int, default=256, choices=(64, 128, 256, 512, 1024))
    parser.add_argument("--multiplier", type=int, default=1, choices=(1, 2), help="of the channels")
    parser.add_argument("--min-seconds", type=float, default=2.0, help="for which a case is repeated")
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    parser.add_argument("--no-slow", action="store_true", help="leave the slow formulas out")
    parser.add_argument("--out", type=Path, default=OUT)
    options = parser.parse_args()
    device, path = pick_device(options.device), options.out / "stylegan2.json"
    settings = {"resolution": options.resolution, "multiplier": options.multiplier}
    raw = slow.raw_tensors(
        options.resolution, slow.official_channels(options.resolution, options.multiplier), w_dim=512,
        layers=8,
    )  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "random.pkl"
        file.write_bytes(slow.nvidia_pickle(raw))
        load, expected = partial(load_generator, "stylegan2", file), None
        if not options.no_slow:
            expected = slow.slow_synthesis(raw, codes(load()), options.resolution)
        ways = layouts("ours", load)
        cases = [Case("StyleGAN2", name, partial(checked, way=way)) for name, way in ways.items()]
        return run(cases, Parts(device, expected), options.min_seconds, path, device, **settings)


if __name__ == "__main__":
    sys.exit(main())
