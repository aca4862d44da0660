"""Directions of W that change one trait, to draw more of the faces that are rare and difficult.

Of a thousand generated faces few are turned far, have the mouth wide open, the eyes shut or dark
skin. A linear regression from codes to what is measured on the pictures says where those are
(Shen et al. 2020, "Interpreting the latent space of GANs", with a regression in place of an SVM).
"""

from __future__ import annotations

import torch

from ..identity.population import ridge, skin_colours
from ..perception.networks import interocular, openings

TRAITS = ("yaw", "pitch", "mouth", "eyes", "smile", "skin", "warmth", "light")
RARE = {"mouth": 1, "eyes": -1, "skin": -1}  # the end that is: open, shut, dark
STEPS = (1.0, 3.0)  # how far a trait is moved, in standard deviations
AT_ONCE = 2  # traits that are moved in one face


def measure(points: torch.Tensor, pictures: torch.Tensor) -> torch.Tensor:
    """Measure the traits of N faces from `points (N, 68, 2)` and `pictures (N, 3, 64, 64)`: `(N, T)`.

    Yaw and pitch are where the nose's tip stands between jaw ends, and between eyes and mouth; skin
    is the brightness of cheeks and forehead, warmth its red against its blue, light the right
    cheek's brightness against the left one's.
    """
    scale = interocular(points)
    tip, ends = points[:, 30], points[:, (0, 16)]
    eyes, mouth = points[:, 36:48].mean(1), points[:, 48:].mean(1)
    gaps = openings(points)
    left, right, forehead = skin_colours(pictures).unbind(2)
    skin = (left + right + forehead) / 3
    yaw = (tip[:, 0] - ends[:, :, 0].mean(1)) / scale
    pitch = (tip[:, 1] - (eyes + mouth)[:, 1] / 2) / scale
    smile = (points[:, 48] - points[:, 54]).norm(dim=1) / scale
    warmth, lit = skin[:, 0] - skin[:, 2], right.mean(1) - left.mean(1)
    return torch.stack(
        [yaw, pitch, gaps[:, 0], gaps[:, 1:].mean(1), smile, skin.mean(1), warmth, lit], 1
    )


def directions(changes: torch.Tensor, points: torch.Tensor, pictures: torch.Tensor) -> torch.Tensor:
    """Find steps in standardised W, `(T, w_dim)`, each raising its trait by one standard deviation.

    `changes (N, w_dim)` are standardised codes. Of all such steps each is the most likely one (the
    smallest in the metric of the codes' own covariance).
    """
    traits = measure(points, pictures)
    traits = (traits - traits.mean(0)) / traits.std(0)
    x = changes - changes.mean(0)
    readout = ridge(x, traits)  # (w_dim, T)
    natural = (x.T @ x / len(x)) @ readout
    return (natural / (readout * natural).sum(0)).T


def exaggerate(traits: torch.Tensor, count: int, rng: torch.Generator) -> torch.Tensor:
    """Draw random steps `(count, w_dim)` along `AT_ONCE` of the directions `traits (T, w_dim)`."""
    low, high = STEPS
    total = torch.zeros(count, traits.shape[1])
    for _ in range(AT_ONCE):
        which = torch.randint(len(TRAITS), (count,), generator=rng)
        signs = 2 * torch.randint(2, (count,), generator=rng) - 1
        rare = torch.tensor([RARE.get(name, 0) for name in TRAITS])[which]
        signs = torch.where(rare == 0, signs, rare)
        size = low + (high - low) * torch.rand(count, generator=rng)
        total += (signs * size)[:, None] * traits.cpu()[which]
    return total.to(traits)
