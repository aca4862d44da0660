"""What a generator offers, in StyleGAN's own words, and what all of ours do alike."""

from __future__ import annotations

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import nn

LRELU_GAIN = 2**0.5  # keeps the variance through a leaky ReLU


class Generator(nn.Module):
    """A pretrained style-based face generator: the mapping network of StyleGAN (Karras et al. 2019), and
    the `synthesis` of a subclass, which sets `name`, `img_resolution` and `resolutions`.

    `z (N, z_dim)` is standard normal, `w (N, w_dim)` is what `mapping` makes of it, and
    `ws (N, num_ws, w_dim)`, called W+, holds one row for each style input of `synthesis`.
    `w_avg` and `w_std` are measured when weights are loaded.
    """

    name: str
    img_resolution: int  # the native one
    resolutions: tuple[int, ...]  # every size `synthesis` can be asked for
    w_avg: torch.Tensor  # (w_dim,), the mean of mapping(z)
    w_std: torch.Tensor  # (w_dim,), its standard deviation

    def __init__(self, num_ws: int, z_dim: int = 512, w_dim: int = 512, mapping_layers: int = 8):
        super().__init__()
        self.num_ws, self.z_dim, self.w_dim = num_ws, z_dim, w_dim
        widths = [z_dim] + [w_dim] * mapping_layers
        self.mapping_layers = nn.ModuleList(nn.Linear(a, b) for a, b in pairwise(widths))
        self.register_buffer("w_avg", torch.zeros(w_dim))
        self.register_buffer("w_std", torch.ones(w_dim))

    def mapping(self, z: torch.Tensor, truncation_psi: float = 1.0) -> torch.Tensor:
        """Map `z (N, z_dim)` to `w (N, w_dim)`, pulled towards `w_avg` by `truncation_psi` < 1."""
        expected = f"(N, {self.z_dim})"
        assert z.ndim == 2 and z.shape[1] == self.z_dim, f"z must be {expected}, not {tuple(z.shape)}"
        x = z * (z.square().mean(1, keepdim=True) + 1e-8).rsqrt()
        for layer in self.mapping_layers:
            x = F.leaky_relu(layer(x), 0.2) * LRELU_GAIN
        return truncated(x, self.w_avg, truncation_psi) if truncation_psi != 1 else x

    @torch.no_grad()
    def statistics(self, draws: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Measure mean and standard deviation of w, `(w_dim,)` each, on seeded draws."""
        w = torch.cat([self.mapping(part) for part in draw_z(self, 0, draws).split(4096)])
        return w.mean(0), w.std(0)

    def broadcast(self, w: torch.Tensor) -> torch.Tensor:
        """Repeat `w (N, w_dim)` for every style input, as `ws (N, num_ws, w_dim)`, without a copy."""
        return w[:, None].expand(-1, self.num_ws, -1)

    def synthesis(self, ws: torch.Tensor, resolution: int | None = None) -> torch.Tensor:
        """Draw `ws (N, num_ws, w_dim)` as RGB images `(N, 3, R, R)`, about [-1, 1], not clamped."""
        raise NotImplementedError

    def rough(self) -> Generator:
        """Return what draws the same pictures less exactly in less time: itself, where nothing does."""
        return self

    def _checked(self, ws: torch.Tensor, resolution: int | None) -> int:
        """Return the resolution that is asked for, by default the native one; assert shapes."""
        resolution = resolution or self.img_resolution
        expected = f"(N, {self.num_ws}, {self.w_dim})"
        assert tuple(ws.shape[1:]) == (self.num_ws, self.w_dim), (
            f"ws must be {expected}, not {tuple(ws.shape)}"
        )
        assert resolution in self.resolutions, f"{resolution} is not one of {self.resolutions}"
        return resolution


def truncated(w: torch.Tensor, w_avg: torch.Tensor, psi: float | torch.Tensor) -> torch.Tensor:
    """Pull `w (N, w_dim)` towards `w_avg`: the truncation trick of StyleGAN, appendix B. `psi`, a number
    or one for each row `(N, 1)`, is 1 for `w` itself and 0 for the average."""
    return w_avg + psi * (w - w_avg)


def truncate_to_rms(
    ws: torch.Tensor, w_avg: torch.Tensor, w_std: torch.Tensor, max_rms: float
) -> torch.Tensor:
    """Pull codes `ws (N, num_ws, w_dim)` towards `w_avg` until their root mean square, in standard
    deviations `w_std (w_dim,)`, is at most `max_rms`: truncation by as much as it takes."""
    size = ((ws - w_avg) / w_std).square().mean((1, 2), keepdim=True).sqrt()  # (N, 1, 1)
    return truncated(ws, w_avg, (max_rms / size.clamp_min(1e-6)).clamp_max(1))


def draw_z(generator: Generator, seed: int, count: int = 1) -> torch.Tensor:
    """Draw `z (count, z_dim)` of a seed, the same on every machine, on the generator's device."""
    rng = torch.Generator().manual_seed(seed)
    return torch.randn(count, generator.z_dim, generator=rng).to(generator.w_avg)
