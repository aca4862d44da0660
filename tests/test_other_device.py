"""Everything that a user may ask for also runs where tensors do not live on the CPU."""

from collections.abc import Iterator

import numpy as np
import pytest
import torch
from apps.video.making import filmed, write_clip
from other_device import elsewhere
from PIL import Image

from anonlab import Anonymizer, openvino_runtime, pipeline
from anonlab.apps.video.anonymize_clip import anonymize_clip
from anonlab.evaluation.judging import Similarity
from anonlab.generators import openvino_mobile
from anonlab.notebook.samples import sample_photo
from anonlab.photo.faces import align
from anonlab.photo.photos import read_photo

KEY = b"0123456789abcdef"


@pytest.fixture(scope="module")
def here() -> Iterator[Anonymizer]:
    """In float32, as there."""
    with pytest.MonkeyPatch.context() as patch:
        for room in (openvino_runtime, openvino_mobile):
            patch.setattr(room, "cpu_precisions", lambda: ("f32",))
        yield Anonymizer.load(key=KEY)


@pytest.fixture
def there(monkeypatch):
    with elsewhere() as device:
        monkeypatch.setattr(pipeline, "pick_device", lambda _: device)
        yield Anonymizer.load(key=KEY)


def test_two_devices_must_not_meet():
    """The stand-in's own check, without which the tests below say nothing."""
    with elsewhere() as device:
        a, b = torch.ones(2, 3, device=device), torch.ones(2, 3)
        assert a.device == device and (a + a.new_ones(3) + 1).cpu().tolist() == [[3.0] * 3] * 2
        a[..., 1:].add_(1)
        assert a[[1], 2].item() == 2 and b.to(device).device == device
        with pytest.raises(RuntimeError, match="two devices"):
            a + b
        with pytest.raises(RuntimeError, match="numpy"):
            np.asarray(a)


@pytest.mark.parametrize("steps", [0, 2])
def test_a_photo_is_the_same_there(here, there, generator, steps):
    photo = sample_photo("synthetic-8", generator)
    changes = {"perception": "integrated_gradients", "refine_steps": steps, "include": ("mouth",)}
    expected, found = here(photo, verify=False, **changes), there(photo, verify=False, **changes)
    difference = np.abs(np.asarray(found.image).astype(int) - np.asarray(expected.image))
    # Sums in another order, by which pixels at the edge of what is new change sides; the first steps of
    # an optimisation follow the signs of gradients, however near to nothing these are.
    most, mean, far = (10, 0.3, 0.02) if steps else (8, 0.02, 2e-3)
    assert np.quantile(difference, 0.999 if steps else 1) <= most and difference.mean() < mean
    assert found.faces[0].distance == pytest.approx(expected.faces[0].distance, abs=far)


def test_a_face_that_cannot_be_made_is_covered_there(there, generator, monkeypatch):
    monkeypatch.setattr("anonlab.checking.MAX_TURN", -1.0)  # every face is turned too far
    photo = Image.new("RGB", (700, 520), "grey")
    photo.paste(sample_photo("astronaut"), (0, 0))
    found = there(photo, fallback="blur")
    assert len(found.covered) == 1 and found.covered[0].distance >= found.covered[0].threshold


def test_two_pictures_are_judged_there(here, there, generator):
    photos = [read_photo(sample_photo(f"synthetic-{seed}", generator)) for seed in (3, 8)]
    pictures = [align(photo, here.detector(photo)[0], 512) for photo in photos]
    numbers = []
    for one in (here, there):
        similarity = Similarity(one.detector, one.device)
        was = similarity.look(pictures[0])
        numbers.append(similarity.compare(was, pictures[1], torch.zeros(1, 1, 512, 512)))
        embedding = one.recognizer.embed(pictures[0].to(one.device))
        numbers[-1] |= {"dlib": embedding.norm().item()}
    assert numbers[1] == pytest.approx(numbers[0], abs=1e-3)


def test_a_clip_is_made_there(there, tmp_path):
    still = sample_photo("astronaut").crop((100, 20, 340, 260))
    frames = filmed([(still, lambda t: (100 + 10 * t, 85, 190, 5 * t))], (256, 160), 3)
    clip = write_clip(tmp_path / "walk.mkv", frames, codec="ffv1")
    record = anonymize_clip(there, clip, tmp_path / "out.mkv")
    [track] = record["tracks"]
    assert (track["frames"], track["covered_frames"]) == (3, [])
    assert track["least_distance"] >= there.recognizer.threshold
