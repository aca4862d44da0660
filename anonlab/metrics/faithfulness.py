"""Is a map faithful to the recogniser? Deletion, sanity and agreement tests.

Blur what a map ranks first (deletion) or show only that (insertion), and ask the recogniser. A
random ranking and a disc in the middle of the face are what any method has to beat.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from time import perf_counter

import numpy as np
import torch
import torch.nn.functional as F
from tqdm.auto import tqdm

from ..images import blurred, pasted, resize
from ..perception.attribution import BLUR_SIGMA
from ..perception.masks import mask_from_attribution
from ..perception.perception import Perception
from ..photo.faces import face_oval
from ..recognizers import Recognizer, distance

AREAS = (0.01, 0.02, 0.05, 0.1, 0.15, 0.25, 0.35, 0.5)  # shares of the aligned picture
DISC, RANDOM = "disc in the centre", "random"  # what any method has to beat


def deletion_curve(
    recognizer: Recognizer, image: torch.Tensor, ranking: torch.Tensor, areas: Sequence[float]
) -> list[float]:
    """Measure the distance to the person when the top share of `ranking` is blurred, for each of
    `areas`.

    The deletion test of Petsiuk et al. 2018 with blurring as deletion: the faster it rises, the
    better the ranking (any attribution, `(1, 1, S, S)`) knows where the identity is.
    """
    return _curve(recognizer, image, image, blurred(image, BLUR_SIGMA), ranking, areas)


def insertion_curve(
    recognizer: Recognizer, image: torch.Tensor, ranking: torch.Tensor, areas: Sequence[float]
) -> list[float]:
    """Measure the distance to the person when only the top share of `ranking` is sharp, for each of
    `areas`: the insertion test of Petsiuk et al. 2018; the faster it falls, the better."""
    return _curve(recognizer, image, blurred(image, BLUR_SIGMA), image, ranking, areas)


@torch.no_grad()
def _curve(recognizer: Recognizer, image, outside, inside, ranking, areas) -> list[float]:
    masks = torch.cat([mask_from_attribution(ranking, area, 0, image.shape[-1]) for area in areas])
    mixed = pasted(outside, inside, masks)
    return distance(recognizer, recognizer.embed(mixed), recognizer.embed(image)).tolist()


def area_under(areas: Sequence[float], values: Sequence[float]) -> float:
    """Compute the mean height of a curve over its areas (trapezoids)."""
    return float(np.trapezoid(values, areas) / (areas[-1] - areas[0]))


def correlation(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """Compute Pearson's correlation of maps `(N, ...)` and `(N, ...)`, as `(N,)`."""
    a, b = (x.flatten(1) - x.flatten(1).mean(1, keepdim=True) for x in (a, b))
    return F.cosine_similarity(a, b, dim=1)


def rank_correlation(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """Compute Spearman's correlation likewise; ties in pixel order."""
    return correlation(*(x.flatten(1).argsort(dim=1, stable=True).argsort(1).float() for x in (a, b)))


def agreement(maps: dict[str, torch.Tensor]) -> dict[str, dict[str, float]]:
    """Compute the rank correlation, inside the face, between every two of several maps `(1, 1, S, S)` of
    it, by methods or by recognisers. (Over the whole picture any two maps agree.)"""
    inner = {name: inside_face(heat) for name, heat in maps.items()}
    return {a: {b: rank_correlation(inner[a], inner[b]).item() for b in inner} for a in inner}


def inside_face(heat: torch.Tensor) -> torch.Tensor:
    """Return the values of a map `(N, 1, S, S)` inside the oval of an aligned face, `(N, P)`."""
    oval = torch.from_numpy(face_oval(64) > 0.5).to(heat.device)
    return resize(heat, 64)[:, 0][:, oval]


def stability(
    make_map: Callable[[torch.Tensor], torch.Tensor],
    image: torch.Tensor,
    rng: torch.Generator,
    shifts: int = 4,
    reference: torch.Tensor | None = None,
) -> float:
    """Compute the mean rank correlation between a face's map and the maps of shifted crops of it.

    `image (1, 3, S, S)` is shifted by up to 2 % of its side, and each map back again. `reference` is the
    face's own map, if it is known. 1 is a map that does not depend on where exactly the aligner cut.
    """
    size = image.shape[-1]
    limit = max(1, round(0.02 * size))
    reference = make_map(image) if reference is None else reference
    scale = reference.shape[-1] / size
    inner = slice(round(limit * scale) + 1, -round(limit * scale) - 1)
    padded = F.pad(image, (limit,) * 4, mode="replicate")
    correlations = []
    for _ in range(shifts):
        dx, dy = (torch.randint(-limit, limit + 1, (2,), generator=rng)).tolist()
        moved = padded[..., limit + dy : limit + dy + size, limit + dx : limit + dx + size]
        back = make_map(moved).roll((round(dy * scale), round(dx * scale)), (-2, -1))
        pair = [x[..., inner, inner] for x in (reference, back)]
        correlations.append(rank_correlation(*pair).item())
    return sum(correlations) / len(correlations)


def compare_methods(
    perception: Perception,
    faces: Sequence[torch.Tensor],
    methods: Sequence[str],
    areas: Sequence[float] = AREAS,
    progress: bool = False,
    shifts: int = 4,
) -> dict[str, dict[str, float]]:
    """Test methods, a disc and chance on the same faces: rows of a table.

    `deletion` and `insertion` are areas under the curves of mean distances, `deletion_at_10` is the
    deletion curve at a tenth of the picture, `stability` is measured on `shifts` crops of the first
    face, `beats_disc` is the share of the faces on which a map's own deletion area is larger than the
    disc's, `seconds` is the median time of a map. `faces` are `(1, 3, 256, 256)` each.
    """
    recognizer, size = perception.recognizer, faces[0].shape[-1]
    rng = torch.Generator().manual_seed(0)
    makers: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
        method: partial(perception, method=method) for method in methods
    }
    makers[DISC] = lambda _: disc_ranking(size)
    makers[RANDOM] = lambda _: random_ranking(size, rng)
    whole = partial(area_under, areas)
    discs = [whole(deletion_curve(recognizer, face, disc_ranking(size), areas)) for face in faces]
    table = {}
    for name, make in tqdm(makers.items(), desc="methods", disable=not progress):
        maps, seconds = [], []
        for face in faces:
            start = perf_counter()
            maps.append(make(face))
            seconds.append(perf_counter() - start)
        pairs = list(zip(faces, maps, strict=True))
        deleted = np.array([deletion_curve(recognizer, *pair, [*areas, 0.1]) for pair in pairs])
        inserted = np.array([insertion_curve(recognizer, *pair, areas) for pair in pairs])
        table[name] = {
            "deletion": whole(deleted.mean(0)[:-1]),
            "insertion": whole(inserted.mean(0)),
            "deletion_at_10": float(deleted.mean(0)[-1]),
            "stability": stability(make, faces[0], rng, shifts, reference=maps[0]),
            "beats_disc": float(np.mean([whole(own[:-1]) for own in deleted] > np.array(discs))),
            "seconds": float(np.median(seconds)),
        }
    return table


def disc_ranking(size: int) -> torch.Tensor:
    """Rank without a recogniser: the nearer to the face's centre the earlier."""
    v, u = torch.meshgrid(*[(torch.arange(size) + 0.5) / size] * 2, indexing="ij")
    return (2 - torch.hypot(u - 0.5, v - 0.55))[None, None]


def random_ranking(size: int, rng: torch.Generator) -> torch.Tensor:
    """Rank at random."""
    return torch.rand(1, 1, size, size, generator=rng)
