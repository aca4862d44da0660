"""The explorer as a program: every control, every button, every error, without a browser."""

from __future__ import annotations

import base64
import datetime
import gc
import html
import io
import re
import threading
import time
import tracemalloc
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from PIL.JpegImagePlugin import get_sampling

from anonlab import Anonymizer, Controls
from anonlab.apps import cli
from anonlab.apps.cli import options as cli_chosen
from anonlab.apps.explorer import browser_files
from anonlab.apps.explorer.browser_files import as_file
from anonlab.apps.explorer.latest_only import LatestOnlyQueue
from anonlab.apps.explorer.panel import Explorer, png
from anonlab.controls import REGIONS, read_settings
from anonlab.errors import InputDamaged, UnknownOption
from anonlab.generators.samples import sample_photo
from anonlab.perception.regions import region_masks
from anonlab.photo.photos import read_photo, write_photo
from anonlab.results import Result


@pytest.fixture(scope="module")
def anonymizer(optimizing) -> Anonymizer:
    return optimizing.replace(key=b"a key for the explorer", refine_steps=2)


@pytest.fixture(scope="module")
def opened(anonymizer) -> Explorer:
    return Explorer(anonymizer)


@pytest.fixture
def explorer(opened) -> Explorer:
    """On the astronaut, with every control at its default."""
    default = Controls(perception="network")
    for name in ("perception", "softness", "strength", "seed", "symmetric"):
        control(opened, name).value = getattr(default, name)
    opened.mask.include.value = opened.mask.exclude.value = ()
    if opened.mask.by_threshold:  # a move of the area, which is then what is kept
        opened.mask.area.value = 0.26
    opened.mask.area.value = default.mask_area
    opened.with_key.value = False
    opened.photo.value = "astronaut"
    opened.refresh()
    assert opened.latest.wait()
    return opened


def control(explorer: Explorer, name: str):
    """The widget of a field of `Controls`."""
    own = {"mask_area": "area", "mask_threshold": "threshold"}.get(name, name)
    return getattr(explorer.mask, own, None) or getattr(explorer, own)


def pixels(blob: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(blob)).convert("RGB"))


def file_of(link) -> tuple[str, bytes]:
    """What a click on a download link saves: name and content."""
    [name] = re.findall(r'download="([^"]+)"', link.value)
    [data] = re.findall(r'href="data:[^;]+;base64,([^"]+)"', link.value)
    return html.unescape(name), base64.b64decode(data)


