"""Stage 2: the feature selection and preservation network.

Two views of the face go in: all of it (what the picture means: pose, light, expression, hair) and
what the mask leaves of it (what must stay). Learned queries, one for each row of W+, gather from
both and from the identity that is aimed at, and say how the generator's codes differ from a linear
initialisation. The cross-attention is that of Vaswani et al. 2017; learned queries as in Perceiver
(Jaegle et al. 2021); codes relative to an average as in pSp (Richardson et al. 2021).
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors import SafetensorError, safe_open
from torch import nn

from ..errors import WeightsCorrupt, WeightsMismatch, WeightsMissing
from ..generators import Generator
from ..images import COLOR_GRID, resize
from ..weights import store
from .linear import LinearInitialization

MAX_PARAMETERS = 30_000_000


@dataclass(frozen=True)
class EncoderConfig:
    """The shape of the network. Everything that a weights file must agree with."""

    generator: str = "mobile"
    recognizer: str = "dlib"
    num_ws: int = 16
    w_dim: int = 512
    identity_dim: int = 128
    resolution: int = 256  # of the picture that is looked at
    channels: tuple[int, ...] = (32, 64, 160, 288)  # at 1/4, 1/8, 1/16, 1/32 of it
    width: int = 288  # of a token
    layers: int = 4  # of cross-attention
    heads: int = 6


class Residual(nn.Module):
    """Two 3×3 convolutions with group norm, and a skip."""

    def __init__(self, channels: int):
        super().__init__()
        self.norms = nn.ModuleList(nn.GroupNorm(8, channels) for _ in range(2))
        self.convs = nn.ModuleList(nn.Conv2d(channels, channels, 3, padding=1) for _ in range(2))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = x
        for norm, conv in zip(self.norms, self.convs, strict=True):
            y = conv(F.silu(norm(y)))
        return x + y


class Pyramid(nn.Module):
    """Features at 1/4, 1/8, 1/16 and 1/32 of the picture's side."""

    def __init__(self, in_channels: int, channels: tuple[int, ...]):
        super().__init__()
        self.stem = nn.Conv2d(in_channels, channels[0] // 2, 3, 2, 1)
        before = (channels[0] // 2, *channels[:-1])
        self.downs = nn.ModuleList(
            nn.Conv2d(a, b, 3, 2, 1) for a, b in zip(before, channels, strict=True)
        )
        self.blocks = nn.ModuleList(nn.Sequential(Residual(c), Residual(c)) for c in channels)

    def forward(self, x: torch.Tensor) -> list[torch.Tensor]:
        x = F.silu(self.stem(x))
        levels = []
        for down, block in zip(self.downs, self.blocks, strict=True):
            x = block(down(x))
            levels.append(x)
        return levels


class Tokens(nn.Module):
    """`(N, C, H, H)` features to `(N, H·H, width)` tokens with a learned positional embedding."""

    def __init__(self, channels: int, width: int, side: int):
        super().__init__()
        self.project = nn.Conv2d(channels, width, 1)
        self.position = nn.Parameter(torch.randn(1, side * side, width) * 0.02)
        self.norm = nn.LayerNorm(width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        # (N, C, H, H) to (N, width, H, H) to (N, width, H·H) to (N, H·H, width)
        return self.norm(self.project(x).flatten(2).transpose(1, 2) + self.position)


class Fusion(nn.Module):
    """One layer: cross-attention to the tokens, self-attention, MLP; each after a layer norm."""

    def __init__(self, width: int, heads: int):
        super().__init__()
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(3))
        self.cross_attention = nn.MultiheadAttention(width, heads, batch_first=True)
        self.self_attention = nn.MultiheadAttention(width, heads, batch_first=True)
        self.mlp = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))

    def forward(self, queries: torch.Tensor, tokens: torch.Tensor) -> torch.Tensor:
        q = self.norms[0](queries)
        queries = queries + self.cross_attention(q, tokens, tokens, need_weights=False)[0]
        q = self.norms[1](queries)
        queries = queries + self.self_attention(q, q, q, need_weights=False)[0]
        return queries + self.mlp(self.norms[2](queries))


