"""Views of generated people: one person turned, lit, made up and expressing himself otherwise.

The rows of W+ that leave identity alone come from somebody else, and the others take steps along the
traits that a camera and a moment change (`traits`). With these steps dlib matches two views about as
often as two photos of one person in Labeled Faces in the Wild.
"""

from __future__ import annotations

import torch

from ..generators import Generator
from ..generators.base import truncated
from .traits import TRAITS

FINE = 9  # rows of W+ from here on leave identity alone
OF_A_MOMENT = ("yaw", "pitch", "mouth", "eyes", "smile", "light", "warmth")
STEP = 0.7  # standard deviations of each trait
PSI = (0.6, 0.9)  # truncation of the people, drawn uniformly
OTHER_PSI = 0.7  # of those whom the fine rows come from


def view_codes(
    generator: Generator, traits: torch.Tensor, count: int, views: int, rng: torch.Generator
) -> torch.Tensor:
    """Codes `(count, views, num_ws, w_dim)`; `traits (T, w_dim)` are `traits.directions`, `rng` is on
    the CPU."""
    z = torch.randn(count, generator.z_dim, generator=rng).to(generator.w_avg)
    psi = PSI[0] + (PSI[1] - PSI[0]) * torch.rand(count, 1, generator=rng).to(z)
    people = generator.broadcast(truncated(generator.mapping(z), generator.w_avg, psi))
    names = [TRAITS.index(name) for name in OF_A_MOMENT]
    made = []
    for _ in range(views):
        z = torch.randn(count, generator.z_dim, generator=rng).to(generator.w_avg)
        other = generator.broadcast(truncated(generator.mapping(z), generator.w_avg, OTHER_PSI))
        share = torch.rand(count, 1, 1, generator=rng).to(z)
        ws = people.clone()
        ws[:, FINE:] = torch.lerp(people, other, share)[:, FINE:]
        steps = STEP * torch.randn(count, len(names), generator=rng).to(z)
        made.append(ws + generator.w_std * (steps @ traits[names].to(z))[:, None])
    return torch.stack(made, 1)
