"""An embedding model in ONNX as a second guide: its graph in torch, so that a loss can follow it."""

from __future__ import annotations

import os
import warnings

import torch

from ..errors import PackageMissing, WeightsCorrupt
from .onnx import OnnxRecognizer
from .onnx_padding import explicit_padding

OPSET = 13  # the version of ONNX's operations that onnx2torch knows best
AGREES = 0.999  # cosine between torch's answer and ONNX Runtime's, at least


class OnnxGuide(OnnxRecognizer):
    """A recogniser of `OnnxRecognizer`'s options whose `embed` has gradients (package onnx2torch).

    Its answer to noise is compared with ONNX Runtime's once. Raises what `OnnxRecognizer` does,
    `PackageMissing`, and `WeightsCorrupt` for a graph with an operation that cannot be brought to torch.
    """

    differentiable = True

    def __init__(
        self, path: str | os.PathLike, device: torch.device | str = "cpu", **options: object
    ) -> None:
        try:
            from onnx import load
            from onnx.version_converter import convert_version
            from onnx2torch import convert
        except ImportError:
            raise PackageMissing(
                f'{path} as a guide needs onnx2torch; run: pip install "anonlab[guide]"'
            ) from None
        self.differentiated: torch.nn.Module | None = None  # the same network in torch
        super().__init__(path, **options)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                graph = load(os.fspath(path))
                version = next(one.version for one in graph.opset_import if not one.domain)
                if version > OPSET:
                    graph = convert_version(graph, OPSET)
                network = convert(explicit_padding(graph, self.size)).eval().requires_grad_(False)
            noise = 2 * torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0)) - 1
            theirs = super().embed(noise)
            with torch.no_grad():
                ours = network(self.chips(noise)).reshape(1, -1)
        except Exception as error:
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise WeightsCorrupt(
                f"{path} cannot be brought to torch ({reason}); export it with plain operations"
            ) from None
        if torch.cosine_similarity(ours, theirs).item() < AGREES:
            raise WeightsCorrupt(
                f"{path} answers otherwise in torch than in ONNX Runtime; export it again"
            )
        self.differentiated, self.mean = network.to(device), self.mean.to(device)

    def embed(self, images: torch.Tensor) -> torch.Tensor:
        """FFHQ-aligned `images (N, 3, S, S)` in [-1, 1] to embeddings `(N, dim)`, with gradients."""
        if self.differentiated is None:
            return super().embed(images)
        # one at a time: many exported models have a fixed batch size of one
        return torch.cat([self.differentiated(chip[None]).reshape(1, -1) for chip in self.chips(images)])
