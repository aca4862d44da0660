"""What rows of W+, truncation and noise do; and the row of a generator that is not there."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import stylegan2_reference as slow
import torch

from anonlab import Anonymizer
from anonlab.errors import UnknownOption, WeightsMissing
from anonlab.generators import find_stylegan2
from anonlab.images import to_tensor
from anonlab.notebook.generator_figures import (
    noise_figure,
    pictures_of,
    regenerated_by,
    row_changes_figure,
    summary,
)
from anonlab.notebook.mixing import (
    changes,
    codes,
    ladder,
    noise_pictures,
    row_groups,
    size_of_row,
    swap_groups,
    swap_rows,
    swapped,
    without_noise,
)
from anonlab.notebook.samples import sample_photo


@pytest.fixture(scope="module")
def pair(generator):
    return codes(generator, 15), codes(generator, 21)


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    """A small random StyleGAN2 as NVIDIA would have written it."""
    raw = slow.raw_tensors(256, [8, 8, 8, 8, 4, 4, 4])
    raw |= {name: x / 8 for name, x in raw.items() if ".torgb." in name and ".affine." not in name}
    path = tmp_path_factory.mktemp("mixing") / "random-256.pkl"
    path.write_bytes(slow.nvidia_pickle(raw))
    return path


def test_all_rows_make_the_other_face_and_none_change_nothing(generator, pair):
    a, b = pair
    assert torch.equal(swapped(a, b, range(16)), b)
    assert torch.equal(swapped(a, b, []), a)
    some = swapped(a, b, [3, 15])
    assert [row for row in range(16) if torch.equal(some[:, row], b[:, row])] == [3, 15]
    assert torch.equal(a, codes(generator, 15))  # the argument is left as it was


@pytest.mark.parametrize("rows", [[16], [-1], [0, 5, 99]])
def test_a_row_that_does_not_exist_is_named(pair, rows):
    with pytest.raises(UnknownOption, match=rf"rows \[{rows[-1]}\] of W\+ do not exist.* 0 to 15"):
        swapped(*pair, rows)


def test_codes_of_two_generators_do_not_mix(pair):
    with pytest.raises(UnknownOption, match=r"\(1, 16, 512\) and \(1, 14, 512\)"):
        swapped(pair[0], pair[1][:, :14], [0])


@pytest.mark.parametrize("num_ws", [6, 14, 16, 18])
def test_the_groups_are_all_rows_once_and_from_large_to_small(num_ws):
    groups = row_groups(num_ws)
    assert [row for rows in groups.values() for row in rows] == list(range(num_ws))
    assert max(size_of_row(row) for row in groups["coarse"]) == 16
    assert {size_of_row(row) for row in groups["middle"]} <= {32, 64}
    assert all(size_of_row(row) >= 128 for row in groups["fine"])


def test_identity_is_in_the_first_rows_and_colour_in_the_last(generator, recognizer, pair):
    pixels, distances = changes(recognizer, swap_rows(generator, *pair))
    assert len(pixels) == len(distances) == 16
    assert min(distances[:8]) > 2 * max(distances[10:])
    assert pixels[15] > 10 and distances[15] < 0.1
    groups = swap_groups(generator, *pair)
    _, by_group = changes(recognizer, torch.cat(list(groups.values())))
    coarse, middle, fine, everything = by_group
    assert fine < 0.3 < min(coarse, middle) and everything > recognizer.threshold
    torch.testing.assert_close(groups["B"], generator.synthesis(pair[1], 256).clamp(-1, 1))


def test_the_ladder_starts_at_the_average_face_and_ends_at_the_person(generator):
    first, second = (ladder(generator, seed, [0.0, 0.7]) for seed in (3, 8))
    assert list(first) == ["psi 0", "psi 0.7"]
    torch.testing.assert_close(first["psi 0"], second["psi 0"], atol=1e-4, rtol=0)
    assert (first["psi 0.7"] - second["psi 0.7"]).abs().mean() > 0.1
    sample = to_tensor(np.asarray(sample_photo("synthetic-8", generator)))
    made = generator.synthesis(codes(generator, 8)).clamp(-1, 1)
    assert (made - sample).abs().max() <= 1.01 / 127.5  # rounded to 8 bits


def test_without_noise_it_is_the_same_person(generator, recognizer):
    made = noise_pictures(generator, 15)
    pixels, [distance] = changes(recognizer, torch.cat(list(made.values())))
    assert 1 < pixels[0] < 10 and distance < 0.2
    silent = {name for name, x in without_noise(generator).named_parameters() if not x.any()}
    assert silent == {name for name, _ in generator.named_parameters() if name.endswith(".noise")}
    assert generator.conv1.noise.any()  # of the original nothing is taken


def test_a_stylegan2_draws_its_noise(path):
    model = find_stylegan2(path)
    made = noise_pictures(model, 1)
    assert list(made) == ["const", "random", "random again", "none"]
    torch.testing.assert_close(made["const"], model.synthesis(codes(model, 1)).clamp(-1, 1))
    pictures = list(made.values())
    for i, one in enumerate(pictures):
        assert all((one - other).abs().mean() > 0.001 for other in pictures[:i])
    assert torch.equal(noise_pictures(model, 1)["random"], made["random"])
    assert len(noise_figure(made).axes) == 10


def test_no_weights_are_no_generator_and_a_wrong_path_is_an_error(monkeypatch, tmp_path):
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    assert find_stylegan2() is None and find_stylegan2("") is None
    with pytest.raises(WeightsMissing, match=r"gone\.pkl"):
        find_stylegan2(tmp_path / "gone.pkl")


def test_without_another_generator_nothing_is_regenerated():
    assert regenerated_by(None, None, None) is None
    assert summary(None, None) is None


def test_the_same_photo_through_another_generator(path, astronaut):
    anonymizer = Anonymizer.load(method="one-pass", device="cpu", key=b"key")
    model = find_stylegan2(path)
    photo = astronaut.image(astronaut.pixels)
    made = regenerated_by(model, anonymizer, photo, 1, mask_area=0.2, seed=1)
    assert made.ws.shape == (1, 14, 16)
    assert made.controls.mask_area == 0.2 and made.controls.seed == 1
    assert summary(model, made)["name"] == model.name
    found, lost = replace(made, distance=0.734), replace(made, distance=float("nan"))
    shown = pictures_of(model, found, (3,))
    assert list(shown) == ["regenerated: distance 0.73", "the average face", "draw 3"]
    assert torch.equal(next(iter(shown.values())), made.anonymized)
    assert summary(model, found)["distance"] == 0.734
    assert next(iter(pictures_of(model, lost, ()))) == "regenerated: no face found"
    assert summary(model, lost)["distance"] is None
    average = model.synthesis(model.broadcast(model.w_avg[None])).clamp(-1, 1)
    torch.testing.assert_close(shown["the average face"], average)


def test_the_bars_of_a_row_are_its_numbers():
    figure = row_changes_figure(list(range(16)), [0.1] * 16, 0.6)
    pixels, distances = figure.axes
    assert [bar.get_height() for bar in pixels.patches] == list(range(16))
    assert [bar.get_height() for bar in distances.patches] == [0.1] * 16
    assert distances.get_xticklabels()[0].get_text() == "0\n4 px"
    assert distances.get_xticklabels()[15].get_text() == "15\nRGB"
    colours = [bar.get_facecolor() for bar in pixels.patches]
    assert len(set(colours[:5])) == len(set(colours[5:9])) == len(set(colours[9:])) == 1
    assert len(set(colours)) == 3