def encoded(image: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def upload(explorer: Explorer, name: str, content: bytes) -> None:
    """What a browser sends when somebody picks a file."""
    kind = {"type": "", "size": len(content), "last_modified": datetime.datetime.now(datetime.UTC)}
    explorer.upload.value = ({"name": name, "content": memoryview(content), **kind},)
    assert explorer.latest.wait()


@pytest.fixture(scope="module")
def two_people(anonymizer) -> Image.Image:
    """A generated person and, smaller, the astronaut."""
    photo = Image.new("RGB", (1100, 512), "grey")
    photo.paste(sample_photo("astronaut"), (0, 0))
    photo.paste(sample_photo("synthetic-8", anonymizer.generator).resize((400, 400)), (600, 60))
    return photo


def shows(explorer: Explorer, controls: Controls) -> bool:
    """Whether both pictures of the panel are those that `render` draws of the same state."""
    drawn = (explorer.mask_image.value, explorer.preview_image.value)
    expected = (png(explorer.bench.render(controls, part)) for part in ("mask", "preview"))
    return all(np.array_equal(pixels(a), pixels(b)) for a, b in zip(drawn, expected, strict=True))


CONTROLS = [  # values that are not the default; the area goes back to it as well
    ("mask_area", (0.0, 0.25, 0.6)),
    ("mask_threshold", (0.3,)),
    ("softness", (20.0,)),
    ("strength", (0.5,)),
    ("seed", (99,)),
    ("symmetric", (True,)),
    ("include", (("mouth",),)),
    ("exclude", (REGIONS,)),
    ("perception", ("integrated_gradients",)),
]


@pytest.mark.parametrize(("name", "values"), CONTROLS, ids=[name for name, _ in CONTROLS])
def test_every_control_shows_what_render_draws(explorer, name, values):
    for value in values:
        control(explorer, name).value = value
        assert explorer.latest.wait()
        controls = Controls(**{"perception": "network", name: value})
        if name == "mask_threshold":
            controls = replace(controls, mask_area=explorer.mask.area.value)
        assert explorer.controls() == controls
        assert shows(explorer, controls)
        assert "a match is below 0.6" in explorer.status.value


def test_area_and_threshold_say_one_mask(explorer):
    heat = explorer.bench.attribution("network")
    explorer.mask.area.value = 0.15
    assert (heat > explorer.mask.threshold.value).float().mean().item() == pytest.approx(0.15, abs=0.002)
    assert explorer.controls().mask_threshold is None
    by_area = explorer.bench.view(explorer.controls()).mask
    explorer.mask.threshold.value = round(explorer.mask.threshold.value, 3)  # a person moves it
    assert explorer.mask.area.value == pytest.approx(0.15, abs=0.002)
    assert explorer.controls().mask_threshold == explorer.mask.threshold.value
    by_threshold = explorer.bench.view(explorer.controls()).mask
    assert (by_area - by_threshold).abs().mean() < 0.002
    explorer.mask.threshold.value = 0.3
    assert explorer.mask.area.value < 0.1
    assert explorer.latest.wait()


def test_a_region_in_both_lists_is_said_and_stays(explorer):
    explorer.mask.include.value = ("eyes", "nose")
    assert not explorer.mask.note.value
    explorer.mask.exclude.value = ("eyes", "mouth")
    assert "in both lists: eyes." in explorer.mask.note.value
    assert explorer.latest.wait()
    eyes = region_masks(explorer.bench.points)["eyes"]
    mask = explorer.bench.view(replace(explorer.controls(), softness=0.0)).mask
    assert (mask * eyes).sum() == 0  # never change wins, as the note says


def test_a_setting_that_moved_on_is_dropped(explorer):
    dropped = explorer.latest.dropped
    for area in (0.1, 0.15, 0.2, 0.3, 0.4):
        explorer.mask.area.value = area
    assert explorer.latest.wait()
    assert explorer.latest.dropped > dropped
    assert shows(explorer, Controls(mask_area=0.4, perception="network"))


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        (
            "meadow.png",
            encoded(Image.new("RGB", (320, 240), "green")),
            "shows no face that can be found",
        ),
        ("notes.txt", b"this is not a picture", "is not an image that can be decoded"),
        ("huge.tif", b"II*\0" + bytes(3000), "is too large: 3 MB, and 2 MB can be uploaded"),
    ],
)
def test_an_error_names_the_file_and_takes_the_old_face_away(
    explorer, name, content, reason, monkeypatch
):
    if name == "huge.tif":
        content *= 1000
        monkeypatch.setattr(browser_files, "LARGEST_UPLOAD", 2_000_000)
    upload(explorer, name, content)
    assert f"{name} {reason}" in explorer.status.value
    assert "anonlab-error" in explorer.status.value
    for picture in (explorer.mask_image, explorer.preview_image):
        assert (picture.value, picture.layout.display) == (b"", "none")
    assert explorer.make.disabled
    explorer.mask.area.value = 0.3
    assert explorer.latest.wait()
    assert name in explorer.status.value  # it stays until there is something to show
    explorer.photo.value = "astronaut"  # the way back
    assert explorer.latest.wait()
    assert shows(explorer, Controls(mask_area=0.3, perception="network"))
    assert not explorer.make.disabled


def test_an_upload_becomes_a_choice_and_the_way_back_works(explorer, synthetic_faces):
    from anonlab.images import to_uint8

    before = explorer.mask_image.value
    upload(explorer, "me.png", encoded(Image.fromarray(to_uint8(synthetic_faces[:1]))))
    assert explorer.photo.value == "me.png"
    mine = explorer.mask_image.value
    assert mine != before
    explorer.photo.value = "astronaut"
    assert np.array_equal(pixels(explorer.mask_image.value), pixels(before))
    explorer.photo.value = "me.png"
    assert np.array_equal(pixels(explorer.mask_image.value), pixels(mine))
    upload(explorer, "me.png", encoded(Image.fromarray(to_uint8(synthetic_faces[1:2]))))
    assert not np.array_equal(pixels(explorer.mask_image.value), pixels(mine))  # a new one of that name
    assert [value for _, value in explorer.photo.options].count("me.png") == 1


