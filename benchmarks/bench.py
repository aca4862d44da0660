"""How fast every part is on this machine: `make bench`.

    python benchmarks/bench.py [--quick] [--only attribution,explorer]

Seconds for a face or picture, median and interquartile range, as a table and in
`outputs/bench/bench.json`. A new workload is one function here.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache, cached_property
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
from anonlab.openvino_runtime import cpu_precisions
from anonlab.perception.masks import build_mask
from anonlab.photo.detection import CLOSE_SIDE
from anonlab.photo.faces import Face, align
from anonlab.photo.photos import Photo, read_photo
from anonlab.pipeline import AlignedFace
from anonlab.regeneration import needed
from anonlab.weights import store

SEEDS = (3, 8, 15, 21)  # of generated faces in one photo
TILE = 512  # pixels of each
KEY = b"a key for measuring time only"
Prepare = Callable[["Parts"], Work]


@dataclass(frozen=True)
class Variant:
    """One way to make pictures from codes."""

    load: Callable[[torch.device], Generator]
    resolutions: tuple[int, ...] = (256, 512, 1024)
    compiles: bool = False  # needs a C++ compiler and up to a minute; not in a quick run


def variants(device: torch.device, stylegan2: Path | None = None) -> dict[str, Variant]:
    """Generators, backends and layouts that work here, by name: the embedded generator, and a
    StyleGAN2 if its file is given or was downloaded. Raises as `load_generator`."""

    def mobile(layout: torch.memory_format) -> Callable[[torch.device], Generator]:
        return lambda device: load_generator(device=device, backend="torch").to(memory_format=layout)

    def openvino(precision: str) -> Callable[[torch.device], Generator]:
        def load(device: torch.device) -> Generator:
            model = load_generator(device=device)
            model.precision = precision
            return model

        return load

    found = {
        "mobile, contiguous": Variant(mobile(torch.contiguous_format)),
        "mobile, channels_last": Variant(mobile(torch.channels_last)),
        "mobile, torch.compile": Variant(compiled(mobile(torch.channels_last)), compiles=True),
    }
    for precision in cpu_precisions() if device.type == "cpu" else ():
        found[f"mobile, OpenVINO {precision}"] = Variant(openvino(precision))
    theirs = find_stylegan2(stylegan2)
    if theirs is not None:

        def real(layout: torch.memory_format) -> Callable[[torch.device], Generator]:
            def load(device: torch.device) -> Generator:
                return load_generator("stylegan2", stylegan2, device).to(memory_format=layout)

            return load

        sizes = theirs.resolutions[-1:]  # smaller ones are its means and take as long
        found["StyleGAN2, contiguous"] = Variant(real(torch.contiguous_format), sizes)
        found["StyleGAN2, channels_last"] = Variant(real(torch.channels_last), sizes)
        found["StyleGAN2, torch.compile"] = Variant(
            compiled(real(torch.channels_last)), sizes, compiles=True
        )
    return {name: one for name, one in found.items() if not one.compiles or has_compiler()}


def compiled(load: Callable[[torch.device], Generator]) -> Callable[[torch.device], Generator]:
    """The same, its `synthesis` through `torch.compile`."""

    def loaded(device: torch.device) -> Generator:
        model = load(device)
        model.synthesis = torch.compile(model.synthesis)
        return model

    return loaded


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

    @property
    def large(self) -> torch.Tensor:
        """What the encoder takes: `(1, 3, 512, 512)`."""
        return resize(self.face.image, 2 * FACE_SIZE)

    @property
    def large_mask(self) -> torch.Tensor:
        """The mask of the same size."""
        return resize(self.mask, 2 * FACE_SIZE)


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


def encoder_is_here() -> bool:
    """Whether the trained encoder of the embedded generator is installed."""
    return store.path_of("encoder-mobile").is_file()


def all_cases(device: torch.device, found: dict[str, Variant], quick: bool = False) -> list[Case]:
    """Every case for a device, in the order in which they run; nothing is loaded yet."""
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

    def one(name: str) -> Prepare:
        def prepare(parts: Parts) -> Work:
            face, ask = parts.faces(1, 256), parts.anonymizer.perception
            return lambda: ask(face, name)

        return prepare

    def network(batch: int) -> Prepare:
        def prepare(parts: Parts) -> Work:
            faces, ask = parts.faces(batch, 256), parts.anonymizer.perception.network
            return torch.no_grad()(lambda: ask(faces))

        return prepare

    single = [Case("attribution", name, one(name)) for name in PERCEPTIONS if name != "network"]
    return single + [Case("attribution", "network", network(batch), batch) for batch in batches]


def encoding(batches: Iterable[int]) -> list[Case]:
    """Stage 2 in one pass: the linear start, and the encoder."""

    def linear(batch: int) -> Prepare:
        def prepare(parts: Parts) -> Work:
            faces, targets = parts.faces(batch, 512), parts.anonymizer.population.embeddings[:batch]
            linear = parts.anonymizer.regenerator.start.linear
            return torch.no_grad()(lambda: linear(faces, targets))

        return prepare

    def encoder(batch: int) -> Prepare:
        def prepare(parts: Parts) -> Work:
            faces, targets = parts.faces(batch, 512), parts.anonymizer.population.embeddings[:batch]
            heat = parts.anonymizer.perception(parts.face, "network")
            masks = build_mask(heat, Controls(), size=512).expand(batch, -1, -1, -1)
            return torch.no_grad()(lambda: parts.encoder(faces, masks, targets))

        return prepare

    def corrected(parts: Parts) -> Work:
        tool = parts.by_method("encode")
        face, path = tool.analyze(parts.face), tool.path(tool.analyze(parts.face))
        mask = build_mask(tool.perception(parts.face, "network"), Controls(), size=512)
        return lambda: tool.regenerator.start(face.image, mask, path.source, path.at(1.0).target)

    name = "encoder, trained" if encoder_is_here() else "encoder, untrained, same shape"
    return [
        *(Case("encoding", "linear start", linear(batch), batch) for batch in batches),
        *(Case("encoding", name, encoder(batch), batch) for batch in batches),
        *([Case("encoding", "encoder and correction", corrected)] if encoder_is_here() else []),
    ]


def generators(
    found: dict[str, Variant], resolutions: Iterable[int], batches: Iterable[int]
) -> list[Case]:
    """Stage 3's pictures, by variant, size (its own where it has none of these) and batch."""

    def pictures(name: str, size: int, batch: int) -> Prepare:
        def prepare(parts: Parts) -> Work:
            generator = parts.generator(name)
            with torch.no_grad():
                ws = generator.broadcast(generator.mapping(draw_z(generator, 0, batch), 0.7))
            return torch.no_grad()(lambda: generator.synthesis(ws, size))

        return prepare

    return [
        Case("generators", f"{name}, {size} px", pictures(name, size, batch), batch)
        for name, one in found.items()
        for size in sorted({*resolutions} & {*one.resolutions}) or one.resolutions[-1:]
        for batch in batches
    ]


