"""`anonlab album`: anonymize photos, and a person has one new face in all of them."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

from .anonymize import add_photo_options, anonymize, preview
from .options import chosen_key, make_key

if TYPE_CHECKING:
    from ...pipeline import Anonymizer
    from ..album import Album


def add_album(menu: argparse._SubParsersAction) -> None:
    """Add the command to the menu."""
    one = menu.add_parser(
        "album",
        help="the same, and a person gets one new face in all photos, also in those added later",
    )
    add_photo_options(one)
    one.set_defaults(command=album)


def album(options: argparse.Namespace) -> int:
    """`anonlab album`: first find out who is in the photos, then anonymize them all.

    The key is made if its file does not exist; with it, who is in the album is kept for the next photos.
    """
    from ...files import folder_lock, output_folder
    from ..album import Album
    from .sources import plan

    if options.preview:
        return preview(options)
    output_folder(options.out)
    if not options.key and not chosen_key(options):
        options.key = options.out / "album.key"
    if options.key:
        with folder_lock(options.out):
            make_key(options.key)
    key = chosen_key(options)

    def people(anonymizer: Anonymizer) -> Album:
        kept = options.out / "album.people"
        with folder_lock(options.out):
            found = Album.open(kept, key, anonymizer)
            before = len(found.people)
            photos = [source for source, _ in plan(options.photos, options.out)[0]]
            count = found.look(anonymizer, photos, sys.stderr.isatty())
            found.save(kept, key)
        print(f"{count} faces of {len(found.people)} people, {len(found.people) - before} of them new")
        return found

    return anonymize(options, people)
