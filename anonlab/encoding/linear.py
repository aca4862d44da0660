"""Stage 2's linear initialisation: which `w` looks about like this photo and like that identity?

Ridge regression on the reference population, from a picture of 16×16 pixels (pose, light, colours, hair)
and an embedding (identity) to `w`. For a generator that did not make the population it is `w_avg`.
"""

from __future__ import annotations

import torch

from ..generators import Generator
from ..generators.base import draw_z
from ..identity.population import POPULATION_SEED, Population, ridge
from ..images import COLOR_GRID, resize

EMBEDDING_WEIGHT = 2.0  # of a standardised number of the embedding against one of the picture
DAMPING = 0.3


class LinearInitialization:
    """Fitted on `population` for the generator that made it, in a tenth of a second."""

    def __init__(self, generator: Generator, population: Population):
        self.generator = generator
        with torch.no_grad():
            pictures = population.thumbnails.flatten(1)
            self.picture_mean, self.picture_std = pictures.mean(0), pictures.std()
            self.embedding_mean = population.as_drawn.mean(0)
            self.embedding_std = population.as_drawn.std()
            inputs = self._inputs(population.thumbnails, population.as_drawn)
            if generator.name == population.generator:
                w = generator.mapping(draw_z(generator, POPULATION_SEED, len(pictures)))
                self.matrix = ridge(inputs, (w - generator.w_avg) / generator.w_std, DAMPING)
            else:
                self.matrix = inputs.new_zeros(inputs.shape[1], generator.w_dim)

    def _inputs(self, thumbnails: torch.Tensor, embeddings: torch.Tensor) -> torch.Tensor:
        picture = (thumbnails.flatten(1) - self.picture_mean) / self.picture_std
        identity = (embeddings - self.embedding_mean) / self.embedding_std
        return torch.cat([picture, EMBEDDING_WEIGHT * identity], 1)

    def __call__(self, images: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """Map aligned `images (N, 3, S, S)` and embeddings `targets (N, dim)` to `w (N, w_dim)`."""
        inputs = self._inputs(resize(images, COLOR_GRID), targets)
        return self.generator.w_avg + self.generator.w_std * (inputs @ self.matrix)

    def affine(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Express the map as `(matrix (inputs, w_dim), bias (w_dim,))` on a 16×16 picture in [-1, 1] and
        a standardised embedding, in standard deviations of `w`: where the encoder starts."""
        matrix = self.matrix.clone()
        picture = self.picture_mean.numel()
        matrix[:picture] /= self.picture_std
        matrix[picture:] *= EMBEDDING_WEIGHT
        return matrix, -self.picture_mean @ matrix[:picture]
