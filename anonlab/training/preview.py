"""MobileStyleGAN at 128 px, for losses that need no more: a third of the time of 256 px.

The blocks up to the features of 128 px are the generator's own. The last two, which work at 256 and
512, are run there on the low-pass band alone with collapsed kernels, as its preview at 256 px does
with the last one, and are then fitted for some minutes to the averages of real pictures.
"""

from __future__ import annotations

import copy
import shutil
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import nn

from ..generators.mobile_stylegan import Block, MobileStyleGAN
from ..images import resize
from ..watch import Watch, quiet
from .synthetic import Samples

SIZE = 128
WHOLE = 5  # blocks that are the generator's own
FIT_STEPS, FIT_BATCH, FIT_RATE = 200, 4, 1e-4


class CollapsedBlock(nn.Module):
    """Run a block without its doubling: `(N, C, S, S)` to `(N, C', S, S)`, 1×1 convolutions only.

    Smooth features are what survives averaging, and a depthwise kernel does to them what the sum of
    its weights does.
    """

    def __init__(self, block: Block):
        super().__init__()
        self.up, self.affines = block.up, nn.ModuleList([block.conv1.affine, block.conv2.affine])
        convs = (block.conv1, block.conv2)
        self.gains = nn.ParameterList([conv.depthwise.detach().sum((1, 2, 3)) for conv in convs])
        self.weights = nn.ParameterList([conv.weight.detach().clone() for conv in convs])
        self.biases = nn.ParameterList([(conv.bias + conv.noise.mean()).detach() for conv in convs])

    def forward(self, x: torch.Tensor, w1: torch.Tensor, w2: torch.Tensor) -> torch.Tensor:
        channels = x.shape[1] // 4  # the low-pass band of the wavelets
        x = (x * self.up(w1)[:, :, None, None])[:, :channels] / 2
        for affine, gain, weight, bias, w in zip(
            self.affines, self.gains, self.weights, self.biases, (w1, w2), strict=True
        ):
            x = F.conv2d(x * (affine(w) * gain)[:, :, None, None], weight, bias)
            x = F.leaky_relu(x, 0.2)
        return x


class Preview(nn.Module):
    """Draw `ws (N, 16, 512)` as pictures `(N, 3, 128, 128)`, differentiably."""

    def __init__(self, generator: MobileStyleGAN):
        super().__init__()
        self.const, self.conv1 = generator.const, generator.conv1
        self.blocks = generator.blocks[:WHOLE]
        # copies: these are fitted
        self.last = nn.ModuleList(CollapsedBlock(copy.deepcopy(b)) for b in generator.blocks[WHOLE:])
        self.to_rgb_affine = copy.deepcopy(generator.to_rgb_affine)
        self.to_rgb = nn.Conv2d(generator.to_rgb.in_channels, 3, 1).to(generator.w_avg.device)
        with torch.no_grad():
            self.to_rgb.weight.copy_(generator.to_rgb.weight[:3] / 2)
            self.to_rgb.bias.copy_(generator.to_rgb.bias[:3] / 2)

    def trunk(self, ws: torch.Tensor) -> torch.Tensor:
        """Return the features at 128 px, `(N, 256, 128, 128)`."""
        x = self.conv1(self.const.expand(len(ws), -1, -1, -1), ws[:, 0])
        for i, block in enumerate(self.blocks):
            x = block(x, ws[:, 2 * i + 1], ws[:, 2 * i + 2])
        return x

    def head(self, x: torch.Tensor, ws: torch.Tensor) -> torch.Tensor:
        """Draw those features as pictures."""
        for i, block in enumerate(self.last, WHOLE):
            x = block(x, ws[:, 2 * i + 1], ws[:, 2 * i + 2])
        return self.to_rgb(x * self.to_rgb_affine(ws[:, 15])[:, :, None, None])

    def forward(self, ws: torch.Tensor) -> torch.Tensor:
        return self.head(self.trunk(ws), ws)


def fit_preview(
    generator: MobileStyleGAN,
    samples: Samples,
    steps: int = FIT_STEPS,
    watch: Watch = quiet,
) -> tuple[Preview, dict[str, float]]:
    """Fit a preview's last blocks to the samples' pictures; return it, frozen, and its mean absolute
    error on the held-out ones before and after."""
    preview = Preview(generator).requires_grad_(False)
    parts = (preview.last, preview.to_rgb_affine, preview.to_rgb)
    learn = [p.requires_grad_(True) for part in parts for p in part.parameters()]
    trunk = quick(preview.trunk, preview.const.device)
    optimizer = torch.optim.Adam(learn, FIT_RATE)
    rng = torch.Generator().manual_seed(0)
    before = preview_error(preview, samples)
    for step in range(steps):
        watch("fitting the preview", step / steps)
        index = samples.random_index(FIT_BATCH, rng)
        ws = samples.ws[index].float()
        with torch.no_grad():
            features = trunk(ws)
        loss = (preview.head(features, ws) - resize(samples.pictures(index), SIZE)).abs().mean()
        optimizer.param_groups[0]["lr"] = FIT_RATE * (1 - step / steps)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    preview.eval().requires_grad_(False)
    return preview, {"before": before, "after": preview_error(preview, samples)}


@torch.no_grad()
def preview_error(preview: Preview, samples: Samples) -> float:
    """Return the mean absolute difference to the averaged pictures of the held-out samples, of 2."""
    pictures = resize(samples.pictures(slice(0, samples.held_out)), SIZE)
    rows = samples.ws[: samples.held_out].float()
    errors = [(preview(w[None]) - p).abs().mean() for w, p in zip(rows, pictures, strict=True)]
    return torch.stack(errors).mean().item()


def quick(
    draw: Callable[[torch.Tensor], torch.Tensor], device: torch.device
) -> Callable[[torch.Tensor], torch.Tensor]:
    """Return the same function of codes `(N, …)` made faster: in bfloat16 where the device has it
    (pictures then differ by 0.6/255 on average), on a CPU each row alone, compiled where there is a C++
    compiler."""
    alone, half = device.type == "cpu", has_bfloat16(device)
    if alone and any(map(shutil.which, ("c++", "g++", "clang++"))):
        draw = torch.compile(draw)

    def quicker(ws: torch.Tensor) -> torch.Tensor:
        with torch.autocast(device.type, torch.bfloat16, enabled=half):
            return torch.cat([draw(part) for part in ws.split(1 if alone else len(ws))]).float()

    return quicker


def has_bfloat16(device: torch.device) -> bool:
    """Return whether this CPU or GPU multiplies in bfloat16."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    return torch.cpu._is_avx512_bf16_supported()
