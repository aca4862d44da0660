"""A quick stand-in for generator, recogniser and landmark network, to warm up the encoder.

Gaussian-kernel ridge regression (Saunders et al. 1998) from standardised codes to what the losses
ask of a picture: its embedding, its 68 points and its 16×16 means. An answer with its gradient
takes a hundredth of what rendering takes. Codes that are optimised on it exploit it (it promises a
cosine of 0.99 where the picture has 0.5), an encoder, which has to be right for all faces at once,
learns from it until its promise is as good as it can be trusted, and is then trained on pictures.
"""

from __future__ import annotations

from pathlib import Path

import torch
import torch.nn.functional as F

from ..files import output_folder
from ..generators import Generator
from ..images import resize
from ..perception.networks import COUNT, LandmarkNetwork, landmark_error, openings
from ..recognizers import Recognizer, centred
from ..watch import Watch, quiet
from .encoder import Batch, EncoderTask
from .loop import TrainConfig, Trained, train
from .synthetic import BATCH, Samples

SIDE = 16  # of the picture it answers
WIDTH = 1.2  # squared width of the kernel over the mean squared distance of two samples
DAMPING = 0.02
CLEAN = 0.5  # share of pictures that are not augmented in pose, light and colours
LIMIT = 16000  # samples that it is fitted on; memory and time grow with the square


class Surrogate:
    """Fit all samples but the held-out ones: half a minute for 12,000 on two cores."""

    def __init__(
        self, samples: Samples, generator: Generator, recognizer: Recognizer, landmarks: LandmarkNetwork
    ):
        self.w_avg, self.w_std = generator.w_avg, generator.w_std
        self.recognizer = recognizer
        index = torch.arange(min(len(samples), samples.held_out + LIMIT))
        with torch.no_grad():
            seen = [samples.pictures(part) for part in index.split(BATCH)]
            points = torch.cat([landmarks(images) for images in seen])
            pictures = torch.cat([resize(images, SIDE) for images in seen])
        known = [samples.embeddings[index], points.flatten(1), pictures.flatten(1)]
        self.sizes = [one.shape[1] for one in known]
        self.scales = [one.std() for one in known]
        answers = torch.cat([one / scale for one, scale in zip(known, self.scales, strict=True)], 1)
        inputs = self._standardised(samples.ws[index].float())
        held_out = samples.held_out
        self.inputs, self.mean = inputs[held_out:], answers[held_out:].mean(0)
        self.squares = self.inputs.square().sum(1)
        distances = self._distances(self.inputs)
        self.width = WIDTH * distances.mean()
        kernel = (-distances / self.width).exp_()
        kernel.diagonal().add_(DAMPING)
        factor = torch.linalg.cholesky(kernel)
        self.weights = torch.cholesky_solve(answers[held_out:] - self.mean, factor)
        # how far its cosines can be trusted: on codes that it was not fitted on
        found = self(samples.ws[:held_out].float())[0]
        truth = centred(recognizer, samples.embeddings[:held_out])
        self.trust = (centred(recognizer, found) * truth).sum(1).mean().item()

    def _standardised(self, ws: torch.Tensor) -> torch.Tensor:
        return ((ws - self.w_avg) / self.w_std).flatten(1)

    def _distances(self, inputs: torch.Tensor) -> torch.Tensor:
        """Return squared distances `(n, N)` of standardised codes to those of the samples."""
        squares = inputs.square().sum(1, keepdim=True)
        return (squares + self.squares - 2 * inputs @ self.inputs.T).clamp_min(0)

    def __call__(self, ws: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Answer for `ws (N, num_ws, w_dim)`: embeddings `(N, dim)`, points `(N, 68, 2)` and pictures
        `(N, 3, 16, 16)`, differentiably."""
        kernel = (-self._distances(self._standardised(ws)) / self.width).exp()
        parts = (kernel @ self.weights + self.mean).split(self.sizes, 1)
        embeddings, points, pictures = (
            part * scale for part, scale in zip(parts, self.scales, strict=True)
        )
        return embeddings, points.unflatten(1, (COUNT, 2)), pictures.unflatten(1, (3, SIDE, SIDE))


class SurrogateTask:
    """Give the encoder's first lessons: everything is asked of the surrogate, nothing is rendered.

    Weights are those at which no term drowns the others; `validate` is the encoder's own, on pictures.
    """

    name = "encoder warm-up"

    def __init__(self, task: EncoderTask, surrogate: Surrogate):
        self.task, self.surrogate = task, surrogate
        self.model: torch.nn.Module = task.model
        self.validate = task.validate

    def losses(
        self, model: torch.nn.Module, batch: int, progress: float, rng: torch.Generator
    ) -> dict[str, torch.Tensor]:
        """Return the weighted terms for a random batch; see `anonlab.training.encoder.EncoderTask`."""
        drawn = self.task.random_batch(batch, rng, CLEAN, model.config.resolution)
        return self.terms(model(drawn.images, drawn.mask, drawn.wanted), drawn)

    def terms(self, ws: torch.Tensor, batch: Batch) -> dict[str, torch.Tensor]:
        """Return identity as far as the surrogate can be trusted, points, picture and codes."""
        embeddings, points, pictures = self.surrogate(ws)
        with torch.no_grad():
            true_points = self.task.landmarks(batch.images)
            true_pictures = resize(batch.images, SIDE)
        wanted = centred(self.surrogate.recognizer, batch.wanted)
        cosine = (centred(self.surrogate.recognizer, embeddings) * wanted).sum(1)
        stays = 1 - 0.7 * resize(batch.mask, SIDE)
        change = (ws - self.surrogate.w_avg) / self.surrogate.w_std
        gaps = (openings(points) - openings(true_points)).abs()
        return {
            "identity": F.relu(self.surrogate.trust - cosine).mean(),
            "expression": 3 * landmark_error(points, true_points).mean() + gaps.mean(),
            "picture": ((pictures - true_pictures).abs() * stays).mean(),
            "latent": 0.3 * self.task.latent(ws, batch),
            "prior": 0.01 * change.square().mean(),
            "spread": 0.05 * change.var(1).mean(),
        }


def warm_up(
    task: EncoderTask,
    plan: TrainConfig,
    out: Path,
    resume: bool = False,
    minutes: float | None = None,
    watch: Watch = quiet,
) -> Trained:
    """Train the encoder of `task` on the surrogate; it then has the moving average's weights."""
    output_folder(out)
    usual = torch.get_float32_matmul_precision()
    # with TF32's ten bits the kernel of thousands of samples is not positive definite any more
    torch.set_float32_matmul_precision("highest")
    try:
        surrogate = Surrogate(task.samples, task.generator, task.recognizer, task.landmarks)
        trained = train(SurrogateTask(task, surrogate), plan, out, resume, minutes, watch)
    finally:
        torch.set_float32_matmul_precision(usual)
    task.model.load_state_dict(trained.model.state_dict())
    return trained
