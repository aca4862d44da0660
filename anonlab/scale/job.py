"""A job from beginning to end: list the photos, let Ray's workers do them, check the manifest.

OUT/photos/3f2/3f2c….jpg    the results: all that is meant to be shared
OUT/manifest/*.parquet      what became of every photo, with the ids
OUT/job/                    settings, list of photos, checkpoint and attempts, to go on with
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
from dataclasses import asdict, replace
from pathlib import Path

from ..controls import Controls
from ..device import cores
from ..errors import InputDamaged, JobFailed, OutputNotWritable
from ..files import atomic_path, folder_lock, output_folder, remove_partials, write_json
from ..photo.metadata import check_groups
from . import manifest
from .attempts import Attempts
from .cluster import local_ray
from .done import Done
from .names import Names
from .worker import LOADING, Task, Worker

ROWS_PER_BLOCK = 100  # photos in one part of the manifest; as many are done again when a worker dies
READ_AT_ONCE = 50_000  # rows of the list
ON_GPU = 16  # photos that a worker has in hand there


def anonymize_set(
    source: Path,
    out: Path,
    key: bytes | None = None,
    controls: Controls = Controls(),
    *,
    workers: int | None = None,
    at_once: int | None = None,
    rows_per_block: int = ROWS_PER_BLOCK,
    resume: bool = False,
    progress: bool = False,
    **options: object,
) -> manifest.Outcome:
    """Anonymize all photos of a manifest or folder into `out`.

    `options` are fields of `Task`: `faces`, `fallback`, `keep_metadata`, the parts of the anonymizer,
    and `factory`, which names a function `module:function` that makes it in each worker, instead of
    `Anonymizer.load`. Without a `key` one is drawn, kept in `out` while the job is unfinished, and then
    forgotten. `workers` None is one a CPU; `at_once` is how many photos each has in hand, whose faces go
    through its networks in one batch (None: 16 on a GPU, else 1). Every photo gets a row in the
    manifest: one that fails says why and is not written, and so does one that ended its worker three
    times. A job that was stopped goes on with `resume`, with the same settings, and the same photos or
    more; what workers had in hand, at most `rows_per_block` photos each, is done again.
    Raises `OutputNotWritable`, `FolderBusy`, `InputMissing`, `InputDamaged`, `PackageMissing`,
    `UnknownOption`, and `JobFailed` when Ray gives up.
    """
    check_groups(options.get("keep_metadata", ()))
    cpus = cores()
    workers = workers or cpus
    out = output_folder(out).absolute()
    with folder_lock(out):
        job, settings, drawn = out / "job", out / "job" / "settings.json", out / "job" / "key"
        if settings.exists() and not resume:
            raise OutputNotWritable(
                f"{out} holds a job already; go on with it by --resume, or choose another output folder"
            )
        secret = key or _drawn(drawn)
        task = Task(out, secret, controls, threads=max(1, cpus // workers), workers=workers, **options)
        gpus = _gpus(task.device)
        task = replace(task, at_once=at_once or (ON_GPU if gpus else 1))
        names = Names(secret)
        total = manifest.write_work(source, out, names, job / "photos.parquet")
        _keep_settings(settings, task, names.fingerprint())
        folders = parts, checkpoint, _, photos = (
            *(out / "manifest", job / "checkpoint", task.attempts, out / "photos"),
        )
        for folder in folders:
            folder.mkdir(parents=True, exist_ok=True)
        attempts = Attempts(task.attempts)
        try:
            with local_ray(workers, gpus):
                # after Ray has started: by now the processes of a job that was killed are gone
                manifest.drop_torn(parts, checkpoint)
                remove_partials([*photos.iterdir(), job])
                attempts.end(LOADING)
                _run(task, job, parts, workers, gpus / workers, rows_per_block, total, progress)
        except KeyboardInterrupt:  # somebody stopped it: no photo is to blame
            attempts.forgive()
            raise
        os.sync()  # the manifest's parts are Ray's files, and not yet on the disk
        found, once = manifest.outcome(parts)
        if not once or found.photos < total:
            raise JobFailed(
                f"{out} has {found.photos} rows for {total} photos; run the same again with --resume"
            )
        shutil.rmtree(task.attempts)
        drawn.unlink(missing_ok=True)
    return found


def _drawn(path: Path) -> bytes:
    """The key of a job that was given none, so that all its workers and its second half share one."""
    if not path.exists():
        with atomic_path(path) as partial:
            partial.write_text(secrets.token_hex(32))
        path.chmod(0o600)
    return path.read_bytes()


def _keep_settings(path: Path, task: Task, fingerprint: str) -> None:
    """Write what makes the pictures. Raises `OutputNotWritable` if the job began with something else."""
    settings = asdict(task) | {"key": fingerprint}
    for name in ("out", "threads", "workers", "at_once", "device"):
        del settings[name]
    settings = json.loads(json.dumps(settings))
    if path.exists():
        try:
            before = json.loads(path.read_text())
            differing = [name for name in settings if before.get(name) != settings[name]]
        except (ValueError, AttributeError):
            raise InputDamaged(f"{path} is damaged; choose another output folder") from None
        if differing:
            raise OutputNotWritable(
                f"{path.parents[1]} holds a job with another {', '.join(differing)}; use the same, or "
                f"choose another output folder"
            )
    write_json(path, settings)


def _gpus(device: str) -> int:
    """How many the workers share."""
    if device == "cpu":
        return 0
    import torch

    from ..device import pick_device

    return torch.cuda.device_count() if pick_device(device).type == "cuda" else 0


def _run(
    task: Task, job: Path, parts: Path, workers: int, gpus: float, rows: int, total: int, progress: bool
) -> None:
    """List → what is not done → blocks → workers → parts of the manifest. Raises `JobFailed`."""
    import ray.data
    from ray.data.checkpoint import CheckpointConfig

    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = progress
    context.use_datasource_v2 = False  # it starts a dozen processes to list one file
    context.checkpoint_config = CheckpointConfig(
        id_column=manifest.NUMBER,
        checkpoint_path=str(job / "checkpoint"),
        delete_checkpoint_on_success=False,
        checkpoint_manager_cls=Done,
    )
    context.checkpoint_config.checkpoint_actor_pool_max_size = 1  # each holds all ids
    photos = ray.data.read_parquet(
        str(job / "photos.parquet"), override_num_blocks=-(-total // READ_AT_ONCE)
    )
    made = photos.repartition(target_num_rows_per_block=rows).map_batches(
        Worker,
        fn_constructor_args=(task,),
        batch_size=None,  # a block, whose rows become one part
        batch_format="pyarrow",
        compute=ray.data.ActorPoolStrategy(size=workers),
        num_cpus=1,
        num_gpus=min(1, gpus) or None,
    )
    try:
        made.write_parquet(str(parts))
    except KeyboardInterrupt:
        raise
    except Exception as error:  # whatever Ray raises
        lines = str(error).strip().splitlines() or [type(error).__name__]
        raise JobFailed(
            f"the workers failed ({lines[-1].strip()}); what is done stays: mend it, and use --resume"
        ) from error
