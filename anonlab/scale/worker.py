"""One worker: loads the weights once, and makes a row of every photo, whatever happens to it."""

from __future__ import annotations

import hashlib
import importlib
import io
import json
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlparse

import fsspec
import pyarrow as pa

from ..controls import Controls
from ..errors import AnonlabError, InputMissing, UnreadableImage, WorkerDies
from ..files import open_file
from ..photo.photos import read_photo, write_photo
from .attempts import LIMIT, Attempts
from .manifest import ROWS
from .names import shard

MAX_BYTES = 1 << 29  # of a photo's file
AHEAD = 3  # files that are fetched before they are needed
SUFFIX = {
    "JPEG": ".jpg",
    "MPO": ".jpg",
    "TIFF": ".tif",
    "HEIF": ".heic",
    "DIB": ".bmp",
}  # else the format
LOADING = "loading"  # the attempt that is no photo's


@dataclass(frozen=True)
class Task:
    """What all workers of a job are told."""

    out: Path  # the job's folder
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
    workers: int = 1  # that load their weights at the same time
    at_once: int = 1  # photos that one worker has in hand, whose faces go through a GPU together
    factory: str = "anonlab.scale.worker:load"  # `module:function`, from a `Task` to an anonymizer

    @property
    def attempts(self) -> Path:
        """The folder of `Attempts`."""
        return self.out / "job" / "attempts"


def load(task: Task) -> Callable:
    """The anonymizer of a task, with its weights."""
    import torch

    from ..batching import in_batches
    from ..pipeline import Anonymizer

    torch.set_num_threads(task.threads)
    alone = Anonymizer.load(
        task.generator, task.method, task.device, task.key, generator_path=task.generator_weights
    )
    return in_batches(alone, task.at_once) if task.at_once > 1 else alone


class Worker:
    """What Ray starts once for each worker, and calls with one block of photos after another."""

    def __init__(self, task: Task):
        """Raises what loading raises, and `WorkerDies` when it has ended the process several times."""
        self.task, self.attempts = task, Attempts(task.attempts)
        if not self.attempts.begin(LOADING, task.workers):
            raise WorkerDies(
                f"workers died {LIMIT} times while they loaded the weights; take fewer of them, or a "
                f"machine with more memory"
            )
        module, _, name = task.factory.partition(":")
        self.anonymize = getattr(importlib.import_module(module), name)(task)
        self.attempts.end(LOADING)

    def __call__(self, block: pa.Table) -> pa.Table:
        """Rows of `WORK` to rows of `ROWS`, as many and in their order.

        Photos that an earlier process had in hand when it died are done first, one at a time: with
        several at once nobody knows which of them it died of.
        """
        photos = block.to_pylist()
        together = self.task.at_once > 1
        suspects = [one for one in photos if together and self.attempts.begun(one["name"])]
        others = [one for one in photos if one not in suspects]
        with (
            ThreadPoolExecutor(1, thread_name_prefix="fetch") as fetching,
            ThreadPoolExecutor(self.task.at_once, thread_name_prefix="photo") as pool,
        ):
            rows = [self.row(photo) for photo in suspects]
            if together:  # each thread fetches its own
                rows += pool.map(self.row, others)
            else:
                rows += [self.row(photo, fetched) for photo, fetched in _ahead(fetching, others)]
        place = {photo["number"]: number for number, photo in enumerate(photos)}
        rows.sort(key=lambda row: place[row["number"]])
        return pa.Table.from_pylist(rows, schema=ROWS)

    def row(self, photo: dict, fetched: Callable[[], bytes] | None = None) -> dict:
        """Anonymize one photo of `WORK` and write it; what is not in the row is null there. `fetched`
        gives the file's bytes if somebody fetches them already."""
        start = time.monotonic()
        name, path = photo["name"], photo["path"]
        row: dict = {"number": photo["number"], "id": photo["id"], "source": path}
        folder = self.task.out / "photos" / shard(name)
        begun = self.attempts.begin(name)
        try:
            if not begun:
                raise WorkerDies(
                    f"{path} ended its worker {LIMIT} times (out of memory, or a decoder that crashes); "
                    f"try a smaller copy"
                )
            data = fetched() if fetched else fetch(path)
            row["source_sha256"] = hashlib.sha256(data).hexdigest()
            row |= self.written(data, path, folder / name)
        except Exception as error:  # whatever it is, the other photos are still done
            row["error"] = _said(error, path)
            for one in folder.glob(f"{name}.*"):  # of an earlier attempt, whose row was lost
                one.unlink()
        if begun:
            self.attempts.end(name)
        return row | {"seconds": time.monotonic() - start}

    def written(self, data: bytes, path: str, target: Path) -> dict:
        """Decode, anonymize and write; the format's suffix is added to `target`. Returns columns."""
        file = io.BytesIO(data)
        file.name = path
        photo = read_photo(file)
        task = self.task
        result = self.anonymize(photo, task.controls, faces=task.faces, fallback=task.fallback)
        records = result.records()
        kind = photo.original.format
        target = target.with_name(target.name + SUFFIX.get(kind, f".{kind.lower()}"))
        notes = write_photo(result.image, target, photo.icc_profile, photo, task.keep_metadata)
        covered, left = (sum(kind in one for one in records) for kind in ("covered", "left"))
        return {
            "output": target.relative_to(task.out).as_posix(),
            "output_sha256": hashlib.sha256(target.read_bytes()).hexdigest(),
            "replaced": len(records) - covered - left,
            "covered": covered,
            "left": left,
            "faces": json.dumps(records),
            "notes": notes,
        }


def _ahead(
    pool: ThreadPoolExecutor, photos: Iterable[dict]
) -> Iterator[tuple[dict, Callable[[], bytes]]]:
    waiting: deque = deque()
    for photo in photos:
        waiting.append((photo, pool.submit(fetch, photo["path"]).result))
        if len(waiting) > AHEAD:
            yield waiting.popleft()
    yield from waiting


def fetch(path: str) -> bytes:
    """The bytes of a file or URL. Raises `UnreadableImage`, and whatever the protocol raises."""
    parts = urlparse(path) if "://" in path else None
    if parts and parts.scheme == "file":
        path, parts = unquote(parts.path), None
    try:
        with fsspec.open(path, "rb") if parts else open_file(Path(path)) as file:
            data = file.read(MAX_BYTES + 1)
    except InputMissing as error:
        raise UnreadableImage(str(error)) from None
    if len(data) > MAX_BYTES:
        raise UnreadableImage(f"{path} has more than {MAX_BYTES >> 20} MB; scale it down first")
    return data


def _said(error: Exception, path: str) -> str:
    if isinstance(error, AnonlabError):
        return str(error)
    reason = str(error).splitlines()[0] if str(error) else type(error).__name__
    return (
        f"{path} could not be processed ({reason}); check that it can be reached, or try a smaller copy"
    )
