"""A small evaluation from photos to report: it can be interrupted, repeated and drawn."""

from __future__ import annotations

import csv
import io
import json
import shutil
from pathlib import Path

import pytest
import torch
from PIL import Image

from anonlab import Anonymizer, cli
from anonlab.errors import InputMissing, UnknownOption
from anonlab.evaluation import figures
from anonlab.evaluation.command import Report, evaluate_sources, write_report
from anonlab.evaluation.evaluate import Evaluation, evaluate
from anonlab.evaluation.judging import Instruments, load_judges
from anonlab.evaluation.methods import Protocol, Subject
from anonlab.evaluation.peers import single_face_peers
from anonlab.evaluation.people import Person
from anonlab.evaluation.recorded import numbers
from anonlab.evaluation.results import read_result
from anonlab.evaluation.summary import summarise
from anonlab.evaluation.tradeoff import tradeoff_figure
from anonlab.generators.samples import sample_photo

SMALL = Protocol(areas=(0.25,), strengths=(), k=(2,), calibrated=0, optimised=0)
BRIEF = Protocol.default_only()  # for what does not depend on peers
KEY = b"a secret of at least 16 bytes"


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    """The last digit depends on how many threads share a sum."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def anonymizer() -> Anonymizer:
    return Anonymizer.load(method="one-pass", device="cpu", key=KEY)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    """A recogniser that compares pictures of 8 by 8 pixels, as an ONNX file."""
    onnx = pytest.importorskip("onnx")
    helper, kind = onnx.helper, onnx.TensorProto.FLOAT
    graph = helper.make_graph(
        [helper.make_node("Flatten", ["image"], ["embedding"])],
        "tiny",
        [helper.make_tensor_value_info("image", kind, ["n", 3, 8, 8])],
        [helper.make_tensor_value_info("embedding", kind, ["n", 192])],
    )
    path = tmp_path_factory.mktemp("onnx") / "tiny.onnx"
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, str(path))
    return path


@pytest.fixture(scope="module")
def instruments(anonymizer, tiny, tmp_path_factory) -> Instruments:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TORCH_HOME", str(tmp_path_factory.mktemp("no downloads")))
        options = {"threshold": 0.02, "far": 1e-3, "name": "stranger"}
        judges = load_judges(anonymizer.recognizer, tiny, options)
        return Instruments(judges, anonymizer.detector)


@pytest.fixture(scope="module")
def group(generator, tmp_path_factory) -> list[Person]:
    """Two people with two photos, one with one, one with none that can be used."""
    folder = tmp_path_factory.mktemp("photos")
    for name, sample in (("a", "synthetic-100"), ("b", "synthetic-101")):
        for number in ("", "-1"):
            photo = sample_photo(sample + number, generator).resize((512, 512))
            photo.save(folder / f"{name}{number}.png")
    (folder / "damaged.jpg").write_bytes(b"\xff\xd8\xff\xe0 no more of it")
    Image.new("RGB", (300, 300), "green").save(folder / "lawn.png")
    b = tuple(folder / name for name in ("missing.png", "damaged.jpg", "b.png", "b-1.png"))
    return [
        Person("ann", (folder / "a.png", folder / "a-1.png")),
        Person("bob", b),
        Person("nobody", (folder / "lawn.png",)),
        Person("cid", ("astronaut",)),
    ]


@pytest.fixture(scope="module")
def state(tmp_path_factory):
    return tmp_path_factory.mktemp("state")


@pytest.fixture(scope="module")
def evaluation(anonymizer, group, instruments, state) -> Evaluation:
    return evaluate(anonymizer, group, instruments, SMALL, state)


@pytest.fixture(scope="module")
def brief(anonymizer, group, instruments, tmp_path_factory) -> tuple[Path, Evaluation]:
    """Everybody by the default alone: where they are kept, and their numbers."""
    state = tmp_path_factory.mktemp("brief")
    return state, evaluate(anonymizer, group, instruments, BRIEF, state)


@pytest.fixture(scope="module")
def report(evaluation, instruments, population) -> Report:
    summary = summarise(evaluation, instruments.judges, population) | {"judges": instruments.names()}
    return Report(evaluation, instruments.judges, SMALL, summary)


@pytest.fixture
def looked_at(monkeypatch) -> list[int]:
    """One entry for every face that is looked at to be anonymized: two a person, or one without a
    second photo."""
    calls: list[int] = []
    begin = Subject.__init__

    def counted(self, *arguments):
        calls.append(len(calls))
        begin(self, *arguments)

    monkeypatch.setattr(Subject, "__init__", counted)
    return calls


def same(one: Evaluation, other: Evaluation) -> None:
    assert one.problems == other.problems
    assert [result.person for result in one.results] == [result.person for result in other.results]
    for a, b in zip(one.results, other.results, strict=True):
        assert (a.numbers, a.asked) == (b.numbers, b.asked)
        assert a.tensors.keys() == b.tensors.keys()
        assert all(torch.equal(a.tensors[name], b.tensors[name]) for name in a.tensors)


def test_every_method_is_tried_on_everybody(evaluation):
    methods = [*single_face_peers(), "k-same 2", "anonlab 0.25"]
    ann, bob, cid = evaluation.results
    assert [result.person for result in evaluation.results] == ["ann", "bob", "cid"]
    assert list(cid.numbers) == methods
    for result in (ann, bob):
        assert list(result.numbers) == [*methods, "another photo"]
        assert result.has_gallery()
    assert not cid.has_gallery()


def test_what_could_not_be_used_is_named(evaluation, group):
    found = [
        (one["person"], one["photo"].rpartition("/")[2], one["problem"]) for one in evaluation.problems
    ]
    expected = [
        ("bob", "missing.png", "does not exist"),
        ("bob", "damaged.jpg", "is damaged or not an image"),
        ("nobody", "lawn.png", "shows no face"),
        ("nobody", "", "no usable photo"),
        ("cid", "", "one usable photo only"),
    ]
    assert len(found) == len(expected)
    for (person, photo, problem), (name, file, text) in zip(found, expected, strict=True):
        assert (person, photo) == (name, file) and text in problem


def test_the_original_is_the_photo_and_a_black_box_is_no_face(evaluation, report):
    for result in evaluation.results:
        untouched, black = result.numbers["original"], result.numbers["blackout"]
        for name in (
            "st_lpips",
            "st_lpips_outside",
            "landmark_error",
            "changed_share",
            "tone_difference",
        ):
            assert untouched[name] == pytest.approx(0, abs=1e-6)
        assert (untouched["detected"], untouched["psnr"]) == (1, 100)
        assert untouched["ssim"] == pytest.approx(1)
        assert black["detected"] == 0 and black["changed_share"] > 0.35
        ours = result.numbers["anonlab 0.25"]
        assert ours["detected"] == 1
        assert 0 < ours["st_lpips"] < black["st_lpips"]
    for found in report.summary["methods"]["original"]["privacy"].values():
        assert found["distance_own"] == pytest.approx(0, abs=1e-6)
        assert found["match_rate_own"] == 1


def test_what_is_finished_is_not_done_again(
    anonymizer, group, instruments, state, evaluation, looked_at
):
    same(evaluate(anonymizer, group, instruments, SMALL, state), evaluation)
    assert looked_at == []


@pytest.mark.parametrize("damage", ["empty", "cut", "text"])
def test_a_damaged_file_is_one_person_made_again(
    anonymizer, group, instruments, tmp_path, brief, looked_at, damage
):
    kept, first = brief
    shutil.copytree(kept, tmp_path, dirs_exist_ok=True)
    [file] = [path for path in tmp_path.iterdir() if read_result(path).person == "cid"]  # one photo
    whole = file.read_bytes()
    file.write_bytes({"empty": b"", "cut": whole[: len(whole) // 2], "text": b"not a file\n"}[damage])
    same(evaluate(anonymizer, group, instruments, BRIEF, tmp_path), first)
    assert len(looked_at) == 1
    same(evaluate(anonymizer, group, instruments, BRIEF, tmp_path), first)
    assert len(looked_at) == 1  # the file is whole again


def test_an_interrupted_evaluation_goes_on_where_it_stopped(
    anonymizer, group, instruments, tmp_path, population, monkeypatch, brief, looked_at
):
    """And the two people who are left, measured at the same time, are measured the same."""
    _, whole = brief
    with monkeypatch.context() as patch:
        begin, started = Subject.__init__, []

        def stopped(self, *arguments):
            started.append(self)
            if len(started) == 3:  # the second person
                raise KeyboardInterrupt
            begin(self, *arguments)

        patch.setattr(Subject, "__init__", stopped)
        with pytest.raises(KeyboardInterrupt):
            evaluate(anonymizer, group, instruments, BRIEF, tmp_path / "stopped")
    assert len([*(tmp_path / "stopped").iterdir()]) == 1
    assert len(looked_at) == 2  # a person with two photos
    resumed = evaluate(anonymizer, group, instruments, BRIEF, tmp_path / "stopped", workers=2)
    assert len(looked_at) == 5  # one with two, and one with one
    same(resumed, whole)
    one, other = (numbers(summarise(each, instruments.judges, population)) for each in (whole, resumed))
    assert one == other
    assert anonymizer.key == KEY  # measuring has keys of its own


def test_the_default_alone_is_measured_as_among_all(brief, evaluation):
    alone, among = brief[1].results[0], evaluation.results[0]
    assert set(alone.numbers) == {"original", "anonlab 0.25", "another photo"}
    assert alone.numbers == {name: among.numbers[name] for name in alone.numbers}
    for kind in ("probe", "attacker", "attacker with key"):
        name = f"{kind}/dlib/anonlab 0.25"
        assert torch.equal(alone.tensors[name], among.tensors[name])


def test_another_seed_is_another_identity_and_the_same_peers(
    anonymizer, group, instruments, tmp_path, evaluation
):
    other = Protocol(areas=(0.25,), strengths=(), k=(), calibrated=0, optimised=0, seed=1)
    (result,) = evaluate(anonymizer, group[-1:], instruments, other, tmp_path).results
    before = evaluation.results[-1]
    for name in result.numbers.keys() - {"anonlab 0.25"}:
        assert result.numbers[name] == before.numbers[name]
        assert torch.equal(result.probe("dlib", name), before.probe("dlib", name))
    ours = [one.probe("dlib", "anonlab 0.25") for one in (result, before)]
    assert (ours[0] - ours[1]).norm() > 0.1
    assert result.numbers["anonlab 0.25"]["st_lpips"] != before.numbers["anonlab 0.25"]["st_lpips"]


def test_nobody_left_is_refused(anonymizer, group, instruments, tmp_path):
    people = [group[2], Person("empty", ()), Person("unknown", ("no such sample",))]
    with pytest.raises(InputMissing, match="nobody can be evaluated"):
        evaluate(anonymizer, people, instruments, SMALL, tmp_path)
    assert not [*tmp_path.iterdir()]


def test_seen_and_unseen_are_told_apart(instruments, report):
    assert [(one.name, one.seen) for one in instruments.judges] == [("dlib", True), ("stranger", False)]
    assert report.summary["judges"]["recognizers"]["stranger"] == {"seen": False, "threshold": 0.02}
    assert "stranger still matches" in report.headline and "dlib" not in report.headline


def test_embedded_people_need_no_files_and_claim_nothing(anonymizer, tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "no downloads"))
    found = evaluate_sources({"embedded": 1}, BRIEF, tmp_path / "state", anonymizer=anonymizer)
    assert [result.person for result in found.evaluation.results] == ["astronaut"]
    assert found.headline.startswith("no unseen recogniser: privacy not established")
    assert list(found.summary["methods"]) == ["original", "anonlab 0.25"]


def drawn(figure) -> Image.Image:
    """The figure as a file, and that file read again."""
    file = io.BytesIO()
    figure.savefig(file, format="png")
    assert len(file.getvalue()) > 10_000
    image = Image.open(file)
    image.load()
    return image


def test_the_tradeoff_has_a_point_for_every_method_and_attacker(report):
    figure = tradeoff_figure(report.summary, SMALL)
    drawn(figure)
    assert len(figure.axes) == 2  # matched, and nearest
    key = [text.get_text().split("  ") for text in figure.legends[0].texts]
    assert {name for _, name in key} == {*single_face_peers(), "k-same 2", "0.25"}
    for axis in figure.axes:
        assert [text.get_text() for text in axis.texts] == [number for number, _ in key]
        assert "stranger" in axis.get_title() and "dlib" not in axis.get_title()


def test_the_roc_has_a_panel_for_every_recogniser(report):
    figure = figures.roc_figure(report.evaluation, report.judges, SMALL)
    drawn(figure)
    assert [axis.get_title() for axis in figure.axes] == ["dlib (seen)", "stranger (unseen)"]
    for axis in figure.axes:
        labels = {line.get_label() for line in axis.lines if not line.get_label().startswith("_")}
        assert labels == {"original", "blur weak", "pixelate medium", "deface blur", "anonlab 0.25"}


def test_calibration_has_a_panel_for_every_control(report):
    figure = figures.calibration_figure(report.summary)
    drawn(figure)
    assert [axis.get_xlabel() for axis in figure.axes] == ["mask_area asked (3 people)"]


def test_the_table_is_drawn_with_a_line_for_every_method(report):
    figure = figures.table_figure(report.summary)
    assert drawn(figure).width > 800
    cells = figure.axes[0].tables[0].get_celld()
    lines = figures.table(report.summary)
    assert [cells[row + 1, -1].get_text().get_text() for row in range(len(lines))] == [*lines]


def test_a_contact_sheet_has_a_row_for_everybody(report):
    (sheet,) = report.sheets()
    drawn(sheet)
    shown = ["original", "ours 0.25", "blur weak", "pixelate medium", "deface blur", "k-same 2"]
    titles = [axis.get_title() for axis in sheet.axes if axis.get_title()]
    assert titles == [*shown, "another photo"]
    assert len(sheet.axes) == 3 * len(titles)
    pictures = sum(len(axis.images) for axis in sheet.axes)
    assert pictures == 3 * len(titles) - 1  # cid has no other photo
    assert {result.person for result in report.worst_first()} == {"ann", "bob", "cid"}


def test_a_report_is_files_that_can_be_read(report, tmp_path):
    write_report(report, tmp_path)
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert summary["headline"] == report.headline
    assert summary["people"] == 3 and summary["people_in_gallery"] == 2
    assert json.loads((tmp_path / "problems.json").read_text()) == report.evaluation.problems
    with (tmp_path / "table.csv").open(newline="") as file:
        lines = [*csv.DictReader(file)]
    assert [line["method"] for line in lines] == list(report.summary["methods"])
    assert float(lines[0]["SSIM"]) == pytest.approx(1)
    pictures = ("table", "tradeoff", "calibration", "roc", "people-01")
    assert {path.name for path in tmp_path.glob("*.png")} == {f"{name}.png" for name in pictures}
    for name in pictures:
        with Image.open(tmp_path / f"{name}.png") as image:
            image.verify()


@pytest.mark.parametrize(("source", "status"), [("missing", 1), ("embedded:0", 2)])
def test_the_command_says_what_is_wrong_with_its_people(tmp_path, capsys, monkeypatch, source, status):
    monkeypatch.chdir(tmp_path)
    assert cli.main(["evaluate", source, "--out", str(tmp_path / "out")]) == status
    assert source.partition(":")[0] in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_options_of_the_unseen_recogniser_that_do_not_exist_are_refused(recognizer, tiny):
    with pytest.raises(UnknownOption, match="colour does not exist; choose from: box"):
        load_judges(recognizer, tiny, {"colour": "blue"})
    with pytest.raises(UnknownOption, match="no JSON object"):
        load_judges(recognizer, tiny, ["colour"])


def test_an_unseen_recogniser_may_not_take_the_name_of_another(recognizer, tiny):
    with pytest.raises(UnknownOption, match="dlib"):
        load_judges(recognizer, tiny, {"name": "dlib"})
