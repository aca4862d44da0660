"""Many photos in, many out: what the command line does, as a function."""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path

from PIL import Image
from tqdm.auto import tqdm

from ..controls import KEY_BYTES, Controls
from ..errors import AnonlabError, InputDamaged, InputMissing, UnreadableImage
from ..files import atomic_path, folder_lock, open_file, output_folder, remove_partials
from ..photo.metadata import check_groups
from ..photo.photos import Photo, read_photo, write_photo
from ..pipeline import Anonymizer, Known
from ..results import Result
from ..selection import Selection
from .journal import Journal, Previous, fingerprint, read_previous
from .sources import Targets, plan
from .stream import Behind, Budget, ahead

__all__ = ["anonymize_files", "plan", "read_key"]


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


def make_key(path: Path) -> None:
    """A new secret in a file that only its owner can read, unless the file exists. Raises
    `OutputNotWritable`."""
    if path.exists():
        return
    with atomic_path(path) as unfinished:
        unfinished.write_text(secrets.token_hex(32) + "\n")
    path.chmod(0o600)
    print(f"a new key is in {path}: keep it, nothing else gives the same faces again")


@dataclass
class _Work:
    """One photo on its way: decoded, anonymized, written."""

    source: Path
    output: Path
    entry: dict  # what the record will say
    photo: Photo | None = None
    image: Image.Image | None = None
    pixels: int = 0  # of the budget
    kept: bool = False  # done by an earlier run

    def fail(self, error: Exception) -> None:
        """The record says why; the photo goes no further."""
        self.entry |= {"output": None, "output_sha256": None, "faces": [], "notes": []}
        if isinstance(error, AnonlabError):
            self.entry["error"] = str(error)
        else:
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            self.entry["error"] = f"{self.source} could not be processed ({reason}); try a smaller copy"
        self.photo = self.image = None


@dataclass
class _Run:
    """What all photos of a call share."""

    keep_metadata: Sequence[str]
    targets: Targets
    previous: Mapping[str, dict]  # entries that may still hold, by absolute output
    journal: Journal | None
    budget: Budget = field(default_factory=Budget)
    photos: list[dict] = field(default_factory=list)

    def read(self, pair: tuple[Path, Path]) -> _Work:
        """Decode one photo, unless it is done already. In the thread that is ahead."""
        source, output = pair
        nothing = {"source_sha256": None, "output_sha256": None, "notes": [], "faces": []}
        work = _Work(source, output, {"source": str(source), "output": None, "error": None} | nothing)

        def admit(pixels: int) -> None:
            self.budget.take(pixels)
            work.pixels = pixels

        try:
            self.targets.check(source, output)
            with _opened(source) as file:
                work.entry["source_sha256"] = hashlib.file_digest(file, "sha256").hexdigest()
                done = self._done_before(work)
                if done:
                    work.entry, work.kept = done | {"source": str(source)}, True
                    return work
                file.seek(0)
                work.photo = read_photo(file, admit)
        except Exception as error:  # whatever it is, the other photos are still done
            work.fail(error)
        return work

    def _done_before(self, work: _Work) -> dict | None:
        """The entry of an earlier run, if both the photo and its result are the same bytes."""
        entry = self.previous.get(str(work.output.absolute()))
        if not entry or entry.get("source_sha256") != work.entry["source_sha256"]:
            return None
        try:
            with open_file(work.output) as file:
                same = hashlib.file_digest(file, "sha256").hexdigest() == entry.get("output_sha256")
        except AnonlabError:
            return None
        return entry if same else None

    def write(self, work: _Work) -> None:
        """Write one result and its line in the journal. In the thread that is behind."""
        if work.image is not None:
            try:
                profile = work.photo.icc_profile
                notes = write_photo(work.image, work.output, profile, work.photo, self.keep_metadata)
                with open_file(work.output) as file:
                    digest = hashlib.file_digest(file, "sha256").hexdigest()
                work.entry |= {"output": str(work.output), "output_sha256": digest, "notes": notes}
                self.targets.taken.add(work.output)
            except Exception as error:
                work.fail(error)
        work.photo = work.image = None
        self.budget.give(work.pixels)
        if self.journal and not work.kept:
            self.journal.append(work.entry)
        self.photos.append(work.entry)


def _opened(source: Path):
    try:
        return open_file(source)
    except InputMissing as error:
        raise UnreadableImage(str(error)) from None


