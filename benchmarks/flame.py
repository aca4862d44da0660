"""Where the time of one photo, or of one clip, goes: a flame graph, and a table of its parts.

    python benchmarks/flame.py [photo.jpg | clip.mp4] [--out outputs/bench]

py-spy samples the command line in a process of its own, start and loading included. Width in the picture
is time of all threads, those that wait too, because Python's waits while OpenVINO computes; the table
leaves out what waits for another thread of Python. Without a file the photo is the astronaut's.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

from timing import OUT

from anonlab.notebook.samples import sample_photo
from anonlab.photo.containers import CLIPS

RATE = 100  # samples a second
WAITING = ("threading.py", "queue.py", "thread.py", "selectors.py", "connection.py", "subprocess.py")
PARTS = {  # by function and file, the innermost first: a sample counts once
    "what need not be new": ("needed_mask", "needed.py"),
    "blending": ("measure_blend", "compose.py"),
    "drawing": ("synthesis", ""),
    "finding faces": ("", "detection.py"),
    "following faces": ("", "detections.py"),
    "mask": ("__call__", "perception.py"),
    "codes": ("", "start.py"),
    "codes, by key frames": ("", "plans.py"),
    "painting, the rest": ("", "painting.py"),
    "planning, the rest": ("", "planning.py"),
    "reading and writing clips": ("", "video_files.py"),
    "imports": ("_find_and_load", ""),
    "loading": ("load", "pipeline.py"),
}


def parts_of(stacks: str) -> Counter:
    """Count samples by part, from py-spy's folded stacks: a line each, frames and a number."""
    counted: Counter = Counter()
    for line in stacks.splitlines():
        stack, _, samples = line.rpartition(" ")
        frames = re.findall(r"([\w<>]+) \((?:[^()]*/)?([^():]+)[^()]*\)", stack)
        if frames[-1:] and frames[-1][1] in WAITING:
            continue
        found = (
            name
            for name, (function, file) in PARTS.items()
            if any(one == (function or one[0], file or one[1]) for one in frames)
        )
        counted[next(found, "everything else")] += int(samples)
    return counted


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("file", type=Path, nargs="?", help="a photo or a clip")
    parser.add_argument("--out", type=Path, default=OUT)
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        file = options.file or Path(folder, "astronaut.png")
        if options.file is None:
            sample_photo("astronaut").save(file)
        command = "video" if file.suffix.lower() in CLIPS else "anonymize"
        for kind, suffix in (("flamegraph", "svg"), ("raw", "txt")):
            out = Path(folder, kind, file.name) if command == "video" else Path(folder, kind)
            out.parent.mkdir(exist_ok=True)
            spy = ["py-spy", "record", "--idle", "--rate", f"{RATE}", "--format", kind]
            spy += ["--output", str(options.out / f"{command}.{suffix}"), "--"]
            asked = [sys.executable, "-m", "anonlab", command, str(file), "--out", str(out)]
            subprocess.run([*spy, *asked], check=True)
    counted = parts_of((options.out / f"{command}.txt").read_text())
    for name, samples in counted.most_common():
        print(f"{name:28} {samples / RATE:7.2f} s {samples / counted.total():6.1%}")
    print(f"the flame graph: {options.out / command}.svg")


if __name__ == "__main__":
    main()
