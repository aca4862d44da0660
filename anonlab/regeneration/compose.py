"""Stage 3's last step: put the regenerated part into the face so that no seam shows.

`measure_blend` measures a blend and prepares the picture, `join` pastes it; a frame of a clip gets the
`mean_blend` of its neighbours by `apply_blend`.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields

import torch
import torch.nn.functional as F

from ..controls import Controls
from ..device import torch_threads
from ..images import FACE_SIZE, blurred, pasted, resize
from ..perception.regions import between_lids, face_band, region_masks
from ..photo.grain import grain
from .occlusion import beard, glasses, in_front
from .thin_plate import displaced, displacement

NEAR, FAR = 6.0, 16.0  # Gaussian reach of the colour correction, in pixels of 256
LIPS = 3.0  # the same of the tint of lips: pale, rosy or made up
# Difference in brightness, of 2, at which one of the two shows teeth, a moustache or the open mouth and
# no lips; and the share of the pixels in reach that must show lips for half of a tint
UNLIKE, FEW = 0.3, 0.05
TOLERANCE = 0.3  # a larger difference is another thing behind, not another colour
WIDER = 0.04  # of the photo's face, so that the roots of the ears are in it, over its width
EDGE = 2.0  # Gaussian of the line along which photo and new face meet beside it, in pixels of 256
# weight of the far one: it decides where no certain pixel is in reach of the near one
FAR_SHARE = 0.02
DETAIL_SIZE = 512  # pixels at which sharpness is compared
FINE = 1.0  # Gaussian that parts fine detail from the rest, in those pixels
# of the detail of white noise over its deviation: sqrt(2 / π) · sqrt(1 - 2 k(0) + Σ k²) of the Gaussian
NOISE_DETAIL = 0.696
DARKEST = 0.05  # gain of the exposure
SHARPEST, SOFTEST = 0.3, 6.0  # between which the Gaussian is searched that a sharp face needs
HALVINGS = 8  # of that range
COARSE = 3.0  # Gaussian, in pixels of 512, that leaves what a smear leaves, too
DIRECTED = 0.3  # ratio of the least to the greatest squared sharpness over directions, below which …
SMEARED = 16.0  # … the photo is blurred along one, by a Gaussian of at most so many pixels of 512


@dataclass(frozen=True)
class Blend:
    """What is done to a generated picture on its way into the photo, measured by `measure_blend`.

    All of it can be averaged over the frames of a clip by `mean_blend`.
    """

    moved: torch.Tensor  # (1, 2, G, G), x and y by which places are displaced, see `thin_plate`
    gain: torch.Tensor  # (3, 1, 1), of the brightness of each colour, at most 1
    smear: torch.Tensor  # (2, 2), covariance of the directed blur, squared pixels of 512
    blur: torch.Tensor  # (), deviation of the blur in all directions, pixels of 512
    shift: torch.Tensor  # (1, 3, 256, 256), what is added to the colours
    stays: torch.Tensor  # (1, 1, S, S), 1 where the photo stays whatever the mask says


@torch_threads(1)  # many small steps
def measure_blend(
    generated: torch.Tensor,
    image: torch.Tensor,
    mask: torch.Tensor,
    new_points: torch.Tensor,
    points: torch.Tensor,
    controls: Controls = Controls(),
) -> tuple[Blend, torch.Tensor]:
    """Measure how `generated (1, 3, S, S)` comes into `image (1, 3, S, S)` where the `mask (1, 1, S, S)`
    is 1, in this order: shape, exposure, sharpness and colours are made the photo's.

    `new_points, points (1, 68, 2)` are those of the two. What stands before the face, what lies beside
    it, what lies between the lids and beards stay the photo's, unless `controls` ask for new eyes or a
    new mouth. Returns the blend, and the picture under all of it but `shift` and `stays`, ready to
    `join`.
    """
    size = image.shape[-1]
    moved = displacement(new_points, points).to(image)
    generated = displaced(generated, moved)
    front = resize(in_front(image, generated, points), size).maximum(resize(glasses(image), size))
    kept = [front, beside_the_face(points, size).to(image)]
    kept += [between_lids(points, size).to(image)] if controls.own_eyes else []
    stays = 1 - torch.stack([1 - part for part in kept]).prod(0)
    mask = mask * (1 - stays)
    gain = exposure(generated, image, points)
    generated = with_exposure(generated, gain)
    smear = motion_blur(generated, image, mask)
    generated = with_motion(generated, smear)
    blur = detail_blur(generated, image, mask)
    generated = with_blur(generated, blur)
    shift = colour_shift(generated, image, mask, 1 - front, points)
    hair = torch.zeros_like(mask)
    if controls.own_beard:
        hair = resize(beard(image, generated + resize(shift, size), points), size)
    if hair.any():
        stays, mask, front = stays.maximum(hair), mask * (1 - hair), front.maximum(hair)
        shift = colour_shift(generated, image, mask, 1 - front, points)
    return Blend(moved, gain, smear, blur, shift, stays), generated


def mean_blend(blends: Sequence[Blend], weights: Sequence[float]) -> Blend:
    """Average the blends of neighbouring frames."""
    total = sum(weights)
    parts = ([getattr(blend, part.name) for blend in blends] for part in fields(Blend))
    return Blend(*(sum(map(operator.mul, weights, part)) / total for part in parts))


def apply_blend(
    blend: Blend, generated: torch.Tensor, image: torch.Tensor, mask: torch.Tensor
) -> torch.Tensor:
    """Put `generated (1, 3, S, S)` into `image (1, 3, S, S)` as `blend` says; in [-1, 1].

    Computed in the window of the mask alone, and as far around as the blurs reach.
    """
    size, shown = image.shape[-1], mask * (1 - blend.stays)
    if not shown.any():
        return image
    sigma = blend.smear.trace().clamp_min(0).sqrt() + blend.blur
    reach = int(3 * float(sigma) * size / DETAIL_SIZE) + 2
    rows, columns = (_span(shown.amax(axis)[0, 0], size, reach) for axis in (3, 2))
    window = ..., rows, columns
    ready = with_exposure(displaced(generated, blend.moved, window), blend.gain)
    ready = with_blur(with_motion(ready, blend.smear, size), blend.blur, size)
    result = image.clone()
    result[window] = join(blend, ready, image, mask, window)
    return result


def join(
    blend: Blend, ready: torch.Tensor, image: torch.Tensor, mask: torch.Tensor, window: tuple = (...,)
) -> torch.Tensor:
    """Put the picture that `measure_blend` has made ready, or the `window` of it, an index, into `image
    (1, 3, S, S)`, and return as much; in [-1, 1]."""
    ready = ready + resize(blend.shift, image.shape[-1])[window]
    shown = (mask * (1 - blend.stays))[window]
    return pasted(image[window], ready, shown).clamp(-1, 1)


def exposure(generated: torch.Tensor, image: torch.Tensor, points: torch.Tensor) -> torch.Tensor:
    """Measure by how much `generated` is too bright for `image (1, 3, S, S)`: `(3, 1, 1)` in (0, 1].

    The ratios of the median brightness of the skin, as sensors multiply it and not as an addition: a
    face in the dark has little contrast, too. 1 where the photo is not darker.
    """
    face = face_band(points, FACE_SIZE)[0, 0] > 0
    brows, mouth = points[0, 17:27, 1].min(), points[0, 48:60, 1].max()
    rows = (torch.arange(FACE_SIZE)[:, None] + 0.5) / FACE_SIZE
    face &= (rows > brows.cpu()) & (rows < mouth.cpu())
    if not face.any():
        return image.new_ones(3, 1, 1)
    skin = [resize(picture, FACE_SIZE)[0][:, face.to(picture.device)] for picture in (image, generated)]
    old, new = (picture.median(1).values[:, None, None] + 1 for picture in skin)
    return (old / new.clamp_min(1e-3)).clamp(DARKEST, 1)


def with_exposure(generated: torch.Tensor, gain: torch.Tensor) -> torch.Tensor:
    """Multiply the brightness of `generated` in [-1, 1] by `gain`."""
    return gain * (generated + 1) - 1


def motion_blur(generated: torch.Tensor, image: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Measure the directed blur of `image (1, 3, S, S)` in the `mask` that `generated` lacks.

    Returns its covariance `(2, 2)`, in squared pixels of 512; 0 where the photo is about as sharp in
    all directions. The structure tensors of the two are compared: their generalised
    eigenvalues are the least and the greatest ratio of squared gradients over all directions.
    """
    size = min(DETAIL_SIZE, image.shape[-1])
    where = resize(mask, size)
    if not where.any():
        return mask.new_zeros(2, 2)

    def tensor(picture: torch.Tensor) -> torch.Tensor:
        grey = blurred(picture, FINE) - blurred(picture, COARSE)
        x, y = (grey.roll(-1, axis) - grey.roll(1, axis) for axis in (3, 2))
        xx, xy, yy = ((where * product).sum() for product in (x * x, x * y, y * y))
        return torch.stack([torch.stack([xx, xy]), torch.stack([xy, yy])]).double()

    grey, sharp = (resize(product, size).mean(1, keepdim=True) for product in (image, generated))
    wanted = tensor(grey)
    values, vectors = torch.linalg.eig(torch.linalg.solve(tensor(sharp), wanted))
    ratios, vectors = values.real, vectors.real
    least = ratios.argmin()
    if ratios[least] > DIRECTED * ratios.max():
        return mask.new_zeros(2, 2)
    along = vectors[:, least] / vectors[:, least].norm()
    across, line = along.flip(0) * along.new_tensor([-1, 1]), torch.outer(along, along).to(mask)
    axes = (along, across), (across, along)

    def sharper(sigma: float) -> bool:
        now = tensor(with_motion(sharp, (sigma * DETAIL_SIZE / size) ** 2 * line))
        # what of the difference is the same in all directions is left to `detail_blur`
        own, theirs = (one @ now @ one * (other @ wanted @ other) for one, other in axes)
        return bool(own > theirs)

    return (_least_sigma(sharper, SMEARED) * DETAIL_SIZE / size) ** 2 * line


