"""What rows of W+, truncation and noise do; and the row of a generator that is not there."""

import pytest
import stylegan2_reference as slow
import torch

from anonlab.errors import UnknownOption, WeightsMissing
from anonlab.figures.generator_figures import noise_figure
from anonlab.generators import find_stylegan2
from anonlab.regeneration.mixing import (
    changes,
    codes,
    noise_pictures,
    row_groups,
    size_of_row,
    swap_groups,
    swap_rows,
    swapped,
)


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
