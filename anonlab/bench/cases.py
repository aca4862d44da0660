"""What is timed. A new workload is one function here; ways to make pictures are in `variants`."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import cached_property

import torch
from PIL import Image

from ..encoding.encoder import Encoder, EncoderConfig, load_encoder
from ..errors import NoFaceFound
from ..generators import Generator
from ..generators.samples import sample_photo
from ..images import resize
from ..perception.masks import mask_from_attribution
from ..photo.faces import align
from ..photo.photos import read_photo
from ..pipeline import Anonymizer
from ..regeneration.optimize import Fit
from ..weights import store
from .measure import Case, Work
from .variants import Variant, variants

SEEDS = (3, 8, 15, 21)  # of generated faces in one photo
TILE = 512  # pixels of each
QUICK_STEPS = 1  # of the optimisation


class Parts:
    """Everything the cases need, loaded when it is first asked for."""

    def __init__(self, device: torch.device, found: dict[str, Variant] | None = None):
        self.device = device
        self.variants = variants(device) if found is None else found
        self._generators: dict[str, Generator] = {}

    def generator(self, name: str) -> Generator:
        """A variant by its name."""
        if name not in self._generators:
            self._generators[name] = self.variants[name].load(self.device)
        return self._generators[name]

    def codes(self, name: str, batch: int) -> torch.Tensor:
        """Codes `ws (batch, num_ws, w_dim)` for a variant, always the same."""
        generator = self.generator(name)
        z = torch.randn(batch, generator.z_dim, generator=torch.Generator().manual_seed(0))
        with torch.no_grad():
            return generator.broadcast(generator.mapping(z.to(self.device), truncation_psi=0.7))

    @cached_property
    def anonymizer(self) -> Anonymizer:
        """In one pass: with the encoder if its weights are here."""
        key = b"a key for measuring time only"
        return Anonymizer.load(method="one-pass", device=self.device.type, key=key)

    @cached_property
    def optimizer(self) -> Anonymizer:
        """The same parts without encoder, taking the steps of `Fit` or those that it is told."""
        one = self.anonymizer
        return Anonymizer(
            one.detector, one.recognizer, one.generator, one.perceptual, one.population, one.key,
            device=one.device,
        )  # fmt: skip

    @cached_property
    def encoder(self) -> Encoder:
        """The trained one, or an untrained one of the same shape: it takes the same time."""
        if store.path_of("encoder-mobile").is_file():
            return load_encoder(self.anonymizer.generator, device=self.device)
        untrained = Encoder(EncoderConfig()).start_at(self.anonymizer.regenerator.first_guess)
        return untrained.eval().requires_grad_(False).to(self.device)

    @cached_property
    def face(self) -> torch.Tensor:
        """The astronaut, aligned: `(1, 3, 512, 512)`."""
        photo = read_photo(sample_photo("astronaut"))
        return align(photo, self.anonymizer.detector(photo)[0], 512).to(self.device)

    def faces(self, batch: int, size: int) -> torch.Tensor:
        """The same face several times: `(batch, 3, size, size)`."""
        return resize(self.face, size).expand(batch, -1, -1, -1).contiguous()

    def collage(self, faces: int) -> Image.Image:
        """1024 × 1024 pixels with so many generated faces, and grey elsewhere."""
        canvas = Image.new("RGB", (2 * TILE, 2 * TILE), (128, 128, 128))
        for index, seed in enumerate(SEEDS[:faces]):
            tile = sample_photo(f"synthetic-{seed}", self.anonymizer.generator).resize((TILE, TILE))
            canvas.paste(tile, (index % 2 * TILE, index // 2 * TILE))
        found = len(self.anonymizer.detector(read_photo(canvas)))
        if found != faces:
            raise NoFaceFound(f"the collage of {faces} faces shows {found}; choose other seeds for it")
        return canvas


def all_cases(
    device: torch.device, quick: bool = False, found: dict[str, Variant] | None = None
) -> list[Case]:
    """Every case for a device, in the order in which they run; nothing is loaded yet.

    `found` are the ways to make pictures, by default those of the embedded generator.
    """
    batches = (1, 2) if quick else (1, 2, 4, 8, 16) if device.type == "cuda" else (1, 2, 4)
    sizes = (256, 1024) if quick else (256, 512, 1024)
    found = variants(device) if found is None else found
    single = {name: one for name, one in found.items() if not (quick and one.compiles)}
    several = {name: one for name, one in found.items() if one.batches}
    return [
        *attribution(batches),
        *encoding(batches),
        *synthesis(several, sizes, (1,) if quick else batches),
        *generators(single, sizes[:1] if quick else sizes),
        *pipeline(QUICK_STEPS if quick else Fit().steps),
        *photo_faces((1, 2) if quick else (1, 2, 4)),
        *photo_pixels((1, 4) if quick else (1, 4, 12)),
    ]


def attribution(batches: Iterable[int]) -> list[Case]:
    """Stage 1: integrated gradients ask for one face after the other, the network for many."""

    def gradients(parts: Parts) -> Work:
        face = parts.faces(1, 256)
        return lambda: parts.anonymizer.perception(face)

    def network(batch: int) -> Callable[[Parts], Work]:
        def prepare(parts: Parts) -> Work:
            faces, ask = parts.faces(batch, 256), parts.anonymizer.perception.network
            return torch.no_grad()(lambda: ask(faces))

        return prepare

    alone = [Case("attribution", "integrated gradients", "one face after the other", 1, 1, gradients)]
    return alone + [Case("attribution", "network", "many at once", n, n, network(n)) for n in batches]


ONE_PASS = "one pass (first guess)"


def encoding(batches: Iterable[int]) -> list[Case]:
    """Stage 2 in one pass."""
    trained = store.path_of("encoder-mobile").is_file()
    name = "trained" if trained else "untrained, same shape"

    def first_guess(batch: int) -> Callable[[Parts], Work]:
        def prepare(parts: Parts) -> Work:
            faces, target = parts.faces(batch, 512), parts.anonymizer.population.embeddings[:batch]
            guess = parts.anonymizer.regenerator.first_guess
            return torch.no_grad()(lambda: guess(faces, target))

        return prepare

    def encoder(batch: int) -> Callable[[Parts], Work]:
        def prepare(parts: Parts) -> Work:
            faces, target = parts.faces(batch, 512), parts.anonymizer.population.embeddings[:batch]
            heat = parts.anonymizer.perception(parts.face, "network")
            mask = mask_from_attribution(heat, 0.25, size=512)
            masks = mask.expand(batch, -1, -1, -1)
            return torch.no_grad()(lambda: parts.encoder(faces, masks, target))

        return prepare

    return [
        *(Case("encoding", "first guess", "linear", n, n, first_guess(n)) for n in batches),
        *(Case("encoding", "encoder", name, n, n, encoder(n)) for n in batches),
    ]


def _pictures(name: str, batch: int, resolution: int) -> Callable[[Parts], Work]:
    def prepare(parts: Parts) -> Work:
        generator, ws = parts.generator(name), parts.codes(name, batch)
        return torch.no_grad()(lambda: generator.synthesis(ws, resolution))

    return prepare


def _sizes(found: dict[str, Variant], asked: Iterable[int]) -> list[tuple[int, str]]:
    """(resolution, variant), smallest first: those that are asked for, or the native one where a
    generator can make none of them."""
    pairs = [
        (size, name)
        for name, one in found.items()
        for size in [size for size in asked if size in one.resolutions] or one.resolutions[-1:]
    ]
    return sorted(pairs, key=lambda pair: pair[0])  # stable: variants stay in their order


def synthesis(
    found: dict[str, Variant], resolutions: Iterable[int], batches: Iterable[int]
) -> list[Case]:
    """Stage 3's pictures, by resolution, batch size and backend."""
    return [
        Case("synthesis", f"{size} px", name, n, n, _pictures(name, n, size))
        for size, name in _sizes(found, resolutions)
        for n in batches
    ]


