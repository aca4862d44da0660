"""Generated faces with known codes, made once and kept on the device: what training learns from.

Every sample comes with what the recogniser says of it, so that a training step needs no
attribution: its embedding, the map of where its identity is, and virtual identities to aim at.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import torch
from safetensors.torch import load_file, save_file

from ..files import atomic_path
from ..generators import Generator
from ..generators.base import truncated
from ..identity.population import SKIN, Population, ridge
from ..images import from_bytes, resize, to_bytes
from ..perception.networks import PerceptionNetwork, interocular, load_landmarks, openings
from ..perception.perception import Perception
from ..recognizers import Recognizer
from ..watch import Watch, quiet
from ..weights import store
from .targets import wanted_identities

SIZE = 256  # pixels of the cached pictures
MAP_SIZE = 64  # pixels of the cached attribution
MAP_STEPS = 8  # of its path: the ranking is that of 40 to 0.9998
MIXED = 0.4  # share of samples whose coarse and fine rows come from two people
PSI = (0.5, 1.0)  # truncation, drawn uniformly
HELD_OUT = 64  # samples for validation, of many
WALKED = 0.35  # share of samples whose rows go towards another person, each by its own share …
WALK = 0.5  # … of at most this
TYPICAL = 8  # chunks that are drawn as they come; of the later ones every second is harder
CHUNK, BATCH = 250, 50  # samples in a file, and at a time
SEED = 1  # of the samples that networks learn from
VERSION = 4  # of the files; count it up when other codes would be drawn
TRAITS = ("yaw", "pitch", "mouth", "eyes", "smile", "skin", "warmth", "light")
RARE = {"mouth": 1, "eyes": -1, "skin": -1}  # the end that is: open, shut, dark
STEPS = (1.0, 3.0)  # how far a trait is moved, in standard deviations
MOVED = 2  # traits that are moved in one face


@dataclass(frozen=True)
class Samples:
    """Hold N faces and what is known of them. All tensors live on one device."""

    images: torch.Tensor  # (N, 3, 256, 256) uint8
    ws: torch.Tensor  # (N, num_ws, w_dim) float16
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
    watch: Watch = quiet,
    network: PerceptionNetwork | None = None,
) -> Samples:
    """Generate `count` faces, always the same for one seed (beyond 250, in whole chunks of 250).

    Chunks are kept in the user's cache, so that an interrupted run goes on and a second one
    starts at once; without their targets, which change with the method of `identity`. With a `network`
    the maps are the perception network's, 50 times as fast as integrated gradients. From the ninth chunk
    on every second one has faces with stronger `TRAITS`.
    """
    parts: list[Samples] = []
    folder, chunk, traits = store.cache_folder() / "samples", min(CHUNK, count), None
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
        parts.append(_with_targets(population, kept, own))
    return join(parts)


@torch.no_grad()
def _generate(
    generator: Generator, recognizer: Recognizer, count: int, seed: int,
    network: PerceptionNetwork | None, traits: torch.Tensor | None,
) -> dict[str, torch.Tensor]:  # fmt: skip
    """Generate faces and what a file keeps of them; with `traits (T, w_dim)` harder ones."""
    rng = torch.Generator().manual_seed(seed)
    ws = draw_codes(generator, count, rng)
    if traits is not None:
        ws = ws + generator.w_std * _exaggerated(traits, count, rng)[:, None]
    images = torch.cat([to_bytes(synthesize(generator, codes)) for codes in ws.split(BATCH)])
    seen = [from_bytes(part) for part in images.split(BATCH)]
    embeddings = torch.cat([recognizer.embed(pictures) for pictures in seen])
    maps = torch.cat([attribution_maps(recognizer, pictures, network) for pictures in seen])
    return {"images": images, "ws": ws.half(), "embeddings": embeddings, "attribution": maps}


def _with_targets(population: Population, known: dict[str, torch.Tensor], seed: int) -> Samples:
    parts = zip(known["embeddings"].split(BATCH), known["images"].split(BATCH), strict=True)
    targets = [
        wanted_identities(population, embeddings, from_bytes(images), seed + BATCH * number)
        for number, (embeddings, images) in enumerate(parts)
    ]
    return Samples(**known, targets=torch.cat(targets))


def synthesize(generator: Generator, ws: torch.Tensor) -> torch.Tensor:
    """Draw previews `(N, 3, 256, 256)`, on a CPU one at a time, which is faster there than a batch."""
    if ws.device.type == "cpu":
        return torch.cat([generator.synthesis(row[None], SIZE) for row in ws])
    return generator.synthesis(ws, SIZE)


def attribution_maps(
    recognizer: Recognizer, pictures: torch.Tensor, network: PerceptionNetwork | None = None
) -> torch.Tensor:
    """Map where the identity is, `(N, 1, 64, 64)` float16, by the network or by integrated gradients in
    few steps."""
    if network is None:
        perceive = Perception(recognizer)
        found = [perceive(one, "integrated_gradients", steps=MAP_STEPS) for one in pictures.split(1)]
        maps = torch.cat(found)
    else:
        maps = network(pictures).square()
    maps = resize(maps, MAP_SIZE)
    return (maps / maps.amax((2, 3), keepdim=True).clamp_min(1e-12)).half()


@torch.no_grad()
def fit_traits(generator: Generator, samples: Samples) -> torch.Tensor:
    """Find steps in standardised W, `(T, w_dim)`, each raising one of `TRAITS` by a standard deviation.

    Few generated faces are turned far, have the mouth wide open, the eyes shut or dark skin; linear
    regression from codes to what is measured on the pictures says where those are (Shen et al. 2020,
    "Interpreting the latent space of GANs", with a regression in place of an SVM). Of all such steps
    each is the most likely one: the smallest in the metric of the codes' own covariance.
    """
    network = load_landmarks(samples.images.device)
    batches = torch.arange(len(samples)).split(BATCH)
    points = torch.cat([network(samples.pictures(index)) for index in batches])
    pictures = torch.cat([resize(samples.pictures(index), 64) for index in batches])
    traits = measure_traits(points, pictures)
    traits = (traits - traits.mean(0)) / traits.std(0)
    x = (samples.ws.float().mean(1) - generator.w_avg) / generator.w_std
    x = x - x.mean(0)
    readout = ridge(x, traits)  # (w_dim, T)
    natural = (x.T @ x / len(x)) @ readout
    return (natural / (readout * natural).sum(0)).T


def skin_colours(images: torch.Tensor) -> torch.Tensor:
    """Compute mean colours of both cheeks and the forehead: `(N, C, S, S)` to `(N, C, 3)`."""
    scale = images.shape[-1] / 256
    boxes = (tuple(round(side * scale) for side in box) for box in SKIN)
    return torch.stack([images[:, :, a:b, c:d].mean((2, 3)) for a, b, c, d in boxes], 2)


def measure_traits(points: torch.Tensor, pictures: torch.Tensor) -> torch.Tensor:
    """Measure the traits of N faces from `points (N, 68, 2)` and `pictures (N, 3, 64, 64)`: `(N, T)`.

    Yaw and pitch are where the nose's tip stands between jaw ends, and between eyes and mouth; skin
    is the brightness of cheeks and forehead, warmth its red against its blue, light the right
    cheek's brightness against the left one's.
    """
    scale, gaps = interocular(points), openings(points)
    tip, ends = points[:, 30], points[:, (0, 16)]
    eyes, mouth = points[:, 36:48].mean(1), points[:, 48:].mean(1)
    left, right, forehead = skin_colours(pictures).unbind(2)
    skin = (left + right + forehead) / 3
    yaw = (tip[:, 0] - ends[:, :, 0].mean(1)) / scale
    pitch = (tip[:, 1] - (eyes + mouth)[:, 1] / 2) / scale
    smile = (points[:, 48] - points[:, 54]).norm(dim=1) / scale
    warmth, light = skin[:, 0] - skin[:, 2], right.mean(1) - left.mean(1)
    return torch.stack(
        [yaw, pitch, gaps[:, 0], gaps[:, 1:].mean(1), smile, skin.mean(1), warmth, light], 1
    )


def _exaggerated(traits: torch.Tensor, count: int, rng: torch.Generator) -> torch.Tensor:
    """Draw random steps `(count, w_dim)` along `MOVED` of the directions `traits (T, w_dim)`."""
    low, high = STEPS
    total = torch.zeros(count, traits.shape[1])
    for _ in range(MOVED):
        which = torch.randint(len(TRAITS), (count,), generator=rng)
        signs = 2 * torch.randint(2, (count,), generator=rng) - 1
        rare = torch.tensor([RARE.get(name, 0) for name in TRAITS])[which]
        signs = torch.where(rare == 0, signs, rare)
        size = low + (high - low) * torch.rand(count, generator=rng)
        total += (signs * size)[:, None] * traits.cpu()[which]
    return total.to(traits)