class Encoder(nn.Module):
    """Photo, mask and identity to the codes of the face that continues the photo."""

    identity_mean: torch.Tensor
    identity_std: torch.Tensor
    w_avg: torch.Tensor
    w_std: torch.Tensor

    def __init__(self, config: EncoderConfig = EncoderConfig()):
        super().__init__()
        self.config = config
        c, width, side = config.channels, config.width, config.resolution // 32
        self.semantic = Pyramid(3, c)
        self.preservation = Pyramid(4, c)
        self.tokens = nn.ModuleList(
            [
                Tokens(c[3], width, side),  # of the whole face
                Tokens(c[1], width, 4 * side),  # of what stays, three levels
                Tokens(c[2], width, 2 * side),
                Tokens(c[3], width, side),
            ]
        )
        self.identity = nn.Sequential(
            nn.Linear(config.identity_dim, width), nn.SiLU(), nn.Linear(width, width)
        )
        self.queries = nn.Parameter(torch.randn(1, config.num_ws, width) * 0.02)
        self.layers = nn.ModuleList(Fusion(width, config.heads) for _ in range(config.layers))
        self.norm = nn.LayerNorm(width)
        # a linear map for each row, zero at first: training starts at the linear initialisation
        self.to_ws = nn.Parameter(torch.zeros(config.num_ws, width, config.w_dim))
        self.guess = nn.Linear(3 * COLOR_GRID * COLOR_GRID + config.identity_dim, config.w_dim)
        self.register_buffer("identity_mean", torch.zeros(config.identity_dim))
        self.register_buffer("identity_std", torch.ones(()))
        self.register_buffer("w_avg", torch.zeros(config.w_dim))
        self.register_buffer("w_std", torch.ones(config.w_dim))
        count = sum(p.numel() for p in self.parameters())
        assert count <= MAX_PARAMETERS, f"{count / 1e6:.1f} M parameters are too many"

    def start_at(self, linear: LinearInitialization) -> Encoder:
        """Take over the linear initialisation and the scales of its inputs and outputs."""
        matrix, bias = linear.affine()
        with torch.no_grad():
            self.identity_mean.copy_(linear.embedding_mean)
            self.identity_std.copy_(linear.embedding_std)
            self.w_avg.copy_(linear.generator.w_avg)
            self.w_std.copy_(linear.generator.w_std)
            self.guess.weight.copy_(matrix.T)
            self.guess.bias.copy_(bias)
        return self

    def forward(self, images: torch.Tensor, mask: torch.Tensor, identity: torch.Tensor) -> torch.Tensor:
        """Encode aligned `images (N, 3, S, S)` in [-1, 1], `mask (N, 1, S, S)` and the embedding to
        reach `identity (N, identity_dim)`, to `ws (N, num_ws, w_dim)`.

            ws = w_avg + w_std · (start + change)

        `start (N, 1, w_dim)` is the linear initialisation, the same for every row of W+, and `change
        (N, num_ws, w_dim)` what the queries gathered; both are in standard deviations of w, in which
        all numbers of the code are equally large.
        """
        x, m = resize(images, self.config.resolution), resize(mask, self.config.resolution)
        standard = (identity - self.identity_mean) / self.identity_std  # (N, identity_dim)
        whole = self.semantic(x)  # four levels (N, C, H, H), H = 64, 32, 16, 8 of a picture of 256
        # the mask as a fourth channel: a grey pixel and a hidden one look alike without it
        stays = self.preservation(torch.cat([x * (1 - m), m], 1))  # the same four
        # What is seen as a whole counts as meaning, so its coarsest level is enough; what stays must be
        # found again in its place, so three levels are kept. The finest would be 4096 tokens.
        features = (whole[3], stays[1], stays[2], stays[3])
        person = self.identity(standard)[:, None]  # (N, 1, width)
        # (N, 64 + 1024 + 256 + 64 + 1, width): the tokens of the four levels, and the identity
        tokens = torch.cat(
            [make(feature) for make, feature in zip(self.tokens, features, strict=True)] + [person], 1
        )
        queries = self.queries + person  # (N, num_ws, width): every row knows the identity
        for layer in self.layers:
            queries = layer(queries, tokens)
        # a linear map of its own for each row q: (N, num_ws, width) to (N, num_ws, w_dim)
        change = torch.einsum("nqc,qcw->nqw", self.norm(queries), self.to_ws)
        small = resize(x, COLOR_GRID).flatten(1)  # (N, 3, 16, 16) to (N, 768)
        start = self.guess(torch.cat([small, standard], 1))[:, None]  # (N, 1, w_dim)
        return self.w_avg + self.w_std * (start + change)


def metadata(config: EncoderConfig) -> dict[str, str]:
    """Describe a weights file, in the form that safetensors keeps."""
    return {"anonlab": "encoder", "config": json.dumps(asdict(config))}


def load_encoder(
    generator: Generator,
    path: str | os.PathLike | None = None,
    device: torch.device | str = "cpu",
) -> Encoder:
    """Load the trained encoder for `generator`, frozen, of `path` or the one that ships.

    Raises `WeightsMissing` (with the command that trains it), `WeightsCorrupt` for a file that is
    truncated or altered, `WeightsMismatch` for one that belongs to another generator.
    """
    path = Path(path) if path is not None else store.locate(f"encoder-{generator.name}")
    if not path.is_file():
        raise WeightsMissing(
            f"{path} (encoder) is missing; train one with: python -m anonlab train encoder"
        )
    try:
        with safe_open(path, "pt") as file:
            about = file.metadata() or {}
            state = {name: file.get_tensor(name).float() for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise WeightsCorrupt(
            f"{path} cannot be read as safetensors ({error}); copy it again or train a new one"
        ) from None
    if about.get("anonlab") != "encoder":
        raise WeightsMismatch(f"{path} is not an encoder of anonlab; choose a file that `train` wrote")
    fields = json.loads(about["config"])
    config = EncoderConfig(**fields | {"channels": tuple(fields["channels"])})
    theirs = (config.generator, config.num_ws, config.w_dim)
    ours = (generator.name, generator.num_ws, generator.w_dim)
    if theirs != ours:
        raise WeightsMismatch(
            f"{path} was trained for generator {theirs[0]} with num_ws {theirs[1]} and "
            f"w_dim {theirs[2]}, not for {ours[0]} with {ours[1]} and {ours[2]}; train one for it with: "
            f"python -m anonlab train encoder --generator {generator.name.partition('-')[0]}"
        )
    model = Encoder(config)
    try:
        model.load_state_dict(state, assign=True)
    except RuntimeError as error:
        raise WeightsCorrupt(f"{path} does not hold the tensors its config names: {error}") from None
    if not all(tensor.isfinite().all() for tensor in state.values()):
        raise WeightsCorrupt(f"{path} holds numbers that are not finite; train a new one")
    # in this layout a CPU takes a tenth less time
    return model.eval().requires_grad_(False).to(device).to(memory_format=torch.channels_last)
