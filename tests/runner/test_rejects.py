"""A check that cannot say no is none: runs that the accepted numbers of notebook 05 must reject.

The honest run on the embedded people passes; a copy of the person, a mirrored copy, a blurred output, an
encoder with shuffled weights, shuffled masks and weights with one altered tensor each fail, by the
number one expects and by a multiple of its tolerance.
"""

import copy
import hashlib
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from anonlab import Anonymizer, pipeline
from anonlab.evaluation.evaluate import embed, similar
from anonlab.evaluation.judging import Judge, Similarity
from anonlab.evaluation.people import load_people
from anonlab.evaluation.pictures import BASE, Pictures, Sitting, aligned_faces, fingerprints_of, small
from anonlab.evaluation.privacy import FAR, away, method, strangers
from anonlab.evaluation.tables import numbers
from anonlab.images import blurred
from anonlab.metrics.privacy import calibrated_threshold
from anonlab.notebook.measured import Guard, flatten
from anonlab.runner import regression

ACCEPTED = Path(__file__).parents[1] / "accepted" / "05_evaluate-quick.json"
METHOD = "result"
KEY = b"a key for measuring only"


def digest(image: torch.Tensor | None) -> bytes:
    return b"" if image is None else hashlib.sha256(image.contiguous().numpy().tobytes()).digest()


class Once(Similarity):
    """Compares no two pictures twice: photos are the same in every run."""

    def compare(self, was, after, mask):
        known = self.__dict__.setdefault("known", {})
        key = tuple(map(digest, (was["small"], after, mask)))
        if key not in known:
            known[key] = super().compare(was, after, mask)
        return known[key]


@pytest.fixture(scope="module")
def accepted() -> regression.Accepted:
    return regression.read_accepted(ACCEPTED)


@pytest.fixture(scope="module")
def honest(shipped) -> Anonymizer:
    return shipped.replace(key=KEY)


@pytest.fixture(scope="module")
def results(honest, accepted) -> Callable[..., list[Pictures]]:
    """What an anonymizer makes of the accepted run's people, whose photos are aligned once. Of a damaged
    one the first attempts count: further ones mend what they can."""
    [(source, count)] = accepted.parameters["PEOPLE"].items()
    faces = [(one, aligned_faces(honest, one)[0]) for one in load_people(source, count)]

    def make(anonymizer: Anonymizer, attempts: int = pipeline.ATTEMPTS) -> list[Pictures]:
        made = []
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(pipeline, "ATTEMPTS", attempts)
            for person, one in faces:
                sitting = Sitting(anonymizer, one.pixels, accepted.parameters["SEED"])
                names = ("photo", "other photo", "result", "mask")
                pixels = {name: small(BASE[name](sitting)) for name in names}
                made.append(Pictures(person, pixels, one.side))
        return made

    return make


@pytest.fixture(scope="module")
def good(results, honest) -> list[Pictures]:
    return results(honest)


@pytest.fixture(scope="module")
def check(honest, accepted) -> Callable[..., list[regression.Row]]:
    """Compare pictures, and the weights of an anonymizer, with the accepted numbers.

    Without what attackers and other methods make, which is most of the time: notebook 05 itself is held
    to those numbers (`test_notebooks.py`).
    """
    guards = {name: Guard(**one["guard"]) for name, one in accepted.judged.items()}
    judge, similarity = Judge("dlib", honest.recognizer, True), Once(honest.detector)

    def compare(pictures: list[Pictures], anonymizer: Anonymizer = honest) -> list[regression.Row]:
        seen = embed(judge, pictures)
        threshold = calibrated_threshold(strangers(away(judge, seen, "photo", "other photo")), FAR)
        said = {
            "people": len(pictures),
            "similarity": similar(pictures, similarity, {METHOD: "result"}),
            "found": {"dlib": {"methods": {METHOD: method(judge, seen, "result", threshold)}}},
            "fingerprint": fingerprints_of(anonymizer),
        }
        recorded = numbers(said)
        made = {name: recorded[name] for name in (METHOD, "fingerprint")}
        own = {name: one for name, one in guards.items() if name.startswith((METHOD, "fingerprint"))}
        assert len(own) > 12
        held = replace(accepted, judged={name: accepted.judged[name] for name in own})
        return regression.compare(held, flatten(made, own))

    return compare


