"""Who is in an album: faces in groups, each of one person.

HDBSCAN (Campello, Moulavi and Sander 2013) of scikit-learn needs no number of people and leaves out
whom it cannot place. It finds what is denser than the rest, so that an album of one person would have
no group in it: some strangers of the reference population are put among the faces. What it joins is
then held to two facts: nobody is twice in one photo, and nobody is far from himself. Two people who get
one new face would be worse than one person who gets two.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from sklearn.cluster import HDBSCAN

from ..identity.population import Attributes

# Share of the recogniser's threshold within which a face is of a person. On 741 photos of 273 people
# (Labeled Faces in the Wild, Face Research Lab London Set): 96 % of the pairs in a group are of one
# person, 93 % of the pairs of one person are in a group. Of albums of one person with three photos all
# twelve are one group with 100 strangers among them, none without.
NEAR = 2 / 3
STRANGERS = 100


@dataclass(frozen=True)
class Person:
    """Somebody of an album, as he was when first seen: later photos join him and do not move him."""

    embedding: torch.Tensor  # (1, dim), the mean over his photos
    attributes: Attributes
    faces: int = 1  # of which it is the mean


def group(
    embeddings: torch.Tensor, photos: list[int], threshold: float, strangers: torch.Tensor
) -> list[list[int]]:
    """Numbers of the faces that belong together, for `embeddings (N, dim)`; `photos` says in which photo
    each face is, `threshold` is the recogniser's, and `strangers (M, dim)` are people of whom nobody is
    in the album."""
    everybody = torch.cat([embeddings.cpu(), strangers.cpu()]).numpy()
    method = HDBSCAN(min_cluster_size=2, min_samples=1, cluster_selection_method="leaf", copy=True)
    labels = method.fit_predict(everybody)[: len(embeddings)]
    groups: list[list[int]] = []
    for label in sorted(set(labels.tolist()) - {-1}):
        members = np.flatnonzero(labels == label).tolist()
        away = (embeddings[members] - embeddings[members].mean(0)).norm(dim=1)
        taken: dict[int, int] = {}
        for distance, member in sorted(zip(away.tolist(), members, strict=True)):
            if distance < NEAR * threshold and photos[member] not in taken:
                taken[photos[member]] = member
        groups.append(sorted(taken.values()))
    grouped = {member for members in groups for member in members}
    alone = [[number] for number in range(len(embeddings)) if number not in grouped]
    return sorted([members for members in groups if members] + alone)


def nearest(people: list[Person], embedding: torch.Tensor, threshold: float) -> Person | None:
    """Whom a face with `embedding (1, dim)` is of; None for somebody new."""
    if not people:
        return None
    away = (torch.cat([person.embedding for person in people]) - embedding.cpu()).norm(dim=1)
    best = int(away.argmin())
    return people[best] if away[best] < NEAR * threshold else None
