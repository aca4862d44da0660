"""Generated faces with known codes, made once and kept on the device: what training learns from.

Every sample comes with what the recogniser says of it, so that a training step needs no
attribution: its embedding, the map of where its identity is, and virtual identities to aim at.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save_file

from ..files import atomic_path
from ..generators import Generator
from ..generators.base import truncated
from ..identity.population import Population
from ..images import blurred, from_bytes, resize, to_bytes
from ..perception.attribution import BLUR_SIGMA, identity_score
from ..perception.networks import PerceptionNetwork, load_landmarks
from ..perception.perception import SMOOTHING_SIGMA
from ..recognizers import Recognizer
from ..watch import Watch, quiet
from ..weights import store
from .targets import wanted_identities
from .traits import directions, exaggerate

SIZE = 256  # pixels of the cached pictures
MAP_SIZE = 64  # pixels of the cached attribution
MAP_STEPS = 8  # Gauss-Legendre nodes of its path: the ranking is that of 40 to 0.9998
MIXED = 0.4  # share of samples whose coarse and fine rows come from two people
PSI = (0.5, 1.0)  # truncation, drawn uniformly
HELD_OUT = 64  # samples for validation, of many
WALKED = 0.35  # share of samples whose rows go towards another person, each by its own share …
WALK = 0.5  # … of at most this
TYPICAL = 8  # chunks that are drawn as they come; of the later ones every second is harder
CHUNK, BATCH = 250, 50  # samples in a file, and at a time
SEED = 1  # of the samples that networks learn from
VERSION = 4  # of the files; count it up when other codes would be drawn


@dataclass(frozen=True)
class Samples:
    """Hold N faces and what is known of them. All tensors live on one device."""

    images: torch.Tensor  # (N, 3, 256, 256) uint8
    ws: torch.Tensor  # (N, num_ws, w_dim) float16; zeros where unknown
    known: torch.Tensor  # (N,) bool: generated, so that `ws` is the truth
    embeddings: torch.Tensor  # (N, dim) float32
    attribution: torch.Tensor  # (N, 1, 64, 64) float16, the maximum of each is 1
    targets: torch.Tensor  # (N, K, dim) float32, virtual identities

    def __len__(self) -> int:
        return len(self.images)

    @property
    def held_out(self) -> int:
        """The number of the first that are for validation only; a quarter, where there are few."""
        return min(HELD_OUT, len(self) // 4)

    def pictures(self, index: slice | torch.Tensor) -> torch.Tensor:
        """Return some of the images as `(n, 3, 256, 256)` in [-1, 1]."""
        return from_bytes(self.images[index])

    def random_index(self, count: int, rng: torch.Generator) -> torch.Tensor:
        """Draw numbers `(count,)` of samples that are not held out, with replacement."""
        index = torch.randint(self.held_out, len(self), (count,), generator=rng)
        return index.to(self.images.device)


def join(parts: list[Samples]) -> Samples:
    """Join several sets."""
    return Samples(*(torch.cat([getattr(part, one.name) for part in parts]) for one in fields(Samples)))


def draw_codes(generator: Generator, count: int, rng: torch.Generator) -> torch.Tensor:
    """Draw random `ws (count, num_ws, w_dim)` by `rng` on the CPU: truncated, partly style-mixed, partly
    with each row on its own way towards another person."""
    z = torch.randn(3, count, generator.z_dim, generator=rng).to(generator.w_avg)
    psi = PSI[0] + (PSI[1] - PSI[0]) * torch.rand(3, count, 1, generator=rng).to(z)
    codes = [truncated(generator.mapping(z[i]), generator.w_avg, psi[i]) for i in range(3)]
    first, second, third = map(generator.broadcast, codes)
    crossover = torch.randint(1, generator.num_ws, (count, 1, 1), generator=rng)
    mixed = torch.rand(count, 1, 1, generator=rng) < MIXED
    rows = torch.arange(generator.num_ws)[None, :, None]
    use_second = (mixed & (rows >= crossover)).to(z.device)
    ws = torch.where(use_second, second, first)
    share = WALK * torch.rand(count, generator.num_ws, 1, generator=rng)
    share = share * (torch.rand(count, 1, 1, generator=rng) < WALKED)
    return torch.lerp(ws, third, share.to(ws))


def load_samples(
    generator: Generator,
    recognizer: Recognizer,
    population: Population,
    count: int,
    seed: int = SEED,
    folder: Path | None = None,
    watch: Watch = quiet,
    network: PerceptionNetwork | None = None,
) -> Samples:
    """Generate `count` faces, always the same for one seed (beyond 250, in whole chunks of 250).

    Chunks are kept in `folder` (the user's cache), so that an interrupted run goes on and a second one
    starts at once; without their targets, which change with the method of `identity`. With a `network`
    the maps are the perception network's, 50 times as fast as integrated gradients. From the ninth chunk
    on every second one has faces with stronger traits (`traits`): turned heads, open mouths, closed
    eyes, dark skin, light from one side.
    """
    folder = folder or store.cache_folder() / "samples"
    parts: list[Samples] = []
    chunk, traits = min(CHUNK, count), None
    maps = f"network-{store.expected_sha256('perception')[:8]}" if network else "gradients"
    kind = f"{generator.name}-{recognizer.name}-{maps}-v{VERSION}-{seed}-{chunk}"
    chunks = -(-count // chunk)
    for number in range(chunks):
        watch("samples", number / chunks)
        path, own = folder / f"{kind}-{number:03d}.safetensors", 1000 * seed + number
        if path.is_file():
            kept = load_file(path, device=str(generator.w_avg.device))
        else:
            harder = number >= TYPICAL and number % 2 == 1
            if harder and traits is None:
                traits = fit_traits(generator, join(parts[:TYPICAL]))
            kept = _generate(generator, recognizer, chunk, own, network, traits if harder else None)
            with atomic_path(path) as partial:
                save_file({name: one.contiguous() for name, one in kept.items()}, partial)
        parts.append(with_targets(population, kept, own))
    return join(parts)


def with_targets(population: Population, known: dict[str, torch.Tensor], seed: int) -> Samples:
    """Draw the targets `(N, K, dim)` of faces of which everything else is known."""
    batches = zip(known["embeddings"].split(BATCH), known["images"].split(BATCH), strict=True)
    targets = [
        wanted_identities(population, embeddings, from_bytes(images), seed + BATCH * number)
        for number, (embeddings, images) in enumerate(batches)
    ]
    return Samples(**known, targets=torch.cat(targets))


@torch.no_grad()
def fit_traits(generator: Generator, samples: Samples) -> torch.Tensor:
    """Fit `traits.directions` to these samples, `(T, w_dim)`."""
    network = load_landmarks(samples.images.device)
    batches = torch.arange(len(samples)).split(BATCH)
    points = torch.cat([network(samples.pictures(index)) for index in batches])
    changes = (samples.ws.float().mean(1) - generator.w_avg) / generator.w_std
    pictures = torch.cat([resize(samples.pictures(index), 64) for index in batches])
    return directions(changes, points, pictures)


def generate(
    generator: Generator,
    recognizer: Recognizer,
    population: Population,
    count: int,
    seed: int,
    network: PerceptionNetwork | None = None,
    traits: torch.Tensor | None = None,
) -> Samples:
    """Generate `count` faces and what is known of them; with `traits (T, w_dim)` harder ones."""
    known = _generate(generator, recognizer, count, seed, network, traits)
    return with_targets(population, known, seed)


@torch.no_grad()
def _generate(
    generator: Generator, recognizer: Recognizer, count: int, seed: int,
    network: PerceptionNetwork | None, traits: torch.Tensor | None,
) -> dict[str, torch.Tensor]:  # fmt: skip
    rng = torch.Generator().manual_seed(seed)
    ws = draw_codes(generator, count, rng)
    if traits is not None:
        ws = ws + generator.w_std * exaggerate(traits, count, rng)[:, None]
    images = [to_bytes(synthesize(generator, codes)) for codes in ws.split(BATCH)]
    known = torch.ones(count, dtype=torch.bool, device=ws.device)
    return describe(recognizer, torch.cat(images), ws, known, network)


def synthesize(generator: Generator, ws: torch.Tensor) -> torch.Tensor:
    """Draw previews `(N, 3, 256, 256)`, on a CPU one at a time, which is faster there than a batch."""
    if ws.device.type == "cpu":
        return torch.cat([generator.synthesis(row[None], SIZE) for row in ws])
    return generator.synthesis(ws, SIZE)


@torch.no_grad()
def describe(
    recognizer: Recognizer,
    images: torch.Tensor,
    ws: torch.Tensor,
    known: torch.Tensor,
    network: PerceptionNetwork | None = None,
) -> dict[str, torch.Tensor]:
    """Collect what the recogniser says of `images (N, 3, 256, 256)` uint8, all of `Samples` but targets;
    maps as in `load_samples`."""
    embeddings, maps = [], []
    for part in images.split(BATCH):
        pictures = from_bytes(part)
        embeddings.append(recognizer.embed(pictures))
        if network is None:
            maps.append(quick_attribution(recognizer, pictures))
        else:
            maps.append(_normalised(network(pictures).square()))
    return {
        "images": images, "ws": ws.half(), "known": known,
        "embeddings": torch.cat(embeddings), "attribution": torch.cat(maps),
    }  # fmt: skip


def quick_attribution(recognizer: Recognizer, pictures: torch.Tensor) -> torch.Tensor:
    """Map where the identity is, `(N, 1, 64, 64)` float16, for a whole batch at once.

    The same integral as `perception.attribute`, in few steps, because it is asked of every sample.
    """
    baseline = blurred(pictures, BLUR_SIGMA)
    with torch.no_grad():
        score = identity_score(recognizer, recognizer.embed(pictures))
    total = torch.zeros_like(pictures)
    for node, weight in zip(*np.polynomial.legendre.leggauss(MAP_STEPS), strict=True):
        with torch.enable_grad():
            point = torch.lerp(baseline, pictures, float(node + 1) / 2).requires_grad_(True)
            [slope] = torch.autograd.grad(score(point).sum(), point)
        total += float(weight) * slope
    attribution = (total * (pictures - baseline)).abs().sum(1, keepdim=True)
    return _normalised(blurred(attribution, SMOOTHING_SIGMA))


def _normalised(maps: torch.Tensor) -> torch.Tensor:
    maps = resize(maps, MAP_SIZE)
    return (maps / maps.amax((2, 3), keepdim=True).clamp_min(1e-12)).half()
