"""The torch port of dlib's recogniser against dlib itself (a development dependency)."""

import dlib
import numpy as np
import pytest
import torch
import torch.nn.functional as F

from anonlab.images import to_uint8
from anonlab.recognizers.base import distance
from anonlab.weights import store


@pytest.fixture(scope="module")
def judge():
    folder = store.path_of("dlib-resnet").parent
    predictor = dlib.shape_predictor(str(folder / "shape_predictor_5_face_landmarks.dat"))
    return predictor, dlib.face_recognition_model_v1(str(store.locate("dlib-resnet")))


@pytest.fixture(scope="module")
def chips(judge, synthetic_faces, astronaut_face):
    """dlib's own chips of aligned faces: pairs of (aligned face, chip)."""
    predictor, _ = judge
    find = dlib.get_frontal_face_detector()
    pairs = []
    for face in [*synthetic_faces.split(1), F.avg_pool2d(astronaut_face, 2)]:
        pixels = to_uint8(face)
        found = find(pixels, 0)
        if len(found):
            pairs.append((face, dlib.get_face_chip(pixels, predictor(pixels, found[0]), 150, 0.25)))
    assert len(pairs) >= 5
    return pairs


def test_embeddings_agree_with_dlib(recognizer, judge, chips):
    stacked = torch.stack([torch.from_numpy(chip).permute(2, 0, 1).float() for _, chip in chips])
    with torch.no_grad():
        ours = recognizer(stacked).numpy()
    theirs = np.array([judge[1].compute_face_descriptor(chip) for _, chip in chips])
    np.testing.assert_allclose(ours, theirs, atol=1e-5)


def test_fixed_crop_stands_in_for_dlibs_chips(recognizer, judge, chips):
    with torch.no_grad():
        ours = torch.cat([recognizer.embed(face) for face, _ in chips])
    theirs = torch.tensor(np.array([judge[1].compute_face_descriptor(chip) for _, chip in chips]))
    assert F.cosine_similarity(ours, theirs.float()).mean() >= 0.99


def test_embedding_does_not_depend_on_the_pictures_size(recognizer, astronaut_face):
    with torch.no_grad():
        large = recognizer.embed(astronaut_face)
        small = recognizer.embed(F.avg_pool2d(astronaut_face, 4))
    assert distance(recognizer, large, small).item() < 0.1
