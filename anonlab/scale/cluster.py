"""Ray on this machine, for this job only: no telemetry, no dashboard, no port that others can reach."""

from __future__ import annotations

import contextlib
import logging
import shutil
import tempfile
from collections.abc import Iterator

import ray
from ray._private import ray_constants

# CPUs for Ray's own: reading the list, leaving out what is done, and writing the manifest. Without them
# a resumed job waits forever: workers and filter hold all CPUs, and nothing feeds them.
OWN_CPUS = 3
OBJECT_STORE = 500_000_000  # bytes; rows and ids go through it, never photos


@contextlib.contextmanager
def local_ray(workers: int, gpus: int = 0) -> Iterator[None]:
    """`with local_ray(workers):` — a Ray of our own, on the loopback address, gone afterwards."""
    # As on Windows and macOS: every socket is bound to 127.0.0.1. `ray.init` has no option for this.
    ray_constants.ENABLE_RAY_CLUSTER = False
    folder = tempfile.mkdtemp(prefix="anonlab-ray-")
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    try:
        ray.init(
            address="local",
            num_cpus=workers + OWN_CPUS,
            num_gpus=gpus,
            include_dashboard=False,
            object_store_memory=OBJECT_STORE,
            log_to_driver=False,
            logging_level=logging.ERROR,
            _temp_dir=folder,
        )
        yield
    finally:
        ray.shutdown()
        shutil.rmtree(folder, ignore_errors=True)
