"""What is timed. A new generator is one line in `VARIANTS`, a new workload one function here."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property

import torch
from PIL import Image

from .. import weights
from ..encoder import Encoder, EncoderConfig
from ..errors import NoFaceFound
from ..faces import align
from ..generators import Generator, load_generator
from ..generators.openvino_runtime import cpu_precisions
from ..images import resize
from ..masks import mask_from_attribution
from ..optimize import Fit
from ..photos import read_photo
from ..pipeline import Anonymizer
from ..samples import sample_photo
from .measure import Case, Work

REFERENCE = "torch, contiguous"
SEEDS = (3, 8, 15, 21)  # of generated faces in one photo
TILE = 512  # pixels of each
QUICK_STEPS = 1  # of the optimisation


def _torch(device: torch.device, memory_format: torch.memory_format) -> Generator:
    model = load_generator("mobile", device, backend="torch")
    return model.to(memory_format=memory_format)


def _openvino(device: torch.device, precision: str) -> Generator:
    model = load_generator("mobile", device, backend="openvino")
    model.precision = precision
    return model


def _compiled(device: torch.device) -> Generator:
    model = _torch(device, torch.channels_last)
    model.synthesis = torch.compile(model.synthesis)
    return model


@dataclass(frozen=True)
class Variant:
    """One way to make pictures from codes."""

    load: Callable[[torch.device], Generator]
    devices: tuple[str, ...] = ("cpu", "cuda")
    precision: str = ""  # that OpenVINO must have; "" for variants without OpenVINO
    batches: bool = False  # also timed for several batch sizes


VARIANTS: dict[str, Variant] = {
    REFERENCE: Variant(lambda device: _torch(device, torch.contiguous_format)),
    "torch, channels_last": Variant(lambda device: _torch(device, torch.channels_last), batches=True),
    "torch.compile": Variant(_compiled, devices=("cuda",)),
    "OpenVINO f32": Variant(lambda device: _openvino(device, "f32"), ("cpu",), "f32", batches=True),
    "OpenVINO bf16": Variant(lambda device: _openvino(device, "bf16"), ("cpu",), "bf16"),
}


def variants(device: torch.device) -> dict[str, Variant]:
    """Those that work on this device and machine."""
    here = ("", *cpu_precisions())
    return {
        name: one
        for name, one in VARIANTS.items()
        if device.type in one.devices and one.precision in here
    }


class Parts:
    """Everything the cases need, loaded when it is first asked for."""

    def __init__(self, device: torch.device):
        self.device = device
        self._generators: dict[str, Generator] = {}

    def generator(self, name: str) -> Generator:
        """A variant by its name."""
        if name not in self._generators:
            self._generators[name] = VARIANTS[name].load(self.device)
        return self._generators[name]

    def codes(self, name: str, batch: int) -> torch.Tensor:
        """Codes `ws (batch, num_ws, w_dim)` for a variant, always the same."""
        generator = self.generator(name)
        z = torch.randn(batch, generator.z_dim, generator=torch.Generator().manual_seed(0))
        with torch.no_grad():
            return generator.broadcast(generator.mapping(z.to(self.device), truncation_psi=0.7))

    @cached_property
    def anonymizer(self) -> Anonymizer:
        """With the encoder if its weights are here."""
        return Anonymizer.load(device=self.device.type, key=b"a key for measuring time only")

    @cached_property
    def encoder(self) -> Encoder:
        """The trained one, or an untrained one of the same shape: it takes the same time."""
        if self.anonymizer.regenerator.encoder is not None:
            return self.anonymizer.regenerator.encoder
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


def all_cases(device: torch.device, quick: bool = False) -> list[Case]:
    """Every case for a device, in the order in which they run; nothing is loaded yet."""
    batches = (1, 2) if quick else (1, 2, 4, 8, 16) if device.type == "cuda" else (1, 2, 4)
    sizes = (256, 1024) if quick else (256, 512, 1024)
    found = variants(device)
    return [
        *attribution(batches),
        *encoding(batches),
        *synthesis([name for name in found if found[name].batches], sizes, (1,) if quick else batches),
        *generators(found, sizes[:1] if quick else sizes),
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


def encoding(batches: Iterable[int]) -> list[Case]:
    """Stage 2 in one pass."""
    trained = weights.path_of("encoder-mobile").is_file()
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


def synthesis(names: Iterable[str], resolutions: Iterable[int], batches: Iterable[int]) -> list[Case]:
    """Stage 3's pictures, by resolution, batch size and backend."""
    return [
        Case("synthesis", f"{size} px", name, n, n, _pictures(name, n, size))
        for size in resolutions
        for name in names
        for n in batches
    ]


def generators(names: Iterable[str], resolutions: Iterable[int]) -> list[Case]:
    """Every variant, one picture at a time, and how far its pixels are from the reference's."""

    def error(name: str, size: int) -> Callable[[Parts, torch.Tensor], dict[str, float]]:
        def check(parts: Parts, made: torch.Tensor) -> dict[str, float]:
            if parts.generator(name).name != parts.generator(REFERENCE).name:
                return {}  # another network
            steps = (made - _pictures(REFERENCE, 1, size)(parts)()).abs() * 127.5
            return {"error_mean": steps.mean().item(), "error_max": steps.max().item()}

        return check

    return [
        Case("generators", f"{size} px", name, 1, 1, _pictures(name, 1, size), check=error(name, size))
        for size in resolutions
        for name in names
    ]


def _anonymize(image: Callable[[Parts], Image.Image], polish: int) -> Callable[[Parts], Work]:
    def prepare(parts: Parts) -> Work:
        photo = image(parts)
        return lambda: parts.anonymizer(photo, polish=polish, verify=False)

    return prepare


def _one_pass() -> str:
    return "encoder" if weights.path_of("encoder-mobile").is_file() else "first guess"


def pipeline(steps: int) -> list[Case]:
    """A whole photo: detection, three stages, paste-back and the self-check's measurement."""

    def astronaut(_: Parts) -> Image.Image:
        return sample_photo("astronaut")

    one_pass, optimised = f"one pass ({_one_pass()})", f"optimised ({steps} step{'s' * (steps > 1)})"
    return [
        Case("pipeline", "one photo, one face", one_pass, 1, 1, _anonymize(astronaut, 0)),
        Case("pipeline", "one photo, one face", optimised, 1, 1, _anonymize(astronaut, steps), 1),
    ]


def photo_faces(counts: Iterable[int]) -> list[Case]:
    """More faces in a photo of the same size."""
    return [
        Case(
            "faces", "1024 × 1024 pixels", f"one pass ({_one_pass()})", n, n,
            _anonymize(lambda parts, n=n: parts.collage(n), 0),
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
        whole = _anonymize(lambda _, size=size: enlarged(size), 0)
        cases.append(Case("pixels", "one face", f"one pass ({_one_pass()})", size, 1, whole))
        cases.append(Case("pixels", "one face", "of which detection", size, 1, detect(size)))
    return cases
