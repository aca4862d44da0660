"""Glasses and irises: painted ones are seen, mirrors change nothing, labels are met."""

from dataclasses import replace

import pytest
import torch
from painting import with_frames

from anonlab.images import resize, to_bytes
from anonlab.perception.eyes import iris_patches
from anonlab.perception.networks import MIRROR, GlassesNetwork, load_glasses, load_landmarks, window
from anonlab.training.labels import Labels
from anonlab.training.loop import TrainConfig, train
from anonlab.training.networks import GlassesTask


@pytest.fixture(scope="module")
def glasses() -> GlassesNetwork:
    return load_glasses()


@pytest.fixture(scope="module")
def points(synthetic_faces) -> torch.Tensor:
    return load_landmarks()(synthetic_faces)


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


def test_the_readout_learns_to_tell_painted_frames(samples, tmp_path, monkeypatch):
    pictures = samples.pictures(slice(0, 12))
    pictures[:6] = with_frames(pictures[:6], load_landmarks()(pictures[:6]))
    monkeypatch.setattr(Labels, "load", lambda: Labels(torch.arange(6), torch.arange(6, 12)))
    monkeypatch.setattr(GlassesTask, "pictures", 16)
    task = GlassesTask(replace(samples, images=to_bytes(pictures)))
    plan = TrainConfig(steps=60, batch=8, learning_rate=3e-3, warm_up=5, log_every=10, ema=0.9)
    out = train(task, plan, tmp_path)
    assert out.log[-1]["labels"] < 0.5 * out.log[0]["labels"]
    assert out.validation[-1]["accuracy"] == 1 and out.validation[-1]["auc"] == 1


# irises


def test_patches_of_a_mirror_are_mirrored_and_pictures_get_gradients(synthetic_faces, points):
    patches = iris_patches(synthetic_faces, points)
    mirrored = torch.stack([1 - points[..., 0], points[..., 1]], -1)[:, list(MIRROR)]
    there = iris_patches(synthetic_faces.flip(3), mirrored)
    torch.testing.assert_close(there, patches.flip(1, 4), atol=1e-3, rtol=0)
    images = synthetic_faces.clone().requires_grad_(True)
    [slope] = torch.autograd.grad(iris_patches(images, points).sum(), images)
    assert (slope.abs().sum((1, 2, 3)) > 0).all()
