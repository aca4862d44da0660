"""Named errors of more than one room; those of one stand there. Each message is one sentence that says
which file, what is wrong and what to do."""

from collections.abc import Iterable


class AnonlabError(Exception):
    """Root of everything this package raises on purpose."""


class UnreadableImage(AnonlabError):
    """The file is not an image that can be decoded."""


class NoFaceFound(AnonlabError):
    """No face was detected, or the one that was is cut off by the frame."""


class FaceTurnedAway(AnonlabError):
    """A face is turned farther than the generator can draw one, or the new one does not fit the head."""


class StillRecognised(AnonlabError):
    """The recogniser still matches the person after the last attempt; nothing is written."""


class OutputNotWritable(AnonlabError):
    """The result cannot be stored where it was asked for."""


class FolderBusy(OutputNotWritable):
    """Another run is writing into the same folder."""


class SeveralPictures(UnreadableImage):
    """The file holds frames or pages, of which only one would be anonymized."""


class UnknownOption(AnonlabError, ValueError):
    """A control has a name or a value that does not exist."""


def check_choice(what: str, names: str | Iterable[str], choices: Iterable[str]) -> None:
    """Raise `UnknownOption` for a name, or for those of several, that is not among `choices`."""
    given = [names] if isinstance(names, str) else sorted({str(name) for name in names})
    choices = list(choices)
    unknown = [name for name in given if name not in choices]
    if unknown:
        said = repr(names) if isinstance(names, str) else ", ".join(unknown)
        raise UnknownOption(f"{what} {said} does not exist; choose from: {', '.join(choices)}")


class InputMissing(AnonlabError):
    """A file or folder that was named is not there, or cannot be read."""


class InputDamaged(AnonlabError):
    """A file or folder that was named can be read, but does not hold what it must."""


class WeightsMissing(AnonlabError):
    """A pretrained file is not on this machine."""


class WeightsCorrupt(AnonlabError):
    """A pretrained file is there but is not the file we know."""


class WeightsMismatch(AnonlabError):
    """A pretrained file is whole, but belongs to another network."""


class DeviceUnavailable(AnonlabError):
    """The device that was asked for does not exist on this machine."""


class PackageMissing(AnonlabError):
    """A package that only some work needs is not installed."""
