"""A worker: one process that anonymizes block after block of photos, and notes what it begins."""

from __future__ import annotations

import hashlib
import io
import json
import time
from collections.abc import Callable
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


class JobFailed(AnonlabError):
    """A job could not go on; what was finished stays, and the job can be resumed."""


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


def begin(folder: Path, name: str, limit: int = LIMIT) -> bool:
    """Note that something is begun: what stays noted ended the process. False at the `limit`."""
    path = folder / name
    if path.exists() and path.stat().st_size >= limit:
        return False
    with open(path, "ab") as file:
        file.write(b".")
    return True


def end(folder: Path, name: str) -> None:
    """Note that it ended well."""
    (folder / name).unlink(missing_ok=True)


class Worker:
    """Anonymize one block of photos after another, with weights that are loaded once."""

    def __init__(self, task: Task):
        """Raises what loading raises, and `WorkerDies` when it has ended the process several times."""
        self.task = task
        if not begin(task.attempts, LOADING, LIMIT * task.workers):
            raise WorkerDies(
                f"workers died {LIMIT} times while they loaded the weights; take fewer of them, or a "
                f"machine with more memory"
            )
        self.anonymize = task.load(task)
        end(task.attempts, LOADING)

    def __call__(self, block: pa.Table) -> pa.Table:
        """Anonymize the photos of rows with name, id and path, and write their `ROWS` as a part of the
        manifest; returns their names."""
        rows = pa.Table.from_pylist([self.row(photo) for photo in block.to_pylist()], schema=ROWS)
        part = self.task.out / "manifest" / f"{block['name'][0].as_py()}.parquet"
        with atomic_path(part) as partial:
            pq.write_table(rows, partial)
        return rows.select(["name"])

    def row(self, photo: dict) -> dict:
        """Anonymize and write one photo; what is not in the row is null there."""
        start, name, path = time.monotonic(), photo["name"], photo["path"]
        row: dict = {"name": name, "id": photo["id"], "source": path}
        folder = self.task.out / "photos" / name[:3]
        begun = begin(self.task.attempts, name)
        try:
            if not begun:
                raise WorkerDies(
                    f"{path} ended its worker {LIMIT} times (out of memory, or a decoder that crashes); "
                    f"try a smaller copy"
                )
            data = fetch(path)
            row["source_sha256"] = hashlib.sha256(data).hexdigest()
            row |= self.written(data, path, folder / name)
        except Exception as error:  # whatever it is, the other photos are still done
            row["error"] = sentence(error, path)
            for one in folder.glob(f"{name}.*"):  # of an earlier attempt, whose row was lost
                one.unlink()
        if begun:
            end(self.task.attempts, name)
        return row | {"seconds": time.monotonic() - start}

    def written(self, data: bytes, path: str, target: Path) -> dict:
        """Decode, anonymize and write; the format's suffix is added to `target`. Returns columns."""
        file, task = io.BytesIO(data), self.task
        file.name = path
        photo = read_photo(file)
        kind = photo.original.format
        target = target.with_name(target.name + SUFFIX.get(kind, f".{kind.lower()}"))
        choice = {"faces": task.faces, "fallback": task.fallback}
        made = anonymize_photo(
            self.anonymize, photo, target, task.controls, task.keep_metadata, **choice
        )
        covered, left = (sum(what in one for one in made["faces"]) for what in ("covered", "left"))
        replaced, faces = len(made["faces"]) - covered - left, json.dumps(made["faces"])
        relative = target.relative_to(task.out).as_posix()
        counts = {"replaced": replaced, "covered": covered, "left": left}
        return made | counts | {"output": relative, "faces": faces}


def fetch(path: str) -> bytes:
    """Read a file or URL. Raises `UnreadableImage`, and whatever the protocol raises."""
    parts = urlparse(path) if "://" in path else None
    if parts and parts.scheme == "file":
        path, parts = unquote(parts.path), None
    with fsspec.open(path, "rb") if parts else open_file(Path(path)) as file:
        data = file.read(MAX_BYTES + 1)
    if len(data) > MAX_BYTES:
        raise UnreadableImage(f"{path} has more than {MAX_BYTES >> 20} MB; scale it down first")
    return data