def test_own_photos_get_a_random_key_and_samples_keep_theirs(explorer, anonymizer, two_people):
    assert explorer.key.value == "a key for the explorer"
    upload(explorer, "us.png", encoded(two_people))
    own = explorer.key.value
    assert re.fullmatch(r"[0-9a-f]{64}", own)
    assert own != Explorer(anonymizer).keys[False]  # another panel, another key
    assert explorer.bench.anonymizer.key == own.encode()
    explorer.photo.value = "astronaut"
    assert explorer.bench.anonymizer.key == b"a key for the explorer"
    explorer.photo.value = "us.png"
    assert explorer.key.value == own  # the same person stays the same new person
    seen = explorer.preview_image.value if explorer.latest.wait() else None
    explorer.key.value = "short"
    assert "the key holds 5 bytes; a secret needs at least 16" in explorer.status.value
    explorer.key.value = "another secret of mine"
    assert explorer.latest.wait()
    assert explorer.bench.anonymizer.key == b"another secret of mine"
    assert not np.array_equal(pixels(explorer.preview_image.value), pixels(seen))
    explorer.key.value = own
    assert explorer.latest.wait()


def test_faces_of_a_group_are_numbered_and_can_be_clicked(explorer, two_people):
    assert not explorer.people.frames  # nothing to choose on the astronaut's photo
    assert explorer.people.box.layout.display == "none"
    upload(explorer, "us.png", encoded(two_people))
    assert [frame.description for frame in explorer.people.frames] == ["1", "2"]
    places = [int(frame.layout.left.removesuffix("px")) for frame in explorer.people.frames]
    assert places[0] > places[1]  # the larger face is the right one
    larger = explorer.mask_image.value
    explorer.people.frames[1].click()
    assert explorer.latest.wait()
    assert explorer.bench.number == 2
    assert not np.array_equal(pixels(explorer.mask_image.value), pixels(larger))
    explorer.people.frames[0].click()
    assert explorer.latest.wait()
    assert np.array_equal(pixels(explorer.mask_image.value), pixels(larger))


def test_full_quality_is_the_command_lines_file(explorer, anonymizer, tmp_path):
    assert not explorer.save_picture.value
    explorer.mask.area.value = 0.35
    explorer.make.click()
    assert explorer.working.layout.display == ""
    assert explorer.latest.wait()
    assert explorer.working.layout.display == "none"
    name, saved = file_of(explorer.save_picture)
    assert name == "astronaut-anonymized.png"
    expected = anonymizer(explorer.bench.photo.pixels, explorer.controls())
    write_photo(expected.image, tmp_path / name, expected.icc_profile)
    assert saved == (tmp_path / name).read_bytes()
    explorer.mask.area.value = 0.3  # what was made is not this setting's
    assert not explorer.save_picture.value


def test_everybody_or_only_the_chosen_one_is_changed(explorer, two_people):
    upload(explorer, "us.png", encoded(two_people))
    explorer.people.frames[1].click()
    changed = []
    for everybody in (True, False):
        explorer.everybody.value = everybody
        explorer.make.click()
        assert explorer.latest.wait()
        made = pixels(file_of(explorer.save_picture)[1]).astype(int)
        different = np.abs(made - np.asarray(two_people)).max(-1) > 20
        changed.append((different[:, :550].any(), different[:, 550:].any()))
    assert changed == [(True, True), (True, False)]


def test_full_quality_says_how_far_it_is_and_can_be_cancelled(explorer):
    bench, said, shares = explorer.bench, [], []
    quick, bench.anonymizer = bench.anonymizer, bench.anonymizer.replace(refine_steps=8)
    explorer.status.observe(lambda change: said.append(change.new), "value")
    explorer.progress.observe(lambda change: shares.append(change.new), "value")
    waiting = threading.Event()

    def cancel_once_refining(change):
        if "refining" in change.new and not waiting.is_set():
            waiting.set()
            explorer.cancel.click()

    explorer.status.observe(cancel_once_refining, "value")
    explorer.make.click()
    assert explorer.latest.wait()
    explorer.status.unobserve_all()
    explorer.progress.unobserve_all()
    assert waiting.is_set()
    assert "cancelled; nothing was made" in said
    assert shares == sorted(shares) and shares[-1] < 0.5  # of 8 steps it did not do the second half
    assert not explorer.save_picture.value
    assert explorer.working.layout.display == "none"
    bench.anonymizer = quick
    explorer.make.click()
    assert explorer.latest.wait()
    assert explorer.save_picture.value


