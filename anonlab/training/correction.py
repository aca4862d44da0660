"""`python -m anonlab train correction`: how codes and readings of generated faces vary together."""

from __future__ import annotations

import torch

from ..encoding.correction import Correction, Readers, readings
from ..generators import Generator
from ..perception.masks import mask_from_attribution
from ..perception.networks import landmark_error
from ..recognizers import Recognizer, centred
from .synthetic import BATCH, SIZE, Samples

RANK = 256  # of the covariance between codes and readings that is kept
CHECKED = 16  # held-out faces on which it is tried
AWAY = 0.5  # how far the codes of such a face are led astray, towards another's


@torch.no_grad()
def fit_correction(
    samples: Samples, generator: Generator, readers: Readers, readouts: dict[str, torch.Tensor]
) -> dict[str, torch.Tensor]:
    """Fit the tensors of `Correction` to all samples but the held-out ones.

    The covariance `(num_ws·w_dim, Y)` of some 5,000 samples is noise beyond its first directions
    (its singular values), so `RANK` of them are kept.
    """
    index = torch.arange(samples.held_out, len(samples))
    parts = [
        readings(samples.pictures(some), samples.embeddings[some], readers, readouts).values()
        for some in index.split(BATCH)
    ]
    groups = [torch.cat(group).float() for group in zip(*parts, strict=True)]
    scales = torch.stack([group.std(0).mean() for group in groups])
    y = torch.cat([group / scale for group, scale in zip(groups, scales, strict=True)], 1)
    x = ((samples.ws[index].float() - generator.w_avg) / generator.w_std).flatten(1)
    x, y = x - x.mean(0), y - y.mean(0)
    codes, spread, directions = torch.linalg.svd(x.T @ y / len(y), full_matrices=False)
    covariance = y.T @ y / len(y)
    tensors = {
        "codes": (codes * spread)[:, :RANK], "readings": directions[:RANK].T, "covariance": covariance
    }  # fmt: skip
    return tensors | {"scales": scales} | readouts


@torch.no_grad()
def check_correction(
    correction: Correction, samples: Samples, generator: Generator, recognizer: Recognizer
) -> dict[str, float]:
    """Measure how much nearer it brings codes that were led astray to faces that it was not fitted on:
    centred cosine to the embedding, and 68-point error, before and after; mask area 0.25."""
    count = min(CHECKED, samples.held_out // 2)
    index, others = torch.arange(count), torch.arange(count, 2 * count)
    images, own = samples.pictures(index), samples.embeddings[index]
    astray = torch.lerp(samples.ws[index].float(), samples.ws[others].float(), AWAY)
    masks = mask_from_attribution(samples.attribution[index].float(), 0.25, 1.0, SIZE)
    rows = zip(*(one.split(1) for one in (astray, images, masks, own)), strict=True)
    mended = torch.cat([correction(*row) for row in rows])
    numbers = {}
    for name, ws in (("before", astray), ("after", mended)):
        made = torch.cat([generator.synthesis(row[None], SIZE) for row in ws]).clamp(-1, 1)
        alike = centred(recognizer, recognizer.embed(made)) * centred(recognizer, own)
        points = correction.readers.landmarks(made), correction.readers.landmarks(images)
        numbers[f"cosine_{name}"] = alike.sum(1).mean().item()
        numbers[f"landmark_error_{name}"] = landmark_error(*points).mean().item()
    return numbers
