"""Glasses and eyes painted into faces, so that tests know what is to be seen there, and painters that
stand for stages 2 and 3.

Images `(N, 3, S, S)` in [-1, 1]; points `(N, 68, 2)` in [0, 1] of the side.
"""

from collections.abc import Callable

import pytest
import torch

from anonlab.perception.eyes import eye_windows


def coordinates(images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """x `(1, S)` and y `(S, 1)` of every pixel, in [0, 1]."""
    steps = (torch.arange(images.shape[-1]) + 0.5) / images.shape[-1]
    return steps[None], steps[:, None]


def with_frames(images: torch.Tensor, points: torch.Tensor, thick: float = 0.009) -> torch.Tensor:
    """Round black rims around both eyes, a bridge and two arms."""
    centres, across = eye_windows(points)
    x, y = coordinates(images)
    painted = images.clone()
    for image, eyes, widths in zip(painted, centres, across.norm(dim=2), strict=True):
        [left, right], radius = eyes, 0.85 * float(widths.mean())
        rims = [((x - e[0]).square() + (y - e[1]).square()).sqrt() - radius for e in (left, right)]
        middle = (left[1] + right[1]) / 2
        between = (x > left[0] + radius) & (x < right[0] - radius)
        outside = (x < left[0] - radius) | (x > right[0] + radius)
        bar = ((y - middle).abs() < thick) & (between | outside)
        image[:, bar | (rims[0].abs() < thick) | (rims[1].abs() < thick)] = -0.9
    return painted


def with_irises(images: torch.Tensor, points: torch.Tensor, factor: float) -> torch.Tensor:
    """Irises `factor` times as bright."""
    centres, across = eye_windows(points)
    x, y = coordinates(images)
    painted = images.clone()
    for image, eyes, widths in zip(painted, centres, across.norm(dim=2), strict=True):
        for eye, width in zip(eyes, widths, strict=True):
            disc = ((x - eye[0]).square() + (y - eye[1]).square()).sqrt() < 0.25 * width
            image[:, disc] = (image[:, disc] + 1) * factor - 1
    return painted.clamp(-1, 1)


def painting(
    monkeypatch: pytest.MonkeyPatch,
    anonymizer: object,
    paint: Callable,
    encode: Callable = lambda *_, **__: torch.zeros(1, 16, 512),
) -> None:
    """Let `paint(image, mask, controls)` make the composites of an anonymizer, or of all of them, and
    `encode` the codes."""

    def draw(*given: object) -> tuple:
        _, image, mask, controls = given[-4:]  # before them the anonymizer, if it is a class
        return image, paint(image, mask, controls), mask

    monkeypatch.setattr(anonymizer, "encode", encode)
    monkeypatch.setattr(anonymizer, "draw", draw)
