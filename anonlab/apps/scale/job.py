"""A job: the list of photos, Ray on this machine, and what is left to do after a stop."""

from __future__ import annotations

import contextlib
import hashlib
import logging
import secrets
import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import ray
import ray.data
import torch

from ...controls import Controls
from ...device import cores, pick_device
from ...errors import InputDamaged, InputMissing, OutputNotWritable
from ...files import atomic_path, folder_lock, output_folder, remove_partials
from ...photo.metadata import check_groups
from ..folders.sources import plan
from ..resume import keep_settings
from .worker import LIMIT, LOADING, TEXT, JobFailed, Task, Worker, end

ROWS_PER_PART = 100  # photos in one part of the manifest; as many are done again when a worker dies
AT_ONCE = 50_000  # rows of the list of photos that are read at once
OWN_CPUS = 3  # for Ray's own: without them workers hold all CPUs, and nothing feeds them
STARTS = 3  # of Ray, which a busy machine may keep from starting
OBJECT_STORE = 500_000_000  # bytes; rows go through it, never photos
PHOTOS = pa.schema({"id": TEXT, "path": TEXT})
Naming = Callable[[str], str]  # from an id to the name of its output


class Outcome(NamedTuple):
    """How a job ended."""

    photos: int
    failed: int  # rows with an error
    covered: int  # photos in which a face took the fall-back