def with_motion(generated: torch.Tensor, smear: torch.Tensor, size: int = 0) -> torch.Tensor:
    """Blur `generated (1, C, H, W)`, a picture of `size` (W by default) or a part of one, along the main
    axis of the covariance `smear (2, 2)`, in squared pixels of 512."""
    variances, axes = torch.linalg.eigh(smear.cpu())
    sigma = variances[1].clamp_min(0).sqrt().item() * (size or generated.shape[-1]) / DETAIL_SIZE
    direction = axes[:, 1].tolist()
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


def with_blur(generated: torch.Tensor, sigma: torch.Tensor | float, size: int = 0) -> torch.Tensor:
    """Put `generated (1, 3, H, W)`, a picture of `size` (W by default) or a part of one, under a
    Gaussian of `sigma` pixels of 512, if it is not tiny."""
    scale = (size or generated.shape[-1]) / DETAIL_SIZE
    return generated if float(sigma) < SHARPEST else blurred(generated, float(sigma) * scale)


def detail_blur(generated: torch.Tensor, image: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Measure the Gaussian, `()` in pixels of 512, under which `generated` has no more fine detail than
    `image` has in the `mask`; 0 for a face that is softer than the photo.

    A generator draws every pore; a photo that was small, out of focus or compressed has none. Detail
    is the mean absolute difference to the picture under a small Gaussian, at 512 px at most, less what
    noise has of it of which the photo has more than the new face.
    """
    size = min(DETAIL_SIZE, image.shape[-1])
    weight = resize(mask, size)
    if not weight.any():
        return mask.new_zeros(())
    rows, columns = (_span(weight.amax(axis)[0, 0], size) for axis in (3, 2))
    weight = weight[..., rows, columns]

    def grey(picture: torch.Tensor) -> torch.Tensor:
        return resize(picture, size)[..., rows, columns].mean(1, keepdim=True)

    def detail(picture: torch.Tensor) -> torch.Tensor:
        return ((picture - blurred(picture, FINE)).abs() * weight).sum() / weight.sum()

    photo, sharp = grey(image), grey(generated)
    inside = weight[0, 0].cpu().numpy() > 0.5
    noise, pores = (grain(picture[0, 0].cpu().numpy(), inside) for picture in (photo, sharp))
    noise = NOISE_DETAIL**2 * max(0.0, noise**2 - pores**2)
    wanted = (detail(photo).square() - noise).clamp_min(0).sqrt()
    if detail(sharp) <= wanted:
        return mask.new_zeros(())
    sigma = _least_sigma(lambda sigma: bool(detail(blurred(sharp, sigma)) > wanted), SOFTEST)
    return torch.tensor(sigma * DETAIL_SIZE / size).to(mask)


def _least_sigma(too_sharp: Callable[[float], bool], most: float) -> float:
    """Find by halving the Gaussian, of at most `most` pixels, under which a face is sharp no more."""
    low, high = SHARPEST, most
    for _ in range(HALVINGS):
        middle = (low * high) ** 0.5
        low, high = (middle, high) if too_sharp(middle) else (low, middle)
    return low


def _span(touched: torch.Tensor, size: int, reach: int = int(3 * (SOFTEST + FINE)) + 1) -> slice:
    """Find where a line `(size,)` is not zero, and as far around as a Gaussian reaches."""
    touching = touched.nonzero().flatten()
    return slice(max(0, int(touching[0]) - reach), min(size, int(touching[-1]) + reach + 1))


def harmonise(
    generated: torch.Tensor, image: torch.Tensor, mask: torch.Tensor, seen: torch.Tensor | None = None
) -> torch.Tensor:
    """Add its `colour_shift` to `generated (N, 3, S, S)`."""
    return generated + resize(colour_shift(generated, image, mask, seen), generated.shape[-1])


def colour_shift(
    generated: torch.Tensor,
    image: torch.Tensor,
    mask: torch.Tensor,
    seen: torch.Tensor | None = None,
    points: torch.Tensor | None = None,
) -> torch.Tensor:
    """Compute what to add to the colours of `generated` so that they meet those of `image`: `(N, 3, 256,
    256)`.

    `generated, image (N, 3, S, S)`, `mask (N, 1, S, S)`. The difference between the two is spread by
    normalised convolution (Knutsson and Westin 1993). Near the mask's edge that outside the mask
    decides, within it the difference under a Gaussian of a sixteenth of the side: light and tone of
    the skin, and nothing that a recogniser could use. Where the two show different things (hair against
    a wall) the difference counts for little, where `seen (N, 1, S, S)` is 0 it does not count. With
    `points (1, 68, 2)` the mouth, smaller than what is followed else, gets what it still lacks without
    its brightness; the rest of the face gets no such tint, because recognisers know people by it.
    """
    size = min(FACE_SIZE, image.shape[-1])
    seen = torch.ones(1, device=image.device) if seen is None else resize(seen, size)
    difference = resize(image, size) - resize(generated, size)
    mismatch = difference.square().mean(1, keepdim=True)
    agree = (-(mismatch / TOLERANCE**2)).exp() * seen
    outside = (1 - resize(mask, size)) * agree
    near, far = (torch.cat([difference * weight, weight], 1) for weight in (outside, agree))
    scale = size / FACE_SIZE
    spread = blurred(near, scale * NEAR) + FAR_SHARE * blurred(far, scale * FAR)
    shift = spread[:, :3] / spread[:, 3:].clamp_min(1e-6)
    if points is None:
        return shift
    lacking = difference - shift
    lighter = lacking.mean(1, keepdim=True)
    tint, mouth = lacking - lighter, region_masks(points, size)["mouth"].to(image)
    alike = (-((lighter / UNLIKE) ** 2)).exp() * seen
    weight = (-tint.square().mean(1, keepdim=True) / (2 * TOLERANCE) ** 2).exp() * alike
    tint, total, near = (blurred(part, LIPS * scale) for part in (tint * weight, weight, mouth))
    return shift + near * alike * tint / (total + FEW)


def beside_the_face(points: torch.Tensor, size: int) -> torch.Tensor:
    """Find the rim beside cheeks and jaw (ears, hair, the wall behind) of `points (1, 68, 2)`:
    `(1, 1, size, size)` in [0, 1]."""
    rim = face_band(points, FACE_SIZE, WIDER) * (1 - face_band(points, FACE_SIZE))
    return resize(blurred(rim, EDGE), size).clamp(0, 1)


def compose(generated: torch.Tensor, image: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Show `image` where the mask is 0, the harmonised `generated` where it is 1, in [-1, 1]."""
    return pasted(image, harmonise(generated, image, mask), mask).clamp(-1, 1)