def anonymize_files(
    anonymizer: Anonymizer,
    sources: list[Path],
    out: Path,
    controls: Controls,
    faces: str | Sequence[int] = "all",
    record_path: Path | None = None,
    progress: bool = False,
    *,
    fallback: str = "none",
    leave: Sequence[Path] = (),
    only: Sequence[Path] = (),
    known: Known | None = None,
    resume: bool = False,
    keep_metadata: Sequence[str] = (),
    key: bytes | None = None,
    made_by: Mapping[str, object] = {},
    tell: Callable[[str], None] = lambda _: None,
) -> dict:
    """Anonymize photos and folders into `out`, and write the record.

    A photo that fails is named in the record with its error and the others are still done; nothing
    but anonymized pictures is ever written. Photos are decoded ahead and written behind, so that the
    networks never wait; memory does not grow with their number. `faces`, `fallback` and `known` are
    those of the `Anonymizer`; `leave` and `only` are photos of people, the largest face of each. With
    `resume` a photo is not done again if the record has it, it and its result are the same bytes, and
    so are all other options; `key` None is one that was drawn, and `made_by` names the parts of the
    `anonymizer`. `tell` hears why nothing of an earlier run is of use. Returns the record.
    Raises `OutputNotWritable` when the output folder cannot be used at all, `FolderBusy` when another
    run uses it, and `UnknownOption`.
    """
    check_groups(keep_metadata)
    output_folder(out)
    selection = Selection(
        faces,
        leave=anonymizer.recognise(leave) if leave else None,
        only=anonymizer.recognise(only) if only else None,
        names=[str(path) for path in leave],
    )
    people = {"leave": [str(path) for path in leave], "only": [str(path) for path in only]}
    wanted = asdict(controls) | {"faces": faces, "fallback": fallback} | people
    wanted = json.loads(json.dumps(wanted))
    with folder_lock(out):
        pairs = plan(sources, out)
        before = read_previous(record_path) if resume and record_path else Previous()
        salt = (before.run.get("key") or {}).get("salt")
        run = {**made_by, "keep_metadata": list(keep_metadata), "key": fingerprint(key, salt)}
        run = json.loads(json.dumps(run))
        usable = _usable(before, wanted, run, tell) if resume else {}
        folders = {output.parent for _, output in pairs} | {out}
        if record_path:
            remove_partials(folders | {record_path.parent})
        journal = Journal(record_path, wanted, run, usable) if record_path else None
        state = _Run(keep_metadata, Targets(pairs, out), usable, journal)
        here = {str(output.absolute()) for _, output in pairs}
        state.photos += [entry for output, entry in usable.items() if output not in here]
        try:
            one = partial(anonymizer, controls=controls, faces=selection, fallback=fallback, known=known)
            _all(one, pairs, state, progress)
        finally:  # also when it is interrupted: what was finished is written, and recorded
            record = {"controls": wanted, "run": run, "photos": state.photos}
            if journal:
                record = journal.finish(state.photos)
    return record


def _usable(before: Previous, controls: dict, run: dict, tell: Callable[[str], None]) -> dict:
    """The photos of an earlier run, if it had the same settings."""
    was, now = before.controls | before.run, controls | run
    differing = [name for name in now if was.get(name) != now[name]]
    if not before.photos:
        tell("nothing to resume: there is no record of finished photos")
    elif differing:
        names = ", ".join(differing)
        tell(
            f"nothing to resume: the finished photos were made with another {names}; all are done again"
        )
    else:
        return before.photos
    return {}


def _all(
    anonymize: Callable[..., Result], pairs: list[tuple[Path, Path]], state: _Run, progress: bool
) -> None:
    pending: set[Path] = set()
    photos = ahead(state.read, pairs)
    try:
        with (
            Behind() as writing,
            tqdm(total=len(pairs), unit="photo", disable=not progress, smoothing=0.1) as bar,
        ):
            for work in photos:
                if work.photo is not None:
                    if work.output in pending:  # whether its name is taken is known when it is written
                        writing.drain()
                    try:
                        state.targets.check(work.source, work.output)
                        result = anonymize(work.photo, progress=progress)
                        work.image = result.image
                        work.entry["faces"] = result.records()
                        pending.add(work.output)
                    except Exception as error:  # whatever it is, the other photos are still done
                        work.fail(error)
                elif work.kept:
                    state.targets.taken.add(work.output)
                    if progress:
                        bar.initial += 1  # it took no time, and tells nothing of those to come
                writing(state.write, work)
                bar.update()
    finally:
        state.budget.close()
        photos.close()
