"""The explorer as a program: every control, every button, every error, without a browser."""

from __future__ import annotations

import io
import json
import resource
import statistics
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from anonlab import Anonymizer, Controls, cli
from anonlab.cli import commands
from anonlab.controls import PERCEPTIONS, REGIONS, read_settings
from anonlab.errors import InputDamaged, StaleRequest, UnknownOption
from anonlab.explorer.latest_only import LatestOnlyQueue
from anonlab.explorer.panel import Explorer, photo_choices, png


@pytest.fixture(scope="module")
def anonymizer() -> Anonymizer:
    return Anonymizer.load(method="optimize", device="cpu", key=b"a key for the explorer").replace(
        refine_steps=8
    )


@pytest.fixture(scope="module")
def opened(anonymizer, tmp_path_factory) -> Explorer:
    return Explorer(anonymizer, out=tmp_path_factory.mktemp("explorer"))


@pytest.fixture
def explorer(opened) -> Explorer:
    """On the astronaut, with every control at its default."""
    default = Controls(perception="network")
    for name in ("perception", "mask_area", "softness", "strength", "seed", "symmetric"):
        getattr(opened, name).value = getattr(default, name)
    opened.include.value = opened.exclude.value = ()
    opened.refresh()
    assert opened.latest.wait()
    return opened


def pixels(blob: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(blob)).convert("RGB"))


def shows(explorer: Explorer, controls: Controls) -> bool:
    """Whether both pictures of the panel are those of `render` for the same state."""
    drawn = (explorer.mask_image.value, explorer.preview_image.value)
    expected = (png(explorer.bench.render(controls, part)) for part in ("mask", "preview"))
    return all(np.array_equal(pixels(a), pixels(b)) for a, b in zip(drawn, expected, strict=True))


CONTROLS = [
    ("mask_area", (0.0, 0.25, 0.6)),
    ("softness", (0.0, 3.0, 20.0)),
    ("strength", (0.0, 1.0, 0.5)),
    ("seed", (0, 99)),
    ("symmetric", (False, True)),
    ("include", ((), ("mouth",), REGIONS)),
    ("exclude", ((), ("eyes", "brows"), REGIONS)),
    ("perception", ("integrated_gradients", "occlusion", "feature_ablation", "network")),
]


@pytest.mark.parametrize(("name", "values"), CONTROLS, ids=[name for name, _ in CONTROLS])
def test_every_control_shows_what_render_draws(explorer, name, values):
    control = getattr(explorer, name)
    for value in values:
        control.value = value
        assert explorer.latest.wait()
        controls = Controls(**{"perception": "network", name: value})
        assert explorer.controls() == controls
        assert shows(explorer, controls)
        assert "a match is below 0.6" in explorer.status.value


def test_the_sliders_reach_what_the_table_says(explorer):
    assert (explorer.mask_area.min, explorer.mask_area.max) == (0, 0.6)
    assert (explorer.strength.min, explorer.strength.max) == (0, 1)
    assert not any(
        getattr(explorer, name).continuous_update
        for name in ("mask_area", "softness", "strength", "seed")
    )
    assert explorer.perception.options == PERCEPTIONS


def test_a_setting_that_moved_on_is_dropped(explorer):
    dropped = explorer.latest.dropped
    for area in (0.1, 0.15, 0.2, 0.3, 0.4):
        explorer.mask_area.value = area
    assert explorer.latest.wait()
    assert explorer.latest.dropped > dropped
    assert shows(explorer, Controls(mask_area=0.4, perception="network"))


def test_another_photo_another_face(explorer):
    before = explorer.mask_image.value
    explorer.photo.value = "synthetic-3"
    assert explorer.latest.wait()
    assert explorer.mask_image.value != before
    explorer.photo.value = "astronaut"
    assert explorer.latest.wait()
    assert np.array_equal(pixels(explorer.mask_image.value), pixels(before))


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (None, "shows no face that can be found"),
        (b"this is not a picture", "notes.txt is not an image that can be decoded"),
    ],
)
def test_an_error_is_in_the_panel_and_the_old_face_stays(explorer, content, reason):
    if content is None:
        buffer = io.BytesIO()
        Image.new("RGB", (320, 240), "green").save(buffer, "PNG")
        content = buffer.getvalue()
    before = explorer.mask_image.value
    explorer._uploaded([{"name": "notes.txt", "content": memoryview(content)}])
    assert reason in explorer.status.value
    assert "color:#b03a2e" in explorer.status.value
    assert explorer.mask_image.value == before
    explorer.mask_area.value = 0.3
    assert explorer.latest.wait()
    assert shows(explorer, Controls(mask_area=0.3, perception="network"))


def test_an_upload_is_opened(explorer, synthetic_faces):
    from anonlab.images import to_uint8

    buffer = io.BytesIO()
    Image.fromarray(to_uint8(synthetic_faces[:1])).save(buffer, "PNG")
    before = explorer.mask_image.value
    explorer._uploaded([{"name": "me.png", "content": memoryview(buffer.getvalue())}])
    assert explorer.latest.wait()
    assert explorer.mask_image.value != before
    explorer._open(lambda: __import__("skimage.data").data.astronaut())


def test_six_seeds_are_six_people(explorer):
    explorer.show_seeds.click()
    assert explorer.latest.wait()
    assert explorer.seeds_image.layout.display == ""
    picture = pixels(explorer.seeds_image.value)
    assert picture.shape[1] > 4 * picture.shape[0]
    explorer.mask_area.value = 0.3  # they were of another setting
    assert explorer.seeds_image.layout.display == "none"


