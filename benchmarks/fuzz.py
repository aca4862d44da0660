"""Ten thousand mutated pictures or clips, and whether anything worse than a named error comes of one.

    python benchmarks/fuzz.py [--clips] [--count 10000] [--seed 0] [--out outputs/fuzz]

Small valid files of every format are damaged in ways that decoders do not like: bits, lengths, cut,
doubled and exchanged blocks, two files in one, PNG checksums made right again. Each goes through what
`anonlab anonymize` does with a file, with an anonymizer that needs no network (it gives the negative);
a clip through all that `anonlab video` does with frames.
Allowed is a named error, or a result that is the negative and holds nothing else. Not allowed: a
crash, an error without a name, a file that takes over 20 s, anything left half-written, a result
that is not anonymized or that brings a part of the original along.

The files run in a forked process; when it dies, that file is named and kept, and the next process
goes on behind it. Exit status: 0 if nothing happened, else 1.
"""

from __future__ import annotations

import argparse
import collections
import contextlib
import faulthandler
import itertools
import json
import os
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from faked import Inverter  # noqa: E402
from mutations import MARKER, case, clip_seeds, seeds  # noqa: E402

from anonlab.apps.folders.batch import anonymize_files  # noqa: E402
from anonlab.apps.verify.containers import hidden_parts  # noqa: E402
from anonlab.apps.video.animations import KINDS  # noqa: E402
from anonlab.apps.video.clips import open_clip  # noqa: E402
from anonlab.apps.video.facts import display_matrix  # noqa: E402
from anonlab.apps.video.frames import orientation, upright  # noqa: E402
from anonlab.controls import Controls  # noqa: E402
from anonlab.errors import AnonlabError  # noqa: E402
from anonlab.photo.photos import read_photo  # noqa: E402

LIMIT = 20.0  # seconds a file may take
CLIP_LIMIT = 90.0  # seconds of a clip: FFmpeg alone needs five to open some damaged ones
MEMORY = 5 << 30  # bytes that the process may want on top
MOST_WRONG = 50  # then it is enough
LOSSLESS = ("PNG", "BMP", "PPM", "TIFF")
FAR = 24  # of 255: how far, on average, a lossy negative may be from the exact one, beyond the original
IN_MEMORY = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None  # a disk only makes it slower


def run_clip(path: Path, out: Path, anonymizer: Callable) -> str:
    """Tell what became of a clip: `refused` or `written`. Raises `AssertionError` for what may not
    be."""
    out.mkdir()
    target, partial = out / path.name, out / f"partial{path.suffix}"  # moved when it is whole

    def segments(clip: object) -> Iterator[dict]:
        frames = clip.frames()
        for first in frames:
            group = [first, *itertools.islice(frames, 2)]
            for one in group:
                anonymizer.before(one)
            copies = isinstance(anonymizer, Copies)
            yield clip.encode((one, one.pixels if copies else 255 - one.pixels) for one in group)

    try:
        clip = open_clip(path, target)
        assert clip.count
        clip.join(segments(clip), partial)
        partial.replace(target)
        said = ""
    except AnonlabError as error:
        said = str(error)
    if said:
        assert "\n" not in said and "; " in said, f"badly named: {said}"
        return "refused"
    faulthandler.cancel_dump_traceback_later()
    # a damaged length makes anything a part of the sound
    sound = _sound(path) if path.suffix not in KINDS else b""
    assert MARKER in sound or MARKER not in target.read_bytes(), "the marker is in the result"
    if clip.count == 1 and path.suffix in KINDS:
        return "written"  # a picture, which is another command's
    shown = _shown(target)
    assert len(shown) == clip.count, f"{len(shown)} frames of {clip.count} are in the result"
    for before, after in zip(clip.frames(), shown, strict=True):
        away = _difference(after, 255 - before.pixels)
        was = _difference(before.pixels, 255 - before.pixels)
        assert away <= max(FAR, was / 2), f"frame {before.number} is {away:.0f} from the negative"
    return "written"


