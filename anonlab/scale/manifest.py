"""Which photos a job is about, and what became of each: Parquet in, Parquet out.

In: a Parquet file with a column `path` (files or URLs; relative ones stand beside the manifest) and
perhaps `id`, or a folder. Out: a folder of Parquet parts, one row a photo, whatever happened to it.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import fsspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset
import pyarrow.parquet as pq

from ..errors import InputDamaged, InputMissing, PackageMissing
from ..files import atomic_path
from ..photo.photos import READABLE

BATCH = 50_000  # rows that are read at once
NUMBER = "number"  # the id of Ray's checkpoint
WORK = pa.schema(
    [(NUMBER, pa.int64()), ("name", pa.string()), ("id", pa.string()), ("path", pa.string())]
)
ROWS = pa.schema(
    [
        (NUMBER, pa.int64()),
        ("id", pa.string()),
        ("source", pa.string()),
        ("output", pa.string()),  # below the job's folder; null for a photo that failed
        ("error", pa.string()),
        ("replaced", pa.int32()),  # faces that were generated anew …
        ("covered", pa.int32()),  # … took the fall-back …
        ("left", pa.int32()),  # … or were not chosen
        ("faces", pa.string()),  # JSON: what `record.json` says of every face
        ("notes", pa.list_(pa.string())),  # what could not be kept of the file
        ("source_sha256", pa.string()),
        ("output_sha256", pa.string()),
        ("seconds", pa.float32()),
    ]
)


@dataclass(frozen=True)
class Outcome:
    """How a job ended."""

    photos: int
    failed: int  # rows with an error
    covered: int  # photos in which a face took the fall-back


def write_work(source: Path, out: Path, naming: Callable[[str], tuple[int, str]], work: Path) -> int:
    """Write the list of all photos, as Ray reads it; returns how many. `naming` gives number and name.

    Raises `InputMissing`, `InputDamaged` for a manifest that cannot be read, has no photos or has an id
    twice, and `PackageMissing` where the paths' protocol needs a package.
    """
    batches = _folder(source, out) if source.is_dir() else _parquet(source)
    numbers, protocols = [np.empty(0, np.int64)], set()
    with atomic_path(work) as partial, pq.ParquetWriter(partial, WORK) as writer:
        for ids, paths in batches:
            named = [naming(one) for one in ids]
            protocols |= {one.split("://")[0] for one in paths if "://" in one}
            columns = [[number for number, _ in named], [name for _, name in named], ids, paths]
            writer.write_table(pa.table(columns, schema=WORK))
            numbers.append(np.array(columns[0], np.int64))
    every = np.concatenate(numbers)
    if not len(every):
        raise InputMissing(f"{source} has no photos; name a folder or a manifest that has some")
    _check_once(every, work, source)
    for protocol in sorted(protocols):
        try:
            fsspec.get_filesystem_class(protocol)
        except ImportError as error:
            raise PackageMissing(
                f"paths that begin with {protocol}:// need a package: {error}"
            ) from None
        except ValueError:
            raise InputDamaged(
                f"{source} has paths that begin with {protocol}://, which is unknown"
            ) from None
    return len(every)


def _folder(folder: Path, out: Path) -> Iterator[tuple[list[str], list[str]]]:
    """Ids (paths below the folder) and paths, without hidden ones, links to folders and results."""
    done = out.resolve()
    for place, below, files in os.walk(folder):
        here = Path(place)
        below[:] = [one for one in sorted(below) if one[0] != "." and (here / one).resolve() != done]
        paths = [
            here / one for one in sorted(files) if one[0] != "." and Path(one).suffix.lower() in READABLE
        ]
        for start in range(0, len(paths), BATCH):
            some = paths[start : start + BATCH]
            ids = [path.relative_to(folder).as_posix() for path in some]
            yield ids, [str(path.absolute()) for path in some]


def _parquet(manifest: Path) -> Iterator[tuple[list[str], list[str]]]:
    try:
        file = pq.ParquetFile(manifest)
    except FileNotFoundError:
        raise InputMissing(f"{manifest} does not exist; check the spelling") from None
    except (OSError, pa.ArrowException) as error:
        reason = str(error).splitlines()[0]
        raise InputDamaged(
            f"{manifest} is no Parquet file ({reason}); write the manifest again"
        ) from None
    columns = set(file.schema_arrow.names)
    if "path" not in columns:
        raise InputDamaged(
            f"{manifest} has the columns {', '.join(sorted(columns))}; it needs path, and may have id"
        )
    named = "id" if "id" in columns else "path"
    base = manifest.absolute().parent
    for batch in file.iter_batches(BATCH, columns=sorted({named, "path"})):
        ids, paths = (batch.column(name).cast(pa.string()).to_pylist() for name in (named, "path"))
        if None in ids or None in paths:
            raise InputDamaged(f"{manifest} has a row without id or path; every photo needs both")
        yield ids, [path if "://" in path else str(base / path) for path in paths]


def _check_once(numbers: np.ndarray, work: Path, source: Path) -> None:
    values, counts = np.unique(numbers, return_counts=True)
    if (counts > 1).any():
        twice = values[counts > 1][0].item()
        ids = pq.read_table(work, filters=[(NUMBER, "=", twice)])["id"].to_pylist()
        raise InputDamaged(f"{source} has an id more than once ({ids[0]}); every photo needs its own")


def drop_torn(parts: Path, checkpoint: Path) -> None:
    """Leave only what is whole: parts that the checkpoint knows, and entries of it whose part is there.

    Ray does this for a process that was killed. After a power cut a file may also be there and empty.
    """
    whole = {path.name.rpartition("-")[0]: path for path in parts.glob("*.parquet") if _is_whole(path)}
    known = {path.stem for path in checkpoint.glob("*.parquet") if _is_whole(path)}
    for path in parts.glob("*"):
        base = path.name.rpartition("-")[0]
        if base not in known or whole.get(base) != path:
            path.unlink()
    for path in checkpoint.glob("*"):
        if path.stem not in known & whole.keys():
            path.unlink()


def _is_whole(path: Path) -> bool:
    try:
        return pq.read_metadata(path).num_rows > 0
    except (OSError, pa.ArrowException):
        return False


def outcome(parts: Path) -> tuple[Outcome, bool]:
    """What the manifest says, and whether every number stands in it only once."""
    rows = pyarrow.dataset.dataset(parts, schema=ROWS, format="parquet")
    numbers, failed, covered = [np.empty(0, np.int64)], 0, 0
    for batch in rows.to_batches(columns=[NUMBER, "error", "covered"]):
        numbers.append(batch.column(NUMBER).to_numpy())
        failed += len(batch) - batch.column("error").null_count
        covered += pc.sum(pc.greater(batch.column("covered"), 0)).as_py() or 0
    every = np.concatenate(numbers)
    return Outcome(len(every), failed, covered), len(np.unique(every)) == len(every)
