"""A de-anonymiser that is learned from pairs: from a result's embedding to the original's.

The strongest attack of the literature (Fantômas, Todt, Hanisch and Strufe 2022, arXiv 2210.10651) learns
pictures; whoever only wants to know who it is can learn embeddings, which takes seconds.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import nn

from ...identity.population import ridge

DAMPINGS = (0.01, 0.1, 1.0, 10.0)  # of the ridge; the best on a held-out fifth is taken
HELD_OUT = 5  # every fifth pair
HIDDEN, STEPS, LEARNING_RATE, DECAY = 256, 400, 1e-3, 0.05
LOOK = 20  # steps between two looks at what is held out
NOISE = 0.3  # on the network's inputs, in their standard deviations
TEMPERATURE = 0.1  # of the softmax over everybody else

Guess = Callable[[torch.Tensor], torch.Tensor]  # results (N, dim) to directions (N, dim), who it was


def directions(embeddings: torch.Tensor) -> torch.Tensor:
    """As seen from their mean, on the unit sphere: `(N, dim)`. The attacker has them all together."""
    return F.normalize(embeddings - embeddings.mean(0), dim=1)


def learn_ridge(after: torch.Tensor, before: torch.Tensor) -> Guess:
    """Linear regression from `after (N, A)` to the directions of `before (N, B)`."""
    inputs, outputs = _standardised(after), directions(before)
    held = _held_out(len(inputs))

    def score(damping: float) -> float:
        weights = ridge(inputs[~held], outputs[~held], damping)
        return _found(inputs[held] @ weights, outputs[held])

    weights = ridge(inputs, outputs, max(DAMPINGS, key=score))
    return lambda results: F.normalize(_standardised(results) @ weights, dim=1)


def learn_network(after: torch.Tensor, before: torch.Tensor, rng: torch.Generator) -> Guess:
    """A network with one hidden layer, which learns to tell each original from all the others.

    The weights of the step that was best on a held-out fifth are taken. `rng` is on the CPU.
    """
    inputs, outputs = _standardised(after), directions(before)
    held = _held_out(len(inputs))
    network = nn.Sequential(
        nn.Linear(inputs.shape[1], HIDDEN), nn.GELU(), nn.Linear(HIDDEN, outputs.shape[1])
    )
    for layer in (network[0], network[2]):
        nn.init.kaiming_uniform_(layer.weight, a=5**0.5, generator=rng)
        nn.init.zeros_(layer.bias)
    optimizer = torch.optim.AdamW(network.parameters(), LEARNING_RATE, weight_decay=DECAY)
    x, y = inputs[~held], outputs[~held]
    own = torch.arange(len(x))
    best, kept = -1.0, network.state_dict()
    with torch.enable_grad():
        for step in range(STEPS):
            noisy = x + NOISE * torch.randn(x.shape, generator=rng)
            alike = F.normalize(network(noisy), dim=1) @ y.T
            loss = F.cross_entropy(alike / TEMPERATURE, own)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            if (step + 1) % LOOK == 0:
                with torch.no_grad():
                    score = _found(network(inputs[held]), outputs[held])
                if score > best:
                    best = score
                    kept = {name: value.clone() for name, value in network.state_dict().items()}
    network.load_state_dict(kept)
    network.requires_grad_(False)
    return lambda results: F.normalize(network(_standardised(results)), dim=1)


def guessed_distances(guess: Guess, results: torch.Tensor, gallery: torch.Tensor) -> torch.Tensor:
    """1 - cosine between who the results `(N, dim)` are guessed to be and the gallery, `(N, M)`."""
    return 1 - guess(results) @ directions(gallery).T


def _standardised(embeddings: torch.Tensor) -> torch.Tensor:
    """By their own mean and spread: photos differ from generated faces in both."""
    return (embeddings - embeddings.mean(0)) / embeddings.std(0).clamp_min(1e-6)


def _held_out(count: int) -> torch.Tensor:
    return torch.arange(count) % HELD_OUT == 0


def _found(guessed: torch.Tensor, true: torch.Tensor) -> float:
    """How much nearer the own original is than the others', in mean cosines."""
    alike = F.normalize(guessed, dim=1) @ true.T
    own = alike.diagonal().mean()
    return (own - (alike.sum() - alike.diagonal().sum()) / (alike.numel() - len(alike))).item()
