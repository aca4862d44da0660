"""A check that cannot say no is none: runs that the accepted numbers of notebook 05 must reject.

The honest run on the embedded people passes; a copy of the person, an encoder with shuffled weights,
shuffled masks, a blurred output and weights with one altered tensor each fail, by the number one
expects and by a multiple of its tolerance.
"""

import copy
import hashlib
import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from anonlab import Anonymizer
from anonlab.evaluation.evaluate import embed, similar
from anonlab.evaluation.judging import Judge, Similarity
from anonlab.evaluation.people import Person, load_people
from anonlab.evaluation.pictures import BASE, Gallery, fingerprints_of
from anonlab.evaluation.privacy import FAR, away, method, strangers
from anonlab.evaluation.recorded import numbers
from anonlab.generators.samples import sample_photo
from anonlab.images import blurred
from anonlab.measured import Guard, guarded
from anonlab.metrics import calibrated_threshold
from anonlab.regeneration.regenerate import Regenerator
from anonlab.runner import regression

ACCEPTED = Path(__file__).parents[1] / "accepted" / "05_evaluate-quick.json"
METHOD = "result"


KEY = b"a key for measuring only"


def digest(image: torch.Tensor) -> bytes:
    return hashlib.sha256(image.contiguous().numpy().tobytes()).digest()


@pytest.fixture(scope="module")
def honest() -> Anonymizer:
    """Attributes every photo once: the maps of a run are those of the next, unless it has its own."""
    anonymizer = Anonymizer.load(device="cpu", key=KEY)
    attribute, maps = anonymizer.perception, {}

    def once(image: torch.Tensor) -> torch.Tensor:
        key = digest(image)
        if key not in maps:
            maps[key] = attribute(image)
        return maps[key]

    return anonymizer.replace(perception=once)


@pytest.fixture(scope="module")
def check(honest, tmp_path_factory):
    """Evaluates an anonymizer on the accepted run's people and compares what it made of them.

    Without what attackers and other methods make, which is most of the time: notebook 05 itself is held
    to those numbers (`test_notebooks.py`).
    """
    accepted = regression.read_accepted(ACCEPTED)
    guards = {name: Guard(**one["guard"]) for name, one in accepted.judged.items()}
    parameters = accepted.parameters
    [(source, count)] = parameters["PEOPLE"].items()
    photos = tmp_path_factory.mktemp("photos")
    people = [_written(one, honest, photos) for one in load_people(source, count)]
    judge, similarity = Judge("dlib", honest.recognizer, True), Similarity(honest.detector)
    recipes = {name: BASE[name] for name in ("photo", "other photo", "result", "mask")}

    def compare(anonymizer) -> regression.Comparison:
        gallery = Gallery(anonymizer, tmp_path_factory.mktemp("state"), parameters["SEED"])
        pictures = gallery.people(people, recipes, [], False)
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
        return regression.compare(held, guarded(made, own), parameters)

    return compare


def _written(person: Person, anonymizer: Anonymizer, folder: Path) -> Person:
    """The same person with the photos in files, so that they are generated once."""
    paths = [folder / f"{name}.png" for name in person.photos]
    for name, path in zip(person.photos, paths, strict=True):
        sample_photo(name, anonymizer.generator).save(path)
    return Person(person.name, tuple(paths))


def failed(comparison: regression.Comparison) -> dict[str, float]:
    """How many tolerances each number moved that failed; infinitely many where none is allowed.

    Printed, for the table of margins (`pytest -s`).
    """
    found = {}
    for row in comparison.named("failed"):
        moved = abs(row.now - row.accepted) / row.tolerance if row.tolerance else math.inf
        found[row.name.removeprefix(f"{METHOD}/")] = moved
        print(f"{row.name}: {row.change}, {moved:.1f} tolerances")
    return found


def test_the_honest_run_passes(check, honest):
    comparison = check(honest)
    assert failed(comparison) == {}
    assert len(comparison.named("ok")) > 12


def test_a_copy_of_the_person_is_rejected(check, honest):
    class Copy(Regenerator):
        def codes(self, *_):
            return torch.zeros(1, 16, 512)

        def pictures(self, ws, image, mask, resolution=None, own_eyes=True):
            return image, image

    found = failed(check(honest.replace(regenerator=Copy(**vars(honest.regenerator)))))
    assert found["dlib/distance_own"] > 5 and found["dlib/distance_other"] > 5
    assert "dlib/match_rate_other" in found


def test_shuffled_weights_of_the_encoder_are_rejected(check, honest):
    """The shipped encoder with the numbers of one tensor in another order."""
    start = honest.regenerator.start
    encoder = copy.deepcopy(start.encoder)
    order = torch.randperm(encoder.to_ws.numel(), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        encoder.to_ws.copy_(encoder.to_ws.flatten()[order].view_as(encoder.to_ws))
    found = failed(check(honest.replace(start=replace(start, encoder=encoder))))
    assert found["dlib/distance_own"] > 1.5 and found["dlib/distance_other"] > 1.5
    assert "fingerprint/encoder" in found


def test_shuffled_masks_are_rejected(check, honest):
    def shuffled(image: torch.Tensor, *arguments) -> torch.Tensor:
        """The same heat, in blocks of 16 pixels that are anywhere."""
        heat = honest.perception(image, *arguments)
        blocks = heat.unfold(2, 16, 16).unfold(3, 16, 16).reshape(-1, 16, 16)
        order = torch.randperm(len(blocks), generator=torch.Generator().manual_seed(0))
        side = heat.shape[-1] // 16
        rows = blocks[order].reshape(side, side, 16, 16).transpose(1, 2)
        return rows.reshape(1, 1, 16 * side, 16 * side)

    found = failed(check(honest.replace(perception=shuffled)))
    assert found["dlib/distance_own"] > 1.5 and found["ssim_outside"] > 1.5


def test_a_blurred_output_is_rejected(check, honest):
    class Soft(Regenerator):
        def pictures(self, ws, image, mask, resolution=None, own_eyes=True):
            made, composite = super().pictures(ws, image, mask, resolution, own_eyes)
            return made, blurred(composite, 2.0)

    found = failed(check(honest.replace(regenerator=Soft(**vars(honest.regenerator)))))
    assert min(found[name] for name in ("st_lpips", "ssim_outside", "psnr_outside")) > 1.5


def test_weights_with_one_altered_tensor_are_rejected(check, honest):
    """A slight change is told by the weights' fingerprint, a large one by what it does as well."""

    def other() -> Anonymizer:
        return Anonymizer.load(device="cpu", key=KEY).replace(perception=honest.perception)

    altered, slight = other(), other()
    with torch.no_grad():
        altered.generator.blocks[4].conv1.weight.neg_()
        slight.generator.blocks[2].conv1.weight[0, 0].mul_(1.01)
    found = failed(check(altered))
    assert "fingerprint/generator" in found and found["st_lpips"] > 1.5
    assert failed(check(slight)) == {"fingerprint/generator": math.inf}
