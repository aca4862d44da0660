"""Every command and its options, and how values are read."""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path

from ...controls import FACES, FALLBACKS, METHODS, Controls

KINDS = {"float": float, "int": int, "str": str}
Options = dict[str, dict]  # name or flag -> arguments of `ArgumentParser.add_argument`


def faces(text: str) -> str | tuple[int, ...]:
    """Parse `all`, `largest`, or `1,3` as a tuple."""
    if text in FACES:
        return text
    if re.fullmatch(r"[1-9]\d*(,[1-9]\d*)*", text):
        return tuple(map(int, text.split(",")))
    choices = f"{', '.join(FACES)} or numbers from 1, like 1,3"
    raise argparse.ArgumentTypeError(f"{text!r} is no choice of faces; take {choices}")


def names(text: str) -> tuple[str, ...]:
    """Parse `a,b` as a tuple; `none` is empty."""
    return () if text == "none" else tuple(text.split(","))


def positive(text: str) -> int:
    """Parse a whole number from 1."""
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text} is not 1 or more")
    return value


def seconds(text: str) -> float:
    """Parse seconds, or minutes and hours before them: `90`, `1:30`, `0:01:30.5`."""
    parts, value = text.split(":"), 0.0
    for part in parts:
        value = 60 * value + float(part)
    if value < 0 or len(parts) > 3:
        raise argparse.ArgumentTypeError(f"{text!r} is no time; write seconds, or minutes:seconds")
    return value


def option(metavar: str | None = None, help: str | None = None, **more: object) -> dict:
    """Hold arguments of `add_argument`; a metavar that names a file or folder makes the value a path."""
    if metavar and {"FILE", "FOLDER"} & {*metavar.replace(".", "_").split("_")}:
        more = {"type": Path} | more
    return {"metavar": metavar, "help": help} | more


def switch(help: str) -> dict:
    """Describe an option without a value."""
    return {"action": "store_true", "help": help}


def chosen_of(*choices: str, help: str | None = None) -> dict:
    """Describe a choice of some words, the first by default."""
    return {"choices": choices, "default": choices[0], "help": help}


def out(help: str, default: Path | None = None, metavar: str = "FOLDER") -> Options:
    """Describe `--out`, which is required where there is no default."""
    return {"--out": option(metavar, help, default=default, required=not default)}


# fmt: off
SHARED: Options = {  # by several commands
    "--settings": option("FILE", "controls and key saved by the explorer; options win"),
    "--key": option("FILE", "secret: the same person gets the same new face (default: the one in "
                    "--settings, or a new one)"),
    "--method": chosen_of(*METHODS, help="encode, by the trained encoder, takes a second a face (auto, "
                          "the default, where there is one); optimize takes a minute; one-pass, the "
                          "linear start, is the coarsest"),
    "--generator": chosen_of("mobile", "stylegan2"),
    "--generator-weights": option("FILE", "of stylegan2: .pkl of NVIDIA, .pt of rosinality, or "
                                  ".safetensors of their tensors"),
    "--device": chosen_of("auto", "cpu", "cuda"),
    "--unseen": option("FILE.onnx", "a recogniser that took no part"),
    "--unseen-options": option("JSON", "its crop, scaling and threshold, such as "
                               '{"size": 112, "bgr": true, "threshold": 0.6}', type=json.loads,
                               default={}),
    "--fallback": chosen_of(*FALLBACKS, help="how a face is covered that cannot be generated (exit "
                            "status 3); none refuses the photo"),
    "--keep-metadata": option("GROUPS", "EXIF that stays: date,camera,copyright,gps (default none); "
                              "never a thumbnail or MakerNote", type=names, default=()),
}
PARTS = ("--method", "--generator", "--generator-weights", "--device")  # what makes the pictures


def shared(*flags: str) -> Options:
    """Select some of the options that several commands have."""
    return {flag: SHARED[flag] for flag in flags}


def controls(without: Sequence[str] = ()) -> Options:
    """Make an option for every field of `Controls`, a file of them, and the key."""
    made = shared("--settings")
    for one in fields(Controls):
        kind, flag = one.type.split()[0], "--" + one.name.replace("_", "-")
        how = {"metavar": one.metadata["metavar"], "type": KINDS.get(kind, names)}
        if kind == "bool":
            how = {"action": "store_true", "default": None}
        if one.name not in without:
            made[flag] = how | {"help": one.metadata["help"]}
    return made | shared("--key")


