"""Stage 3's last step: put the regenerated part into the face so that no seam shows."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from ..images import blurred, pasted, resize
from ..perception.regions import face_band

SIZE = 256  # pixels at which colours are compared
NEAR, FAR = 6.0, 16.0  # Gaussian reach of the colour correction, in those pixels
TOLERANCE = 0.3  # a larger difference is another thing behind, not another colour
WIDER = 0.04  # of the photo's face, so that the roots of the ears are in it, over its width
EDGE = 2.0  # Gaussian of the line along which photo and new face meet beside it, in those pixels
# weight of the far one: it decides where no certain pixel is in reach of the near one
FAR_SHARE = 0.02
DETAIL_SIZE = 512  # pixels at which sharpness is compared
FINE = 1.0  # Gaussian that parts fine detail from the rest, in those pixels
SHARPEST, SOFTEST = 0.3, 6.0  # between which the Gaussian is searched that a sharp face needs
HALVINGS = 8  # of that range
COARSE = 3.0  # Gaussian, in pixels of 512, that leaves what a smear leaves, too
DIRECTED = 0.3  # ratio of the least to the greatest squared sharpness over directions, below which …
SMEARED = 16.0  # … the photo is blurred along one, by a Gaussian of at most so many pixels of 512


def match_sharpness(generated: torch.Tensor, image: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Blur `generated (1, 3, S, S)` until it has no more fine detail than `image (1, 3, S, S)` has in
    the `mask (1, 1, S, S)`: along one direction by `motion_blur`, then in all by `detail_blur`."""
    sigma, direction = motion_blur(generated, image, mask)
    generated = with_motion(generated, sigma, direction)
    return with_blur(generated, detail_blur(generated, image, mask))


def motion_blur(
    generated: torch.Tensor, image: torch.Tensor, mask: torch.Tensor
) -> tuple[float, tuple[float, float]]:
    """Measure the directed blur of `image (1, 3, S, S)` in the `mask` that `generated` lacks.

    Returns its deviation in pixels of 512 and the direction `(x, y)`, a unit vector; 0 where the photo
    is about as sharp in all directions. The structure tensors of the two are compared: their generalised
    eigenvalues are the least and the greatest ratio of squared gradients over all directions.
    """
    size = min(DETAIL_SIZE, image.shape[-1])
    where = resize(mask, size)
    if not where.any():
        return 0.0, (1.0, 0.0)

    def tensor(picture: torch.Tensor) -> torch.Tensor:
        grey = blurred(picture, FINE) - blurred(picture, COARSE)
        x, y = (grey.roll(-1, axis) - grey.roll(1, axis) for axis in (3, 2))
        xx, xy, yy = ((where * one).sum() for one in (x * x, x * y, y * y))
        return torch.stack([torch.stack([xx, xy]), torch.stack([xy, yy])]).double()

    grey, sharp = (resize(one, size).mean(1, keepdim=True) for one in (image, generated))
    wanted = tensor(grey)
    found, vectors = torch.linalg.eig(torch.linalg.solve(tensor(sharp), wanted))
    ratios, vectors = found.real, vectors.real
    least = ratios.argmin()
    if ratios[least] > DIRECTED * ratios.max():
        return 0.0, (1.0, 0.0)
    along = vectors[:, least] / vectors[:, least].norm()
    across, direction = along.flip(0) * along.new_tensor([-1, 1]), (along[0].item(), along[1].item())
    low, high = SHARPEST, SMEARED
    for _ in range(HALVINGS):
        middle = (low * high) ** 0.5
        now = tensor(with_motion(sharp, middle * DETAIL_SIZE / size, direction))
        # what of the difference is the same in all directions is left to `detail_blur`
        sharper = (along @ now @ along) * (across @ wanted @ across) > (along @ wanted @ along) * (
            across @ now @ across
        )
        low, high = (middle, high) if sharper else (low, middle)
    return low * DETAIL_SIZE / size, direction


def with_motion(generated: torch.Tensor, sigma: float, direction: tuple[float, float]) -> torch.Tensor:
    """Blur `generated (1, C, S, S)` along `direction (x, y)` by a Gaussian of `sigma` pixels of 512."""
    sigma = sigma * generated.shape[-1] / DETAIL_SIZE
    if sigma < SHARPEST:
        return generated
    reach = int(3 * sigma) + 1
    steps = torch.arange(-reach, reach + 1, device=generated.device, dtype=generated.dtype)
    y, x = torch.meshgrid(steps, steps, indexing="ij")
    along, across = x * direction[0] + y * direction[1], x * direction[1] - y * direction[0]
    line = (1 - across.abs()).clamp_min(0)  # one pixel wide
    kernel = (-((along / sigma) ** 2) / 2).exp() * line
    kernel = (kernel / kernel.sum()).expand(generated.shape[1], 1, -1, -1)
    padded = F.pad(generated, [reach] * 4, "replicate")
    return F.conv2d(padded, kernel, groups=generated.shape[1])


