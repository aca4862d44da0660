"""Many photos in, many out: what the command line does, as a function."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from tqdm.auto import tqdm

from ..controls import KEY_BYTES, Controls
from ..errors import AnonlabError, InputDamaged, InputMissing, OutputNotWritable, UnreadableImage
from ..files import output_folder, write_json
from ..photo.photos import READABLE, write_photo
from ..pipeline import Anonymizer


def read_key(path: Path) -> bytes:
    """The secret in a file, at least `KEY_BYTES`. Raises `InputMissing` or `InputDamaged`."""
    try:
        key = path.read_bytes().strip()
    except OSError as error:
        raise InputMissing(
            f"key file {path} cannot be read ({error.strerror}); make one with: "
            f'python -c "import secrets; print(secrets.token_hex(32))" > {path}'
        ) from None
    if len(key) < KEY_BYTES:
        raise InputDamaged(
            f"key file {path} holds {len(key)} bytes; a secret needs at least {KEY_BYTES}"
        )
    return key


def plan(sources: list[Path], out: Path) -> list[tuple[Path, Path]]:
    """(photo, output) for each photo; a folder's photos keep their places below it.

    Names that do not exist stay in the list, so that they are reported like any other failure.
    """
    pairs = []
    for source in sources:
        if _is_folder(source):
            within = source.resolve() in out.resolve().parents  # results of an earlier run
            inside = sorted(
                path
                for path in source.rglob("*")
                if path.suffix.lower() in READABLE
                and not any(part.startswith(".") for part in path.relative_to(source).parts)
                and not (within and out.resolve() in path.resolve().parents)
            )
            pairs += [(path, out / path.relative_to(source)) for path in inside]
            if not inside:
                pairs.append((source, out / source.name))
        else:
            pairs.append((source, out / source.name))
    return pairs


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except OSError:  # a name that is too long, for example
        return False


def anonymize_files(
    anonymizer: Anonymizer,
    sources: list[Path],
    out: Path,
    controls: Controls,
    faces: str | Sequence[int] = "all",
    record_path: Path | None = None,
    progress: bool = False,
) -> dict:
    """Anonymize photos and folders into `out`, and write the record.

    A photo that fails is named in the record with its error and the others are still done; nothing
    but anonymized pictures is ever written. Returns the record.
    Raises `OutputNotWritable` when the output folder cannot be used at all.
    """
    output_folder(out)
    record: dict = {"controls": asdict(controls) | {"faces": faces}, "photos": []}
    taken: set[Path] = set()
    if record_path:
        write_json(record_path, record)
    pairs = plan(sources, out)
    originals = {source.resolve() for source, _ in pairs}
    for source, output in tqdm(pairs, unit="photo", disable=not progress):
        entry: dict = {"source": str(source), "output": None, "error": None, "faces": []}
        try:
            _check_target(source, output, taken, originals)
            result = anonymizer(source, controls, faces=faces, progress=progress)
            write_photo(result.image, output, result.icc_profile)
            taken.add(output.resolve())
            entry["output"] = str(output)
            entry["faces"] = result.records()
        except AnonlabError as error:
            entry["error"] = str(error)
        except Exception as error:  # whatever it is, the other photos are still done
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            entry["error"] = f"{source} could not be processed ({reason}); try a smaller copy"
        record["photos"].append(entry)
        if record_path:
            write_json(record_path, record)
    return record


def _check_target(source: Path, output: Path, taken: set[Path], originals: set[Path]) -> None:
    if _is_folder(source):
        raise UnreadableImage(f"{source} is a folder without photos; name one that has some")
    if output.resolve() == source.resolve():
        raise OutputNotWritable(f"{source} would be overwritten; choose another output folder")
    if output.resolve() in originals:
        raise OutputNotWritable(
            f"{source} would replace the photo {output}; choose another output folder"
        )
    if output.resolve() in taken:
        raise OutputNotWritable(
            f"{source} has the same name as a photo before it; anonymize it into another folder"
        )
