"""The command line. Each file of commands has their options; `options` has those that several share.

Exit status: 0 all done, 1 something failed or a file that was named is missing (the rest is still
done), 2 bad usage, 3 all is done, but a face could only be covered.
"""

from __future__ import annotations

import argparse
import warnings

from ...errors import AnonlabError, UnknownOption
from . import files, research  # noqa: F401  (they add their commands)
from .options import BAD_USAGE, COMMANDS, FAILED, STOPPED, complain


def main(arguments: list[str] | None = None) -> int:
    """Run one command and return its exit status."""
    options = parser().parse_args(arguments)
    warnings.filterwarnings("ignore", module=r"PIL\.")  # damaged files end in one named error
    try:
        return options.command(options)
    except AnonlabError as error:
        complain(error)
        return BAD_USAGE if isinstance(error, UnknownOption) else FAILED
    except KeyboardInterrupt:
        on = "; the same command with --resume goes on" if hasattr(options, "resume") else ""
        complain(f"stopped; what was finished is kept{on}")
        return STOPPED


def parser() -> argparse.ArgumentParser:
    """All commands and their options."""
    root = argparse.ArgumentParser(
        prog="anonlab", description="High-similarity, controllable face anonymization."
    )
    menu = root.add_subparsers(required=True, metavar="COMMAND")
    for name, run, options, texts in COMMANDS:
        one = menu.add_parser(name, **texts)
        one.set_defaults(command=run)
        for flags, arguments in options.items():
            one.add_argument(*flags.split(), **arguments)
    return root
