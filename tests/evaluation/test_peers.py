"""What anonlab is measured against: where each method acts, how strongly, and how faces are shared."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from anonlab.evaluation.peers import box_of, k_same, single_face_peers
from anonlab.images import resize
from anonlab.photo.faces import face_oval

SIZE = 64  # of the pictures that k-same mixes
PEERS = single_face_peers()
STRENGTHS = ("weak", "medium", "strong")


@pytest.fixture(scope="module")
def face(astronaut_face) -> torch.Tensor:
    return resize(astronaut_face, 512)


def inside(size: int) -> torch.Tensor:
    """Whether a pixel is in the box: `(size, size)`."""
    box = torch.zeros(size, size, dtype=torch.bool)
    box[box_of(size)] = True
    return box


@pytest.mark.parametrize("name", PEERS)
@pytest.mark.parametrize("size", [512, 200])
def test_outside_the_box_nothing_changes(face, name, size):
    before, box = resize(face, size), inside(size)
    kept = before.clone()
    after = PEERS[name](before)
    assert torch.equal(before, kept), "the picture that was given is left alone"
    assert torch.equal(after[..., ~box], before[..., ~box])
    assert (after[..., box] != before[..., box]).float().mean() > 0.9
    assert name != "blackout" or (after[..., box] == -1).all()


@pytest.mark.parametrize("method", ["blur", "pixelate"])
def test_stronger_loses_more(face, method):
    lost = [(PEERS[f"{method} {name}"](face) - face).square().mean().item() for name in STRENGTHS]
    assert 0 < 1.2 * lost[0] < lost[1] < lost[2] / 1.2


def noise_faces(count: int) -> list[torch.Tensor]:
    rng = torch.Generator().manual_seed(0)
    return [torch.rand(1, 3, SIZE, SIZE, generator=rng) * 2 - 1 for _ in range(count)]


def groups_of(images: list[torch.Tensor]) -> list[list[int]]:
    """People with the same pixels where the oval hides everything, in the order of appearance."""
    middle = torch.from_numpy(face_oval(SIZE)) == 1
    groups: dict[bytes, list[int]] = {}
    for index, image in enumerate(images):
        groups.setdefault(image[..., middle].numpy().tobytes(), []).append(index)
    return list(groups.values())


@given(st.integers(1, 12), st.integers(1, 6))
def test_every_person_is_one_of_at_least_k(count, k):
    images = noise_faces(count)
    kept = [image.clone() for image in images]
    made = k_same(images, k)
    sizes = sorted(len(group) for group in groups_of(made))
    assert sum(sizes) == count and len(sizes) == max(1, count // k)
    assert sizes[:-1] == [k] * (len(sizes) - 1)  # only one group is larger
    assert count < k or k <= sizes[-1] <= 2 * k - 1
    assert all(torch.equal(one, other) for one, other in zip(images, kept, strict=True))
    if k == 1:
        torch.testing.assert_close(torch.cat(made), torch.cat(images))


def test_similar_people_share_and_the_order_stays():
    shades = [0.7, -0.7, 0.0, -0.7, 0.0, 0.7]
    images = [one * 0.1 + shade for one, shade in zip(noise_faces(6), shades, strict=True)]
    made, oval = k_same(images, 2), torch.from_numpy(face_oval(SIZE))
    assert groups_of(made) == [[0, 5], [1, 3], [2, 4]]
    for before, after in zip(images, made, strict=True):
        assert torch.equal(before[..., oval == 0], after[..., oval == 0])
    mean = (images[0] + images[5]) / 2
    torch.testing.assert_close(made[0][..., oval == 1], mean[..., oval == 1])