def generators(found: dict[str, Variant], resolutions: Iterable[int]) -> list[Case]:
    """Every variant, one picture at a time, and how far its pixels are from its reference's."""

    def error(name: str, size: int) -> Callable[[Parts, torch.Tensor], dict[str, float]]:
        def check(parts: Parts, made: torch.Tensor) -> dict[str, float]:
            expected = _pictures(found[name].reference, 1, size)(parts)()
            steps = (made - expected).abs() * 127.5
            return {"error_mean": steps.mean().item(), "error_max": steps.max().item()}

        return check

    return [
        Case("generators", f"{size} px", name, 1, 1, _pictures(name, 1, size), check=error(name, size))
        for size, name in _sizes(found, resolutions)
    ]


def _anonymize(image: Callable[[Parts], Image.Image], steps: int = 0) -> Callable[[Parts], Work]:
    """A whole photo, in one pass or with so many steps of optimisation."""

    def prepare(parts: Parts) -> Work:
        photo, ask = image(parts), parts.optimizer if steps else parts.anonymizer
        return lambda: ask(photo, polish=steps, verify=False)

    return prepare


def pipeline(steps: int) -> list[Case]:
    """A whole photo: detection, three stages, paste-back and the self-check's measurement."""

    def astronaut(_: Parts) -> Image.Image:
        return sample_photo("astronaut")

    one_pass, optimised = ONE_PASS, f"optimised ({steps} step{'s' * (steps > 1)})"
    return [
        Case("pipeline", "one photo, one face", one_pass, 1, 1, _anonymize(astronaut)),
        Case("pipeline", "one photo, one face", optimised, 1, 1, _anonymize(astronaut, steps), 1),
    ]


def photo_faces(counts: Iterable[int]) -> list[Case]:
    """More faces in a photo of the same size."""
    return [
        Case(
            "faces", "1024 × 1024 pixels", ONE_PASS, n, n,
            _anonymize(lambda parts, n=n: parts.collage(n)),
        )
        for n in counts
    ]  # fmt: skip


def photo_pixels(megapixels: Iterable[float]) -> list[Case]:
    """The same photo, as larger and larger files."""

    def enlarged(size: float) -> Image.Image:
        side = round((size * 1e6) ** 0.5)
        return sample_photo("astronaut").resize((side, side), Image.Resampling.BICUBIC)

    def detect(size: float) -> Callable[[Parts], Work]:
        def prepare(parts: Parts) -> Work:
            photo = read_photo(enlarged(size))
            return lambda: parts.anonymizer.detector(photo)

        return prepare

    cases = []
    for size in megapixels:
        whole = _anonymize(lambda _, size=size: enlarged(size))
        cases.append(Case("pixels", "one face", ONE_PASS, size, 1, whole))
        cases.append(Case("pixels", "one face", "of which detection", size, 1, detect(size)))
    return cases
