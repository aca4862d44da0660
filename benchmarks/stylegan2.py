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
from collections.abc import Callable
from pathlib import Path

import torch
from bench import compiled
from timing import OUT, Case, Work, has_compiler, run

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
import stylegan2_reference as slow

from anonlab.device import pick_device
from anonlab.generators import Generator, load_generator
from anonlab.generators.base import draw_z

# how far a picture may be off, in its standard deviations: float32, and TF32 of a GPU, against float64
PARITY, TF32_PARITY = 1e-3, 0.1


class Parts:
    """A file of random weights, and the picture that every way must make of one draw: by the slow
    formulas, or else by the first way that is asked."""

    def __init__(self, path: Path, size: int, multiplier: int, device: torch.device, with_slow: bool):
        raw = slow.raw_tensors(size, slow.official_channels(size, multiplier), w_dim=512, layers=8)
        path.write_bytes(slow.nvidia_pickle(raw))
        self.path, self.device = path, device
        self.expected: torch.Tensor | None = None
        if with_slow:
            self.expected = slow.slow_synthesis(raw, codes(load_generator("stylegan2", path)), size)

    def load(self, layout: torch.memory_format) -> Generator:
        """The file's network on the device."""
        return load_generator("stylegan2", self.path, self.device).to(memory_format=layout)

    def checked(self, work: Callable[[], torch.Tensor], allowed: float) -> Work:
        """The call, after one look at its picture. Raises `ValueError` where it is another one."""
        made = work().cpu().double()
        self.expected = made if self.expected is None else self.expected
        difference = ((made - self.expected).abs().max() / self.expected.std()).item()
        if not difference <= allowed:
            raise ValueError(f"the picture differs by {difference:.1e} standard deviations")
        return work


def codes(model: Generator) -> torch.Tensor:
    """W+ `(1, num_ws, 512)` of one fixed draw."""
    with torch.no_grad():
        return model.broadcast(model.mapping(draw_z(model, 0), 0.7))


def ours(layout: torch.memory_format, through: Callable = lambda f: f) -> Callable[[Parts], Work]:
    """One picture."""

    def prepare(parts: Parts) -> Work:
        model = through(lambda _: parts.load(layout))(parts.device)
        ws = codes(model)

        def work() -> torch.Tensor:
            with torch.no_grad():
                return model.synthesis(ws)

        return parts.checked(work, PARITY if parts.device.type == "cpu" else TF32_PARITY)

    return prepare


def all_cases() -> list[Case]:
    """Every way."""
    ways = {
        "contiguous": ours(torch.contiguous_format),
        "channels_last": ours(torch.channels_last),
    }
    if has_compiler():
        ways["torch.compile"] = ours(torch.channels_last, compiled)
    return [Case("StyleGAN2", name, prepare) for name, prepare in ways.items()]


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
    with tempfile.TemporaryDirectory() as folder:
        file, with_slow = Path(folder) / "random.pkl", not options.no_slow
        parts = Parts(file, options.resolution, options.multiplier, device, with_slow)
        return run(all_cases(), parts, options.min_seconds, path, device, **settings)


if __name__ == "__main__":
    sys.exit(main())
