"""What the encoder is asked for, how often and how much: weights of losses, identities, sizes."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class LossWeights:
    """One weight for each term; 0 switches it off."""

    pixels: float = 1.0  # mean absolute difference outside the mask
    colours: float = 0.5  # the same of 16×16 means over the whole face
    perceptual: float = 2.0  # ST-LPIPS between photo and generated face, own identity
    composite: float = 3.0  # ST-LPIPS between photo and composite
    identity: float = 0.35  # 1 - cosine of the generated face to the wanted identity
    fooling: float = 0.7  # the same of the composite, as far as it is below `goal`
    source: float = 1.0  # cosine of the composite to the person, above what the wanted one has
    expression: float = 1.0  # 68 points, and twice how far mouth and eyes are open
    seam: float = 1.0  # absolute difference in a ring around the mask
    skin: float = 0.5  # colours of cheeks and forehead
    eyes: float = 0.5  # colours in and around the irises
    glasses: float = 0.2  # worn or not, as the readout sees them in the photo
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
class Curriculum:
    """Shares of the steps that see less than the others."""

    latent: float = 0.0  # the first ones have only the latent loss: no generator, a tenth of the time
    fine: float = 0.0  # the last ones are at 256 px; where there is a preview the others are at 128
