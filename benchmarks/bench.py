"""How fast every part is on this machine: `make bench`.

    python benchmarks/bench.py [--quick] [--only attribution,explorer]

Seconds for a face or picture, median and interquartile range, as a table and in
`outputs/bench/bench.json`. A new workload is one function here.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache, cached_property, partial
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from timing import OUT, Case, Work, has_compiler, run

from anonlab import Anonymizer, Controls
from anonlab.apps.explorer.figures import SHARP, layers
from anonlab.apps.explorer.workbench import Workbench
from anonlab.checking import measure_again
from anonlab.controls import PERCEPTIONS
from anonlab.device import pick_device
from anonlab.encoding.encoder import Encoder, EncoderConfig, load_encoder
from anonlab.errors import NoFaceFound
from anonlab.generators import Generator, find_stylegan2, load_generator
from anonlab.generators.base import draw_z
from anonlab.identity.virtual import IdentityPath
from anonlab.images import FACE_SIZE, resize
from anonlab.notebook.samples import sample_photo
from anonlab.openvino_runtime import cpu_precisions, roughly
from anonlab.perception.masks import build_mask
from anonlab.photo.faces import Face, align
from anonlab.photo.photos import Photo, read_photo
from anonlab.pipeline import AlignedFace
from anonlab.regeneration import needed
from anonlab.weights import store

SEEDS = (3, 8, 15, 21)  # of generated faces in one photo
TILE = 512  # pixels of each
KEY = b"a key for measuring time only"


@dataclass(frozen=True)
class Variant:
    """One way to make pictures from codes."""

    load: Callable[[torch.device], Generator]
    resolutions: tuple[int, ...] = (256, 512, 1024)
    compiles: bool = False  # needs a C++ compiler and up to a minute; not in a quick run


def variants(device: torch.device, stylegan2: Path | None = None) -> dict[str, Variant]:
    """List generators, backends and layouts that work here, by name: the embedded generator, and a
    StyleGAN2 if its file is given or was downloaded. Raises as `load_generator`."""

    def openvino(device: torch.device, precision: str) -> Generator:
        model = load_generator(device=device)
        model.precision = precision
        return model

    found = layouts("mobile", partial(load_generator, backend="torch"))
    for precision in cpu_precisions() if device.type == "cpu" else ():
        found[f"mobile, OpenVINO {precision}"] = Variant(partial(openvino, precision=precision))
    theirs = find_stylegan2(stylegan2)
    if theirs is not None:
        sizes = theirs.resolutions[-1:]  # smaller ones are its means and take as long
        found |= layouts("StyleGAN2", partial(load_generator, "stylegan2", stylegan2), sizes)
    return found


def layouts(
    name: str, load: Callable[..., Generator], sizes: tuple[int, ...] = Variant.resolutions
) -> dict[str, Variant]:
    """Load what `load(device=…)` returns, in both layouts of memory and, where a compiler is here,
    through `torch.compile`."""

    def laid(device: torch.device, layout: torch.memory_format) -> Generator:
        return load(device=device).to(memory_format=layout)

    def compiled(device: torch.device) -> Generator:
        model = laid(device, torch.channels_last)
        model.synthesis = torch.compile(model.synthesis)
        return model

    ways = {
        "contiguous": Variant(partial(laid, layout=torch.contiguous_format), sizes),
        "channels_last": Variant(partial(laid, layout=torch.channels_last), sizes),
    }
    if has_compiler():
        ways["torch.compile"] = Variant(compiled, sizes, compiles=True)
    return {f"{name}, {way}": one for way, one in ways.items()}


@dataclass(frozen=True)
class Portrait:
    """A photo with one face, and what each stage makes of it."""

    photo: Photo
    found: Face
    face: AlignedFace
    mask: torch.Tensor
    path: IdentityPath
    ws: torch.Tensor
    composite: torch.Tensor

    @property
    def small(self) -> torch.Tensor:
        """The aligned face `(1, 3, 256, 256)`."""
        return resize(self.face.image, FACE_SIZE)


class Parts:
    """Everything the cases need, loaded when it is first asked for."""

    def __init__(self, device: torch.device, found: dict[str, Variant]):
        self.device, self.variants = device, found
        self.generator = cache(lambda name: found[name].load(device))
        self.by_method = cache(lambda name: Anonymizer.load(method=name, device=device.type, key=KEY))

    @property
    def anonymizer(self) -> Anonymizer:
        """With the linear start."""
        return self.by_method("one-pass")

    @cached_property
    def encoder(self) -> Encoder:
        """The trained one, or an untrained one of the same shape: it takes the same time."""
        if encoder_is_here():
            return load_encoder(self.anonymizer.generator, device=self.device)
        return Encoder(EncoderConfig()).eval().requires_grad_(False).to(self.device)

    @cached_property
    def workbench(self) -> Workbench:
        """The explorer with the astronaut's photo open."""
        workbench = Workbench(self.by_method("auto"))
        workbench.open(sample_photo("astronaut"))
        return workbench

    @cached_property
    def portrait(self) -> Portrait:
        """A part of the astronaut's photo, of 250 pixels as those of Labeled Faces in the Wild, and what
        each stage makes of it."""
        tool, controls = self.by_method("auto"), Controls()
        photo = read_photo(sample_photo("astronaut").crop((100, 0, 350, 250)))
        found = tool.detector(photo)[0]
        face = tool.analyze(align(photo, found, found.own_size))
        mask = build_mask(tool.perception(face.image), controls, None, face.image.shape[-1])
        ws, _, composite, _ = tool.regenerate(face, mask, controls)
        return Portrait(photo, found, face, mask, tool.path(face, controls), ws, composite)

    @cached_property
    def face(self) -> torch.Tensor:
        """The astronaut, aligned: `(1, 3, 512, 512)`."""
        photo = read_photo(sample_photo("astronaut"))
        return align(photo, self.anonymizer.detector(photo)[0], 512).to(self.device)

    def faces(self, batch: int, size: int) -> torch.Tensor:
        """Repeat the same face several times: `(batch, 3, size, size)`."""
        return resize(self.face, size).expand(batch, -1, -1, -1).contiguous()

    def collage(self, faces: int) -> Image.Image:
        """Draw 1024 × 1024 pixels with so many generated faces, and grey elsewhere."""
        canvas = Image.new("RGB", (2 * TILE, 2 * TILE), (128, 128, 128))
        for index, seed in enumerate(SEEDS[:faces]):
            tile = sample_photo(f"synthetic-{seed}", self.anonymizer.generator).resize((TILE, TILE))
            canvas.paste(tile, (index % 2 * TILE, index // 2 * TILE))
        found = len(self.anonymizer.detector(read_photo(canvas)))
        if found != faces:
            raise NoFaceFound(f"the collage of {faces} faces shows {found}; choose other seeds for it")
        return canvas


def encoder_is_here() -> bool:
    """Tell whether the trained encoder of the embedded generator is installed."""
    return store.path_of("encoder-mobile").is_file()


def all_cases(device: torch.device, found: dict[str, Variant], quick: bool = False) -> list[Case]:
    """List every case for a device, in the order in which they run; nothing is loaded yet."""
    batches = (1, 2) if quick else (1, 2, 4, 8, 16) if device.type == "cuda" else (1, 2, 4)
    sizes = (256, 1024) if quick else (256, 512, 1024)
    found = {name: one for name, one in found.items() if not (quick and one.compiles)}
    return [
        *attribution(batches),
        *encoding(batches),
        *generators(found, sizes, (1,) if quick else batches),
        *explorer(),
        *photos((1, 2) if quick else (1, 2, 4), (1, 4) if quick else (1, 4, 12)),
        *one_face(),
        *methods(quick),
    ]


def attribution(batches: Iterable[int]) -> list[Case]:
    """Stage 1: every method on one face, and the network on many at once."""

    def one(parts: Parts, name: str) -> Work:
        face, ask = parts.faces(1, 256), parts.anonymizer.perception
        return lambda: ask(face, name)

    def network(parts: Parts, batch: int) -> Work:
        faces, ask = parts.faces(batch, 256), parts.anonymizer.perception.network
        return torch.no_grad()(lambda: ask(faces))

    single = [name for name in PERCEPTIONS if name != "network"]
    return [
        *(Case("attribution", name, partial(one, name=name)) for name in single),
        *(Case("attribution", "network", partial(network, batch=batch), batch) for batch in batches),
    ]


def encoding(batches: Iterable[int]) -> list[Case]:
    """Stage 2 in one pass: the linear start, and the encoder."""

    def linear(parts: Parts, batch: int) -> Work:
        faces, targets = parts.faces(batch, 512), parts.anonymizer.population.embeddings[:batch]
        start = parts.anonymizer.regenerator.start.linear
        return torch.no_grad()(lambda: start(faces, targets))

    def encoder(parts: Parts, batch: int) -> Work:
        faces, targets = parts.faces(batch, 512), parts.anonymizer.population.embeddings[:batch]
        heat = parts.anonymizer.perception(parts.face, "network")
        masks = build_mask(heat, Controls(), size=512).expand(batch, -1, -1, -1)
        return torch.no_grad()(lambda: parts.encoder(faces, masks, targets))

    def corrected(parts: Parts) -> Work:
        tool = parts.by_method("encode")
        face, path = tool.analyze(parts.face), tool.path(tool.analyze(parts.face))
        mask = build_mask(tool.perception(parts.face, "network"), Controls(), size=512)
        return lambda: tool.regenerator.start(face.image, mask, path.source, path.at(1.0).target)

    name = "encoder, trained" if encoder_is_here() else "encoder, untrained, same shape"
    return [
        *(Case("encoding", "linear start", partial(linear, batch=batch), batch) for batch in batches),
        *(Case("encoding", name, partial(encoder, batch=batch), batch) for batch in batches),
        *([Case("encoding", "encoder and correction", corrected)] if encoder_is_here() else []),
    ]


def generators(
    found: dict[str, Variant], resolutions: Iterable[int], batches: Iterable[int]
) -> list[Case]:
    """Stage 3's pictures, by variant, size (its own where it has none of these) and batch."""

    def pictures(parts: Parts, name: str, size: int, batch: int) -> Work:
        generator = parts.generator(name)
        with torch.no_grad():
            ws = generator.broadcast(generator.mapping(draw_z(generator, 0, batch), 0.7))
        return torch.no_grad()(lambda: generator.synthesis(ws, size))

    return [
        Case("generators", f"{name}, {size} px", partial(pictures, name=name, size=size, batch=batch),
             batch)
        for name, one in found.items()
        for size in sorted({*resolutions} & {*one.resolutions}) or one.resolutions[-1:]
        for batch in batches
    ]  # fmt: skip


def explorer() -> list[Case]:
    """Time what a slider waits for: the mask over the face, and the preview of the new one."""

    controls = Controls(perception="network")

    def mask(parts: Parts) -> Work:
        return lambda: layers(parts.workbench.view(controls).mask)

    def preview(parts: Parts) -> Work:
        view = parts.workbench.view(controls)
        return lambda: parts.workbench.preview(view, controls, side=SHARP)

    return [Case("explorer", "overlay", mask), Case("explorer", "preview", preview)]


def one_face() -> list[Case]:
    """Time what the default method does with one face, part by part, each before its floor: the networks
    that it cannot do without, alone."""
    controls = Controls()

    def part(parts: Parts, work: Callable[[Anonymizer, Portrait], Any]) -> Work:
        tool, portrait = parts.by_method("auto"), parts.portrait
        return torch.no_grad()(lambda: work(tool, portrait))

    def twice(tool: Anonymizer, one: Portrait) -> None:
        image, mask = (resize(x, 2 * FACE_SIZE) for x in (one.face.image, one.mask))
        with roughly(image.device):
            tool.regenerator.start.encoder(image, mask, one.path.aim())
        for _ in range(2):  # a correction reads what the codes draw
            tool.generator.synthesis(one.ws, FACE_SIZE)

    def slopes(tool: Anonymizer, one: Portrait) -> None:
        with torch.enable_grad(), roughly(one.small.device):
            seen = one.small.repeat(needed.STEPS, 1, 1, 1).requires_grad_()
            torch.autograd.grad(tool.recognizer.embed(seen).square().sum(), seen)

    def what_is_needed(tool: Anonymizer, one: Portrait) -> None:
        points = tool.perception.landmarks(one.face.image)
        needed.needed_mask(tool.recognizer, one.face.image, one.composite, one.mask, points, controls)

    works = {
        "finding faces": lambda tool, one: tool.detector(one.photo),
        "floor: one look of CenterFace, one of MTCNN from near": lambda tool, one: (
            tool.detector.centerface.once(one.photo.pixels, 0.5),
            tool.detector.again(one.photo, one.found),
        ),
        "mask": lambda tool, one: tool.perception(one.face.image, controls.perception),
        "floor: its network": lambda tool, one: tool.perception.network(one.small),
        "codes": lambda tool, one: tool.encode(one.face, one.mask, controls),
        "floor: the encoder, two drawings": twice,
        "drawing and blending": lambda tool, one: tool.draw(one.ws, one.face.image, one.mask, controls),
        "floor: one drawing": lambda tool, one: tool.generator.synthesis(
            one.ws, one.face.image.shape[-1]
        ),
        "of it, what need not be new": what_is_needed,
        "floor: the slopes": slopes,
        "measuring again": lambda tool, one: measure_again(
            tool.detector, tool.recognizer, one.photo, one.found, one.face.embedding
        ),
        "floor: one look, one embedding": lambda tool, one: (
            tool.detector.again(one.photo, one.found),
            tool.recognizer.embed(one.small),
        ),
    }
    return [Case("one face", name, partial(part, work=work)) for name, work in works.items()]


def anonymize(parts: Parts, method: str, image: Callable[[Parts], Image.Image]) -> Work:
    """Time a whole photo: detection, three stages, paste-back and the self-check's measurement."""
    photo, tool = image(parts), parts.by_method(method)
    return lambda: tool(photo, verify=False)


def enlarged(_: Parts, megapixels: float) -> Image.Image:
    """Make the astronaut's photo a larger file."""
    side = round((megapixels * 1e6) ** 0.5)
    return sample_photo("astronaut").resize((side, side), Image.Resampling.BICUBIC)


def photos(faces: Iterable[int], megapixels: Iterable[float]) -> list[Case]:
    """Time the default method on more faces in a photo of one size, and on larger files."""
    whole = partial(anonymize, method="auto")

    def detection(parts: Parts, size: float) -> Work:
        photo = read_photo(enlarged(parts, size))
        return lambda: parts.anonymizer.detector(photo)

    collages = {count: partial(Parts.collage, faces=count) for count in faces}
    large = {f"{size:g} megapixels": partial(enlarged, megapixels=size) for size in megapixels}
    return [
        *(Case("photos", "faces in one photo", partial(whole, image=image), count)
          for count, image in collages.items()),
        *(Case("photos", name, partial(whole, image=image)) for name, image in large.items()),
        *(Case("photos", f"{size:g} megapixels, detection", partial(detection, size=size))
          for size in megapixels),
    ]  # fmt: skip


def methods(quick: bool = False) -> list[Case]:
    """Time one photo with one face by every method; the optimisation, a minute a face, comes last."""
    names = ["one-pass"] + ["encode"] * encoder_is_here() + ["optimize"] * (not quick)
    of_one = partial(anonymize, image=lambda _: sample_photo("astronaut"))
    return [Case("methods", name, partial(of_one, method=name)) for name in names]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="fewer sizes, and no optimisation")
    parser.add_argument("--only", default="", metavar="GROUPS", help="such as attribution,explorer")
    parser.add_argument("--min-seconds", type=float, default=2.0, help="for which a case is repeated")
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    parser.add_argument("--generator-weights", type=Path, metavar="FILE", help="a StyleGAN2 as well")
    parser.add_argument("--out", type=Path, default=OUT)
    options = parser.parse_args()
    device = pick_device(options.device)
    found = variants(device, options.generator_weights)
    cases = all_cases(device, found, options.quick)
    groups = list(dict.fromkeys(case.group for case in cases))
    asked = options.only.split(",") if options.only else groups
    if not {*asked} <= {*groups}:
        parser.error(f"--only {options.only}: choose from {', '.join(groups)}")
    chosen, parts = [case for case in cases if case.group in asked], Parts(device, found)
    path, settings = options.out / "bench.json", {"quick": options.quick, "only": asked}
    return run(chosen, parts, options.min_seconds, path, device, **settings)


if __name__ == "__main__":
    raise SystemExit(main())
