"""Teach the encoder: rebuild what the mask leaves, and put the wanted identity into it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F

from ..encoding.encoder import Encoder, EncoderConfig
from ..encoding.first_guess import FirstGuess
from ..generators import Generator
from ..identity.population import Population
from ..perception.landmarks import LandmarkNetwork, landmark_error, openings
from ..perception.masks import mask_from_attribution
from ..recognizers import Recognizer, centred, jittered, matches
from ..recognizers.perceptual import PerceptualDistance
from .augment import CLEAN, augment
from .loop import seeded_model
from .synthetic import SIZE, Samples, synthesize

AREA = (0.05, 0.5)  # of the dynamic mask, drawn for every batch


@dataclass(frozen=True)
class LossWeights:
    """One weight for each term; 0 switches it off."""

    pixels: float = 1.0  # mean absolute difference outside the mask
    colours: float = 0.5  # the same of 16×16 means over the whole face
    perceptual: float = 1.0  # ST-LPIPS between photo and generated face
    composite: float = 1.5  # ST-LPIPS between photo and composite
    identity: float = 0.35  # 1 - cosine of the generated face to the wanted identity
    fooling: float = 0.35  # the same of the composite, as far as it is below `goal`
    source: float = 0.5  # cosine of the composite to the person, above what the wanted one has
    expression: float = 0.6  # 68 points, and how far mouth and eyes are open
    latent: float = 0.1  # distance to the true codes, own identity, in standard deviations
    prior: float = 0.003  # squared distance from w_avg, in standard deviations
    spread: float = 0.02  # squared difference between the rows of W+
    goal: float = 0.85  # cosine that is enough


@dataclass(frozen=True)
class Mix:
    """How often which identity is asked for; the rest is a blend of own and virtual."""

    own: float = 0.35
    other: float = 0.15  # that of another sample
    virtual: float = 0.35


@dataclass(frozen=True)
class Batch:
    """One step's faces and what is asked of them."""

    images: torch.Tensor  # (N, 3, 256, 256)
    mask: torch.Tensor  # (N, 1, 256, 256)
    visible: torch.Tensor  # (N, 1, 256, 256): neither masked nor occluded
    source: torch.Tensor  # (N, dim), the embedding of the picture as it is now
    wanted: torch.Tensor  # (N, dim)
    ws: torch.Tensor  # (N, num_ws, w_dim)
    own: torch.Tensor  # (N,) bool: the wanted identity is the person's own
    exact: torch.Tensor  # (N,) bool: `ws` is the answer if `own`


