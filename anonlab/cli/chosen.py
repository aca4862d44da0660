"""Controls and key of a command, from its options and from a settings file."""

from __future__ import annotations

import argparse
from dataclasses import fields
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..controls import Controls
    from ..recognizers import Recognizer


def chosen_controls(options: argparse.Namespace) -> Controls:
    """The controls of a settings file, and over them those that were given as options.

    Area and threshold are two ways to say one mask: an area that is given replaces a saved threshold.
    """
    from ..controls import Controls, make_controls, read_settings

    saved = read_settings(options.settings).controls if options.settings else {}
    given = {one.name: getattr(options, one.name, None) for one in fields(Controls)}
    given = {name: value for name, value in given.items() if value is not None}
    if "mask_area" in given:
        saved = saved | {"mask_threshold": None}
    return make_controls(saved | given)


def chosen_key(options: argparse.Namespace) -> bytes | None:
    """The secret: of `--key`, or else of the settings file; None for a new one."""
    from ..controls import read_settings
    from .batch import read_key

    if options.key:
        return read_key(options.key)
    saved = read_settings(options.settings).key if options.settings else None
    return saved.encode() if saved else None


def chosen_guides(options: argparse.Namespace) -> tuple[Recognizer, ...]:
    """The recogniser of `--guide`, if there is one."""
    from ..recognizers import load_guide

    if not options.guide:
        return ()
    return (load_guide(options.guide, options.device, **options.guide_options),)