def _shown(path: Path) -> list[np.ndarray]:
    """Read every frame of a result, as a player shows it."""
    import av

    if path.suffix in KINDS:
        return [one.pixels for one in open_clip(path, path).frames()]
    with av.open(str(path)) as clip:
        frames = clip.decode(video=0)
        return [
            upright(one.to_ndarray(format="rgb24"), orientation(display_matrix(one))) for one in frames
        ]


def _sound(path: Path) -> bytes:
    import av

    found = []
    with (
        contextlib.suppress(av.error.FFmpegError),
        av.open(str(path), metadata_errors="replace") as clip,
    ):
        for one in clip.demux():
            found += [bytes(one)] * (one.stream.type == "audio")
    return b"".join(found)


def run_case(path: Path, out: Path, anonymizer: Callable) -> str:
    """Tell what became of a file: `refused` or `written`. Raises `AssertionError` for what may not
    be."""
    record = anonymize_files(anonymizer, [path], out, Controls(), "all", out / "record.json")
    faulthandler.cancel_dump_traceback_later()  # what follows is this benchmark's own time
    (entry,) = record["photos"]
    left = sorted(one.name for one in out.iterdir())
    if entry["error"]:
        assert left == ["record.json"], f"left behind: {left}"
        assert "could not be processed" not in entry["error"], f"without a name: {entry['error']}"
        assert "\n" not in entry["error"] and "; " in entry["error"], f"badly named: {entry['error']}"
        return "refused"
    assert left == sorted([path.name, "record.json"]), f"left behind: {left}"
    hidden = hidden_parts(out / path.name)
    assert not hidden, f"in the result: {', '.join(hidden)}"
    assert MARKER not in (out / path.name).read_bytes(), "the marker is in the result"
    before, after = read_photo(path), read_photo(out / path.name)
    kind = after.original.format
    old, new, wanted = before.pixels, after.pixels, 255 - before.pixels
    lossless = kind in LOSSLESS and after.original.options.get("compression") != "jpeg"
    if lossless or after.original.options.get("lossless"):
        assert (new == wanted).all(), "the result is not the negative"
    else:
        away, was = (_difference(one, wanted) for one in (new, old))
        assert away <= max(FAR, was / 2) or kind == "GIF", f"the result is {away:.0f} from the negative"
        assert away <= was or was < FAR, "the result is no nearer to the negative than the original"
    return "written"


def _difference(a: np.ndarray, b: np.ndarray) -> float:
    """Compute the mean absolute one; of a very large picture, in some of its rows."""
    step = 1 + a.size // 10_000_000
    return float(np.abs(a[::step].astype(np.int16) - b[::step]).mean())


class Copies(Inverter):
    """A defect to be noticed: it gives the photo back."""

    def __call__(self, photo, controls, **options):
        result = super().__call__(photo, controls, **options)
        return replace(result, image=photo.image(photo.pixels))


def _plant(defect: str | None) -> Callable:
    """Give the anonymizer a defect that this benchmark has to notice."""

    def die(_: object) -> None:
        os.kill(os.getpid(), signal.SIGSEGV)

    def wait(_: object) -> None:
        time.sleep(3600)

    def fail(_: object) -> None:
        raise RuntimeError("without a name")

    planted = {"crash": die, "hang": wait, "error": fail}
    return Copies() if defect == "copy" else Inverter(planted.get(defect, lambda _: None))


def work(
    start: int, stop: int, seed: int, folder: Path, limit: float, defect: str | None, clips: bool
) -> None:
    """Run in a process of its own: cases from `start` on, one JSON line each."""
    import resource

    errors = os.open(folder / "stderr", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(errors, 2)
    faulthandler.disable()  # of the parent
    size = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (size + MEMORY, size + MEMORY))
    files, anonymizer = clip_seeds() if clips else seeds(), _plant(defect)
    with open(folder / "lines", "a") as lines, open(folder / "stderr", "a") as stderr:
        for number in range(start, stop):
            suffix, data = case(number, seed, files)
            path, out = folder / f"case{suffix}", folder / "out"
            shutil.rmtree(out, ignore_errors=True)
            path.write_bytes(data)
            faulthandler.dump_traceback_later(limit, exit=True, file=stderr)
            begun = time.monotonic()
            try:
                ended = (run_clip if clips else run_case)(path, out, anonymizer)
            except (AssertionError, AnonlabError) as error:
                ended = f"WRONG {error}"
            faulthandler.cancel_dump_traceback_later()
            path.unlink()
            took = time.monotonic() - begun
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
            line = {"case": number, "ended": ended, "seconds": took, "peak": peak}
            lines.write(json.dumps(line) + "\n")
            lines.flush()


