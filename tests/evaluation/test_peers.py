"""What anonlab is measured against: where each method acts, how strongly, and who shares a face."""

from __future__ import annotations

import pytest
import torch

from anonlab.evaluation.peers import (
    BLOCKS,
    BLURS,
    blackout,
    blur,
    box_of,
    k_same,
    pixelate,
    single_face_peers,
)
from anonlab.images import resize, to_uint8
from anonlab.photo.faces import face_oval

SIZE = 64  # of the pictures that k-same mixes


@pytest.fixture(scope="module")
def face(astronaut_face) -> torch.Tensor:
    return resize(astronaut_face, 512)


def inside(size: int) -> torch.Tensor:
    """Whether a pixel is in the box: `(size, size)`."""
    box = torch.zeros(size, size, dtype=torch.bool)
    box[box_of(size)] = True
    return box


BOXED = {
    "blackout": blackout,
    **{f"blur {name}": lambda image, name=name: blur(image, name) for name in BLURS},
    **{f"pixelate {name}": lambda image, name=name: pixelate(image, name) for name in BLOCKS},
}


@pytest.mark.parametrize("name", BOXED)
@pytest.mark.parametrize("size", [512, 200])
def test_outside_the_box_nothing_changes(face, name, size):
    before = resize(face, size)
    kept = before.clone()
    after = BOXED[name](before)
    box = inside(size)
    assert torch.equal(before, kept), "the picture that was given is left alone"
    assert torch.equal(after[..., ~box], before[..., ~box])
    assert (after[..., box] != before[..., box]).float().mean() > 0.9


def test_the_box_holds_the_oval_of_the_face():
    box, oval = inside(512).numpy(), face_oval(512)
    assert oval[box].sum() > 0.95 * oval.sum()
    assert 0.35 < box.mean() < 0.5


def test_blackout_is_black(face):
    assert (blackout(face)[..., inside(512)] == -1).all()


@pytest.mark.parametrize(("method", "strengths"), [(blur, BLURS), (pixelate, BLOCKS)])
def test_stronger_loses_more(face, method, strengths):
    lost = [(method(face, name) - face).square().mean().item() for name in strengths]
    assert list(strengths) == ["weak", "medium", "strong"]
    assert 0 < 1.2 * lost[0] < lost[1] < lost[2] / 1.2


@pytest.mark.parametrize(("name", "across"), BLOCKS.items())
def test_pixelation_has_one_colour_a_block(name, across):
    noise = torch.rand(1, 3, 512, 512, generator=torch.Generator().manual_seed(0)) * 2 - 1
    made = pixelate(noise, name)[..., *box_of(512)]
    height, width = made.shape[-2:]
    down = round(across * height / width)
    assert len(made.flatten(2)[0].T.unique(dim=0)) == across * down
    assert (made[..., 1:] != made[..., :-1]).any(1)[0].any(0).sum() == across - 1
    assert (made[..., 1:, :] != made[..., :-1, :]).any(1)[0].any(1).sum() == down - 1
    assert height / down == pytest.approx(width / across, rel=0.1)  # square


def test_pixelation_keeps_the_mean_colour(face):
    box = box_of(512)
    for name in BLOCKS:
        before, after = (image[..., *box].mean((2, 3)) for image in (face, pixelate(face, name)))
        assert (before - after).abs().max() < 0.02


def test_a_blur_draws_on_the_colours_around_the_box():
    image = torch.where(inside(256), 1.0, -1.0).expand(1, 3, -1, -1)
    made = blur(image, "medium")
    rows, columns = box_of(256)
    middle, edge = (made[0, 0, (rows.start + rows.stop) // 2, x] for x in (128, columns.start))
    assert middle > 0.95
    assert abs(edge) < 0.15  # half of each


def test_a_blur_is_the_same_at_every_size(face):
    large = resize(blur(face, "medium"), 256)
    small = blur(resize(face, 256), "medium")
    rows, columns = box_of(256)
    within = (slice(rows.start + 4, rows.stop - 4), slice(columns.start + 4, columns.stop - 4))
    assert (large - small)[..., *within].abs().max() < 0.05


def test_the_table_names_every_method(face):
    table = single_face_peers()
    assert list(table) == list(BOXED)
    for name, method in BOXED.items():  # each name does what it says, not what the last one does
        assert torch.equal(table[name](face), method(face))


def noise_faces(count: int, seed: int = 0) -> list[torch.Tensor]:
    rng = torch.Generator().manual_seed(seed)
    return [torch.rand(1, 3, SIZE, SIZE, generator=rng) * 2 - 1 for _ in range(count)]


def groups_of(images: list[torch.Tensor]) -> list[list[int]]:
    """Who has the same pixels where the oval hides everything, in the order of appearance."""
    middle = torch.from_numpy(face_oval(SIZE)) == 1
    groups: dict[bytes, list[int]] = {}
    for index, image in enumerate(images):
        groups.setdefault(image[..., middle].numpy().tobytes(), []).append(index)
    return list(groups.values())


@pytest.mark.parametrize("k", [1, 2, 3, 5])
@pytest.mark.parametrize("count", [1, 2, 5, 6, 9, 11])
def test_everybody_is_one_of_at_least_k(count, k):
    sizes = [len(group) for group in groups_of(k_same(noise_faces(count), k))]
    assert sum(sizes) == count
    if count < k:
        assert sizes == [count]
    else:
        assert len(sizes) == count // k
        assert min(sizes) >= k and max(sizes) <= 2 * k - 1
        assert sorted(sizes)[:-1] == [k] * (len(sizes) - 1)  # only the last group is larger


def test_similar_people_share_and_the_order_stays():
    """Dark, grey and bright people, mixed up: each kind is a group, and each keeps his surroundings."""
    shades = [0.7, -0.7, 0.0, -0.7, 0.0, 0.7]
    images = [one * 0.1 + shade for one, shade in zip(noise_faces(6), shades, strict=True)]
    made = k_same(images, 2)
    assert groups_of(made) == [[0, 5], [1, 3], [2, 4]]
    around = torch.from_numpy(face_oval(SIZE)) == 0
    middle = torch.from_numpy(face_oval(SIZE)) == 1
    for before, after in zip(images, made, strict=True):
        assert torch.equal(before[..., around], after[..., around])
    mean = (images[0] + images[5]) / 2
    torch.testing.assert_close(made[0][..., middle], mean[..., middle])


def test_between_face_and_surroundings_the_mean_is_faded_in():
    images = [torch.full((1, 3, SIZE, SIZE), value) for value in (-1.0, 1.0)]
    made = k_same(images, 2)[0][0, 0]
    expected = torch.from_numpy(face_oval(SIZE)).float() - 1  # from his own -1 to the mean, 0
    torch.testing.assert_close(made, expected)


def test_one_of_one_keeps_the_face_and_what_was_given_is_left_alone():
    images = noise_faces(5)
    kept = [image.clone() for image in images]
    for before, after in zip(images, k_same(images, 1), strict=True):
        torch.testing.assert_close(after, before)
        assert (to_uint8(after) == to_uint8(before)).all()
    k_same(images, 2)
    assert all(torch.equal(one, other) for one, other in zip(images, kept, strict=True))
