"""Work side by side: each item once and in its order, and an error ends all of it."""

import threading

import pytest
import torch

from anonlab.device import torch_threads
from anonlab.side_by_side import side_by_side

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def four_threads():
    with torch_threads(4):
        yield


def test_several_are_worked_on_at_once_and_come_in_their_order():
    together = threading.Barrier(4)

    def work(number):
        together.wait(20)  # fails unless four come
        return number, torch.get_num_threads()

    with side_by_side(CPU) as in_order:
        assert list(in_order(work, range(8))) == [(number, 1) for number in range(8)]
    assert torch.get_num_threads() == 4


def test_an_error_ends_the_others_and_is_raised():
    taken = []

    def work(number):
        if number == 1:
            raise ValueError("the disk is full")

    with pytest.raises(ValueError, match="the disk is full"), side_by_side(CPU) as in_order:
        list(in_order(work, map(lambda one: taken.append(one) or one, range(99))))
    assert len(taken) < 10
    assert torch.get_num_threads() == 4
