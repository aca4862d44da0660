"""After the encoder: look at what it made, and correct the codes by what is still wrong.

An encoder answers in one pass and never sees its picture. Here the picture is drawn at 256 px and read:
the identity (embedding, and the gender and age read from it), 68 points, 16×16 colours, colours of the
irises, glasses, facial hair, texture, expression. What these readings lack of the wanted ones is carried
back to the codes by linear regression on generated faces, an ensemble Kalman update (Evensen 1994;
Iglesias et al. 2013):

    ws ← ws + γ · C_wy (C_yy + R)⁻¹ (y_wanted - y(ws))

`C_wy (num_ws·w_dim, Y)` and `C_yy (Y, Y)` are covariances over the samples of `train correction`, and
the diagonal `R` says how little each reading counts; colours that the mask hides count least.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import NamedTuple

import torch

from ..generators import Generator
from ..generators.base import truncate_to_rms
from ..identity.population import Population
from ..images import COLOR_GRID, FACE_SIZE, resize
from ..perception.eyes import iris_patches
from ..perception.networks import (
    COUNT,
    EXPRESSIONS,
    ExpressionNetwork,
    GlassesNetwork,
    LandmarkNetwork,
    RimNetwork,
    load_expression,
    load_glasses,
    load_landmarks,
    load_rims,
)
from ..perception.texture import facial_hair, texture
from ..recognizers import Recognizer

IRIS = 0.4  # width of what is taken for an iris, over the width of the eye
CERTAIN = 4.0  # logits of what is worn are cut here: beyond, there is no doubt to correct
# γ: half of what linear regression says, because faces are not linear. With 0.7 generated faces keep
# their expression better, but 173 real people do not (68 points .044 instead of .043).
GAIN = 0.5
ROUNDS = 2
# R: standard deviations of the noise, in those of the readings over all people
NOISE = {
    "embedding": 0.5, "gender": 0.3, "age": 0.3, "points": 0.3, "colours": 0.5, "irises": 0.3,
    "glasses": 0.3, "facial_hair": 0.05, "texture": 0.5, "expression": 0.3,
}  # fmt: skip
# How many times its lack is asked for, because moustaches and wrinkles are hardly linear in the codes.
# By the judge facial hair of 54 people of LFW / 30 of London is off by 1.06 / .91 without this reading,
# .94 / .84 with it, .85 / .76 asked for 2.5 times and .84 / .71 asked for 5 times, at no other cost.
# For texture and expression see `data/tried.md`.
TIMES = {"facial_hair": 4.0, "texture": 2.0, "expression": 6.0}
# Faint frames on a bare face hardly move the logit of glasses, which ends at -3.5. So a bare
# face asks for so many logits less, as far as the chances of frames in the drawing (in all its 256 × 256
# pixels) sum up to more than the specks of bare faces, and all of it where they are clear to the eye.
BARER, SPECKS, FRAMES = 30.0, 70.0, 130.0
GRAINY = ("facial_hair", "texture")  # linear readouts of contrast, which noise looks like …
NOISY = 0.02  # … and counts less beyond this standard deviation of it at 256 px
HIDDEN_NOISE = 1.0  # of colours where the mask is 1


class Correction:
    """Reads pictures and carries what they lack back to the codes.

    `tensors` are those of `data/correction.safetensors`, for the generator `mobile`: `codes
    (num_ws·w_dim, K)` and `readings (Y, K)`, whose product is `C_wy`; `covariance (Y, Y)`; `scales
    (10,)`, the standard deviations of the readings' groups; `facial_hair (449,)` and `texture
    (1024, 64)`, the readouts.
    """

    def __init__(
        self,
        tensors: dict[str, torch.Tensor],
        generator: Generator,
        recognizer: Recognizer,
        readers: Readers,
    ):
        here = {name: tensor.to(generator.w_avg) for name, tensor in tensors.items()}
        self.codes, self.readings, self.covariance = here["codes"], here["readings"], here["covariance"]
        self.scales, self.readouts = here["scales"], {name: here[name] for name in GRAINY}
        self.generator, self.recognizer, self.readers = generator, recognizer, readers
        ends = self.readouts["texture"].shape[1], len(EXPRESSIONS)
        sizes = recognizer.dim, 1, 1, 2 * COUNT, 3 * COLOR_GRID**2, 6, 1, 1, *ends
        self.sizes = dict(zip(NOISE, sizes, strict=True))  # of the readings' groups; their sum is Y
        self.times = self.by_reading(TIMES)

    @torch.no_grad()
    def __call__(
        self,
        ws: torch.Tensor,
        image: torch.Tensor,
        mask: torch.Tensor,
        target: torch.Tensor,
        noise: torch.Tensor | float = 0.0,
        rounds: int = ROUNDS,
        max_rms: float = math.inf,
    ) -> torch.Tensor:
        """Correct codes `ws (N, num_ws, w_dim)`, so that their pictures are nearer to `image (N, 3, S,
        S)` outside `mask (N, 1, S, S)` in colour, everywhere in expression, and to the embeddings
        `target (N, dim)`, where `noise (N,)` is that of the images. After each round they are truncated
        to the size `max_rms`."""
        image = resize(image, FACE_SIZE)
        wanted, factor = self.read(image, target), self.factor(mask, noise)  # (N, Y), (N, Y, Y)
        for _ in range(rounds):
            drawn = self.generator.synthesis(ws, FACE_SIZE).clamp(-1, 1)
            ws = ws + GAIN * self.carry(self.lack(wanted, drawn), factor)
            ws = truncate_to_rms(ws, self.generator.w_avg, self.generator.w_std, max_rms)
        return ws

    def factor(self, mask: torch.Tensor, noise: torch.Tensor | float = 0.0) -> torch.Tensor:
        """Factorise C_yy + R for masks `(N, 1, S, S)` and the photos' `noise (N,)`: the Cholesky factors
        `(N, Y, Y)`."""
        deviations = self.noise(resize(mask, COLOR_GRID), noise)
        return torch.linalg.cholesky(self.covariance + deviations.square().diag_embed())

    def carry(self, lack: torch.Tensor, factor: torch.Tensor) -> torch.Tensor:
        """Carry what readings lack `(N, Y)` to the codes by linear regression, `(N, num_ws, w_dim)`."""
        weights = torch.cholesky_solve(lack[..., None], factor)[..., 0] @ self.readings  # (N, K)
        change = (weights @ self.codes.T).unflatten(1, (-1, len(self.generator.w_std)))
        return self.generator.w_std * change

    def lack(self, wanted: torch.Tensor, drawn: torch.Tensor) -> torch.Tensor:
        """Compute what pictures `drawn (N, 3, 256, 256)` lack of the readings `wanted (N, Y)`, in some
        `TIMES` over, and what bare faces lack of being bare."""
        lack = wanted - self.read(drawn, self.recognizer.embed(drawn))
        sizes, place = [*self.sizes.values()], [*self.sizes].index("glasses")
        bare, own = wanted.split(sizes, 1)[place] < 0, lack.split(sizes, 1)[place]
        frames = (self.readers.rims(drawn).sum((2, 3)) - SPECKS) / (FRAMES - SPECKS)
        own -= BARER / self.scales[place] * frames.clamp(0, 1) * bare
        return self.times * lack

    def by_reading(self, values: Mapping[str, float]) -> torch.Tensor:
        """Repeat the value of each group, 1 where it has none, for each of its readings: `(Y,)`."""
        rows = [torch.full((size,), values.get(name, 1.0)) for name, size in self.sizes.items()]
        return torch.cat(rows).to(self.covariance)

    def read(self, images: torch.Tensor, embeddings: torch.Tensor) -> torch.Tensor:
        """Read `images (N, 3, 256, 256)` in the standard deviations of the readings, `(N, Y)`.
        `embeddings (N, dim)` are theirs, or those that they should have."""
        groups = readings(images, embeddings, self.readers, self.readouts).values()
        return torch.cat([group / scale for group, scale in zip(groups, self.scales, strict=True)], 1)

    def noise(self, mask: torch.Tensor, noise: torch.Tensor | float = 0.0) -> torch.Tensor:
        """Compute the square root of the diagonal of R, `(N, Y)`, for masks `(N, 1, 16, 16)` and the
        photos' `noise (N,)`."""
        hidden = mask.expand(-1, 3, COLOR_GRID, COLOR_GRID).flatten(1)
        parts = {name: hidden.new_full((len(mask), n), NOISE[name]) for name, n in self.sizes.items()}
        colours = torch.lerp(parts["colours"], torch.full_like(hidden, HIDDEN_NOISE), hidden)
        noisy = (torch.as_tensor(noise).to(hidden) / NOISY).square().clamp_min(1).view(-1, 1)
        parts |= {"colours": colours} | {name: noisy * parts[name] for name in GRAINY}
        return torch.cat([*parts.values()], 1)


class Readers(NamedTuple):
    """What reads pictures of faces, besides the recogniser."""

    population: Population
    landmarks: LandmarkNetwork
    glasses: GlassesNetwork
    rims: RimNetwork
    expression: ExpressionNetwork

    @classmethod
    def load(cls, population: Population, device: torch.device | str = "cpu") -> Readers:
        """Load the networks. Raises `WeightsMissing` or `WeightsCorrupt`."""
        worn = load_glasses(device), load_rims(device)
        return cls(population, load_landmarks(device), *worn, load_expression(device))


def readings(
    images: torch.Tensor, embeddings: torch.Tensor, readers: Readers, readouts: dict[str, torch.Tensor]
) -> dict[str, torch.Tensor]:
    """Read `images (N, 3, 256, 256)`, `(N, …)` by the names of `NOISE`: their `embeddings (N, dim)`,
    gender and age that these tell, 68 points, colours, mean colours around both irises, the logits of
    glasses and, by the readout `facial_hair (449,)`, of facial hair, components `texture (1024, 64)` of
    their contrast, and the logits of seven expressions."""
    points = readers.landmarks(images)
    looks = {
        "points": points,
        "colours": resize(images, COLOR_GRID),
        "irises": iris_patches(images, points, size=4, width=IRIS).mean((3, 4)),
        "glasses": readers.glasses(images).clamp(-CERTAIN, CERTAIN),
        "facial_hair": facial_hair(images, readouts["facial_hair"]).clamp(-CERTAIN, CERTAIN),
        "texture": texture(images) @ readouts["texture"],
        "expression": readers.expression(images),
    }
    gender, age = readers.population.read(embeddings)[:, :2].unbind(1)
    read = {"embedding": embeddings, "gender": gender, "age": age} | looks
    return {name: group.flatten(1) if group.ndim > 1 else group[:, None] for name, group in read.items()}
