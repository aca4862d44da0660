"""Whether the face can still be used: which way the head looks."""

from __future__ import annotations

import torch

POSE_NAMES = ("yaw", "pitch", "roll")
# Brows, corners of the eyes, nostrils, mouth and chin: numbers of the 68 points, and where they are
# in an average head (centimetres; x to the right of the picture, y up, z to the camera), as it is
# in wide use with OpenCV's solvePnP. Six points with a nose tip are three times less repeatable in
# pitch: 9.8 against 3.2 degrees between two photos of one person looking straight (London Set).
HEAD = {
    17: (-6.83, 6.76, 4.40), 21: (-1.33, 7.12, 6.90), 22: (1.33, 7.12, 6.90), 26: (6.83, 6.76, 4.40),
    36: (-5.31, 5.49, 3.99), 39: (-1.79, 5.39, 4.41), 42: (1.79, 5.39, 4.41), 45: (5.31, 5.49, 3.99),
    31: (-2.01, 1.41, 6.17), 35: (2.01, 1.41, 6.17), 48: (-2.77, -2.08, 5.05), 54: (2.77, -2.08, 5.05),
    57: (0.0, -3.12, 6.10), 8: (0.0, -7.42, 4.07),
}  # fmt: skip


def head_pose(points: torch.Tensor) -> torch.Tensor:
    """68 points `(N, 68, 2)` to yaw, pitch and roll in degrees, `(N, 3)`.

    An average rigid head under a scaled orthographic camera (DeMenthon and Davis 1995, first
    iteration): only differences between two pictures of one head mean something.
    """
    head = torch.tensor(list(HEAD.values()), dtype=points.dtype) * torch.tensor([1.0, -1.0, 1.0])
    head = head - head.mean(0)
    seen = points[:, list(HEAD)]
    seen = seen - seen.mean(1, keepdim=True)
    rows = torch.linalg.pinv(head) @ seen  # (N, 3, 2): how the head's axes fall into the picture
    left, _, right = torch.linalg.svd(rows, full_matrices=False)
    x, y = (left @ right).unbind(2)  # the nearest orthonormal pair
    z = torch.linalg.cross(x, y)
    yaw = torch.atan2(x[:, 2], (x[:, 0].square() + x[:, 1].square()).sqrt())
    pitch = torch.atan2(y[:, 2], z[:, 2])
    roll = torch.atan2(x[:, 1], x[:, 0])
    return torch.rad2deg(torch.stack([yaw, pitch, roll], 1))