def explorer() -> list[Case]:
    """What a slider waits for: the mask over the face, and the preview of the new one."""

    controls = Controls(perception="network")

    def mask(parts: Parts) -> Work:
        return lambda: layers(parts.workbench.view(controls).mask)

    def preview(parts: Parts) -> Work:
        view = parts.workbench.view(controls)
        return lambda: parts.workbench.preview(view, controls, side=SHARP)

    return [Case("explorer", "overlay", mask), Case("explorer", "preview", preview)]


def one_face() -> list[Case]:
    """What the default method does with one face, part by part, each before its floor: the networks that
    it cannot do without, alone."""
    controls = Controls()

    def part(work: Callable[[Anonymizer, Portrait], Any]) -> Prepare:
        def prepare(parts: Parts) -> Work:
            tool, portrait = parts.by_method("auto"), parts.portrait
            return torch.no_grad()(lambda: work(tool, portrait))

        return prepare

    def twice(tool: Anonymizer, one: Portrait) -> None:
        tool.regenerator.start.encoder(one.large, one.large_mask, one.path.aim())
        for _ in range(2):  # a correction reads what the codes draw
            tool.generator.synthesis(one.ws, FACE_SIZE)

    def slopes(tool: Anonymizer, one: Portrait) -> None:
        with torch.enable_grad():
            seen = one.small.repeat(needed.STEPS, 1, 1, 1).requires_grad_()
            torch.autograd.grad(tool.recognizer.embed(seen).square().sum(), seen)

    def what_is_needed(tool: Anonymizer, one: Portrait) -> None:
        points = tool.perception.landmarks(one.face.image)
        needed.needed_mask(tool.recognizer, one.face.image, one.composite, one.mask, points, controls)

    works = {
        "finding faces": lambda tool, one: tool.detector(one.photo),
        "floor: one look of both detectors": lambda tool, one: (
            tool.detector.by_mtcnn(one.photo.pixels, 1.0),
            tool.detector.centerface.once(one.photo.pixels, 0.5),
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
            tool.detector.by_mtcnn(one.photo.pixels, CLOSE_SIDE / max(one.photo.size)),
            tool.recognizer.embed(one.small),
        ),
    }
    return [Case("one face", name, part(work)) for name, work in works.items()]