def failed(rows: list[regression.Row]) -> dict[str, float]:
    """How many tolerances each number moved that failed; infinitely many where none is allowed."""
    return {
        row.name.removeprefix(f"{METHOD}/"): (
            abs(row.now - row.accepted) / row.tolerance if row.tolerance else math.inf
        )
        for row in rows
        if row.verdict == "failed"
    }


def test_the_honest_run_passes(check, good):
    rows = check(good)
    assert failed(rows) == {}
    assert sum(row.verdict == "ok" for row in rows) > 12


@pytest.mark.parametrize(
    ("change", "by", "margin"),
    [
        (lambda one: one.image("photo"), ("dlib/distance_own", "dlib/distance_other"), 5),
        (lambda one: one.image("photo").flip(3), ("dlib/distance_own", "ssim_outside"), 1.5),
        (lambda one: blurred(one.image("result"), 2), ("st_lpips", "ssim_outside", "psnr_outside"), 1.5),
    ],
    ids=["a copy", "a mirrored copy", "blurred"],
)
def test_other_pictures_are_rejected(check, good, change, by, margin):
    spoilt = [replace(one, pixels=one.pixels | {"result": small(change(one))}) for one in good]
    found = failed(check(spoilt))
    assert min(found[name] for name in by) > margin
    assert ("dlib/match_rate_other" in found) == ("dlib/distance_own" in by)


def test_shuffled_weights_of_the_encoder_are_rejected(check, results, honest):
    start = honest.regenerator.start
    encoder = copy.deepcopy(start.encoder)
    order = torch.randperm(encoder.to_ws.numel(), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        encoder.to_ws.copy_(encoder.to_ws.flatten()[order].view_as(encoder.to_ws))
    other = honest.replace(start=replace(start, encoder=encoder))
    found = failed(check(results(other, 1), other))
    assert found["dlib/distance_own"] > 1.5 and found["dlib/distance_other"] > 1.5
    assert "fingerprint/encoder" in found


def test_shuffled_masks_are_rejected(check, results, honest):
    def shuffled(image: torch.Tensor, *arguments) -> torch.Tensor:
        """The same heat, in blocks of 16 pixels that are anywhere."""
        heat = honest.perception(image, *arguments)
        blocks = heat.unfold(2, 16, 16).unfold(3, 16, 16).reshape(-1, 16, 16)
        order = torch.randperm(len(blocks), generator=torch.Generator().manual_seed(0))
        side = heat.shape[-1] // 16
        rows = blocks[order].reshape(side, side, 16, 16).transpose(1, 2)
        return rows.reshape(1, 1, 16 * side, 16 * side)

    shuffled.landmarks = honest.perception.landmarks
    found = failed(check(results(honest.replace(perception=shuffled), 1)))
    assert found["dlib/distance_own"] > 1.5 and found["changed_share"] > 1.5


def test_weights_with_one_altered_tensor_are_rejected(check, results, good, honest):
    """A slight change is told by the weights' fingerprint, a large one by what it does as well."""
    other = Anonymizer.load(device="cpu", key=KEY).replace(perception=honest.perception)
    with torch.no_grad():
        other.generator.blocks[2].conv1.weight[0, 0].mul_(1.01)
        assert failed(check(good, other)) == {"fingerprint/generator": math.inf}
        other.generator.blocks[4].conv1.weight.neg_()
    found = failed(check(results(other, 1), other))
    assert "fingerprint/generator" in found and found["st_lpips"] > 1.5
