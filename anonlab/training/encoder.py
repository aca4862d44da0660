"""Teach the encoder: rebuild what the mask leaves, and put the wanted identity into it."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import torch
import torch.nn.functional as F

from ..encoding.encoder import Encoder, EncoderConfig
from ..encoding.linear import LinearInitialization
from ..generators import Generator
from ..identity.population import Population
from ..images import blurred, pasted, resize
from ..notebook.measured import Declaration, higher, lower
from ..perception.eyes import iris_patches
from ..perception.masks import mask_from_attribution
from ..perception.networks import landmark_error, load_glasses, load_landmarks, openings
from ..recognizers import Recognizer, centred, jittered, matches
from ..recognizers.perceptual import load_stlpips
from ..regeneration.compose import compose, harmonise
from .augment import CLEAN, augment
from .loop import seeded_model
from .recipes import LossWeights, Mix
from .synthetic import SIZE, Samples, skin_colours, synthesize

AREA = (0.05, 0.5)  # of the dynamic mask, drawn for every batch
RING = 6.0  # width of the surroundings of the mask, in pixels of 256


_LOWER = ("perceptual", "composite_perceptual", "landmark_error", "mouth", "eyes", "skin", "iris",
          "glasses_changed")  # fmt: skip
BETTER: dict[str, Declaration] = {  # of what `EncoderTask.validate` measures
    **{f"{identity}_{name}": lower for identity in ("own", "virtual") for name in _LOWER},
    **dict.fromkeys(("own_reached", "virtual_reached", "own_source_cosine"), higher),
    **dict.fromkeys(("virtual_source_cosine", "virtual_matched"), lower),
}


@dataclass(frozen=True)
class Batch:
    """Hold one step's faces and what is asked of them."""

    images: torch.Tensor  # (N, 3, 256, 256)
    mask: torch.Tensor  # (N, 1, 256, 256)
    visible: torch.Tensor  # (N, 1, 256, 256): neither masked nor occluded
    uncovered: torch.Tensor  # (N,): 1 where nothing was put in front
    source: torch.Tensor  # (N, dim), the embedding of the picture as it is now
    wanted: torch.Tensor  # (N, dim)
    ws: torch.Tensor  # (N, num_ws, w_dim)
    own: torch.Tensor  # (N,) bool: the wanted identity is the person's own
    exact: torch.Tensor  # (N,) bool: `ws` is the answer if `own`