def test_full_quality_is_the_command_lines_result_and_can_be_saved(explorer, anonymizer):
    assert explorer.save_picture.disabled
    explorer.mask_area.value = 0.35
    explorer.make.click()
    assert explorer.latest.wait()
    assert not explorer.save_picture.disabled, explorer.status.value
    explorer.save_picture.click()
    saved = np.asarray(Image.open(explorer.out / "anonymized.png"))
    controls = explorer.controls()
    expected = anonymizer(explorer.bench.photo.pixels, controls, faces="largest")
    assert np.array_equal(saved, np.asarray(expected.image))
    explorer.mask_area.value = 0.3  # what was made is not this setting's
    assert explorer.save_picture.disabled


def test_saved_settings_are_what_the_command_line_takes(explorer, tmp_path, monkeypatch):
    explorer.mask_area.value, explorer.exclude.value, explorer.seed.value = 0.31, ("mouth",), 7
    explorer.save_settings.click()
    path = explorer.out / "settings.json"
    assert Controls(**read_settings(path)) == explorer.controls()
    options = cli.parser().parse_args(
        ["anonymize", "x.jpg", "--out", "o", "--settings", str(path), "--seed", "8"]
    )
    chosen = commands.chosen_controls(options)
    assert (chosen.mask_area, chosen.exclude, chosen.seed) == (0.31, ("mouth",), 8)
    explorer.latest.wait()


@pytest.mark.parametrize(
    ("text", "error", "reason"),
    [
        ("{", InputDamaged, "not JSON"),
        ("[1]", InputDamaged, "no object"),
        ('{"maskarea": 1}', UnknownOption, "maskarea does not exist; the controls are"),
        ('{"mask_area": 7}', UnknownOption, "mask_area 7 is not between"),
        ('{"mask_area": "much"}', UnknownOption, "wrong kind"),
        ('{"include": ["ear"]}', UnknownOption, "region ear does not exist"),
        ('{"perception": "magic"}', UnknownOption, "perception 'magic' does not exist"),
    ],
)
def test_a_wrong_settings_file_is_a_sentence_and_a_status(tmp_path, text, error, reason, capsys):
    path = tmp_path / "settings.json"
    path.write_text(text)
    with pytest.raises(error, match=reason):
        read_settings(path)
    status = cli.main(["anonymize", "x.jpg", "--out", str(tmp_path / "o"), "--settings", str(path)])
    assert status == (2 if error is UnknownOption else 1)
    assert "settings.json" in capsys.readouterr().err


def test_a_folder_that_cannot_be_written_is_told_in_the_panel(explorer, tmp_path):
    blocked = tmp_path / "file"
    blocked.write_text("")
    out, explorer.out = explorer.out, blocked / "sub"
    explorer.save_settings.click()
    explorer.out = out
    assert "color:#b03a2e" in explorer.status.value


def test_photos_of_the_users_folder_can_be_chosen(tmp_path):
    Image.new("RGB", (40, 40)).save(tmp_path / "me.jpg")
    (tmp_path / "notes.txt").write_text("")
    assert photo_choices(tmp_path)[-1] == str(tmp_path / "me.jpg")
    assert photo_choices(tmp_path)[0] == "astronaut"
    assert len(photo_choices(tmp_path)) == len(photo_choices(Path("nowhere"))) + 1


@pytest.mark.serial
def test_two_hundred_moves_cost_no_memory(explorer, capsys):
    """And how long a move takes is printed, not judged."""
    overlays, previews = [], []
    for move in range(20):
        start = time.monotonic()
        explorer.mask_area.value = 0.1 + 0.02 * move
        overlays.append(time.monotonic() - start)
        assert explorer.latest.wait()
        previews.append(time.monotonic() - start)
    before = memory()
    for move in range(200):
        explorer.mask_area.value = 0.1 + 0.01 * (move % 50)
    assert explorer.latest.wait()
    grown = memory() - before
    with capsys.disabled():
        print(
            f"\nslider to overlay {statistics.median(overlays):.3f} s, to preview "
            f"{statistics.median(previews):.3f} s (medians of 20); 200 moves: {grown:+.1f} MB"
        )
    assert grown < 50


def memory() -> float:
    """Resident memory now, in MB."""
    pages = int(Path("/proc/self/statm").read_text().split()[1]) if Path("/proc").is_dir() else 0
    return pages * resource.getpagesize() / 2**20


# the queue behind it


def test_only_the_latest_request_is_shown():
    latest, shown, gate = LatestOnlyQueue(), [], threading.Event()
    latest.submit(lambda _: gate.wait(5), lambda _: shown.append("first"), shown.append)
    while not latest.busy:
        time.sleep(0.001)
    latest.submit(lambda _: "second", shown.append, shown.append)
    latest.submit(lambda _: "third", shown.append, shown.append)
    gate.set()
    assert latest.wait(5)
    assert shown == ["third"]
    assert latest.dropped == 2


def test_work_can_notice_that_it_is_outdated():
    latest, seen, gate = LatestOnlyQueue(), [], threading.Event()

    def work(current):
        gate.wait(5)
        seen.append(current())
        raise StaleRequest("nobody waits")

    latest.submit(work, seen.append, seen.append)
    while not latest.busy:
        time.sleep(0.001)
    latest.cancel()
    gate.set()
    assert latest.wait(5)
    assert seen == [False]


def test_a_failure_is_reported_and_the_next_request_still_runs():
    latest, shown, failed = LatestOnlyQueue(), [], []
    latest.submit(lambda _: 1 / 0, shown.append, failed.append)
    assert latest.wait(5)
    latest.submit(lambda _: "fine", shown.append, failed.append)
    assert latest.wait(5)
    assert isinstance(failed[0], ZeroDivisionError)
    assert shown == ["fine"]


def test_settings_as_json_are_complete():
    assert json.loads(Controls().to_json()).keys() == vars(Controls()).keys()
