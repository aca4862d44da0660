"""Controls of a user, in one place: for the call, the command line, the explorer and a file."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from numbers import Integral, Real
from typing import Any

from .errors import UnknownOption, check_choice

KEEP = ("gender", "age", "tone", "look")  # of a person, in a virtual identity
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
MAX_SEED = 2**63 - 1


def _control(default: object, help: str, *ends: float, metavar: str | None = None) -> Any:
    """Make a field with the help text of its option, and the smallest and largest number it can be, from
    which its metavar is made unless one is given."""
    metavar = metavar or "-".join(f"{end:g}" for end in ends) or None
    return field(default=default, metadata={"help": help, "ends": ends, "metavar": metavar})


@dataclass(frozen=True)
class Controls:
    """What a user can turn. Raises `UnknownOption` for a value that cannot be used, by its name.

    The command line makes its options of these fields.
    """

    mask_area: float = _control(
        0.4,
        "share of the aligned picture that is drawn anew, before some is given back (default 0.4: the "
        "face)",
        0,
        1,
    )
    strength: float = _control(1.0, "from the person (0) to the virtual identity (1, default)", 0, 1)
    target_distance: float | None = _control(
        *(None, "the recogniser's distance to reach, above 0, instead of --strength", 0, 2), metavar="D"
    )
    seed: int = _control(0, "which virtual identity (default 0)", 0, MAX_SEED, metavar="SEED")
    keep: tuple[str, ...] = _control(
        KEEP, "attributes that the virtual identity shares, or none (default gender,age,tone,look)"
    )
    refine_steps: int | None = _control(
        None, "of optimisation, from the method's start", 0, MAX_REFINE_STEPS
    )
    perception: str = _control(
        "auto",
        "how the mask is found (default auto: network, or integrated_gradients where it has none)",
        metavar="METHOD",
    )
    mask_threshold: float | None = _control(
        *(None, "the attribution from which on pixels are regenerated, instead of --mask-area", 0, 1)
    )
    include: tuple[str, ...] = _control(
        (), "facial regions that are always regenerated: mouth,eyes …", metavar="REGIONS"
    )
    exclude: tuple[str, ...] = _control((), "never regenerated", metavar="REGIONS")
    give_back: float = _control(
        0.25,
        "share of the mask that stays the photo's after all, where the new face hides the person least "
        "for what it changes (default 0.25)",
        0,
        0.9,
    )
    softness: float = _control(
        3.0,
        "of the mask's edge, in 256ths of the picture (default 3)",
        0,
        MAX_SOFTNESS,
        metavar="PIXELS",
    )
    symmetric: bool = _control(False, "join the mask with its mirror image")

    def __post_init__(self) -> None:
        for control in fields(self):
            value, ends = getattr(self, control.name), control.metadata["ends"]
            if isinstance(control.default, tuple):
                if isinstance(value, str) or not isinstance(value, Iterable):
                    raise UnknownOption(f"{control.name} {value!r} is no list of names")
                object.__setattr__(self, control.name, tuple(value))  # a file has lists
            elif isinstance(control.default, bool) and not isinstance(value, bool):
                raise UnknownOption(f"{control.name} {value!r} is neither true nor false")
            elif ends and not (value is None and control.default is None):
                kind = Integral if control.type.startswith("int") else Real
                if isinstance(value, bool) or not isinstance(value, kind):
                    what = "whole number" if kind is Integral else "number"
                    raise UnknownOption(f"{control.name} {value!r} is no {what}")
                if not ends[0] <= value <= ends[1]:
                    raise UnknownOption(
                        f"{control.name} {value} is not between {ends[0]} and {ends[1]:g}"
                    )
        if self.target_distance == 0:
            raise UnknownOption(
                f"target_distance {self.target_distance} is not between 0 and 2; strength 0 does nothing"
            )
        check_choice("perception", (self.perception,), ("auto", *PERCEPTIONS))
        check_choice("keep", self.keep, KEEP)
        check_choice("region", (*self.include, *self.exclude), REGIONS)

    @property
    def own_eyes(self) -> bool:
        """Whether what lies between the lids stays the photo's: unless new eyes are asked for."""
        return "eyes" not in self.include

    @property
    def own_beard(self) -> bool:
        """Whether beards and moustaches stay the photo's: unless a new mouth is asked for."""
        return "mouth" not in self.include

    def with_new_mouth(self) -> Controls:
        """Return the same with a new mouth, without a beard of the photo's."""
        return replace(self, include=tuple(dict.fromkeys((*self.include, "mouth"))))


def make_controls(given: Mapping[str, Any]) -> Controls:
    """Make controls from names and values. Raises `UnknownOption`, also for a wrong kind."""
    check_choice("control", given, [control.name for control in fields(Controls)])
    return Controls(**given)
