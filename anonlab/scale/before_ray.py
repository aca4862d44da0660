"""What must be so before Ray is imported: its packages are here, and its environment is set."""

from __future__ import annotations

import importlib.util
import os
import secrets
import sys

from ..errors import PackageMissing

NEEDED = ("ray", "pyarrow", "pandas", "fsspec")
# Ray's processes start when they are needed (each costs seconds and 100 MB) and then stay; what other
# users of this machine would need to reach it is a token.
ENVIRONMENT = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_enable_worker_prestart": "0",
    "RAY_prestart_worker_first_driver": "0",
    "RAY_idle_worker_killing_time_threshold_ms": "600000",
    "RAY_worker_niceness": "0",  # not 15: they do the work
    "RAY_IGNORE_UNHANDLED_ERRORS": "1",
    "RAY_BACKEND_LOG_LEVEL": "fatal",
}


def check_packages() -> None:
    """Raises `PackageMissing` with the command that installs them."""
    missing = [one for one in NEEDED if importlib.util.find_spec(one) is None]
    if missing:
        raise PackageMissing(
            f'large jobs need {", ".join(missing)}; install with: pip install "anonlab[scale]" (or: pip '
            f'install "ray[data]" pyarrow fsspec)'
        )


def set_environment() -> None:
    """For a Ray that is not imported yet; one that is has read it already, and is left as it is."""
    if "ray" not in sys.modules:
        os.environ.update(ENVIRONMENT)
        os.environ.update(RAY_AUTH_MODE="token", RAY_AUTH_TOKEN=secrets.token_hex(32))
