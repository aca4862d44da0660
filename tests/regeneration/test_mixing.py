"""What rows of W+, truncation and noise do; and the row of a generator that is not there."""

import pytest
import torch

from anonlab.regeneration.mixing import (
    changes,
    codes,
    row_groups,
    size_of_row,
    swap_groups,
    swap_rows,
    swapped,
)


@pytest.fixture(scope="module")
def pair(generator):
    return codes(generator, 15), codes(generator, 21)


def test_all_rows_make_the_other_face_and_none_change_nothing(generator, pair):
    a, b = pair
    assert torch.equal(swapped(a, b, range(16)), b)
    assert torch.equal(swapped(a, b, []), a)
    some = swapped(a, b, [3, 15])
    assert [row for row in range(16) if torch.equal(some[:, row], b[:, row])] == [3, 15]
    assert torch.equal(a, codes(generator, 15))  # the argument is left as it was


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