def with_blur(generated: torch.Tensor, sigma: float) -> torch.Tensor:
    """`generated (1, 3, S, S)` under a Gaussian of `sigma` pixels of 512; too small a one is none."""
    if sigma < SHARPEST:
        return generated
    return blurred(generated, sigma * generated.shape[-1] / DETAIL_SIZE)


def detail_blur(generated: torch.Tensor, image: torch.Tensor, mask: torch.Tensor) -> float:
    """The Gaussian, in pixels of 512, under which `generated` has no more fine detail than `image` has
    in the `mask`; 0 for a face that is softer than the photo.

    A generator draws every pore; a photo that was small, out of focus or compressed has none. Detail
    is the mean absolute difference to the picture under a small Gaussian, at 512 px at most.
    """
    size = min(DETAIL_SIZE, image.shape[-1])
    weight = resize(mask, size)
    if not weight.any():
        return 0.0
    rows, columns = (_span(weight.amax(axis)[0, 0], size) for axis in (3, 2))
    weight = weight[..., rows, columns]

    def grey(picture: torch.Tensor) -> torch.Tensor:
        return resize(picture, size)[..., rows, columns].mean(1, keepdim=True)

    def detail(picture: torch.Tensor) -> torch.Tensor:
        return ((picture - blurred(picture, FINE)).abs() * weight).sum()

    wanted, sharp = detail(grey(image)), grey(generated)
    if detail(sharp) <= wanted:
        return 0.0
    low, high = SHARPEST, SOFTEST
    for _ in range(HALVINGS):
        middle = (low * high) ** 0.5
        low, high = (middle, high) if detail(blurred(sharp, middle)) > wanted else (low, middle)
    return low * DETAIL_SIZE / size


def _span(touched: torch.Tensor, size: int) -> slice:
    """Where a line `(size,)` is not zero, and as far around as a Gaussian reaches."""
    found = touched.nonzero().flatten()
    reach = int(3 * (SOFTEST + FINE)) + 1
    return slice(max(0, int(found[0]) - reach), min(size, int(found[-1]) + reach + 1))


def harmonise(
    generated: torch.Tensor,
    image: torch.Tensor,
    mask: torch.Tensor,
    seen: torch.Tensor | None = None,
) -> torch.Tensor:
    """`generated (N, 3, S, S)` with its colours shifted so that they meet those of `image` around and
    across the mask; by `colour_shift`."""
    return generated + resize(colour_shift(generated, image, mask, seen), generated.shape[-1])


def colour_shift(
    generated: torch.Tensor,
    image: torch.Tensor,
    mask: torch.Tensor,
    seen: torch.Tensor | None = None,
) -> torch.Tensor:
    """What to add to the colours of `generated` so that they meet those of `image`, `(N, 3, 256, 256)`.

    `generated, image (N, 3, S, S)`, `mask (N, 1, S, S)`. The difference between the two is spread by
    normalised convolution (Knutsson and Westin 1993). Near the mask's edge that outside the mask
    decides, within it the difference under a Gaussian of a sixteenth of the side: light and tone of
    the skin, and nothing that a recogniser could use (a face under as wide a Gaussian is the row "blur
    strong" of the evaluation). Where the two show different things (hair against a wall) the
    difference counts for little, and where `seen (N, 1, S, S)` is 0, because something stands in
    front, it does not count.
    """
    size = min(SIZE, image.shape[-1])
    difference = resize(image, size) - resize(generated, size)
    mismatch = difference.square().mean(1, keepdim=True) / TOLERANCE**2
    agree = (-mismatch).exp() * (1 if seen is None else resize(seen, size))
    outside = (1 - resize(mask, size)) * agree
    near, far = (torch.cat([difference * one, one], 1) for one in (outside, agree))
    scale = size / SIZE
    spread = blurred(near, scale * NEAR) + FAR_SHARE * blurred(far, scale * FAR)
    return spread[:, :3] / spread[:, 3:].clamp_min(1e-6)


def without_lost_parts(
    mask: torch.Tensor, points: torch.Tensor, new_points: torch.Tensor
) -> torch.Tensor:
    """`mask (1, 1, S, S)` without what belongs to the face in the photo and not in the new picture.

    Where the new face is narrower, wall and hair of the generated picture would stand beside cheek
    and ear; the photo's own pixels stay there. `points, new_points (1, 68, 2)` of photo and picture.
    """
    lost = face_band(points, SIZE, WIDER) * (1 - face_band(new_points, SIZE))
    lost = blurred(lost, EDGE).to(mask)
    return mask * (1 - resize(lost, mask.shape[-1])).clamp(0, 1)


def compose(generated: torch.Tensor, image: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """`image` where the mask is 0, the harmonised `generated` where it is 1, in [-1, 1]."""
    return pasted(image, harmonise(generated, image, mask), mask).clamp(-1, 1)
