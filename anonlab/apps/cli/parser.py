"""The command line. A command is a file of this folder, with its options; `options` has those that
several share.

Exit status: 0 all done, 1 something failed or a file that was named is missing (the rest is still
done), 2 bad usage, 3 all is done, but a face could only be covered.
"""

from __future__ import annotations

import argparse
import sys
import warnings

from ...errors import AnonlabError, UnknownOption
from .album import add_album
from .anonymize import add_anonymize
from .doctor import add_doctor
from .evaluate import add_evaluate
from .notebooks import add_notebooks
from .options import BAD_USAGE, FAILED, STOPPED, complain
from .scale import add_scale
from .train import add_train
from .verify import add_verify
from .video import add_video


def main(arguments: list[str] | None = None) -> int:
    """Run one command and return its exit status."""
    options = parser().parse_args(arguments)
    warnings.filterwarnings("ignore", module=r"PIL\.")  # damaged files end in one named error
    try:
        return options.command(options)
    except UnknownOption as error:
        complain(str(error))
        return BAD_USAGE
    except AnonlabError as error:
        complain(str(error))
        return FAILED
    except KeyboardInterrupt:
        print("anonlab: stopped; photos that were finished are written", file=sys.stderr)
        return STOPPED


def parser() -> argparse.ArgumentParser:
    """All commands and their options."""
    root = argparse.ArgumentParser(
        prog="anonlab", description="High-similarity, controllable face anonymization."
    )
    menu = root.add_subparsers(required=True, metavar="COMMAND")
    for add in (
        *(add_anonymize, add_album, add_video, add_scale, add_notebooks),
        *(add_train, add_evaluate, add_verify, add_doctor),
    ):
        add(menu)
    return root
