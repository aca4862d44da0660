"""Teach a small network where glasses are: frames drawn onto generated faces, whose place is known."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image, ImageDraw, ImageFilter
from torch import nn

from ..images import FACE_SIZE, from_bytes, to_bytes, to_tensor, to_uint8
from ..perception.networks import GLASSES, GlassesNetwork, LandmarkNetwork, RimNetwork, window
from ..watch import Watch, quiet
from .augment import augment
from .loop import seeded_model
from .synthetic import BATCH, Samples

PICTURES = 6000  # faces with drawn frames, or bare, that are moved, recoloured and degraded
BARE = 0.3  # share of them without
SURELY_BARE = -1.0  # logit of the readout below which the generator has drawn no glasses itself
FINER = 4  # times as large are frames drawn, so that their edges are smooth
POSITIVE = 3.0  # weight of a pixel of a frame against one of skin


@dataclass(frozen=True)
class Frame:
    """A frame as it is drawn, in `FINER` pixels of a face of 256."""

    lenses: list[np.ndarray]  # outlines (P, 2)
    lines: list[tuple[np.ndarray, float]]  # bridge, temples and rims: points (P, 2) and width


def draw_frame(points: np.ndarray, rng: np.random.Generator) -> Frame:
    """Shape a frame for a face with 68 `points (68, 2)` in [0, 1]: full, half or without rims."""
    at = points * FACE_SIZE * FINER
    eyes = at[36:42].mean(0), at[42:48].mean(0)
    across = eyes[1] - eyes[0]
    unit = float(np.hypot(*across))
    along, down = across / unit, np.array([-across[1], across[0]]) / unit
    width = unit * math.exp(rng.uniform(math.log(0.018), math.log(0.12)))
    inner, outer = rng.uniform(0.1, 0.28), rng.uniform(1.1, 1.45)  # of the outer corners' distances
    ratio, power, flat = rng.uniform(0.5, 1.05), rng.uniform(2, 5), rng.uniform(0.7, 1)
    lower, style = rng.uniform(-0.05, 0.25), rng.choice(3, p=(0.65, 0.2, 0.15))
    bridge, hinge, rise = rng.uniform(0, 0.5), rng.uniform(0, 0.6), rng.uniform(0, 0.25)
    turn = np.linspace(0, 2 * math.pi, 49)
    circle = np.stack([np.cos(turn), np.sin(turn)], 1)
    shape = np.sign(circle) * np.abs(circle) ** (2 / power)
    lenses, lines, ends = [], [], []
    for side, eye, corner, ear in ((-1, eyes[0], at[36], at[0]), (1, eyes[1], at[45], at[16])):
        reach = abs(float((corner - at[27]) @ along))
        half = reach * (outer - inner) / 2
        height = half * ratio
        middle = at[27] + side * along * reach * (outer + inner) / 2
        middle = middle + down * (float((eye - middle) @ down) + lower * height)
        tall = np.where(shape[:, 1] < 0, flat, 1.0) * shape[:, 1] * height
        lens = middle + shape[:, :1] * half * along + tall[:, None] * down
        lenses.append(lens)
        if style == 0:
            lines.append((lens, width))
        elif style == 1:
            lines.append((lens[24:], width))  # the upper half
        ends.append(middle - side * along * half - down * bridge * height)
        if reach > 0.4 * unit:  # else the temple is behind the face
            start = middle + side * along * half * 0.97 - down * hinge * height
            end = ear + side * along * 0.15 * unit - down * rng.uniform(0, 0.3) * unit
            lines.append((np.stack([start, end]), width * rng.uniform(0.6, 1.2)))
    share = np.linspace(0, 1, 9)[:, None]
    arc = ends[0] + share * (ends[1] - ends[0]) - 4 * share * (1 - share) * rise * unit * 0.3 * down
    lines.append((arc, width * rng.uniform(0.7, 1.2)))
    return Frame(lenses, lines)


def put_on(
    image: np.ndarray, points: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Draw glasses onto a face `image (256, 256, 3)` in [0, 1] with these `points (68, 2)`.

    Returns the picture, and where the photo would have to stay for them `(256, 256)` in [0, 1]: frames,
    dark lenses and bright reflections, not clear lenses.
    """
    frame, side = draw_frame(points, rng), FACE_SIZE * FINER

    def drawn(draw) -> np.ndarray:
        canvas = Image.new("L", (side, side))
        draw(ImageDraw.Draw(canvas))
        return np.asarray(canvas.reduce(FINER), np.float32) / 255

    def rims(pen: ImageDraw.ImageDraw) -> None:
        for line, width in frame.lines:
            pen.line([tuple(one) for one in line], fill=255, width=max(2, round(width)), joint="curve")

    def glass(pen: ImageDraw.ImageDraw) -> None:
        for lens in frame.lenses:
            pen.polygon([tuple(one) for one in lens], fill=255)

    rim, lens = drawn(rims), drawn(glass)
    tint = rng.choice((rng.uniform(0, 0.15), rng.uniform(0.15, 0.5), rng.uniform(0.7, 0.97)),
                      p=(0.75, 0.1, 0.15))  # fmt: skip
    colours = {"lens": rng.uniform(0, 0.35, 3) * rng.choice((0.4, 1.0)), "light": rng.uniform(0.7, 1, 3)}
    metal = rng.uniform() < 0.4
    grey = rng.uniform(0.3, 0.9) if metal else rng.uniform(0, 0.25)
    colours["rim"] = (
        (grey * rng.uniform(0.75, 1.25, 3)).clip(0, 1) if rng.uniform() < 0.85 else rng.uniform(0, 1, 3)
    )
    rows, columns = np.mgrid[:FACE_SIZE, :FACE_SIZE]
    slope, phase, period = rng.uniform(-1.5, 1.5), rng.uniform(0, 1), rng.uniform(18, 60)
    wave = np.cos(2 * math.pi * ((columns + slope * rows) / period + phase))
    shine = lens * (wave > rng.uniform(0.3, 0.95)) * rng.uniform(0.15, 0.8) * (rng.uniform() < 0.35)
    shine = _soft(shine, rng.uniform(0.5, 3))
    shadow = _soft(np.roll(rim, round(rng.uniform(0, 4)), 0), rng.uniform(1, 3)) * rng.uniform(0, 0.35)
    gloss = (1 + rng.uniform(0, 0.5) * wave)[..., None] if metal else 1.0
    opaque = rim * rng.uniform(0.65, 1)
    seen = image * (1 - shadow)[..., None]
    for alpha, colour in (
        (lens * tint, colours["lens"]),
        (shine, colours["light"]),
        (opaque, colours["rim"] * gloss),
    ):
        seen = seen + alpha[..., None] * (colour - seen)
    there = np.maximum.reduce([rim, lens * (tint > 0.5), (shine > 0.25).astype(np.float32)])
    return seen.clip(0, 1).astype(np.float32), there


