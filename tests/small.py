"""What many tests begin with: numbers drawn from a seed, and an encoder that is small."""

import torch

from anonlab.encoding.encoder import EncoderConfig

TINY = EncoderConfig(resolution=64, channels=(8, 8, 16, 16), width=16, layers=1, heads=2)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)
