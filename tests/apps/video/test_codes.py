"""Codes over time: at key frames the start's, between them they follow the face without a picture."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from anonlab.apps.video.plans import FOUND, Follower, TrackPlan
from anonlab.controls import Controls
from anonlab.perception.networks import openings
from anonlab.photo.faces import align
from anonlab.photo.photos import Photo
from anonlab.regeneration.thin_plate import displaced, displacement


@pytest.fixture(scope="module")
def face(anonymizer, astronaut_still):
    photo = Photo(np.asarray(astronaut_still), "still")
    return anonymizer.analyze(align(photo, anonymizer.detector(photo)[0], 256))


@pytest.fixture(scope="module")
def plan(anonymizer, face):
    mean, count = face.embedding[0].numpy(), 41
    target = anonymizer.path(face).aim(1.0)[0].numpy()
    return TrackPlan(
        first=10, kind=np.full(count, FOUND), box=np.zeros((count, 4)), points=np.zeros((count, 5, 2)),
        embedding=np.tile(mean, (count, 1)), person=0, mean=mean, target=target,
        attribution=np.ones((1, 1, 256, 256), np.float32),
        landmarks=anonymizer.perception.landmarks(face.image).numpy(), mask_area=0.25, resolution=256,
        needed=np.zeros((1, 1, 256, 256), np.float32),
        keys=np.empty(0, int), codes=np.empty(0),
    )  # fmt: skip


def test_key_frames_are_the_ends_and_the_first_found_in_every_24(anonymizer, fast):
    found = np.array([10, 11, 12, 26, 27, 49, 50])
    assert Follower(anonymizer).key_frames(found).tolist() == [10, 26, 49, 50]
    assert not len(Follower(fast).key_frames(found))


def test_the_new_part_of_a_track_s_mask_is_in_the_mask(plan):
    controls = Controls(mask_area=0.25)
    mask, larger = (plan.mask(controls, area) for area in (0.25, 0.35))
    assert torch.equal(plan.new(mask, 0.25), mask)
    half = np.zeros((1, 1, 256, 256), np.float32)
    half[..., :128] = 1
    part = replace(plan, needed=half)
    assert torch.equal(part.new(mask, 0.25), mask * torch.from_numpy(half))
    assert torch.equal(part.new(larger, 0.35), larger)  # of another area


def test_codes_are_the_start_s_at_key_frames_and_open_the_mouth_between(anonymizer, face, plan):
    mask = torch.zeros(1, 1, 256, 256)
    mask[..., 80:200, 70:190] = 1
    started = plan.start(anonymizer, face.image, mask)
    follower = Follower(anonymizer)
    assert follower.codes(plan, 10, face.image, mask) is None
    own = follower.key_codes(plan, face.image, mask).numpy()
    known = TrackPlan(**vars(plan) | {"keys": np.array([10, 50]), "codes": np.concatenate([own, own])})
    follower = Follower(anonymizer)
    for number in (10, 30, 50):
        codes = follower.codes(known, number, face.image, mask)
        torch.testing.assert_close(codes, started, atol=2e-3, rtol=0)
    landmarks = anonymizer.perception.landmarks
    points = landmarks(face.image)
    wide = points.clone()
    wide[:, [*range(6, 11), *range(55, 60), *range(65, 68)], 1] += 0.04
    open_mouth = displaced(face.image, displacement(points, wide))

    def mouth(image):
        codes = follower.codes(known, 30, image, mask)
        return openings(landmarks(anonymizer.generator.synthesis(codes, 256).clamp(-1, 1)))[0, 0]

    asked = openings(landmarks(open_mouth))[0, 0] - openings(points)[0, 0]
    assert mouth(open_mouth) - mouth(face.image) > asked / 3 > 0.02