def _soft(mask: np.ndarray, sigma: float) -> np.ndarray:
    canvas = Image.fromarray((255 * mask).clip(0, 255).astype(np.uint8))
    return np.asarray(canvas.filter(ImageFilter.GaussianBlur(sigma)), np.float32) / 255


class RimTask:
    """Teach the network where drawn frames are; a fifth of the pictures is for validation only."""

    name = "rims"

    def __init__(
        self,
        samples: Samples,
        landmarks: LandmarkNetwork,
        glasses: GlassesNetwork,
        pictures: int = PICTURES,
        seed: int = 0,
        watch: Watch = quiet,
    ):
        self.model: nn.Module = seeded_model(RimNetwork, seed).to(samples.images.device)
        rng, draw = torch.Generator().manual_seed(seed), np.random.default_rng(seed)
        said = torch.cat([glasses(from_bytes(part)) for part in samples.images.split(BATCH)])
        bare = (said < SURELY_BARE).nonzero().flatten()
        images, places = [], []
        for start in range(0, pictures, BATCH):
            watch("drawing glasses", start / pictures)
            index = bare[torch.randint(len(bare), (min(BATCH, pictures - start),), generator=rng)]
            faces = samples.pictures(index)
            points = landmarks(faces).cpu().numpy()
            drawn = [
                self.dressed(face[None], own, draw)
                for face, own in zip(faces.cpu(), points, strict=True)
            ]
            worn = torch.cat([one for one, _ in drawn]).to(faces)
            seen = augment(worn, torch.cat([there for _, there in drawn]).to(faces), rng)
            images.append(to_bytes(window(seen.images, GLASSES)))
            places.append((255 * window(seen.maps * (1 - seen.occluded), GLASSES)).byte())
        self.images, self.places = torch.cat(images), torch.cat(places)
        self.held_out = len(self.images) // 5

    @staticmethod
    def dressed(
        face: torch.Tensor, points: np.ndarray, rng: np.random.Generator
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Put glasses on most faces `(1, 3, 256, 256)`; return picture and place `(1, 1, 256, 256)`."""
        if rng.uniform() < BARE:
            return face, torch.zeros(1, 1, FACE_SIZE, FACE_SIZE)
        seen, there = put_on(to_uint8(face).astype(np.float32) / 255, points, rng)
        return to_tensor((255 * seen).round().astype(np.uint8)), torch.from_numpy(there)[None, None]

    def losses(
        self, model: nn.Module, batch: int, progress: float, rng: torch.Generator
    ) -> dict[str, torch.Tensor]:
        """Return the cross entropy by pixel, and what the overlap of both lacks of 1."""
        index = torch.randint(self.held_out, len(self.images), (batch,), generator=rng)
        index = index.to(self.images.device)
        wanted = self.places[index].float() / 255
        said = model.read(from_bytes(self.images[index]))
        weight = torch.tensor(POSITIVE).to(said)
        found = said.sigmoid()
        overlap = (2 * (found * wanted).sum() + 1) / (found.sum() + wanted.sum() + 1)
        cross = F.binary_cross_entropy_with_logits(said, wanted, pos_weight=weight)
        return {"pixels": cross, "overlap": 0.3 * (1 - overlap)}

    def validate(self, model: nn.Module) -> dict[str, float]:
        """Measure by pixel, on held-out pictures: the share of frames that is found, of what is
        found that is frame, and of bare faces that is taken for frame."""
        wanted, images = self.places[: self.held_out] > 127, self.images[: self.held_out].split(BATCH)
        found = torch.cat([model.read(from_bytes(part)) > 0 for part in images])
        bare = ~wanted.flatten(1).any(1)
        both = (found & wanted).sum() / wanted.sum().clamp_min(1)
        return {
            "recall": both.item(),
            "precision": ((found & wanted).sum() / found.sum().clamp_min(1)).item(),
            "bare": found[bare].float().mean().item(),
        }
