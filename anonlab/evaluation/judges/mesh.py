"""Geometry of a face by MediaPipe's mesh of 468 points and its iris network (models Apache-2.0).

Points are in units of the aligned picture's side. `geometry` computes gaze, openings of
eyes and mouth, brows and pose of them; `light` reads nine numbers of spherical harmonics.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F

from ...images import grey, resize
from ...metrics.packages import find
from ...recognizers.onnx import PictureNetwork

SIDE = 256  # pixels of the aligned picture at which everything here looks
FIRST_BOX = (0.5, 0.53, 0.80)  # centre and side of the mesh's first crop, in an aligned picture
AROUND = 1.5  # side of its second crop, in sides of the first points' box (MediaPipe's ROI_SCALE)
IRIS_AROUND = 2.3  # side of the eye's crop, in widths of the eye (MediaPipe)
EYES = ((33, 133), (362, 263))  # outer and inner corners; the second eye is mirrored for the network
EYE_MM, EYEBALL_MM = 30.0, 12.0  # width between the corners; radius of the eyeball
UPPER, LOWER = (11, 12, 13), (3, 4, 5)  # of the eye's contour: middle of the lids
OUTER = (33, 263)  # outer corners of the eyes: the unit of lengths in the face
NEIGHBOURS = 10  # points through which a normal's plane goes


class MeshReader:
    """Find points in aligned pictures. Raises `WeightsMissing` or `WeightsCorrupt`."""

    def __init__(self) -> None:
        self.face = PictureNetwork(find("face_landmark.tflite"))
        self.eye = PictureNetwork(find("iris_landmark.tflite"))

    @torch.no_grad()
    def __call__(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Find in `images (N, 3, S, S)` in [-1, 1] the mesh `(N, 468, 3)`, the contours of both eyes
        `(N, 2, 71, 2)`, and their irises `(N, 2, 5, 2)`: centre, left, top, right, bottom."""
        unit = (resize(images, SIDE) + 1).clamp(0, 2) / 2
        x, y, side = (torch.full((len(unit),), value) for value in FIRST_BOX)
        points = self._mesh(unit, torch.stack([x, y], 1), side)
        low, high = points[..., :2].amin(1), points[..., :2].amax(1)
        points = self._mesh(unit, (low + high) / 2, AROUND * (high - low).amax(1))
        eyes = [self._eye(unit, points[:, pair, :2], k == 1) for k, pair in enumerate(EYES)]
        contours, irises = (torch.stack(one, 1) for one in zip(*eyes, strict=True))
        return points, contours, irises

    def _mesh(self, unit, centre, side):
        turn = torch.zeros(len(unit))
        out = self.face(cut(unit, centre, side, turn, self.face.side))
        points = out["conv2d_20"].view(-1, 468, 3) / self.face.side
        points[..., :2] = placed(points[..., :2], centre, side, turn)
        points[..., 2] *= side[:, None]
        return points

    def _eye(self, unit, corners, mirrored: bool):
        centre, across = (corners[:, 0] + corners[:, 1]) / 2, corners[:, 1] - corners[:, 0]
        side = IRIS_AROUND * across.abs().amax(1)
        angle = torch.atan2(across[:, 1], across[:, 0])
        chip = cut(unit, centre, side, angle, self.eye.side)
        out = self.eye(chip.flip(3) if mirrored else chip)
        found = []
        for name, count in (("output_eyes_contours_and_brows", 71), ("output_iris", 5)):
            xy = out[name].view(-1, count, 3)[..., :2] / self.eye.side
            if mirrored:
                xy[..., 0] = 1 - xy[..., 0]
            found.append(placed(xy, centre, side, angle))
        return found


def cut(unit, centre, side, angle, size: int) -> torch.Tensor:
    """Cut square crops `(N, 3, size, size)` about `centre (N, 2)`, turned by `angle (N,)`."""
    steps = (torch.arange(size) + 0.5) / size
    grid = torch.stack(torch.meshgrid(steps, steps, indexing="xy"), -1).view(1, -1, 2)
    where = placed(grid.expand(len(unit), -1, -1), centre, side, angle)
    where = 2 * where.view(len(unit), size, size, 2) - 1
    return F.grid_sample(unit, where, align_corners=False, padding_mode="border")


def placed(xy, centre, side, angle) -> torch.Tensor:
    """Place points `(N, K, 2)` of a crop in [0, 1] in the picture that it was cut from."""
    turn = torch.stack([angle.cos(), -angle.sin(), angle.sin(), angle.cos()], 1).view(-1, 2, 2)
    return (xy - 0.5) * side[:, None, None] @ turn.transpose(1, 2) + centre[:, None]