PHOTOS = {
    "photos": {"nargs": "+", "type": Path, "metavar": "PHOTO_OR_FOLDER"},
    **out("folder for the results"),
    **controls(),
    "--faces": option("all|largest|1,3", "which of them, 1 for the largest; --preview shows the numbers",
                      type=faces, default="all"),
    "--leave": option("PHOTO", "people to leave alone: the largest face of each photo", type=Path,
                      nargs="+", default=()),
    "--only": option("PHOTO", "anonymize only faces that may be these people, the largest of each photo",
                     type=Path, nargs="+", default=()),
    "--preview": switch("only write pictures that number the faces, which are covered in them"),
    **shared(*PARTS, "--fallback", "--keep-metadata"),
    "--json": option("FILE", "where the record goes (default OUT/record.json)"),
    "--resume": switch("leave alone what the record says is done: the same photo, settings and key"),
}
VERIFY = {
    "originals": {"type": Path, "help": "a photo or a folder"},
    "anonymized": {"type": Path, "help": "a photo, or a folder of the same names"},
    **out("folder for the numbers", Path("outputs/verify")),
    **shared("--unseen", "--unseen-options", "--device"),
}
VIDEO = {
    "clip": {"type": Path, "metavar": "CLIP"},
    **out("the result; in a folder it keeps the clip's name", metavar="FILE_OR_FOLDER"),
    **controls(without=("target_distance", "refine_steps")),
    **shared("--fallback", "--device"),
    "--from": option("SECONDS", "the result begins here; also as 1:30", dest="start", type=seconds,
                     default=0.0),
    "--to": option("SECONDS", "and ends before this", dest="end", type=seconds, default=float("inf")),
    "--resume": switch("go on with a run that was stopped"),
    "--review": option("FILE.png", "draw the worst frames of each person there, and write no clip yet: "
                       "--resume without this does", type=Path),
    "--json": option("FILE", "where a record goes"),
}
SCALE = {
    "photos": option("MANIFEST.parquet|FOLDER", "a Parquet file with a column path (files or URLs) and "
                     "perhaps id, or a folder of photos", type=Path),
    **out("folder for results, manifest and job"),
    "--workers": option("N", "processes that anonymize (default: one a CPU)", type=positive),
    **controls(),
    **shared(*PARTS, "--fallback", "--keep-metadata"),
    "--faces": chosen_of(*FACES),
    "--resume": switch("go on with a job that was stopped"),
}
RUN = {
    "--profile": chosen_of("quick", "full"),
    "--only": option("NN,NN", "these notebooks, by number"),
    **out("folder for executed notebooks and the report", Path("outputs/runs")),
    "-p --parameter": option("NAME=VALUE", "set a notebook parameter; an unknown name is an error",
                             action="append", default=[]),
    "--accept": switch(
        "make this run's numbers the accepted ones, notebook by notebook (git diff tests/accepted "
        "shows what changed); tolerances are measured by repeats with other seeds and instructions"
    ),
    "--environment": option("NAME", "compute as another machine does: sse41, avx, avx2, "
                            "avx2-1-thread or avx512", default="native"),
}
COURSE = {
    "what": {"choices": ("book", "assignments", "slides"), "nargs": "?", "default": "book"},
    "--runs": option("FOLDER", "where executed notebooks are", default=Path("outputs/runs")),
    "--out": option("FOLDER", "default outputs/course, outputs/assignments or outputs/slides"),
}
EXPLORE = {
    "--port": option(type=int, default=8866),
    "--no-browser": switch("open no browser"),
}
TRAIN = {
    "what": {"choices": ("correction", "encoder", "expression", "glasses", "landmarks", "perception",
                         "rims")},
    "--out": option("FOLDER", "default outputs/train/WHAT"),
    **dict.fromkeys(("--steps", "--batch", "--seed"), option(type=int)),
    "--learning-rate": option(type=float),
    "--samples": option(help="generated faces to learn from", type=int),
    "--size": chosen_of("medium", "small", help="of the encoder"),
    **shared("--generator", "--generator-weights", "--device"),
    "--start": option("FILE", "go on from these encoder's weights"),
    "--resume": switch("go on from OUT/checkpoint.pt"),
    "--minutes": option(help="stop with a checkpoint after this time", type=float),
    "--ship": switch("put the result where anonlab loads it"),
}
EVALUATE = {
    "people": option("FOLDER[:COUNT]", "folders in the layout person/photo.jpg, or embedded, or lfw "
                     "(scikit-learn's cache)", nargs="+"),
    **out("for judged.json; pictures are kept below it, so that an interrupted run goes on",
          Path("outputs/evaluation")),
    **shared("--unseen", "--unseen-options", "--device"),
    "--pairs": option(help="generated people that attackers learn from; 0 for none", type=int,
                      default=300),
    "--rivals": switch("also a box, blur, pixels and k-same, by the same judges"),
    "--seed": option(type=int, default=0),
}
DOCTOR = {
    "--download": option("NAME", "fetch one optional model"),
    "--sha256": option("HEX", "what the download must have, if you know it", default=""),
    "--judges": option("ARCHIVE", "take the evaluation's judges out of these archives, which the list "
                       "names", nargs="+", type=Path, default=()),
}
COMMANDS: dict[str, tuple[str, Options, str]] = {  # where its function is, its options, what it does
    "anonymize": ("files", PHOTOS, "anonymize photos or folders of photos"),
    "album": ("files", PHOTOS, "the same, and a person gets one new face in all photos, later ones too"),
    "verify": ("files", VERIFY, "compare photos with their anonymized ones, and name every leak"),
    "video": ("files", VIDEO, "anonymize a clip (a video, or an animated GIF, WebP or PNG): a person "
              "has one new face in all of it; a clip in which no face is found is not written"),
    "scale": ("files", SCALE, "anonymize millions of photos, by a job of many processes that resumes: "
              "results in OUT/photos, named by a keyed hash, and a row for every photo in OUT/manifest"),
    "run": ("research", RUN, "execute the notebooks and write an HTML report"),
    "course": ("research", COURSE, "make a browsable book of the newest executed notebooks, or slides, "
               "or assignments for nbgrader and otter-grader"),
    "explore": ("research", EXPLORE, "serve the mask explorer as a web page, for this machine only"),
    "train": ("research", TRAIN, "train a network on generated faces"),
    "evaluate": ("research", EVALUATE, "measure privacy and what stays of people, by judges that guide "
                 "nothing"),
    "doctor": ("research", DOCTOR, "which weights are here, what is missing"),
}
# fmt: on
