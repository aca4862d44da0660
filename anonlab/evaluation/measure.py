"""One person: every method on the first photo, the second one in the gallery, all judges on both."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import torch

from ..encoding.linear import LinearInitialization
from ..encoding.start import LinearStart
from ..images import resize, to_tensor, to_uint8
from ..pipeline import Anonymizer
from ..recognizers import distance
from ..regeneration.regenerate import REFINE_STEPS
from .judging import Instruments
from .methods import OPTIMISED, ORIGINAL, OTHER_PHOTO, Protocol, Subject, our_methods, ours
from .peers import Peer
from .people import Person
from .results import PersonResult

THUMBNAIL = 128  # pixels, for the contact sheets


@dataclass
class Faces:
    """The aligned faces of one person, 8 bits each: a thousand people must fit into memory."""

    person: Person
    digests: list[str] = field(default_factory=list)  # of the photos
    pixels: list[np.ndarray] = field(default_factory=list)  # (SIZE, SIZE, 3) uint8, two at most
    sides: list[float] = field(default_factory=list)  # pixels of the aligned square in the photo

    def image(self, index: int) -> torch.Tensor:
        """`(1, 3, SIZE, SIZE)` in [-1, 1]."""
        return to_tensor(self.pixels[index])


def rounded(image: torch.Tensor) -> torch.Tensor:
    """As 8-bit pixels hold it: what would be in a file."""
    return to_tensor(to_uint8(image))


def measure(
    anonymizer: Anonymizer,
    faces: Faces,
    instruments: Instruments,
    protocol: Protocol,
    calibrate: bool,
    optimise: bool,
    means: dict[str, np.ndarray],
    gallery_means: dict[str, np.ndarray],
    peers: dict[str, Peer],
) -> PersonResult:
    """Every method on one person, judged by all judges; `calibrate` and `optimise` are the slow parts.

    `means` and `gallery_means` are k-same's pictures of the two photos, `peers` are
    those that need only one face.
    """
    before = faces.image(0)
    subject = Subject(anonymizer, before, protocol.seed)
    was = instruments.look(before)
    mask = subject.mask(protocol.main_area).cpu()
    made = {name: method(before) for name, method in peers.items()}
    made |= {name: to_tensor(pixels) for name, pixels in means.items()}
    made |= our_methods(subject, protocol)
    if optimise:
        made[OPTIMISED] = _optimised(subject, protocol)
    result = PersonResult(faces.person.name, {}, {}, {})
    for name, image in made.items():
        image = rounded(image.cpu())
        result.numbers[name] = instruments.compare(before, was, image, mask)
        _keep(result, instruments, "probe", name, image)
        result.tensors[f"features/{name}"] = instruments.features.embed(image)[0]
        result.tensors[f"picture/{name}"] = torch.from_numpy(to_uint8(resize(image, THUMBNAIL)))
    result.asked["mask_area"] = [
        number
        for area in protocol.areas
        for number in (area, result.numbers[ours(area)]["changed_share"])
    ]
    if calibrate:
        result.asked["target_distance"] = _calibrated(subject, protocol)
    if len(faces.pixels) > 1:
        other = faces.image(1)
        result.numbers[OTHER_PHOTO] = instruments.compare(before, was, other, mask, same_frame=False)
        result.tensors[f"features/{OTHER_PHOTO}"] = instruments.features.embed(other)[0]
        result.tensors[f"picture/{OTHER_PHOTO}"] = torch.from_numpy(to_uint8(resize(other, THUMBNAIL)))
        _keep(result, instruments, "gallery", ORIGINAL, other)
        _same_tool(result, anonymizer, instruments, protocol, other, peers, gallery_means)
    return result


def _same_tool(
    result: PersonResult,
    anonymizer: Anonymizer,
    instruments: Instruments,
    protocol: Protocol,
    other: torch.Tensor,
    peers: dict[str, Peer],
    means: dict[str, np.ndarray],
) -> None:
    """The gallery of an attacker who anonymizes it with the same tool, without and with the key."""
    theirs = Subject(anonymizer, other, protocol.seed)
    tools = {name: method(other) for name, method in peers.items() if name != ORIGINAL}
    tools |= {name: to_tensor(pixels) for name, pixels in means.items()}
    tools[protocol.main] = theirs.make(protocol.key(attacker=True), protocol.main_area)
    for name, image in tools.items():
        _keep(result, instruments, "attacker", name, rounded(image.cpu()))
    with_key = theirs.make(protocol.key(), protocol.main_area)
    _keep(result, instruments, "attacker with key", protocol.main, rounded(with_key.cpu()))


def _keep(
    result: PersonResult, instruments: Instruments, kind: str, method: str, image: torch.Tensor
) -> None:
    for recognizer, embedding in instruments.embed(image).items():
        result.tensors[f"{kind}/{recognizer}/{method}"] = embedding


def _optimised(subject: Subject, protocol: Protocol) -> torch.Tensor:
    """The slow reference, whatever the anonymizer does by default."""
    fast = subject.anonymizer
    linear = LinearStart(LinearInitialization(fast.generator, fast.population))
    slow = fast.replace(start=linear, refine_steps=REFINE_STEPS)
    return subject.make(protocol.key(), protocol.main_area, slow)


def _calibrated(subject: Subject, protocol: Protocol) -> list[float]:
    """[asked, reached, …]: distances as the guide has them, between the 8-bit pictures."""
    pairs = []
    for wanted in protocol.target_distances:
        image = subject.make(protocol.key(), protocol.main_area, target_distance=wanted)
        recognizer = subject.anonymizer.recognizer
        with torch.no_grad():
            reached = distance(recognizer, recognizer.embed(rounded(image)), subject.face.embedding)
        pairs += [wanted, reached.item()]
    return pairs
