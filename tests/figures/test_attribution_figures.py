"""Figures of stage 1: what is drawn is what was measured."""

from __future__ import annotations

import pytest
import torch

from anonlab.notebook.attribution_figures import (
    attribution_figure,
    differences_figure,
    integration_figure,
)
from anonlab.notebook.plots import histogram_figure
from anonlab.perception.attribution import AttributionInputs


class Linear:
    """A recogniser that is linear in the picture: along any path its score rises evenly."""

    mean, box = torch.zeros(12), (0, 0, 512, 512)

    def embed(self, images: torch.Tensor) -> torch.Tensor:
        return images.unflatten(3, (2, -1)).unflatten(2, (2, -1)).mean((3, 5)).flatten(1)


@pytest.fixture
def face() -> torch.Tensor:
    return torch.rand(1, 3, 256, 256, generator=torch.Generator().manual_seed(0)) * 2 - 1


@pytest.mark.parametrize(("baseline", "steps"), [("blurred", 2), ("noise", 5)])
def test_on_a_linear_recogniser_any_number_of_slopes_is_complete(face, baseline, steps):
    figure = integration_figure(AttributionInputs(Linear(), face), steps, baseline)
    first, curve, _ = figure.axes
    assert first.get_title().startswith(f"start: {baseline}")
    assert curve.get_title() == f"{steps} slopes add up to 100.0% of the rise"
    path, nodes = curve.get_lines()
    assert len(nodes.get_xdata()) == steps
    scores = torch.as_tensor(path.get_ydata())
    assert scores[-1] == pytest.approx(1, abs=1e-5)  # the face itself
    torch.testing.assert_close(scores.diff(), (scores[-1] - scores[0]).div(20).expand(20))


def test_signed_attributions_are_drawn_about_zero_and_heat_from_zero_to_one(face):
    heat = torch.rand(1, 1, 256, 256, generator=torch.Generator().manual_seed(1))
    figure = attribution_figure(face, face - 0.1, heat)
    signed, warm = (axis.get_images()[0] for axis in figure.axes[1:3])
    low, high = signed.get_clim()
    assert low == -high and high > 0
    assert warm.get_clim() == (0, 1)
    bars = [axis for axis in figure.axes if axis.get_label() == "<colorbar>"]
    assert len(bars) == 3


def test_intervals_are_drawn_from_their_low_to_their_high():
    rows = [(0.1, -0.05, 0.2), (0.0, -0.1, 0.3)]
    axis = differences_figure((0.05, 0.1), {"disc": rows}, "gain").axes[0]
    [bars] = axis.containers
    drawn = [path[:, 1].tolist() for path in bars.lines[2][0].get_segments()]
    assert drawn == [pytest.approx(row[1:]) for row in rows]
    assert bars.lines[0].get_ydata().tolist() == pytest.approx([0.1, 0.0])


def test_a_histogram_marks_the_threshold_and_single_values():
    axis = histogram_figure([0.1, 0.2, 0.2], 0.6, {"mirrored": 0.15}, "distance").axes[0]
    marked = {line.get_label(): line.get_xdata()[0] for line in axis.get_lines()}
    assert marked == {"threshold 0.6": 0.6, "mirrored": 0.15}
    assert sum(bar.get_height() for bar in axis.patches) == 3