class EncoderTask:
    """Everything that training the encoder needs, for `anonlab.training.loop.train`.

    The first `latent_share` of the steps has only the latent loss: no generator runs and nothing is
    differentiated but the encoder, so they cost a tenth. `more` recognisers join the loss that moves
    away from the person.
    """

    name = "encoder"

    def __init__(
        self,
        samples: Samples,
        generator: Generator,
        recognizer: Recognizer,
        perceptual: PerceptualDistance,
        landmarks: LandmarkNetwork,
        population: Population,
        config: EncoderConfig = EncoderConfig(),
        weight: LossWeights = LossWeights(),
        mix: Mix = Mix(),
        latent_share: float = 0.0,
        more: Sequence[Recognizer] = (),
        seed: int = 0,
    ):
        self.samples, self.generator, self.recognizer = samples, generator, recognizer
        self.perceptual, self.landmarks = perceptual, landmarks
        self.weight, self.mix, self.latent_share, self.more = weight, mix, latent_share, more
        self.held_out = samples.held_out
        model = seeded_model(lambda: Encoder(config), seed)
        device = generator.w_avg.device
        self.model: torch.nn.Module = model.start_at(FirstGuess(generator, population)).to(device)

    def losses(
        self, model: torch.nn.Module, batch: int, progress: float, rng: torch.Generator
    ) -> dict[str, torch.Tensor]:
        """The weighted terms for a random batch."""
        index = torch.randint(self.held_out, len(self.samples), (batch,), generator=rng)
        if progress < self.latent_share:
            own = self.draw(index, rng, Mix(own=1.0, other=0.0, virtual=0.0), clean=1.0)
            ws = model(own.images, own.mask, own.wanted)
            return {"latent": self.latent(ws, own)}
        drawn = self.draw(index, rng, self.mix)
        return self.terms(model(drawn.images, drawn.mask, drawn.wanted), drawn, rng)

    def draw(self, index: torch.Tensor, rng: torch.Generator, mix: Mix, clean: float = CLEAN) -> Batch:
        """Samples `index (N,)`, augmented, masked, and with an identity to aim at."""
        index = index.to(self.samples.images.device)
        n = len(index)
        seen = augment(self.samples.pictures(index), self.samples.attribution[index].float(), rng, clean)
        area = AREA[0] + (AREA[1] - AREA[0]) * torch.rand((), generator=rng).item()
        mask = mask_from_attribution(seen.maps, area, softness=1.0, size=SIZE)
        with torch.no_grad():
            source = self.recognizer.embed(seen.images)
        kind = torch.rand(n, 1, generator=rng).to(source)
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
            source,
            wanted,
            self.samples.ws[index].float(),
            kind.flatten() < mix.own,
            seen.exact & self.samples.known[index],
        )

    def terms(self, ws: torch.Tensor, batch: Batch, rng: torch.Generator) -> dict[str, torch.Tensor]:
        """All weighted losses of the codes that the encoder gave."""
        weight, images = self.weight, batch.images
        made = synthesize(self.generator, ws)
        composite = images + batch.mask * (made - images)
        with torch.no_grad():
            features = self.perceptual.features(images)
            points = self.landmarks(images)
        wanted, source = (centred(self.recognizer, e) for e in (batch.wanted, batch.source))
        faces = jittered(torch.cat([made, composite]), rng)
        is_made, is_composite = centred(self.recognizer, self.recognizer.embed(faces)).chunk(2)
        allowed = (wanted * source).sum(1).clamp_min(0)
        too_close = ((is_composite * source).sum(1) - allowed).clamp_min(0)
        for guide in self.more:  # they were never asked who to be, only who not to be
            there, before = guide.embed(faces[len(images) :]), guide.embed(images)
            close = (centred(guide, there) * centred(guide, before)).sum(1)
            too_close = too_close + (close - allowed).clamp_min(0) * ~batch.own
        new_points = self.landmarks(made)
        change = (ws - self.generator.w_avg) / self.generator.w_std
        found = {
            "pixels": ((made - images).abs() * batch.visible).mean(),
            "colours": (F.avg_pool2d(made, 16) - F.avg_pool2d(images, 16)).abs().mean(),
            "perceptual": self.perceptual.compare(self.perceptual.features(made), features).mean(),
            "composite": self.perceptual.compare(self.perceptual.features(composite), features).mean(),
            "identity": (1 - (is_made * wanted).sum(1)).mean(),
            "fooling": (weight.goal - (is_composite * wanted).sum(1)).clamp_min(0).mean(),
            "source": too_close.mean(),
            "expression": landmark_error(new_points, points).mean()
            + (openings(new_points) - openings(points)).abs().mean(),
            "prior": change.square().mean(),
            "spread": change.var(1).mean(),
        }
        terms = {name: getattr(weight, name) * value for name, value in found.items()}
        return terms | {"latent": weight.latent * self.latent(ws, batch)}

    def latent(self, ws: torch.Tensor, batch: Batch) -> torch.Tensor:
        """Mean squared distance to the true codes where they are the answer."""
        answer = (batch.exact & batch.own)[:, None, None]
        miss = ((ws - batch.ws) / self.generator.w_std).square() * answer
        return miss.sum() / (answer.sum() * miss[0].numel()).clamp_min(1)

    def example(self, count: int, seed: int) -> list[torch.Tensor]:
        """`count` faces as the network meets them, then what the mask leaves of each."""
        rng = torch.Generator().manual_seed(seed)
        index = self.held_out + torch.arange(count) % (len(self.samples) - self.held_out)
        batch = self.draw(index, rng, self.mix)
        return [*batch.images.split(1), *(batch.images * (1 - batch.mask)).split(1)]

    def validate(self, model: torch.nn.Module, batch: int = 16) -> dict[str, float]:
        """On samples never trained on, mask area 0.25: the own identity, and a virtual one."""
        starts = range(0, self.held_out, batch)
        rows = [
            self._validate(model, slice(start, min(start + batch, self.held_out))) for start in starts
        ]
        return {name: sum(row[name] for row in rows) / len(rows) for name in rows[0]}

    def _validate(self, model: torch.nn.Module, index: slice) -> dict[str, float]:
        images, own = self.samples.pictures(index), self.samples.embeddings[index]
        mask = mask_from_attribution(self.samples.attribution[index].float(), 0.25, 1.0, SIZE)
        mine = centred(self.recognizer, own)
        points = self.landmarks(images)
        numbers = {}
        for name, wanted in (("own", own), ("virtual", self.samples.targets[index, 0])):
            made = synthesize(self.generator, model(images, mask, wanted))
            composite = images + mask * (made - images)
            after, aim = self.recognizer.embed(composite), centred(self.recognizer, wanted)
            reached = (centred(self.recognizer, self.recognizer.embed(made)) * aim).sum(1)
            numbers |= {
                f"{name}_reached": reached.mean().item(),
                f"{name}_perceptual": self.perceptual(made, images).mean().item(),
                f"{name}_composite_perceptual": self.perceptual(composite, images).mean().item(),
                f"{name}_source_cosine": (centred(self.recognizer, after) * mine).sum(1).mean().item(),
                f"{name}_landmark_error": landmark_error(self.landmarks(composite), points)
                .mean()
                .item(),
            }
            if name == "virtual":
                still = matches(self.recognizer, after, own)
                numbers["virtual_matched"] = still.float().mean().item()
        return numbers


def reconstruct(task: EncoderTask, model: torch.nn.Module, index: int) -> torch.Tensor:
    """A held-out sample, what is left of it, its own face rebuilt and a virtual identity's
    composite: `(4, 3, 256, 256)`."""
    where = slice(index, index + 1)
    image, own = task.samples.pictures(where), task.samples.embeddings[where]
    mask = mask_from_attribution(task.samples.attribution[where].float(), 0.25, 1.0, SIZE)
    with torch.no_grad():
        rebuilt = synthesize(task.generator, model(image, mask, own))
        made = synthesize(task.generator, model(image, mask, task.samples.targets[where, 0]))
    parts = [image, image * (1 - mask), rebuilt, image + mask * (made - image)]
    return torch.cat(parts).clamp(-1, 1)