class EncoderTask:
    """Bring all that training the encoder needs to `anonlab.training.loop.train`.

    In the share `codes_only` of the steps, the first, only the codes of generated faces are learned:
    nothing is drawn, so such a step takes a tenth of the time. With `half` networks compute in bfloat16.
    """

    name = "encoder"

    def __init__(
        self,
        samples: Samples,
        generator: Generator,
        recognizer: Recognizer,
        population: Population,
        config: EncoderConfig,
        codes_only: float = 0.0,
        half: bool = False,
        seed: int = 0,
    ):
        self.samples, self.held_out, device = samples, samples.held_out, generator.w_avg.device
        self.generator, self.recognizer, self.half = generator, recognizer, half
        self.perceptual, self.landmarks = load_stlpips(device), load_landmarks(device)
        self.glasses = load_glasses(device)
        self.weight, self.mix, self.codes_only = LossWeights(), Mix(), codes_only
        linear = LinearInitialization(generator, population)
        model = seeded_model(lambda: Encoder(config), seed).start_at(linear)
        self.model: torch.nn.Module = model.to(device)

    def losses(
        self, model: torch.nn.Module, batch: int, progress: float, rng: torch.Generator
    ) -> dict[str, torch.Tensor]:
        """Return the weighted terms for a random batch."""
        index = self.samples.random_index(batch, rng)
        if progress < self.codes_only:
            own = self.draw(index, rng, Mix(own=1.0, other=0.0, virtual=0.0), clean=1.0)
            return {"latent": self.latent(model(own.images, own.mask, own.wanted), own)}
        drawn = self.draw(index, rng, self.mix)
        with self.autocast():
            ws = model(drawn.images, drawn.mask, drawn.wanted)
        return self.terms(ws.float(), drawn, rng)

    def autocast(self) -> torch.autocast:
        """Compute a network's convolutions and products in bfloat16, if asked for."""
        return torch.autocast(self.generator.w_avg.device.type, torch.bfloat16, self.half)

    def render(self, ws: torch.Tensor) -> torch.Tensor:
        """Draw pictures `(N, 3, 256, 256)` of codes."""
        with self.autocast():
            return synthesize(self.generator, ws).float()

    def draw(self, index: torch.Tensor, rng: torch.Generator, mix: Mix, clean: float = CLEAN) -> Batch:
        """Take samples `index (N,)`, augmented, masked, with an identity to aim at."""
        index = index.to(self.samples.images.device)
        n, maps = len(index), self.samples.attribution[index].float()
        seen = augment(self.samples.pictures(index), maps, rng, clean)
        area = AREA[0] + (AREA[1] - AREA[0]) * torch.rand((), generator=rng).item()
        mask = mask_from_attribution(seen.maps, area, softness=1.0, size=SIZE)
        with torch.no_grad():
            source = self.recognizer.embed(seen.images)
        # each kind as often as it should be: networks then see batches of the same size every time,
        # which is what a GPU has been tuned for
        kind = ((torch.randperm(n, generator=rng)[:, None] + 0.5) / n).to(source)
        other = self.samples.embeddings[torch.randint(len(self.samples), (n,), generator=rng).to(index)]
        pick = torch.randint(self.samples.targets.shape[1], (n,), generator=rng).to(index)
        virtual = self.samples.targets[index, pick]
        share = torch.rand(n, 1, generator=rng).to(source)
        wanted = torch.lerp(source, virtual, share)
        for limit, choice in (
            (mix.own + mix.other + mix.virtual, virtual),
            (mix.own + mix.other, other),
            (mix.own, source),
        ):
            wanted = torch.where(kind < limit, choice, wanted)
        return Batch(
            seen.images,
            mask,
            (1 - mask) * (1 - seen.occluded),
            1 - seen.occluded.amax((1, 2, 3)),
            source,
            wanted,
            self.samples.ws[index].float(),
            kind.flatten() < mix.own,
            seen.exact,
        )

    def terms(self, ws: torch.Tensor, batch: Batch, rng: torch.Generator) -> dict[str, torch.Tensor]:
        """Return all weighted losses of the codes that the encoder gave."""
        weight, images = self.weight, batch.images
        made = self.render(ws)
        matched = harmonise(made, images, batch.mask)
        composite = pasted(images, matched, batch.mask)
        own = batch.own.nonzero().flatten()
        with torch.no_grad(), self.autocast():
            features = self.perceptual.features(images)
            points = self.landmarks(images).float()
        with torch.no_grad():
            worn = self.glasses(images).sigmoid()
        wanted, source = (centred(self.recognizer, e) for e in (batch.wanted, batch.source))
        faces = jittered(torch.cat([made, composite]), rng)
        with self.autocast():
            embeddings = self.recognizer.embed(faces).float()
            new_points = self.landmarks(torch.cat([made, composite])).float()
            looks = self.perceptual.compare(
                self.perceptual.features(torch.cat([composite, made[own]])),
                [torch.cat([x, x[own]]) for x in features],
            )
        is_made, is_composite = centred(self.recognizer, embeddings).chunk(2)
        allowed = (wanted * source).sum(1).clamp_min(0)
        too_close = ((is_composite * source).sum(1) - allowed).clamp_min(0)
        old_points = points.repeat(2, 1, 1)
        gaps = (openings(new_points) - openings(old_points)).abs().mean()
        change = (ws - self.generator.w_avg) / self.generator.w_std
        ring = 2 * blurred(batch.mask, RING) * batch.visible
        skin = (skin_colours(matched) - skin_colours(images)).abs().mean((1, 2)) * batch.uncovered
        eyes = (
            (around_irises(composite, points) - around_irises(images, points)).abs().mean((1, 2, 3, 4))
        )
        found = {
            "pixels": ((made - images).abs() * batch.visible).mean(),
            "colours": (resize(made, 16) - resize(images, 16)).abs().mean(),
            "perceptual": looks[len(images) :].sum() / len(images),
            "composite": looks[: len(images)].mean(),
            "identity": (1 - (is_made * wanted).sum(1)).mean(),
            "fooling": (weight.goal - (is_composite * wanted).sum(1)).clamp_min(0).mean(),
            "source": too_close.mean(),
            "expression": landmark_error(new_points, old_points).mean() + 2 * gaps,
            "seam": ((matched - images).abs() * ring).sum() / ring.sum().clamp_min(1) / 3,
            "skin": skin.mean(),
            "eyes": (eyes * batch.uncovered).mean(),
            "prior": change.square().mean(),
            "spread": change.var(1).mean(),
            "glasses": F.binary_cross_entropy_with_logits(self.glasses(composite), worn),
        }
        terms = {name: getattr(weight, name) * value for name, value in found.items()}
        return terms | {"latent": weight.latent * self.latent(ws, batch)}

    def latent(self, ws: torch.Tensor, batch: Batch) -> torch.Tensor:
        """Return the mean squared distance to the true codes where they are the answer."""
        answer = (batch.exact & batch.own)[:, None, None]
        miss = ((ws - batch.ws) / self.generator.w_std).square() * answer
        return miss.sum() / (answer.sum() * miss[0].numel()).clamp_min(1)

    def example(self, count: int, seed: int) -> list[torch.Tensor]:
        """Return `count` faces as the network meets them, then what the mask leaves of each."""
        rng = torch.Generator().manual_seed(seed)
        index = self.held_out + torch.arange(count) % (len(self.samples) - self.held_out)
        batch = self.draw(index, rng, self.mix)
        return [*batch.images.split(1), *(batch.images * (1 - batch.mask)).split(1)]

    def validate(self, model: torch.nn.Module) -> dict[str, float]:
        """Measure on samples never trained on, mask area 0.25: the own identity, and a virtual one."""
        ends = [*range(0, self.held_out, 16), self.held_out]
        rows = [self._validate(model, slice(*both)) for both in itertools.pairwise(ends)]
        return {name: sum(row[name] for row in rows) / len(rows) for name in rows[0]}

    def _validate(self, model: torch.nn.Module, index: slice) -> dict[str, float]:
        images, own = self.samples.pictures(index), self.samples.embeddings[index]
        mask = mask_from_attribution(self.samples.attribution[index].float(), 0.25, 1.0, SIZE)
        mine = centred(self.recognizer, own)
        points, worn = self.landmarks(images), self.glasses(images) > 0
        patches = around_irises(images, points).mean((3, 4))
        numbers = {}
        for name, wanted in (("own", own), ("virtual", self.samples.targets[index, 0])):
            made = synthesize(self.generator, model(images, mask, wanted)).clamp(-1, 1)
            composite = compose(made, images, mask)
            after, aim = self.recognizer.embed(composite), centred(self.recognizer, wanted)
            reached = (centred(self.recognizer, self.recognizer.embed(made)) * aim).sum(1)
            new_points = self.landmarks(composite)
            gaps = (openings(new_points) - openings(points)).abs().mean(0)
            skin = (skin_colours(composite) - skin_colours(images)).abs()
            found = {
                "reached": reached,
                "perceptual": self.perceptual(made, images),
                "composite_perceptual": self.perceptual(composite, images),
                "source_cosine": (centred(self.recognizer, after) * mine).sum(1),
                "landmark_error": landmark_error(new_points, points),
                "mouth": gaps[0],
                "eyes": gaps[1:],
                "skin": skin,
                "iris": (around_irises(composite, points).mean((3, 4)) - patches).abs(),
                "glasses_changed": ((self.glasses(composite) > 0) != worn).float(),
            }
            if name == "virtual":
                found["matched"] = matches(self.recognizer, after, own).float()
            numbers |= {f"{name}_{what}": value.mean().item() for what, value in found.items()}
        return numbers


def reconstruct(task: EncoderTask, model: torch.nn.Module, index: int) -> torch.Tensor:
    """Draw a held-out sample, what is left of it, its own face rebuilt and a virtual identity's
    composite: `(4, 3, 256, 256)`."""
    where = slice(index, index + 1)
    image, own = task.samples.pictures(where), task.samples.embeddings[where]
    mask = mask_from_attribution(task.samples.attribution[where].float(), 0.25, 1.0, SIZE)
    with torch.no_grad():
        rebuilt = synthesize(task.generator, model(image, mask, own))
        made = synthesize(task.generator, model(image, mask, task.samples.targets[where, 0]))
    parts = [image, image * (1 - mask), rebuilt, compose(made, image, mask)]
    return torch.cat(parts).clamp(-1, 1)


def around_irises(images: torch.Tensor, points: torch.Tensor) -> torch.Tensor:
    """Cut out what the colour of the eyes is held by: `(N, 2, 3, 8, 8)`, little more than the irises."""
    return iris_patches(images, points, size=8, width=0.6)