def anonymize_set(
    source: Path,
    out: Path,
    key: bytes | None = None,
    controls: Controls = Controls(),
    *,
    workers: int | None = None,
    rows_per_part: int = ROWS_PER_PART,
    resume: bool = False,
    progress: bool = False,
    **options: object,
) -> Outcome:
    """Anonymize all photos of a folder, or of a Parquet file with a column `path` and perhaps `id`.

    `options` are fields of `Task`. Without a `key` one is drawn, kept while the job is unfinished, and
    then forgotten. `workers` None is one a CPU. Every photo gets a row: one that fails says why and is
    not written, and so does one that ended its worker `LIMIT` times. A job that was stopped goes on with
    `resume`, the same settings, and the same photos or more; of a worker's photos at most
    `rows_per_part` are done again. Raises `OutputNotWritable`, `FolderBusy`, `InputMissing`,
    `InputDamaged`, `UnknownOption`, and `JobFailed` when Ray gives up.
    """
    check_groups(options.get("keep_metadata", ()))
    cpus = cores()
    workers = workers or cpus
    out = output_folder(out).absolute()
    with folder_lock(out):
        job, parts, drawn = out / "job", out / "manifest", out / "job" / "key"
        settings = job / "settings.json"
        if settings.exists() and not resume:
            raise OutputNotWritable(
                f"{out} holds a job already; go on with it by --resume, or choose another output folder"
            )
        if not key:
            if not drawn.exists():
                with atomic_path(drawn) as partial:
                    partial.write_text(secrets.token_hex(32))
                drawn.chmod(0o600)
            key = drawn.read_bytes()
        task = Task(out, key, controls, threads=max(1, cpus // workers), workers=workers, **options)
        for folder in (parts, task.attempts, out / "photos"):
            folder.mkdir(parents=True, exist_ok=True)
        work = job / "photos.parquet"
        total, left = write_work(source, out, names_by(key), _finished(parts), work)
        # of this run, not of its pictures
        here = ("out", "key", "threads", "workers", "device", "load")
        same = {name: value for name, value in asdict(task).items() if name not in here}
        keep_settings(settings, same, key, resume)
        try:
            gpus = torch.cuda.device_count() if pick_device(task.device).type == "cuda" else 0
            with local_ray(workers, gpus) if left else contextlib.nullcontext():
                # now the processes of a job that was killed are gone
                remove_partials([*(out / "photos").iterdir(), parts, job])
                end(task.attempts, LOADING)
                if left:
                    _run(task, work, left, gpus, rows_per_part, progress)
        except KeyboardInterrupt:  # no photo is to blame, but those that reached the limit
            for path in task.attempts.iterdir():
                if path.stat().st_size < LIMIT:
                    path.unlink(missing_ok=True)
            raise
        rows = pq.read_table(parts, columns=["name", "error", "covered"])
        if len(rows) < total or len(rows["name"].unique()) < len(rows):
            raise JobFailed(f"{out} has {len(rows)} rows for {total} photos; use --resume")
        shutil.rmtree(task.attempts)
        drawn.unlink(missing_ok=True)
    covered = np.nan_to_num(rows["covered"].to_numpy().astype(float)) > 0
    return Outcome(len(rows), len(rows) - rows["error"].null_count, int(covered.sum()))


def names_by(key: bytes) -> Naming:
    """Names of outputs from ids, by the user's secret: 32 hexadecimal digits.

    A plain hash could be looked up by guessing ids ("anna.jpg"); for this one the key is needed. It goes
    through scrypt first, so that names and ids together are no quick way to try keys either.
    """
    secret = hashlib.scrypt(key, salt=b"anonlab: names of outputs", n=1 << 14, r=8, p=1, dklen=32)

    def name(identifier: str) -> str:
        text = identifier.encode("utf-8", "surrogateescape")
        return hashlib.blake2b(text, key=secret, digest_size=16, person=b"name").hexdigest()

    return name


def write_work(source: Path, out: Path, naming: Naming, done: pa.Array, work: Path) -> tuple[int, int]:
    """Write the list of photos whose names are not among those `done`, as Ray reads it.

    Returns how many photos there are in all, and on the list. Raises `InputMissing`, and `InputDamaged`
    for a manifest that cannot be read, has no photos or has an id twice.
    """
    photos = _folder(source, out) if source.is_dir() else _parquet(source)
    if not len(photos):
        raise InputMissing(f"{source} has no photos; name a folder or a manifest that has some")
    counts = photos["id"].value_counts()
    twice = counts.filter(pc.greater(pc.struct_field(counts, "counts"), 1))
    if len(twice):
        raise InputDamaged(f"{source} has the id {twice[0]['values']} twice; each photo needs one")
    names = pa.array((naming(one.as_py()) for one in photos["id"]), TEXT)
    left = photos.add_column(0, "name", names).filter(pc.invert(pc.is_in(names, done)))
    with atomic_path(work) as partial:
        pq.write_table(left, partial)
    return len(photos), len(left)


def _folder(folder: Path, out: Path) -> pa.Table:
    """Ids (paths below the folder) and paths of its photos."""
    found = [path for path, _ in plan([folder], out)[0] if path != folder]  # which has none
    ids = [path.relative_to(folder).as_posix() for path in found]
    return pa.table([ids, [str(path.absolute()) for path in found]], schema=PHOTOS)


def _parquet(manifest: Path) -> pa.Table:
    if not manifest.exists():
        raise InputMissing(f"{manifest} does not exist; check the spelling")
    try:
        file = pq.ParquetFile(manifest)
    except (OSError, pa.ArrowException) as error:
        raise InputDamaged(
            f"{manifest} is no Parquet file ({str(error).splitlines()[0]}); write it again"
        ) from None
    columns = file.schema_arrow.names
    if "path" not in columns:
        raise InputDamaged(f"{manifest} has no column path, only {', '.join(columns)}")
    table = file.read(["path", "id"] if "id" in columns else ["path"])
    ids, paths = table["id" if "id" in columns else "path"].cast(TEXT), table["path"].cast(TEXT)
    if ids.null_count or paths.null_count:
        raise InputDamaged(f"{manifest} has a row without id or path; every photo needs both")
    base = manifest.absolute().parent
    absolute = (path if "://" in path else str(base / path) for path in map(str, paths))
    return pa.table([ids, pa.array(absolute, TEXT)], schema=PHOTOS)


def _finished(parts: Path) -> pa.Array:
    """Names of the photos that have a row; parts that a power cut has torn are removed."""
    done = [pa.array([], TEXT)]
    for path in parts.glob("*.parquet"):
        try:
            done += pq.read_table(path, columns=["name"])["name"].chunks
        except (OSError, pa.ArrowException):
            path.unlink()
    return pa.concat_arrays(done)


@contextlib.contextmanager
def local_ray(workers: int, gpus: int = 0) -> Iterator[None]:
    """Run a Ray of this machine and job only; it is gone afterwards. Raises `JobFailed`."""
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    folder = tempfile.mkdtemp(prefix="anonlab-ray-")
    try:
        for left in range(STARTS, 0, -1):
            try:
                ray.init(
                    address="local", num_cpus=workers + OWN_CPUS, num_gpus=gpus, log_to_driver=False,
                    include_dashboard=False, object_store_memory=OBJECT_STORE,
                    logging_level=logging.ERROR, _temp_dir=folder,
                )  # fmt: skip
                break
            except Exception as error:  # Ray waits for its processes no longer than 30 s
                ray.shutdown()
                if left == 1:
                    raise JobFailed(
                        f"Ray does not start ({str(error).splitlines()[0]}); use --resume when this "
                        f"machine has less to do"
                    ) from error
        yield
    finally:
        ray.shutdown()
        shutil.rmtree(folder, ignore_errors=True)


def _run(task: Task, work: Path, count: int, gpus: int, rows: int, progress: bool) -> None:
    """Let the workers do the photos of a list. Raises `JobFailed`."""
    ray.data.DataContext.get_current().enable_progress_bars = progress
    photos = ray.data.read_parquet(str(work), override_num_blocks=-(-count // AT_ONCE))
    # a block becomes a part of the manifest
    made = photos.repartition(target_num_rows_per_block=rows).map_batches(
        Worker, fn_constructor_args=(task,), batch_size=None, batch_format="pyarrow",
        compute=ray.data.ActorPoolStrategy(size=task.workers), num_cpus=1,
        num_gpus=min(1, gpus / task.workers) or None,
    )  # fmt: skip
    try:
        for _ in made.iter_batches(batch_size=None):
            pass
    except Exception as error:  # whatever Ray raises
        lines = str(error).strip().splitlines() or [type(error).__name__]
        raise JobFailed(
            f"the workers failed ({lines[-1].strip()}); what is done stays: mend it, and use --resume"
        ) from error
