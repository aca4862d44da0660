"""Exit statuses, and lines on standard error."""

from __future__ import annotations

import sys

from ..files import printable

FAILED = 1  # something failed; the rest is still done
BAD_USAGE = 2
COVERED = 3  # all is written, but a face could only be covered
STOPPED = 130  # by the user


def complain(message: str) -> None:
    """One line on standard error."""
    print(f"anonlab: {printable(message)}", file=sys.stderr)
