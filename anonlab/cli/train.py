"""`anonlab train`: train a network on generated faces."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from .options import add


def add_train(menu: argparse._SubParsersAction) -> None:
    """Add the command to the menu."""
    train = menu.add_parser("train", help="train a network on generated faces")
    train.add_argument("what", choices=("correction", "encoder", "glasses", "landmarks", "perception"))
    train.add_argument("--out", type=Path, default=None, help="default outputs/train/WHAT")
    train.add_argument("--steps", type=int, default=None)
    train.add_argument("--batch", type=int, default=None)
    train.add_argument("--learning-rate", type=float, default=None)
    train.add_argument("--validate-every", type=int, default=None, metavar="STEPS")
    train.add_argument("--seed", type=int, default=None)
    train.add_argument("--samples", type=int, default=None, help="generated faces to learn from")
    train.add_argument(
        "--photos", type=Path, default=None, metavar="FOLDER", help="learn from these faces as well"
    )
    train.add_argument(
        "--size", choices=("base", "medium", "small"), default="base", help="of the encoder"
    )
    add(train, "--generator", "--generator-weights", "--device")
    train.add_argument(
        "--start", type=Path, default=None, metavar="FILE", help="go on from these encoder's weights"
    )
    train.add_argument("--resume", action="store_true", help="go on from OUT/checkpoint.pt")
    train.add_argument(
        "--minutes", type=float, default=None, help="stop with a checkpoint after this time"
    )
    train.add_argument("--ship", action="store_true", help="put the result where anonlab loads it")
    train.set_defaults(command=train_network)


def train_network(options: argparse.Namespace) -> int:
    """`anonlab train`: weights, a card, a log and its curves."""
    from ..files import folder_lock, output_folder
    from ..training.command import train_part
    from ..training.loop import bars, quiet

    names = (
        "what device generator generator_weights size samples photos start resume minutes "
        "ship steps batch learning_rate validate_every seed"
    )
    chosen = {name: getattr(options, name) for name in names.split()}
    out = options.out or Path("outputs/train") / options.what
    with folder_lock(output_folder(out)):  # two runs would write over each other's checkpoint
        card = train_part(out=out, watch=bars() if sys.stderr.isatty() else quiet, **chosen)
    if card:
        print(json.dumps(card, indent=2))
    return 0
