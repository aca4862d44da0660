"""Steadiness over time on made-up embeddings, whose cosines are known."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch

from anonlab.apps.video.temporal import neighbours


def test_steadiness_is_the_cosine_of_consecutive_frames():
    plain = SimpleNamespace(mean=torch.zeros(2), metric="euclidean")
    angles = torch.deg2rad(torch.tensor([0.0, 30.0, 90.0]))
    got = neighbours(plain, torch.stack([torch.cos(angles), torch.sin(angles)], 1))
    assert got.tolist() == pytest.approx([3**0.5 / 2, 0.5])
