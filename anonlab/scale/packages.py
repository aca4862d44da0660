"""What large jobs need beside anonlab's own packages."""

from __future__ import annotations

import importlib.util

from ..errors import PackageMissing

NEEDED = ("ray", "pyarrow", "pandas", "fsspec")


def check_packages() -> None:
    """Raises `PackageMissing` with the command that installs them."""
    missing = [one for one in NEEDED if importlib.util.find_spec(one) is None]
    if missing:
        raise PackageMissing(
            f'large jobs need {", ".join(missing)}; install with: pip install "anonlab[scale]" (or: pip '
            f'install "ray[data]" pyarrow fsspec)'
        )