def test_saved_settings_are_what_the_command_line_takes(explorer, tmp_path):
    explorer.mask.area.value, explorer.mask.exclude.value, explorer.seed.value = 0.31, ("mouth",), 7
    name, text = file_of(explorer.save_settings)
    path = tmp_path / name
    path.write_bytes(text)
    saved = read_settings(path)
    assert Controls(**saved.controls) == explorer.controls()
    assert saved.key is None
    options = cli.parser().parse_args(
        ["anonymize", "x.jpg", "--out", "o", "--settings", str(path), "--seed", "8"]
    )
    chosen = cli_chosen.chosen_controls(options)
    assert (chosen.mask_area, chosen.exclude, chosen.seed) == (0.31, ("mouth",), 8)
    assert cli_chosen.chosen_key(options) is None  # a new one
    explorer.latest.wait()


def test_the_key_goes_to_the_command_line_in_the_settings_or_in_a_file(explorer, tmp_path):
    explorer.with_key.value = True
    settings, key = tmp_path / "settings.json", tmp_path / "anonlab.key"
    settings.write_bytes(file_of(explorer.save_settings)[1])
    key.write_bytes(file_of(explorer.save_key)[1])

    def chosen(*options: str) -> bytes | None:
        return cli_chosen.chosen_key(
            cli.parser().parse_args(["anonymize", "x.jpg", "--out", "o", *options])
        )

    assert chosen("--settings", str(settings)) == explorer.bench.anonymizer.key
    assert chosen("--key", str(key)) == explorer.bench.anonymizer.key
    other = tmp_path / "other.key"
    other.write_text("another key, given by hand")
    assert chosen("--settings", str(settings), "--key", str(other)) == b"another key, given by hand"


def test_an_area_on_the_command_line_replaces_a_saved_threshold(tmp_path):
    path = tmp_path / "settings.json"
    path.write_text('{"mask_area": 0.3, "mask_threshold": 0.1}')
    given = ["anonymize", "x.jpg", "--out", "o", "--settings", str(path)]
    assert cli_chosen.chosen_controls(cli.parser().parse_args(given)).mask_threshold == 0.1
    chosen = cli_chosen.chosen_controls(cli.parser().parse_args([*given, "--mask-area", "0.2"]))
    assert (chosen.mask_area, chosen.mask_threshold) == (0.2, None)


def test_a_finished_photo_is_compressed_as_its_original_was(tmp_path):
    path = tmp_path / "me.jpg"
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)).save(
        path, quality=61, subsampling=2
    )
    photo = read_photo(path)
    made = Image.open(io.BytesIO(as_file(Result(photo.image(photo.pixels)), "new.jpg", photo)))
    with Image.open(path) as original:
        assert made.quantization == original.quantization
        assert get_sampling(made) == get_sampling(original) == 2


@pytest.mark.parametrize(
    ("text", "error", "reason"),
    [
        ("{", InputDamaged, "not JSON"),
        ("[1]", InputDamaged, "no object"),
        ('{"maskarea": 1}', UnknownOption, "maskarea does not exist; the controls are"),
        ('{"mask_area": 7}', UnknownOption, "mask_area 7 is not between"),
        ('{"mask_area": "much"}', UnknownOption, "mask_area 'much' is no number"),
        ('{"key": "short"}', InputDamaged, "holds 5 bytes; a secret needs at least 16"),
        ('{"key": 7}', InputDamaged, "holds 0 bytes"),
        ('{"include": ["ear"]}', UnknownOption, "region ear does not exist"),
        ('{"perception": "magic"}', UnknownOption, "perception magic does not exist"),
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


def test_moves_keep_nothing(explorer):
    def kept() -> tuple[int, int]:
        gc.collect()
        return sum(issubclass(type(one), torch.Tensor) for one in gc.get_objects()), (
            tracemalloc.get_traced_memory()[0]
        )

    def moves() -> tuple[int, int]:
        for area in (0.1, 0.2, 0.3):
            explorer.mask.area.value = area
            assert explorer.latest.wait()
        return kept()

    tracemalloc.start()
    try:
        first, again = moves(), moves()
    finally:
        tracemalloc.stop()
    assert again[0] == first[0]
    assert again[1] - first[1] < 500_000  # bytes; the two pictures of one move are 1.6 MB


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


def test_a_failure_is_reported_and_the_next_request_still_runs():
    latest, shown, failed = LatestOnlyQueue(), [], []
    latest.submit(lambda _: 1 / 0, shown.append, failed.append)
    assert latest.wait(5)
    latest.submit(lambda _: "fine", shown.append, failed.append)
    assert latest.wait(5)
    assert isinstance(failed[0], ZeroDivisionError)
    assert shown == ["fine"]
