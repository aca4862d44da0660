"""Every control says which values it has, before any work."""

import pytest

from anonlab.controls import MAX_REFINE_STEPS, MAX_SOFTNESS, Controls
from anonlab.errors import UnknownOption

TOO_FAR = {
    "mask_area": (-0.01, 1.01, float("nan"), "0.3", True, None),
    "strength": (-0.01, 1.01),
    "seed": (-1, 2**63, 1.5, "1", None, False),
    "symmetric": (1, "yes", None),
    "mask_threshold": (-0.01, 1.01),
    "target_distance": (0, 2.01),
    "refine_steps": (-1, MAX_REFINE_STEPS + 1, 2.5),
    "softness": (-0.1, MAX_SOFTNESS + 0.1, float("inf")),
    "perception": ("", "guess", None),
    "keep": (("hair",), ("gender", "hair")),
    "include": (("ears",), ("eyes", "ears")),
    "exclude": (("ears",), ("eyes", "ears")),
}
NO_LISTS = (("keep", "gender"), ("keep", 3), ("include", None), ("exclude", "eyes"))


@pytest.mark.parametrize(("name", "value"), [(name, one) for name in TOO_FAR for one in TOO_FAR[name]])
def test_a_value_beyond_the_end_is_refused_by_the_name_of_its_control(name, value):
    said = {"keep": "hair", "include": "ears", "exclude": "ears"}.get(name, name)
    with pytest.raises(UnknownOption, match=said):
        Controls(**{name: value})


@pytest.mark.parametrize(("name", "value"), NO_LISTS)
def test_a_list_of_names_is_none_of_letters(name, value):
    with pytest.raises(UnknownOption, match=f"{name} {value!r} is no list of names"):
        Controls(**{name: value})


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("mask_area", (0, 1)), ("strength", (0, 1)), ("mask_threshold", (0, 1)),
        ("target_distance", (0.01, 2)), ("refine_steps", (0, MAX_REFINE_STEPS)),
        ("softness", (0, MAX_SOFTNESS)), ("keep", ((), ("tone",))),
    ],
)  # fmt: skip
def test_both_ends_are_allowed(name, values):
    assert tuple(getattr(Controls(**{name: value}), name) for value in values) == values
