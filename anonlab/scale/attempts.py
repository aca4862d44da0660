"""How often a photo was begun: so that a crash is known to be that photo's doing."""

from __future__ import annotations

from pathlib import Path

LIMIT = 3  # after so many workers died of it, it is left


class Attempts:
    """A small file for everything that is being worked on; its length is the number of attempts.

    A process that is killed cannot say of what it died. So it says before each photo what it begins,
    and takes that back afterwards; what stays is what killed it.
    """

    def __init__(self, folder: Path):
        self.folder = folder

    def begin(self, name: str, at_once: int = 1) -> bool:
        """Count another attempt; False when `LIMIT` of them never ended, each by as many as try the same
        `at_once`."""
        path = self.folder / name
        if path.exists() and path.stat().st_size >= LIMIT * at_once:
            return False
        with open(path, "ab") as file:
            file.write(b".")
        return True

    def begun(self, name: str) -> bool:
        """Whether it was begun, and has not ended."""
        return (self.folder / name).exists()

    def end(self, name: str) -> None:
        """It is over, well or not, and this process lives."""
        (self.folder / name).unlink(missing_ok=True)

    def forgive(self) -> None:
        """Forget what was in work, but not what has reached the limit: somebody stopped the job."""
        for path in self.folder.iterdir():
            if path.stat().st_size < LIMIT:
                path.unlink(missing_ok=True)