def anonymize(method: str, image: Callable[[Parts], Image.Image]) -> Prepare:
    """A whole photo: detection, three stages, paste-back and the self-check's measurement."""

    def prepare(parts: Parts) -> Work:
        photo, tool = image(parts), parts.by_method(method)
        return lambda: tool(photo, verify=False)

    return prepare


def enlarged(megapixels: float) -> Image.Image:
    """The astronaut's photo as a larger file."""
    side = round((megapixels * 1e6) ** 0.5)
    return sample_photo("astronaut").resize((side, side), Image.Resampling.BICUBIC)


def photos(faces: Iterable[int], megapixels: Iterable[float]) -> list[Case]:
    """The default method on more faces in a photo of one size, and on larger files."""

    def collage(count: int) -> Prepare:
        return anonymize("auto", lambda parts: parts.collage(count))

    def large(size: float) -> Prepare:
        return anonymize("auto", lambda _: enlarged(size))

    def detection(size: float) -> Prepare:
        def prepare(parts: Parts) -> Work:
            photo = read_photo(enlarged(size))
            return lambda: parts.anonymizer.detector(photo)

        return prepare

    return [
        *(Case("photos", "faces in one photo", collage(count), count) for count in faces),
        *(Case("photos", f"{size:g} megapixels", large(size)) for size in megapixels),
        *(Case("photos", f"{size:g} megapixels, detection", detection(size)) for size in megapixels),
    ]


def methods(quick: bool = False) -> list[Case]:
    """One photo with one face by every method; the optimisation, a minute a face, comes last."""
    names = ["one-pass"] + ["encode"] * encoder_is_here() + ["optimize"] * (not quick)
    return [
        Case("methods", name, anonymize(name, lambda _: sample_photo("astronaut"))) for name in names
    ]


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="fewer sizes, and no optimisation")
    parser.add_argument("--only", default="", metavar="GROUPS", help="such as attribution,explorer")
    parser.add_argument("--min-seconds", type=float, default=2.0, help="for which a case is repeated")
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    parser.add_argument("--generator-weights", type=Path, metavar="FILE", help="a StyleGAN2 as well")
    parser.add_argument("--out", type=Path, default=OUT)
    options = parser.parse_args(arguments)
    device = pick_device(options.device)
    found = variants(device, options.generator_weights)
    cases = all_cases(device, found, options.quick)
    groups = list(dict.fromkeys(case.group for case in cases))
    asked = options.only.split(",") if options.only else groups
    if not {*asked} <= {*groups}:
        parser.error(f"--only {options.only}: choose from {', '.join(groups)}")
    return run(
        [case for case in cases if case.group in asked],
        Parts(device, found),
        options.min_seconds,
        options.out / "bench.json",
        device,
        quick=options.quick,
        only=asked,
    )


if __name__ == "__main__":
    raise SystemExit(main())
