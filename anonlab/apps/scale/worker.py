"""A worker: one process that anonymizes block after block of photos, and notes what it begins."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlparse

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import torch

from ...controls import Controls
from ...errors import AnonlabError, UnreadableImage
from ...files import atomic_path, open_file
from ...photo.photos import read_photo
from ..folders.batch import anonymize_photo
from ..folders.sources import sentence

MAX_BYTES = 1 << 29  # of a photo's file
LIMIT = 3  # workers that may die of one photo
LOADING = "loading"  # the attempt that is no photo's
# of results, where it is not the format's name
SUFFIX = {"JPEG": ".jpg", "MPO": ".jpg", "TIFF": ".tif", "HEIF": ".heic", "DIB": ".bmp"}
TEXT, COUNT = pa.string(), pa.int32()
ROWS = pa.schema({
    "name": TEXT, "id": TEXT, "source": TEXT,
    "output": TEXT,  # below OUT; null for a photo that failed
    "error": TEXT,
    "replaced": COUNT, "covered": COUNT, "left": COUNT,  # faces: new, by the fall-back, not chosen
    "faces": TEXT,  # JSON: what `record.json` says of every face
    "notes": pa.list_(TEXT),  # what could not be kept of the file
    "source_sha256": TEXT, "output_sha256": TEXT, "seconds": pa.float32(),
})  # fmt: skip


class WorkerDies(AnonlabError):
    """The same photo, or loading the weights, ended several workers."""


def load(task: Task) -> Callable:
    """Load the anonymizer of a task."""
    from ...pipeline import Anonymizer

    torch.set_num_threads(task.threads)
    return Anonymizer.load(
        task.generator, task.method, task.device, task.key, generator_path=task.generator_weights
    )


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
    threads: int = 1  # of one worker
    workers: int = 1
    load: Callable[[Task], Callable] = load  # its anonymizer, in a worker

    @property
    def attempts(self) -> Path:
        """The folder in which workers note what they begin."""
        return self.out / "job" / "attempts"


@contextlib.contextmanager
def attempt(note: Path, what: str, limit: int = LIMIT) -> Iterator[None]:
    """Note that something is begun: a note that stays means that it ended its process. Raises
    `WorkerDies` at the `limit`."""
    if note.exists() and note.stat().st_size >= limit:
        raise WorkerDies(
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
    """Anonymize one block of photos after another, with weights that are loaded once."""

    def __init__(self, task: Task):
        """Raises what loading raises, and `WorkerDies` when it has ended the process several times."""
        self.task = task
        with attempt(task.attempts / LOADING, "loading the weights", LIMIT * task.workers):
            self.anonymize = task.load(task)

    def __call__(self, block: pa.Table) -> pa.Table:
        """Anonymize the photos of rows with name, id and path, and write their `ROWS` as a part of the
        manifest; returns their names."""
        rows = pa.Table.from_pylist([self.row(**photo) for photo in block.to_pylist()], schema=ROWS)
        part = self.task.out / "manifest" / f"{block['name'][0].as_py()}.parquet"
        with atomic_path(part) as partial:
            pq.write_table(rows, partial)
        return rows.select(["name"])

    def row(self, name: str, id: str, path: str) -> dict:
        """Anonymize and write one photo; what is not in the row is null there."""
        start, task, row = time.monotonic(), self.task, {"name": name, "id": id, "source": path}
        folder = task.out / "photos" / name[:3]
        try:
            with attempt(task.attempts / name, path):
                file = io.BytesIO(fetch(path))
                row["source_sha256"] = hashlib.sha256(file.getbuffer()).hexdigest()
                file.name = path
                photo = read_photo(file)
                kind = photo.original.format
                output = folder / f"{name}{SUFFIX.get(kind, f'.{kind.lower()}')}"
                row |= anonymize_photo(
                    self.anonymize, photo, output, task.controls, task.keep_metadata,
                    faces=task.faces, fallback=task.fallback,
                )  # fmt: skip
                faces = row["faces"]
                counts = {what: sum(what in face for face in faces) for what in ("covered", "left")}
                row |= counts | {"replaced": len(faces) - sum(counts.values())}
                row |= {"output": output.relative_to(task.out).as_posix(), "faces": json.dumps(faces)}
        except Exception as error:  # whatever it is, the other photos are still done
            row["error"] = sentence(error, path)
            for one in folder.glob(f"{name}.*"):  # of an earlier attempt, whose row was lost
                one.unlink()
        return row | {"seconds": time.monotonic() - start}


def fetch(path: str) -> bytes:
    """Read a file or URL. Raises `UnreadableImage`, and whatever the protocol raises."""
    if path.startswith("file://"):
        path = unquote(urlparse(path).path)
    with fsspec.open(path, "rb") if "://" in path else open_file(Path(path)) as file:
        data = file.read(MAX_BYTES + 1)
    if len(data) > MAX_BYTES:
        raise UnreadableImage(f"{path} has more than {MAX_BYTES >> 20} MB; scale it down first")
    return data
