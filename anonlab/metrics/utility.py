"""Whether the face can still be used: where its features are, how it looks and how old it seems."""

from __future__ import annotations

import torch

from ..identities import skin_tone
from ..landmarks import landmark_error, openings

POSE_NAMES = ("yaw", "pitch", "roll")
# Nose tip, chin, outer corners of the eyes and of the mouth: numbers of the 68 points, and where
# they are in an average head (millimetres; x to the right of the picture, y down, z to the camera).
POSE_POINTS = (30, 8, 36, 45, 48, 54)
HEAD = ((0, 0, 0), (0, 63, -13), (-43, -33, -26), (43, -33, -26), (-29, 29, -24), (29, 29, -24))


def kept(before: torch.Tensor, after: torch.Tensor, within: float = 0.0) -> float:
    """Share of people whose attribute changed by no more than `within`: `(N,)` and `(N,)`."""
    return ((after - before).abs() <= within).float().mean().item()


def tones(images: list[torch.Tensor]) -> torch.Tensor:
    """Skin tone (ITA, degrees) of aligned faces `(1, 3, S, S)`, as `(N,)`."""
    return torch.tensor([skin_tone(image) for image in images])


def head_pose(points: torch.Tensor) -> torch.Tensor:
    """68 points `(N, 68, 2)` to yaw, pitch and roll in degrees, `(N, 3)`.

    Six points of an average rigid head under a scaled orthographic camera (DeMenthon and Davis
    1995, first iteration): only differences between two pictures of one head mean something.
    """
    head = torch.tensor(HEAD, dtype=points.dtype)
    head = head - head.mean(0)
    seen = points[:, POSE_POINTS]
    seen = seen - seen.mean(1, keepdim=True)
    rows = torch.linalg.pinv(head) @ seen  # (N, 3, 2): how the head's axes fall into the picture
    left, _, right = torch.linalg.svd(rows, full_matrices=False)
    x, y = (left @ right).unbind(2)  # the nearest orthonormal pair
    z = torch.linalg.cross(x, y)
    yaw = torch.atan2(x[:, 2], (x[:, 0].square() + x[:, 1].square()).sqrt())
    pitch = torch.atan2(y[:, 2], z[:, 2])
    roll = torch.atan2(x[:, 1], x[:, 0])
    return torch.rad2deg(torch.stack([yaw, pitch, roll], 1))


def utility(before: torch.Tensor, after: torch.Tensor) -> dict[str, float]:
    """What became of expression: 68 points `(N, 68, 2)` before and after.

    Mean landmark error, and mean differences of the openings of mouth and eyes, all over the
    inter-ocular distance.
    """
    gaps = (openings(after) - openings(before)).abs().mean(0)
    return {
        "landmark_error": landmark_error(after, before).mean().item(),
        "mouth_opening_difference": gaps[0].item(),
        "eye_opening_difference": gaps[1:].mean().item(),
    }
