"""Millions of photos on Ray Data: results in OUT/photos under hashed names, a row for each photo in
OUT/manifest, and in OUT/job what an unfinished job goes on with. Raises `PackageMissing` when it is
imported without Ray.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import logging
import os
import secrets
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from urllib.parse import unquote, urlparse

import torch

from ..controls import Controls
from ..device import cores, pick_device
from ..errors import AnonlabError, InputDamaged, InputMissing, OutputNotWritable, PackageMissing
from ..files import atomic_path, folder_lock, open_file, output_folder, remove_partials
from ..photo.metadata import check_groups
from ..photo.photos import read_photo
from ..pipeline import Anonymizer
from .folders.batch import anonymize_photo
from .folders.settings import make_key, read_key
from .folders.sources import plan, sentence
from .resume import SETTINGS, keep_settings

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
try:
    import fsspec
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq
    import ray.data
except ImportError:
    raise PackageMissing(
        'large jobs need fsspec, pyarrow and ray; install with: pip install "anonlab[scale]" (or: pip '
        'install "ray[data]" pyarrow fsspec)'
    ) from None

ROWS_PER_PART = 100  # photos in one part of the manifest; as many are done again when a worker dies
AT_ONCE = 50_000  # rows of the list of photos that are read at once
OWN_CPUS = 3  # for Ray's own: without them workers hold all CPUs, and nothing feeds them
STARTS = 3  # of Ray, which gives its processes 30 s: too little on a busy machine
OBJECT_STORE = 500_000_000  # bytes; rows go through it, never photos
MAX_BYTES = 1 << 29  # of a photo's file
LIMIT = 3  # workers that may die of one photo
ATTEMPTS = "job/attempts"  # below OUT: where workers note what they begin
LOADING = "loading"  # the attempt that is no photo's
# of results, where it is not the format's name
SUFFIX = {"JPEG": ".jpg", "MPO": ".jpg", "TIFF": ".tif", "HEIF": ".heic", "DIB": ".bmp"}
TEXT = pa.string()
PHOTOS = pa.schema({"id": TEXT, "path": TEXT})
ROWS = pa.schema({
    "name": TEXT, "id": TEXT, "source": TEXT,
    "output": TEXT,  # below OUT; null for a photo that failed
    "error": TEXT,
    "covered": pa.int32(),  # faces, by the fall-back
    "faces": TEXT,  # JSON: what `record.json` says of every face
    "notes": pa.list_(TEXT),  # what could not be kept of the file
    "source_sha256": TEXT, "output_sha256": TEXT,
})  # fmt: skip
OF_A_RUN = ("out", "key", "workers", "device", "load")  # the pictures don't depend on these


class JobFailed(AnonlabError):
    """A job could not go on, or the same photo ended several workers; what was finished stays."""


@dataclass(frozen=True)
class Task:
    """What all workers of a job are told."""

    out: Path
    key: bytes  # the secret of which the new faces are made, the same for every worker
    controls: Controls = Controls()  # noqa: RUF009
    faces: str | tuple[int, ...] = "all"
    fallback: str = "none"
    keep_metadata: tuple[str, ...] = ()
    generator: str = "mobile"
    generator_weights: str | None = None
    method: str = "auto"
    device: str = "auto"
    workers: int = 1
    load: Callable[..., Callable] = Anonymizer.load  # by a worker


@contextlib.contextmanager
def attempt(note: Path, what: str, limit: int = LIMIT) -> Iterator[None]:
    """Note that something is begun: a note that stays means that it ended its process. Raises
    `JobFailed` at the `limit`."""
    if note.exists() and note.stat().st_size >= limit:
        raise JobFailed(
            f"{what} ended its worker {LIMIT} times (out of memory, or a decoder that crashes); try a "
            f"smaller copy, fewer workers, or a machine with more memory"
        )
    with open(note, "ab") as file:
        file.write(b".")
    try:
        yield
    finally:
        note.unlink(missing_ok=True)


class Worker:
    """One process: anonymize one block of photos after another, with weights that are loaded once."""

    def __init__(self, task: Task):
        """Load the networks. Raises what that raises, and `JobFailed` where it ended several
        processes."""
        self.task = task
        with attempt(task.out / ATTEMPTS / LOADING, "loading the weights", LIMIT * task.workers):
            torch.set_num_threads(max(1, cores() // task.workers))
            parts = (task.generator, task.method, task.device, task.key, task.generator_weights)
            self.anonymize = task.load(*parts)

    def __call__(self, block: pa.Table) -> pa.Table:
        """Anonymize the photos of rows with name, id and path, and write their `ROWS` as a part of the
        manifest; returns their names."""
        rows = pa.Table.from_pylist([self.row(**photo) for photo in block.to_pylist()], schema=ROWS)
        part = self.task.out / "manifest" / f"{block['name'][0].as_py()}.parquet"
        with atomic_path(part) as partial:
            pq.write_table(rows, partial)
        return rows.select(["name"])

    def row(self, name: str, id: str, path: str) -> dict:
        """Anonymize and write one photo, a file or a URL; what is not in the row is null there."""
        task, row = self.task, {"name": name, "id": id, "source": path}
        folder = task.out / "photos" / name[:3]
        try:
            with attempt(task.out / ATTEMPTS / name, path):
                content = io.BytesIO(fetch(path))
                row["source_sha256"] = hashlib.sha256(content.getbuffer()).hexdigest()
                content.name = path
                photo = read_photo(content)
                kind = photo.original.format
                output = folder / f"{name}{SUFFIX.get(kind, f'.{kind.lower()}')}"
                row |= anonymize_photo(
                    self.anonymize, photo, output, task.controls, task.keep_metadata,
                    faces=task.faces, fallback=task.fallback,
                )  # fmt: skip
                row["output"] = output.relative_to(task.out).as_posix()
                row["covered"] = sum("covered" in face for face in row["faces"])
                row["faces"] = json.dumps(row["faces"])
        except Exception as error:  # whatever it is, the other photos are still done
            row["error"] = sentence(error, path)
            for one in folder.glob(f"{name}.*"):  # of an earlier attempt, whose row was lost
                one.unlink()
        return row


def fetch(path: str) -> bytes:
    """Read a file or URL. Raises `InputMissing`, `InputDamaged`, and whatever the protocol raises."""
    if path.startswith("file://"):
        path = unquote(urlparse(path).path)
    with fsspec.open(path, "rb") if "://" in path else open_file(Path(path)) as file:
        data = file.read(MAX_BYTES + 1)
    if len(data) > MAX_BYTES:
        raise InputDamaged(f"{path} has more than {MAX_BYTES >> 20} MB; scale it down first")
    return data


def anonymize_set(
    source: Path,
    out: Path,
    key: bytes | None,
    controls: Controls = Controls(),
    *,
    workers: int | None = None,
    rows_per_part: int = ROWS_PER_PART,
    resume: bool = False,
    **options: object,
) -> dict[str, int]:
    """Anonymize all photos of a folder, or of a Parquet file with a column `path` and perhaps `id`.

    `options` are fields of `Task`. `workers` None is one a CPU. The row of a photo that fails, or ended
    its worker `LIMIT` times, says why. A stopped job goes on with `resume`, the same settings, and the
    same photos or more; of a worker's photos at most `rows_per_part` are done again. Returns the numbers
    of `photos`, of those that `failed`, and of those in which a face is `covered`. Raises
    `OutputNotWritable`, `FolderBusy`, `InputMissing`, `InputDamaged`, `UnknownOption`, `JobFailed`.
    """
    check_groups(options.get("keep_metadata", ()))
    workers = workers or cores()
    out = output_folder(out).absolute()
    job, parts, attempts = out / "job", out / "manifest", out / ATTEMPTS
    work, drawn = job / "photos.parquet", job / "key"
    with folder_lock(out):
        if (job / SETTINGS).exists() and not resume:
            raise OutputNotWritable(
                f"{out} holds a job already; go on with it by --resume, or choose another output folder"
            )
        if not key:
            make_key(drawn)
            key = read_key(drawn)
        task = Task(out, key, controls, workers=workers, **options)
        for folder in (parts, attempts, out / "photos"):
            folder.mkdir(parents=True, exist_ok=True)
        total, left = write_work(source, out, names_by(key), _finished(parts), work)
        settings = {name: value for name, value in asdict(task).items() if name not in OF_A_RUN}
        keep_settings(job, settings, key, resume)
        (attempts / LOADING).unlink(missing_ok=True)
        try:
            if left:
                _run(task, work, left, rows_per_part)
        except KeyboardInterrupt:  # no photo is to blame
            shutil.rmtree(attempts, ignore_errors=True)
            raise
        rows = pq.read_table(parts, columns=["name", "error", "covered"])
        if len(rows) < total or len(rows["name"].unique()) < len(rows):
            raise JobFailed(f"{out} has {len(rows)} rows for {total} photos; use --resume")
        remove_partials([*(out / "photos").iterdir(), parts, job])  # of a job that was killed
        shutil.rmtree(attempts)
        drawn.unlink(missing_ok=True)
    covered = pc.sum(pc.greater(rows["covered"], 0)).as_py() or 0
    return {"photos": len(rows), "failed": len(rows) - rows["error"].null_count, "covered": covered}


def names_by(key: bytes) -> Callable[[str], str]:
    """Give what names outputs by their ids and the user's secret: 32 hexadecimal digits.

    A plain hash could be looked up by guessing ids ("anna.jpg"); for this one the key is needed. It goes
    through scrypt first, so that names and ids together are no quick way to try keys either.
    """
    secret = hashlib.scrypt(key, salt=b"anonlab: names of outputs", n=1 << 14, r=8, p=1, dklen=32)
    named = partial(hashlib.blake2b, key=secret, digest_size=16, person=b"name")
    return lambda identifier: named(identifier.encode("utf-8", "surrogateescape")).hexdigest()


def write_work(
    source: Path, out: Path, naming: Callable[[str], str], done: pa.Array, work: Path
) -> tuple[int, int]:
    """Write the list of photos whose names are not among those `done`; returns how many photos there are
    in all, and on the list. Raises `InputMissing`, and `InputDamaged` for a wrong manifest."""
    if source.is_dir():
        found = [path for path, _ in plan([source], out)[0] if path != source]  # which has none
        ids = [path.relative_to(source).as_posix() for path in found]
        photos = pa.table([ids, [str(path.absolute()) for path in found]], schema=PHOTOS)
    else:
        photos = _manifest(source)
    if not len(photos):
        raise InputMissing(f"{source} has no photos; name a folder or a manifest that has some")
    counts = photos["id"].value_counts()
    twice = counts.filter(pc.greater(pc.struct_field(counts, "counts"), 1))
    if len(twice):
        raise InputDamaged(f"{source} has the id {twice[0]['values']} twice; each photo needs one")
    names = pa.array((naming(one.as_py()) for one in photos["id"]), TEXT)
    left = photos.add_column(0, "name", names).filter(pc.invert(pc.is_in(names, done)))
    with atomic_path(work) as unfinished:
        pq.write_table(left, unfinished)
    return len(photos), len(left)


def _manifest(path: Path) -> pa.Table:
    """Read ids and paths of a Parquet file; relative paths are beside it."""
    try:
        file = pq.ParquetFile(open_file(path))
    except pa.ArrowException as error:
        raise InputDamaged(
            f"{path} is no Parquet file ({str(error).splitlines()[0]}); write it again"
        ) from None
    columns = file.schema_arrow.names
    if "path" not in columns:
        raise InputDamaged(f"{path} has no column path, only {', '.join(columns)}")
    table = file.read(["path", "id"] if "id" in columns else ["path"])
    ids, paths = table["id" if "id" in columns else "path"].cast(TEXT), table["path"].cast(TEXT)
    if ids.null_count or paths.null_count:
        raise InputDamaged(f"{path} has a row without id or path; every photo needs both")
    base = path.absolute().parent
    absolute = [one if "://" in one else str(base / one) for one in paths.to_pylist()]
    return pa.table([ids, absolute], schema=PHOTOS)


def _finished(parts: Path) -> pa.Array:
    """List the names of photos that have a row; parts that a power cut has torn are removed."""
    done = [pa.array([], TEXT)]
    for path in parts.glob("*.parquet"):
        try:
            done += pq.read_table(path, columns=["name"])["name"].chunks
        except (OSError, pa.ArrowException):
            path.unlink()
    return pa.concat_arrays(done)


def _run(task: Task, work: Path, count: int, rows: int) -> None:
    """Let the workers do the photos of a list, by a Ray of this machine and job only. Raises
    `JobFailed`."""
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    ray.data.DataContext.get_current().enable_progress_bars = sys.stderr.isatty()
    gpus = torch.cuda.device_count() if pick_device(task.device).type == "cuda" else 0
    with tempfile.TemporaryDirectory(prefix="anonlab-ray-", ignore_cleanup_errors=True) as folder:
        try:
            for left in reversed(range(STARTS)):
                with contextlib.suppress(Exception) if left else contextlib.nullcontext():
                    ray.shutdown()
                    ray.init(
                        address="local", num_cpus=task.workers + OWN_CPUS, num_gpus=gpus,
                        log_to_driver=False, include_dashboard=False, object_store_memory=OBJECT_STORE,
                        logging_level=logging.ERROR, _temp_dir=folder,
                    )  # fmt: skip
                    break
            photos = ray.data.read_parquet(str(work), override_num_blocks=-(-count // AT_ONCE))
            # a block becomes a part of the manifest
            made = photos.repartition(target_num_rows_per_block=rows).map_batches(
                Worker, fn_constructor_args=(task,), batch_size=None, batch_format="pyarrow",
                compute=ray.data.ActorPoolStrategy(size=task.workers), num_cpus=1,
                num_gpus=min(1, gpus / task.workers) or None,
            )  # fmt: skip
            for _ in made.iter_batches(batch_size=None):
                pass
        except Exception as error:  # whatever Ray raises
            why = (str(error).strip().splitlines() or [type(error).__name__])[-1].strip()
            raise JobFailed(
                f"the workers failed ({why}); what is done stays: mend it, and use --resume"
            ) from error
        finally:
            ray.shutdown()
