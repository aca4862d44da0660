"""Faces of several photos go through the networks together, and come out as if they had been alone."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch

from anonlab import Anonymizer, batching
from anonlab.batching import Batcher, Shared, in_batches
from anonlab.generators.samples import sample_photo


class Held:
    """A network that waits until it may answer, and notes what it is asked."""

    def __init__(self):
        self.begun, self.may = threading.Event(), threading.Event()
        self.asked: list[tuple[int, tuple]] = []

    def __call__(self, images: torch.Tensor, *others: int) -> torch.Tensor:
        self.begun.set()
        assert self.may.wait(10)
        self.asked.append((len(images), others))
        if (images < 0).any():
            raise ValueError("no such face")
        return images * 2 + sum(others)


def gathered(network: Held, batcher: Batcher, calls: list[tuple]) -> list:
    """Answers to `calls`, all but the first of which come while the first is worked on."""
    with ThreadPoolExecutor(len(calls)) as pool:
        first = pool.submit(batcher.through, network, *calls[0])
        assert network.begun.wait(10)
        others = [pool.submit(batcher.through, network, *call) for call in calls[1:]]
        while len(batcher.waiting) < len(others):
            pass
        network.may.set()
    return [one.exception() or one.result().tolist() for one in (first, *others)]


def faces(*numbers: float) -> torch.Tensor:
    return torch.tensor(numbers)[:, None]


def test_what_comes_meanwhile_is_one_batch_and_everybody_gets_their_own():
    network, batcher = Held(), Batcher(16)
    assert gathered(network, batcher, [(faces(1),), (faces(2, 3),), (faces(4),)]) == [
        [[2]], [[4], [6]], [[8]],
    ]  # fmt: skip
    assert network.asked == [(1, ()), (3, ())] and batcher.largest == 3


def test_no_batch_is_larger_than_allowed():
    network, batcher = Held(), Batcher(most=2)
    gathered(network, batcher, [(faces(n),) for n in range(6)])
    assert [count for count, _ in network.asked] == [1, 2, 2, 1]


def test_other_sizes_and_other_questions_are_other_batches():
    network, batcher = Held(), Batcher(16)
    wide = torch.ones(1, 2)
    calls = [(faces(0),), (faces(1), 7), (faces(2), 7), (faces(3), 8), (wide, 7)]
    answers = gathered(network, batcher, calls)
    assert answers == [[[0]], [[9]], [[11]], [[14]], [[9, 9]]]
    assert sorted(network.asked) == [(1, ()), (1, (7,)), (1, (8,)), (2, (7,))]


def test_an_error_reaches_only_whose_call_it_is():
    answers = gathered(Held(), Batcher(16), [(faces(1),), (faces(2),), (faces(-1),), (faces(3),)])
    assert [answers[number] for number in (0, 1, 3)] == [[[2]], [[4]], [[6]]]
    assert isinstance(answers[2], ValueError)


def test_a_gradient_is_asked_of_the_network_alone():
    layer, batcher = torch.nn.Linear(1, 1), Batcher(16)
    x = faces(1.0).requires_grad_()
    Shared(layer, batcher)(x).sum().backward()
    assert x.grad is not None and batcher.largest == 0
    with torch.no_grad():
        assert torch.equal(Shared(layer, batcher)(x), layer(x)) and batcher.largest == 1
    assert Shared(layer, batcher).in_features == 1  # it is otherwise itself


def test_three_photos_at_once_are_the_photos_one_by_one(generator, monkeypatch):
    made, together_now = [], threading.Barrier(3)

    class Noted(Batcher):
        def __init__(self, most: int):
            super().__init__(most)
            made.append(self)

        def through(self, network, *arguments, tensors=1):
            if tensors == 4:  # the start, where all three meet
                together_now.wait(120)
            return super().through(network, *arguments, tensors=tensors)

    monkeypatch.setattr(batching, "Batcher", Noted)
    alone = Anonymizer.load(device="cpu", key=b"0123456789abcdef")
    together = in_batches(alone, 3)
    photos = [sample_photo(name, generator) for name in ("synthetic-3", "synthetic-8", "astronaut")]
    expected = [np.asarray(alone(photo).image).astype(int) for photo in photos]
    with ThreadPoolExecutor(3) as pool:
        found = [np.asarray(one.image) for one in pool.map(together, photos)]
    for one, other in zip(expected, found, strict=True):
        difference = np.abs(one - other)
        assert difference.max() <= 4 and difference.mean() < 0.01  # sums in another order
    assert made[0].largest > 1
