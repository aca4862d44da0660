"""The command line: parser, commands, batches of photos."""

from .parser import main, parser

__all__ = ["main", "parser"]
