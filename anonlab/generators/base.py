"""What a generator must offer, in StyleGAN's own words."""

from __future__ import annotations

from typing import Protocol

import torch


class Generator(Protocol):
    """A pretrained style-based face generator.

    `z (N, z_dim)` is standard normal, `w (N, w_dim)` is what `mapping` makes of it, and
    `ws (N, num_ws, w_dim)`, called W+, holds one row for each style input of `synthesis`.
    """

    name: str
    z_dim: int
    w_dim: int
    num_ws: int
    img_resolution: int  # the native one
    resolutions: tuple[int, ...]  # every size `synthesis` can be asked for
    w_avg: torch.Tensor  # (w_dim,), the mean of mapping(z)
    w_std: torch.Tensor  # (w_dim,), its standard deviation

    def mapping(self, z: torch.Tensor, truncation_psi: float = 1.0) -> torch.Tensor:
        """`z (N, z_dim)` to `w (N, w_dim)`, pulled towards `w_avg` by `truncation_psi` < 1."""
        ...

    def broadcast(self, w: torch.Tensor) -> torch.Tensor:
        """`w (N, w_dim)` to `ws (N, num_ws, w_dim)`: the same row for every style input."""
        ...

    def synthesis(self, ws: torch.Tensor, resolution: int | None = None) -> torch.Tensor:
        """`ws (N, num_ws, w_dim)` to RGB images `(N, 3, R, R)`, about [-1, 1], not clamped."""
        ...
