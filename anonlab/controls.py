"""What a user can turn, in one place: for the call, the command line, the explorer and a file."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path

from .errors import InputDamaged, InputMissing, UnknownOption

KEEP = ("gender", "age", "tone")
METHODS = ("auto", "encode", "one-pass", "optimize")  # of stages 2 and 3: how codes are found
FACES = ("all", "largest")
COVERS = ("blur", "pixels")  # of a face that cannot be generated …
FALLBACKS = (*COVERS, "none")  # … or its photo is refused
PERCEPTIONS = (  # of stage 1: what finds the mask
    "integrated_gradients",
    "gradient_shap",
    "saliency",
    "input_x_gradient",
    "smooth_grad",
    "layer_grad_cam",
    "occlusion",
    "feature_ablation",
    "network",
)
REGIONS = ("brows", "eyes", "nose", "mouth", "cheeks", "jaw", "forehead")
MAX_REFINE_STEPS = 100  # steps; more change nothing that can be seen
MAX_SOFTNESS = 20.0
KEY_BYTES = 16  # of a secret, at least


def check_keep(keep: Sequence[str]) -> None:
    """Raises `UnknownOption` for a name that is not in `KEEP`."""
    unknown = sorted(set(keep) - set(KEEP))
    if unknown:
        raise UnknownOption(f"keep {', '.join(unknown)} does not exist; choose from: {KEEP}")


def check_regions(names: Sequence[str]) -> None:
    """Raises `UnknownOption` for a name that is not in `REGIONS`."""
    unknown = sorted(set(names) - set(REGIONS))
    if unknown:
        raise UnknownOption(
            f"region {', '.join(unknown)} does not exist; choose from: {', '.join(REGIONS)}"
        )


@dataclass(frozen=True)
class Controls:
    """What a user can turn. Raises `UnknownOption` for a value that does not exist."""

    mask_area: float = 0.25  # share of aligned pixels that is regenerated, 0–1
    strength: float = 1.0  # from the person (0) to the virtual identity (1)
    target_distance: float | None = None  # instead of strength: the recogniser's distance to reach
    seed: int = 0  # which virtual identity
    keep: tuple[str, ...] = KEEP  # attributes that the virtual identity shares
    refine_steps: int | None = None  # of optimisation; None: as many as the method has
    perception: str = "integrated_gradients"  # the method of stage 1, one of `PERCEPTIONS`
    mask_threshold: float | None = None  # instead of mask_area: the attribution from which on, 0–1
    include: tuple[str, ...] = ()  # facial regions that are always regenerated
    exclude: tuple[str, ...] = ()  # facial regions that are never regenerated
    softness: float = 3.0  # Gaussian of the mask's edge, in pixels of 256
    smallest: float = 0.0  # share of pixels below which a piece of the mask is dropped
    symmetric: bool = False  # join the mask with its mirror image

    def __post_init__(self) -> None:
        for name in ("keep", "include", "exclude"):  # a file has lists
            object.__setattr__(self, name, tuple(getattr(self, name)))
        for name in ("mask_area", "strength", "mask_threshold", "smallest"):
            value = getattr(self, name)
            if value is not None and not 0 <= value <= 1:
                raise UnknownOption(f"{name} {value} is not between 0 and 1")
        if self.target_distance is not None and not 0 < self.target_distance <= 2:
            raise UnknownOption(f"target_distance {self.target_distance} is not between 0 and 2")
        if self.refine_steps is not None and not 0 <= self.refine_steps <= MAX_REFINE_STEPS:
            raise UnknownOption(
                f"refine_steps {self.refine_steps} is not between 0 and {MAX_REFINE_STEPS}"
            )
        if not 0 <= self.softness <= MAX_SOFTNESS:
            raise UnknownOption(f"softness {self.softness} is not between 0 and {MAX_SOFTNESS:g}")
        if self.perception not in PERCEPTIONS:
            raise UnknownOption(
                f"perception {self.perception!r} does not exist; choose from: {', '.join(PERCEPTIONS)}"
            )
        check_keep(self.keep)
        check_regions((*self.include, *self.exclude))


@dataclass(frozen=True)
class Settings:
    """What `anonlab anonymize --settings FILE` reads: some controls by name, and perhaps a secret."""

    controls: dict[str, object]
    key: str | None = None  # of which the virtual identities are made; None: not in the file

    def to_json(self) -> str:
        """As the file has it; the key only where there is one."""
        return json.dumps(self.controls | ({"key": self.key} if self.key else {}), indent=2) + "\n"


def check_key(key: object, where: str) -> None:
    """Raises `InputDamaged` for a key that is no text or shorter than `KEY_BYTES`."""
    if not isinstance(key, str) or len(key.encode()) < KEY_BYTES:
        size = len(key.encode()) if isinstance(key, str) else 0
        raise InputDamaged(f"{where} holds {size} bytes; a secret needs at least {KEY_BYTES}")


def read_settings(path: Path) -> Settings:
    """The controls that a JSON file sets, and its key, checked. Raises `InputMissing`, `InputDamaged`
    or `UnknownOption` with the file's name."""
    try:
        given = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputMissing(f"{path} cannot be read ({error.strerror}); choose another file") from None
    except ValueError as error:
        raise InputDamaged(f"{path} is not JSON ({error}); save it again from the explorer") from None
    if not isinstance(given, dict):
        raise InputDamaged(f"{path} holds no object of controls; save it again from the explorer")
    key = given.pop("key", None)
    if key is not None:
        check_key(key, f"the key in {path}")
    try:
        make_controls(given)
    except UnknownOption as error:
        raise UnknownOption(f"{path}: {error}") from None
    return Settings(given, key)


def make_controls(given: Mapping[str, object]) -> Controls:
    """Controls from names and values. Raises `UnknownOption`, also for a value of the wrong kind."""
    names = [one.name for one in fields(Controls)]
    unknown = sorted(set(given) - set(names))
    if unknown:
        raise UnknownOption(
            f"control {', '.join(unknown)} does not exist; the controls are {', '.join(names)}"
        )
    try:
        return Controls(**given)
    except TypeError as error:
        raise UnknownOption(f"a control has a value of the wrong kind ({error})") from None
