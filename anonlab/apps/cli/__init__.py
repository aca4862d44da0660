"""The command line: parser, options, commands."""

from .parser import main, parser

__all__ = ["main", "parser"]
