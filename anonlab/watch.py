"""How long work tells how far it is."""

from collections.abc import Callable

Watch = Callable[[str, float], None]  # is told what is done, and which share of it is done


def quiet(doing: str, share: float) -> None:
    """Watch without showing anything."""
