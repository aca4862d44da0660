"""What the encoder's figures show: as many tokens as the network has, attention where it is."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from anonlab.encoding.encoder import Encoder, EncoderConfig
from anonlab.notebook.encoder_figures import (
    attention_figure,
    attention_maps,
    encoder_diagram,
    token_counts,
)

TINY = EncoderConfig(resolution=64, channels=(8, 8, 16, 16), width=16, layers=1, heads=2)


@pytest.mark.parametrize("resolution", [64, 128])
def test_tokens_are_counted_as_the_network_has_them(resolution):
    config = replace(TINY, resolution=resolution)
    positions = [part.position.shape[1] for part in Encoder(config).tokens]
    assert [*token_counts(config).values()] == [*positions, 1]


def test_attention_lands_where_its_token_is_and_the_identity_has_no_place():
    counts = token_counts(TINY)  # 4 + 64 + 16 + 4 + 1
    weights = torch.zeros(3, sum(counts.values()))
    weights[0, 4 + 8 + 2] = 1  # second row, third column of the 8×8 level
    weights[1, 0] = 1  # the upper left quarter of the whole face
    weights[2, -1] = 1  # the identity
    maps = attention_maps(weights, TINY)
    assert maps.shape == (3, 1, 64, 64)
    torch.testing.assert_close(maps.sum((1, 2, 3)), torch.tensor([1.0, 1.0, 0.0]))
    torch.testing.assert_close(maps[0, 0, 8:16, 16:24].sum(), torch.tensor(1.0))
    torch.testing.assert_close(maps[1, 0, :32, :32].sum(), torch.tensor(1.0))


def test_the_diagram_says_the_shapes_of_its_network():
    said = " ".join(text.get_text() for text in encoder_diagram(TINY).axes[0].texts)
    for shape in ("(3, 64²)", "(89, 16)", "64 + 16 + 4", "(16, 512)", "1 × fusion"):
        assert shape in said, shape


def test_maps_of_attention_share_one_scale():
    even = torch.full((1, 1, 8, 8), 1 / 64)
    figure = attention_figure(torch.zeros(1, 3, 64, 64), {"even": even, "half": even / 2})
    _, one, half = (axis.get_images()[0].get_array().astype(float).mean() for axis in figure.axes)
    assert abs(one - half) > 10  # not each stretched to its own