def in_a_fork(folder: Path, *arguments: object) -> int:
    """Run `work` in a process that may die; its exit code, negative for a signal."""
    child = os.fork()
    if not child:
        code = 1
        try:
            work(*arguments)
            code = 0
        finally:  # never back into the caller's code
            if code:
                with open(folder / "stderr", "a") as stderr:
                    traceback.print_exc(file=stderr)
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def came_of(folder: Path) -> tuple[list[dict], str]:
    """Collect the lines of the cases so far, and what was said on standard error."""
    path = folder / "lines"
    lines = [json.loads(one) for one in path.read_text().splitlines()] if path.is_file() else []
    return lines, (folder / "stderr").read_text(errors="replace")


def fuzz(
    count: int = 10_000,
    seed: int = 0,
    limit: float | None = None,
    defect: str | None = None,
    out: Path | None = None,
    clips: bool = False,
) -> dict:
    """Run `count` cases; how they ended, and every one that is wrong. Wrong files are kept in `out`."""
    wrong: list[dict] = []
    ended: collections.Counter[str] = collections.Counter()
    slowest, peak, start, begun = 0.0, 0, 0, time.monotonic()
    files = clip_seeds() if clips else seeds()
    limit = limit or (CLIP_LIMIT if clips else LIMIT)
    while start < count and len(wrong) < MOST_WRONG:
        folder = Path(tempfile.mkdtemp(prefix="anonlab-fuzz-", dir=IN_MEMORY))
        code = in_a_fork(folder, start, count, seed, folder, limit, defect, clips)
        lines, said = came_of(folder)
        if code and "Timeout (" in said:  # alone once more: a busy machine is no hang
            slow = start + len(lines)
            code = in_a_fork(folder, slow, slow + 1, seed, folder, limit, defect, clips)
            lines, said = came_of(folder)
        for one in lines:
            ended[one["ended"].split()[0]] += 1
            slowest, peak = max(slowest, one["seconds"]), max(peak, one["peak"])
            if one["ended"].startswith("WRONG"):
                wrong.append(one)
        start += len(lines)
        if "Traceback" in said and not code:
            wrong.append({"case": start - 1, "ended": f"WRONG traceback: {said[-300:]}"})
        if code:
            why = f"took over {limit:g} s" if "Timeout (" in said else f"ended the process ({code})"
            wrong.append({"case": start, "ended": f"WRONG it {why}: {said[-600:]}"})
            ended["WRONG"] += 1
            start += 1
        shutil.rmtree(folder)
    for one in wrong if out else ():
        suffix, data = case(one["case"], seed, files)
        out.mkdir(parents=True, exist_ok=True)
        (out / f"{one['case']:06}{suffix}").write_bytes(data)
    return {
        "count": sum(ended.values()),
        "formats": len(files),
        "seed": seed,
        "refused": ended["refused"],
        "written": ended["written"],
        "wrong": wrong,
        "slowest_seconds": round(slowest, 2),
        "peak_megabytes": round(peak / 1e6),
        "minutes": round((time.monotonic() - begun) / 60, 1),
    }


def main() -> int:
    """Print what came out, and keep files that went wrong."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--clips", action="store_true", help="clips instead of pictures")
    parser.add_argument("--out", type=Path, default=Path("outputs/fuzz"))
    options = parser.parse_args()
    report = fuzz(options.count, options.seed, out=options.out, clips=options.clips)
    print(json.dumps(report, indent=2))
    return 1 if report["wrong"] else 0


if __name__ == "__main__":
    sys.exit(main())
