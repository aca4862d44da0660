"""The command line: `options` has all commands, `files` and `research` what they do.

Exit status: 0 all done, 1 something failed or a file that was named is missing (the rest is still
done), 2 bad usage, 3 all is done, but a face could only be covered.
"""

from __future__ import annotations

import argparse
import sys
import warnings
from importlib import import_module

from ...errors import AnonlabError, UnknownOption
from ...files import printable
from .options import COMMANDS

FAILED = 1  # something failed; the rest is still done
BAD_USAGE = 2
COVERED = 3  # all is written, but a face could only be covered
STOPPED = 130  # by the user


def main(arguments: list[str] | None = None) -> int:
    """Run one command and return its exit status."""
    options = parser().parse_args(arguments)
    warnings.filterwarnings("ignore", module=r"PIL\.")  # damaged files end in one named error
    try:
        # only now, so that `--help` and a mistyped option do not wait for torch
        commands = import_module(f".{COMMANDS[options.command][0]}", __package__)
        return getattr(commands, options.command)(options)
    except AnonlabError as error:
        complain(error)
        return BAD_USAGE if isinstance(error, UnknownOption) else FAILED
    except KeyboardInterrupt:
        on = "; the same command with --resume goes on" if hasattr(options, "resume") else ""
        complain(f"stopped; what was finished is kept{on}")
        return STOPPED


def parser() -> argparse.ArgumentParser:
    """Build the parser of all commands and their options."""
    root = argparse.ArgumentParser(
        prog="anonlab", description="High-similarity, controllable face anonymization."
    )
    status = "Exit status: 0 all done, 1 something failed, 2 bad usage, 3 a face is only covered."
    menu = root.add_subparsers(required=True, metavar="COMMAND", dest="command")
    for name, (_, options, does) in COMMANDS.items():
        one = menu.add_parser(name, help=does, description=does, epilog=status)
        for flags, arguments in options.items():
            one.add_argument(*flags.split(), **arguments)
    return root


def complain(message: object) -> None:
    """Print one line on standard error."""
    print(f"anonlab: {printable(str(message))}", file=sys.stderr)
