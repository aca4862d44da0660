"""Millions of photos on Ray Data: a list of photos in, hashed names and a manifest out.

OUT/photos/3f2/3f2c….jpg    the results: all that is meant to be shared
OUT/manifest/*.parquet      one row a photo, whatever became of it; also what a stopped job goes on from
OUT/job/                    settings, list of photos and attempts of an unfinished job

Raises `PackageMissing` when it is imported without Ray.
"""

from __future__ import annotations

import os
import secrets
import sys
from importlib.util import find_spec

from ...errors import PackageMissing

# What Ray reads when it is imported: no telemetry, ports only on 127.0.0.1 (as on Windows and macOS) and
# with a token; processes start when they are needed, stay, and have the priority of work.
ENVIRONMENT = {
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_enable_worker_prestart": "0",
    "RAY_prestart_worker_first_driver": "0",
    "RAY_idle_worker_killing_time_threshold_ms": "600000",
    "RAY_worker_niceness": "0",
    "RAY_IGNORE_UNHANDLED_ERRORS": "1",
    "RAY_BACKEND_LOG_LEVEL": "fatal",
    "RAY_AUTH_MODE": "token",
    "RAY_agent_register_timeout_ms": "300000",  # a busy machine takes longer than 15 s
}
if "ray" not in sys.modules:
    os.environ.update(ENVIRONMENT, RAY_AUTH_TOKEN=secrets.token_hex(32))
if missing := [name for name in ("fsspec", "pyarrow", "ray") if not find_spec(name)]:
    raise PackageMissing(
        f'large jobs need {", ".join(missing)}; install with: pip install "anonlab[scale]" (or: pip '
        f'install "ray[data]" pyarrow fsspec)'
    )

from .job import anonymize_set  # noqa: E402

__all__ = ["anonymize_set"]
