"""Attackers that learn, from pictures that they made by their own copy of the tool with their own keys.

Embeddings: a linear map from a result's embedding to the original's, learned from generated people
(a small network found fewer; Todt, Hanisch and Strufe 2022, arXiv 2210.10651, learn pictures). Pictures:
`fine_tune` trains the last layer of a recogniser on anonymized pictures of the very people of the
gallery, which is parrot recognition (Newton, Sweeney and Malin 2005).
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import nn

from ..identity.population import ridge

DAMPINGS = (0.01, 0.1, 1.0, 10.0)  # of the ridge; the best on a held-out fifth is taken
HELD_OUT = 5  # every fifth pair
STEPS, RATE, BATCH = 100, 3e-4, 32  # of `fine_tune`
LOOK = 20  # steps between two looks at what is held out
TEMPERATURE = 0.1  # of the softmax over all people

Guess = Callable[[torch.Tensor], torch.Tensor]  # results (N, dim) to originals' directions (N, dim)


def directions(embeddings: torch.Tensor) -> torch.Tensor:
    """Return embeddings as seen from their mean, on the unit sphere: `(N, dim)`."""
    return F.normalize(embeddings - embeddings.mean(0), dim=1)


def learn_ridge(after: torch.Tensor, before: torch.Tensor) -> Guess:
    """Learn a linear regression from `after (N, A)` to the directions of `before (N, B)`."""
    inputs, outputs = _standardised(after), directions(before)
    held = torch.arange(len(inputs)) % HELD_OUT == 0

    def score(damping: float) -> float:
        """Compute how much nearer the own original is than the others, in mean cosines."""
        guessed = inputs[held] @ ridge(inputs[~held], outputs[~held], damping)
        alike = F.normalize(guessed, dim=1) @ outputs[held].T
        own = alike.diagonal().mean()
        others = (alike.sum() - alike.diagonal().sum()) / (alike.numel() - len(alike))
        return (own - others).item()

    weights = ridge(inputs, outputs, max(DAMPINGS, key=score))
    return lambda results: F.normalize(_standardised(results) @ weights, dim=1)


def guessed_distances(guess: Guess, results: torch.Tensor, gallery: torch.Tensor) -> torch.Tensor:
    """Return 1 - cosine between the guessed originals of results `(N, dim)` and a gallery, `(N, M)`."""
    return 1 - guess(results) @ directions(gallery).T


def fine_tune(
    layer: nn.Module,
    known: torch.Tensor,
    who: torch.Tensor,
    held: torch.Tensor,
    held_who: torch.Tensor,
    rng: torch.Generator,
) -> torch.Tensor:
    """Train the last `layer` of a recogniser, and one direction a person, to tell people apart.

    `known (K, …)` are what the layer is given of the attacker's pictures, `who (K,)` numbers the people.
    Every `LOOK` steps the share of `held` pictures (of people `held_who`) that come to the right person
    first is measured; the best weights stay in the layer, the untrained ones where training does not
    help. Returns the directions `(people, dim)` on the unit sphere.
    """

    def embed(given: torch.Tensor) -> torch.Tensor:
        return F.normalize(layer(given.float()), dim=1)

    @torch.no_grad()
    def all_of(given: torch.Tensor) -> torch.Tensor:
        return torch.cat([embed(part) for part in given.split(BATCH)])

    first = all_of(known)
    people = torch.zeros(int(who.max()) + 1, first.shape[1]).index_add_(0, who, first)
    people = F.normalize(people, dim=1).requires_grad_()
    learned = [*layer.parameters(), people]
    groups = [{"params": learned[:-1]}, {"params": [people], "lr": 10 * RATE}]
    optimizer = torch.optim.Adam(groups, RATE)
    best, most = learned, -1.0
    for step in range(STEPS + 1):
        if step % LOOK == 0:
            found = all_of(held) @ F.normalize(people.detach(), dim=1).T
            share = (found.argmax(1) == held_who).float().mean().item()
            if share > most:
                most, best = share, [one.detach().clone() for one in learned]
        rows = torch.randint(len(known), (BATCH,), generator=rng)
        with torch.enable_grad():
            alike = embed(known[rows]) @ F.normalize(people, dim=1).T
            loss = F.cross_entropy(alike / TEMPERATURE, who[rows])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    with torch.no_grad():
        for one, kept in zip(learned, best, strict=True):
            one.copy_(kept).requires_grad_(False)
    return F.normalize(people, dim=1)


def _standardised(embeddings: torch.Tensor) -> torch.Tensor:
    """Standardise by their own mean and spread: photos differ from generated faces in both."""
    return (embeddings - embeddings.mean(0)) / embeddings.std(0).clamp_min(1e-6)
