"""Faces of several photos in one batch: what many threads ask of a network goes through it together.

A GPU draws several faces in little more time than one. The pipeline works on one face at a time, and
stays as it is: several photos are anonymized in threads, and a `Batcher` stands before each network.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

import torch

from .perception.perception import Perception
from .pipeline import Anonymizer


@dataclass(eq=False)
class Call:
    """One thread's question, and where it waits for the answer."""

    network: Callable[..., torch.Tensor]
    tensors: tuple[torch.Tensor, ...]  # (N, …) each
    others: tuple[Any, ...]  # what follows them, the same for a whole batch
    answer: Future = field(default_factory=Future)

    def kind(self) -> tuple:
        """What calls must share to be one batch."""
        shapes = tuple((one.shape[1:], one.dtype, one.device) for one in self.tensors)
        return id(self.network), shapes, self.others


class Batcher:
    """One thread that asks the networks, for all the others.

    It takes the oldest call and all that are of its kind, at most `most`. Nothing waits for a batch to
    fill: while one is worked on, the next gathers. An answer is that of a batch of one but for rounding.
    A batch that fails is asked again call by call, so that an error reaches only whose call it is.
    """

    def __init__(self, most: int):
        self.most = most
        self.changed = threading.Condition()
        self.waiting: list[Call] = []
        self.largest = 0  # batch so far
        threading.Thread(target=self._run, daemon=True, name="batches").start()

    def through(
        self, network: Callable[..., torch.Tensor], *arguments: Any, tensors: int = 1
    ) -> torch.Tensor:
        """`network(*arguments)`, of which the first `tensors` are batches; without gradients."""
        call = Call(network, arguments[:tensors], arguments[tensors:])
        with self.changed:
            self.waiting.append(call)
            self.changed.notify()
        return call.answer.result()

    def _run(self) -> None:
        while True:
            with self.changed:
                self.changed.wait_for(lambda: self.waiting)
                kind = self.waiting[0].kind()
                batch = [call for call in self.waiting if call.kind() == kind][: self.most]
                self.waiting = [call for call in self.waiting if call not in batch]
            self._ask(batch)

    @torch.no_grad()
    def _ask(self, batch: list[Call]) -> None:
        network, others = batch[0].network, batch[0].others
        sizes = [len(call.tensors[0]) for call in batch]
        self.largest = max(self.largest, sum(sizes))
        try:
            joined = (torch.cat(parts) for parts in zip(*(call.tensors for call in batch), strict=True))
            made = network(*joined, *others)
            if made.is_cuda:
                torch.cuda.current_stream(made.device).synchronize()  # meanwhile the next gathers
            for call, part in zip(batch, made.split(sizes), strict=True):
                call.answer.set_result(part)
        except BaseException as error:
            if len(batch) == 1:
                batch[0].answer.set_exception(error)
            else:
                for call in batch:
                    self._ask([call])


class Shared:
    """A part of an anonymizer whose calls go through a `Batcher`, and which is otherwise itself.

    `method` names what is called (`__call__` of a network), `tensors` how many of its arguments are
    batches. Who wants a gradient asks the part alone.
    """

    def __init__(self, part: Any, batcher: Batcher, method: str = "__call__", tensors: int = 1):
        self._part, self._batcher, self._tensors = part, batcher, tensors
        self._function = getattr(part, method)
        if method != "__call__":
            setattr(self, method, self._asked)

    def _asked(self, *arguments: Any) -> torch.Tensor:
        tensors = arguments[: self._tensors]
        if torch.is_grad_enabled() and any(one.requires_grad for one in tensors):
            return self._function(*arguments)
        return self._batcher.through(self._function, *arguments, tensors=self._tensors)

    __call__ = _asked

    def __getattr__(self, name: str) -> Any:
        return getattr(self._part, name)


def in_batches(anonymizer: Anonymizer, most: int) -> Anonymizer:
    """The same anonymizer, for several threads at a time: start, generator, recogniser and the networks
    that look at a face work on the faces of all of them together, at most `most` in one batch."""
    batcher, own = Batcher(most), anonymizer.regenerator
    recognizer = Shared(own.recognizer, batcher, "embed")
    perception = anonymizer.perception
    landmarks = Shared(perception.landmarks, batcher)
    return anonymizer.replace(
        recognizer=recognizer,
        generator=Shared(own.generator, batcher, "synthesis"),
        start=Shared(own.start, batcher, tensors=4),
        landmarks=landmarks if own.landmarks is not None else None,
        perception=Perception(
            recognizer, anonymizer.population, landmarks, Shared(perception.network, batcher),
            own.guides,
        ),
    )  # fmt: skip