def geometry(
    mesh: torch.Tensor, contours: torch.Tensor, irises: torch.Tensor
) -> dict[str, torch.Tensor]:
    """Measure what `MeshReader` found, `(N,)` each: lengths in distances of the outer eye corners,
    angles in degrees.

    `gaze_x`, `gaze_y`: the iris's centre against the middle between the corners of its eye, for an
    eyeball of 12 mm in an eye 30 mm wide, mean of both eyes. `eye_opening`: between the lids, in
    widths of the eye. `yaw` and `pitch` by the 3-D points.
    """
    points = mesh[..., :2]
    unit = (points[:, OUTER[0]] - points[:, OUTER[1]]).norm(dim=1)

    def apart(a: int, b: int) -> torch.Tensor:
        return (points[:, a] - points[:, b]).norm(dim=1) / unit

    corners = torch.stack([contours[:, :, 0], contours[:, :, 8]], 2)  # (N, 2, 2, 2)
    across = corners[:, :, 1] - corners[:, :, 0]
    across = across * torch.tensor([1.0, -1.0])[:, None]  # both from left to right in the picture
    width = across.norm(dim=2)
    offset = (irises[:, :, 0] - corners.mean(2)) * EYE_MM / EYEBALL_MM / width[..., None]
    along = across / width[..., None]
    sideways = (offset * along).sum(2)
    down = along[..., 0] * offset[..., 1] - along[..., 1] * offset[..., 0]
    degrees = torch.rad2deg(torch.asin(torch.stack([sideways, down]).clamp(-1, 1))).mean(2)
    lids = (contours[:, :, UPPER] - contours[:, :, LOWER]).norm(dim=3).mean(2) / width
    eyes = (points[:, 33] + points[:, 133] + points[:, 362] + points[:, 263]) / 4
    vertical = F.normalize(points[:, 152] - points[:, 10], dim=1)  # forehead to chin

    def below(*chosen: int) -> torch.Tensor:
        return ((points[:, chosen].mean(1) - eyes) * vertical).sum(1) / unit

    x, y = (F.normalize(mesh[:, a] - mesh[:, b], dim=1) for a, b in ((263, 33), (152, 10)))
    return {
        "gaze_x": degrees[0],
        "gaze_y": degrees[1],
        "eye_opening": lids.mean(1),
        "mouth_opening": apart(13, 14),
        "mouth_width": apart(61, 291),
        "mouth_corners": below(13, 14) - below(61, 291),  # raised corners are above the lips
        "brow_height": -below(105, 66, 334, 296),
        "jaw": below(152),
        "yaw": torch.rad2deg(torch.atan2(x[:, 2], x[:, 0])),
        "pitch": torch.rad2deg(torch.atan2(y[:, 2], y[:, 1])),
    }


def light(images: torch.Tensor, mesh: torch.Tensor) -> torch.Tensor:
    """Read the light on a face by spherical harmonics, `(N, 9)`: the first is brightness, the others its
    shares by direction (Ramamoorthi and Hanrahan 2001).

    Luminance at the mesh's points by least squares on their normals, skin taken as of one colour.
    """
    luma = F.avg_pool2d(resize(grey((images + 1) / 2), SIDE // 4), 3, 1, 1)
    seen = F.grid_sample(luma, 2 * mesh[:, None, :, :2] - 1, align_corners=False)[:, 0, 0]
    nearest = torch.cdist(mesh, mesh).topk(NEIGHBOURS, largest=False).indices
    around = torch.stack([one[index] for one, index in zip(mesh, nearest, strict=True)])
    around = around - around.mean(2, keepdim=True)
    normals = torch.linalg.eigh(around.mT @ around).eigenvectors[..., 0]
    outwards = mesh - mesh.mean(1, keepdim=True) - torch.tensor([0.0, 0.0, 0.3])
    inwards = (normals * outwards).sum(-1, keepdim=True) < 0
    x, y, z = normals.where(~inwards, -normals).unbind(-1)
    shares = x, y, z, x * y, x * z, y * z, x**2 - y**2, 3 * z**2 - 1
    basis = torch.stack([torch.ones_like(x), *shares], -1)
    gram = basis.mT @ basis + 1e-2 * len(x[0]) * torch.eye(9)
    found = torch.linalg.solve(gram, basis.mT @ seen[..., None])[..., 0]
    return torch.cat([found[:, :1], found[:, 1:] / found[:, :1].clamp_min(0.02)], 1)
