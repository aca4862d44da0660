"""Glasses and irises: painted ones are seen, mirrors change nothing, labels are met."""

from __future__ import annotations

import pytest
import torch
from painting import coordinates, with_frames

from anonlab.errors import InputDamaged
from anonlab.images import resize
from anonlab.metrics import area_under_roc
from anonlab.perception.eyes import eye_windows, iris_patches
from anonlab.perception.glasses import GlassesNetwork, load_glasses, window
from anonlab.perception.landmarks import MIRROR, load_landmarks
from anonlab.perception.perception_network import load_perception_network
from anonlab.training.glasses import FOLD, GlassesTask, Labels
from anonlab.training.loop import TrainConfig, train
from anonlab.training.synthetic import CHUNK, SEED, draw_codes, generate


@pytest.fixture(scope="module")
def glasses() -> GlassesNetwork:
    return load_glasses()


@pytest.fixture(scope="module")
def points(synthetic_faces) -> torch.Tensor:
    return load_landmarks()(synthetic_faces)


def mirrored(points: torch.Tensor) -> torch.Tensor:
    flipped = torch.stack([1 - points[..., 0], points[..., 1]], -1)
    return flipped[:, list(MIRROR)]


# glasses


def test_painted_frames_are_seen(glasses, synthetic_faces, points):
    bare = glasses(synthetic_faces) < 0
    assert bare.sum() >= 4
    before = glasses(synthetic_faces[bare])
    after = glasses(with_frames(synthetic_faces, points)[bare])
    assert (after > 0).all() and (after - before > 3).all()


def test_a_mirror_and_another_size_change_little(glasses, synthetic_faces, points):
    for images in (synthetic_faces, with_frames(synthetic_faces, points)):
        said = glasses(images)
        assert (glasses(images.flip(3)) - said).abs().max() < 1.5
        assert torch.equal(glasses(images.flip(3)) > 0, said > 0)
        assert (glasses(resize(images, 256)) - said).abs().max() < 1e-4


def test_what_is_outside_of_the_window_does_not_matter_and_what_is_inside_has_a_gradient(
    glasses, synthetic_faces
):
    images = synthetic_faces[:2].clone().requires_grad_(True)
    [slope] = torch.autograd.grad(glasses(images).sum(), images)
    assert window(slope.abs()).amin(0).sum() > 0
    assert slope[:, :, :150].abs().max() == 0 and slope[:, :, 330:].abs().max() == 0
    assert window(images).shape == (2, 3, 88, 160)


def test_held_out_labels_are_met(glasses, generator):
    """Faces of the first four files, made again from their codes: the files are large."""
    labels = Labels.load()
    said = {}
    for name in ("worn", "bare"):
        index = getattr(labels.among(4 * CHUNK), name)
        index = index[index % FOLD == 0][:24]
        assert len(index) >= 20
        logits = []
        for number in (index // CHUNK).unique().tolist():
            codes = draw_codes(generator, CHUNK, torch.Generator().manual_seed(1000 * SEED + number))
            for one in index[index // CHUNK == number] % CHUNK:
                with torch.no_grad():
                    logits.append(glasses(generator.synthesis(codes[one][None], 256).clamp(-1, 1)))
        said[name] = torch.cat(logits)
    right = torch.cat([said["worn"] > 0, said["bare"] < 0])
    assert right.float().mean() >= 0.95
    assert area_under_roc(said["bare"], said["worn"]) > 0.98


def test_labels_are_of_the_faces_that_training_makes(tmp_path):
    labels = Labels.load()
    assert len(labels.worn) >= 100 and len(labels.worn) + len(labels.bare) >= 600
    assert not set(labels.worn.tolist()) & set(labels.bare.tolist())
    assert labels.count() == max(labels.worn.max(), labels.bare.max()) + 1
    assert labels.among(50).count() <= 50
    path = tmp_path / "labels.json"
    path.write_text('{"seed": 2, "chunk": 250, "glasses": {"worn": [1], "bare": [2]}}')
    with pytest.raises(InputDamaged, match="seed 1"):
        Labels.load(path=path)


def test_the_readout_learns_to_tell_painted_frames(generator, recognizer, population, tmp_path):
    samples = generate(generator, recognizer, population, 12, 5, load_perception_network())
    pictures = samples.pictures(slice(0, 12))
    framed = with_frames(pictures, load_landmarks()(pictures))[:6]
    samples.images[:6] = ((framed + 1) * 127.5).round().to(torch.uint8)
    task = GlassesTask(samples, Labels(torch.arange(6), torch.arange(6, 12)), augmented=16)
    plan = TrainConfig(steps=60, batch=8, learning_rate=3e-3, warm_up=5, log_every=10, ema=0.9)
    out = train(task, plan, tmp_path)
    assert out.log[-1]["labels"] < 0.5 * out.log[0]["labels"]
    assert out.validation[-1]["accuracy"] == 1 and out.validation[-1]["auc"] == 1


# irises


def test_a_patch_follows_the_eye(synthetic_faces, points):
    """A point's own coordinates as a picture: the patch says where it was cut."""
    x, y = coordinates(synthetic_faces)
    chart = torch.stack(torch.broadcast_tensors(x, y)).expand(6, 2, -1, -1)
    patches = iris_patches(chart, points, 16)
    assert patches.shape == (6, 2, 2, 16, 16)
    centres, across = eye_windows(points)
    torch.testing.assert_close(patches.mean((3, 4)), centres, atol=1e-4, rtol=0)
    row = patches[..., 8, -1] - patches[..., 8, 0]  # 15/16 of the patch, along the eye
    torch.testing.assert_close(row, 0.9 * across * 15 / 16, atol=1e-4, rtol=0)


def test_patches_of_a_mirror_are_mirrored_and_pictures_get_gradients(synthetic_faces, points):
    patches = iris_patches(synthetic_faces, points)
    there = iris_patches(synthetic_faces.flip(3), mirrored(points))
    torch.testing.assert_close(there, patches.flip(1, 4), atol=1e-3, rtol=0)
    images = synthetic_faces.clone().requires_grad_(True)
    [slope] = torch.autograd.grad(iris_patches(images, points).sum(), images)
    assert (slope.abs().sum((1, 2, 3)) > 0).all()
