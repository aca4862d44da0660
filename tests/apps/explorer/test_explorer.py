"""The explorer as a program: every message of its page, every error, without a browser."""

import base64
import io
import json
import re
import threading
from dataclasses import asdict, replace

import numpy as np
import pytest
from PIL import Image

from anonlab import Anonymizer, Controls
from anonlab.apps import cli
from anonlab.apps.cli.files import chosen as chosen_by
from anonlab.apps.explorer import panel
from anonlab.apps.explorer.figures import SHARP
from anonlab.apps.explorer.panel import Explorer
from anonlab.apps.folders.settings import read_settings
from anonlab.controls import REGIONS
from anonlab.images import to_uint8
from anonlab.notebook.samples import sample_photo
from anonlab.photo.photos import write_photo

DEFAULT = Controls(perception="network")
CLASSROOM = b"a key for the explorer"


@pytest.fixture(scope="module")
def anonymizer(shipped) -> Anonymizer:
    return shipped.replace(key=CLASSROOM)


class Page:
    """What a page would be told."""

    def __init__(self, anonymizer: Anonymizer):
        self.explorer, self.told = Explorer(anonymizer), []
        self.explorer.tell = self.told.append

    @property
    def bench(self):
        return self.explorer.bench

    def ask(self, do: str, **more: object) -> dict[str, dict]:
        """The last answer of each kind, when nothing is being done any more."""
        before = len(self.told)
        self.explorer.hear({"do": do, **more})
        self.explorer.background.submit(int).result(600)
        answers = {said["show"]: json.loads(json.dumps(said)) for said in self.told[before:]}
        assert answers.pop("ready")
        return answers

    def set(self, **controls: object) -> dict[str, dict]:
        return self.ask("set", controls=controls)

    def make(self, **more: object) -> dict:
        """The face at full quality; a face that cannot be made fails with its own words."""
        answers = self.ask("make", **more)
        assert "error" not in answers, answers["error"]["text"]
        return answers["result"]

    def upload(self, name: str, content: bytes, part: int = 1 << 20) -> dict[str, dict]:
        """In parts, as the page sends it."""
        for at in range(0, len(content), part):
            data = base64.b64encode(content[at : at + part]).decode()
            ends = {"first": at == 0, "last": at + part >= len(content)}
            answers = self.ask("upload", name=name, size=len(content), data=data, **ends)
        return answers


@pytest.fixture(scope="module")
def opened(anonymizer) -> Page:
    page = Page(anonymizer)
    assert not page.told
    page.ask("hello")
    return page


@pytest.fixture
def page(opened) -> Page:
    """On the astronaut, with every control at its default."""
    opened.explorer.controls, opened.explorer.with_key = DEFAULT, False
    opened.ask("open", photo="astronaut")
    return opened


def pixels(uri: str) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(uri.partition(",")[2]))))


def encoded(image: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


@pytest.fixture(scope="module")
def two_people(anonymizer) -> bytes:
    """A generated person and, smaller, the astronaut."""
    photo = Image.new("RGB", (1100, 512), "grey")
    photo.paste(sample_photo("astronaut"), (0, 0))
    photo.paste(sample_photo("synthetic-8", anonymizer.generator).resize((400, 400)), (600, 60))
    return encoded(photo)


@pytest.mark.parametrize(
    "change",
    [
        {"mask_area": 0.1, "seed": 99}, {"mask_threshold": 0.3}, {"softness": 20.0, "strength": 0.5},
        {"symmetric": True, "include": ["mouth"]}, {"exclude": list(REGIONS)}, {"keep": ["age"]},
        {"perception": "integrated_gradients"}, {"give_back": 0.6},
    ],
    ids=str,
)  # fmt: skip
def test_every_control_shows_its_mask_and_its_new_face(page, change):
    shown = page.set(**change)
    controls = page.explorer.controls
    if "mask_threshold" not in change:
        assert controls == replace(DEFAULT, **change)
    view = page.bench.view(controls)
    grey = pixels(shown["mask"]["grey"])
    assert np.abs(grey[..., 1] / 255 - view.mask[0, 0].numpy()).max() < 0.01
    assert shown["mask"]["distance"] == pytest.approx(view.distance)
    preview = page.bench.preview(view, controls, side=SHARP)
    assert shown["preview"]["distance"] == pytest.approx(preview.preview_distance, abs=1e-4)
    assert shown["preview"]["shares"] == preview.shares
    assert preview.share <= (1 - controls.give_back) * view.share + 0.05
    drawn, expected = pixels(shown["preview"]["picture"]), to_uint8(preview.preview)
    assert drawn.shape == (SHARP, SHARP, 3)
    assert np.abs(drawn.astype(int) - expected).mean() < 3  # a JPEG of it


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("meadow.png", encoded(Image.new("RGB", (320, 240), "green")), "shows no face that can be"),
        ("notes.txt", b"this is not a picture", "is damaged or not an image"),
        ("huge.tif", b"II*\0" + bytes(3_000_000), "is too large: 3 MB, and 2 MB can be uploaded"),
        ("<b>ü&.jpg", b"\0", "is"),
    ],
)
def test_an_error_names_the_file_and_takes_the_old_face_away(page, name, content, reason, monkeypatch):
    monkeypatch.setattr(panel, "LARGEST_UPLOAD", 2_000_000)
    shown = page.upload(name, content)
    assert f"{name} {reason}" in shown["error"]["text"]
    assert page.bench.photo is None and name not in page.explorer.uploads
    assert "mask" not in page.set(mask_area=0.3)  # nothing to show
    assert "preview" in page.ask("open", photo="astronaut")  # the way back


@pytest.mark.parametrize(
    ("asked", "reason"),
    [
        ({"do": "open", "photo": "/etc/hostname"}, "is not among the photos here"),
        ({"do": "set", "controls": {"mask_area": 7}}, "mask_area 7 is not between 0 and 1"),
        ({"do": "key", "key": "short"}, "the key holds 5 bytes; a secret needs at least 16"),
        ({"do": "format"}, "has no attribute 'do_format'"),
    ],
)
def test_what_a_page_may_not_ask_is_an_error_in_words(page, asked, reason):
    shown = page.ask(**asked)
    assert reason in shown["error"]["text"] and "mask" not in shown


def test_own_photos_get_a_random_key_and_samples_keep_theirs(page, anonymizer, two_people):
    assert page.ask("hello")["face"]["key"] == CLASSROOM.decode()
    shown = page.upload("us.png", two_people)
    own = shown["face"]["key"]
    assert re.fullmatch(r"[0-9a-f]{64}", own) and own != Explorer(anonymizer).keys[False]
    assert page.bench.anonymizer.key == own.encode()
    assert page.ask("open", photo="astronaut")["face"]["key"] == CLASSROOM.decode()
    assert page.ask("open", photo="us.png")["preview"] == shown["preview"]  # the same new person
    other = page.ask("key", key=" another secret of mine ")
    assert page.bench.anonymizer.key == b"another secret of mine"
    assert other["preview"]["picture"] != shown["preview"]["picture"]
    page.ask("key", key=own)


def test_faces_of_a_group_are_framed_chosen_and_changed_alone(page, two_people):
    assert page.ask("hello")["face"]["boxes"] == []  # nothing to choose on the astronaut's photo
    boxes = page.upload("us.png", two_people)["face"]["boxes"]
    (left, _, width, _), (other, *_) = boxes
    assert 55 < left < left + width < 95 and other < 50  # percent; the larger face is the right one
    page.ask("key", key="one key for two")  # an own photo's key is a random one
    first = page.set(mask_area=0.6, strength=1.0)["mask"]["grey"]
    second = page.ask("choose", number=2)
    assert second["face"]["number"] == 2 and second["mask"]["grey"] != first
    before = np.asarray(Image.open(io.BytesIO(two_people)).convert("RGB"))
    changed = []
    for everybody in (True, False):
        made = pixels("," + page.make(everybody=everybody)["file"])[..., :3]
        different = np.abs(made.astype(int) - before).max(-1) > 20
        changed.append((different[:, :550].any(), different[:, 550:].any()))
    assert changed == [(True, True), (True, False)]
    assert page.ask("choose", number=1)["mask"]["grey"] == first


def test_full_quality_is_the_command_lines_file(page, anonymizer, tmp_path):
    page.upload("me.jpg", encoded(sample_photo("astronaut"), "JPEG", quality=61))
    page.set(mask_area=0.35)
    result = page.make()
    assert result["name"] == "me-anonymized.jpg"
    photo, key = page.bench.photo, page.bench.anonymizer.key
    expected = anonymizer.replace(key=key)(photo.pixels, page.explorer.controls)
    write_photo(expected.image, tmp_path / "new.jpg", expected.icc_profile, photo)
    assert base64.b64decode(result["file"]) == (tmp_path / "new.jpg").read_bytes()
    assert "dlib no longer recognises the photo, distance" in result["verdict"]


def test_full_quality_says_how_far_it_is_and_can_be_cancelled(page):
    bench, busy = page.bench, []
    quick, bench.anonymizer = bench.anonymizer, bench.anonymizer.replace(refine_steps=8)
    cancelled = threading.Event()

    def listen(said: dict) -> None:
        page.told.append(said)
        if said["show"] == "busy":
            busy.append(said)
            if "refining" in said["text"] and not cancelled.is_set():
                cancelled.set()
                page.explorer.hear({"do": "cancel"})

    page.explorer.tell = listen
    try:
        shown = page.ask("make")
    finally:
        page.explorer.tell, bench.anonymizer = page.told.append, quick
    shares = [one["share"] for one in busy]
    assert shares == sorted(shares) and shares[-1] < 0.5  # of 8 steps it did not do the second half
    assert shown["idle"]["text"] == "cancelled; nothing was made" and "result" not in shown
    assert page.make()


def test_saved_settings_and_key_are_what_the_command_line_takes(page, tmp_path):
    path = tmp_path / "settings.json"

    def parsed(*given: str):
        words = ["anonymize", "x.jpg", "--out", "o", "--settings", str(path)]
        return chosen_by(cli.parser().parse_args([*words, *given]))

    path.write_text(page.set(mask_area=0.31, exclude=["mouth"], seed=7)["mask"]["settings"])
    assert read_settings(path)[0] == json.loads(json.dumps(asdict(page.explorer.controls)))
    chosen, _ = parsed("--seed", "8")
    assert (chosen.mask_area, chosen.exclude, chosen.seed) == (0.31, ("mouth",), 8)
    assert parsed()[1] is None  # a new one
    path.write_text(page.ask("set", controls={}, with_key=True)["mask"]["settings"])
    assert parsed()[1] == CLASSROOM
    other = tmp_path / "other.key"
    other.write_text("another key, given by hand")
    assert parsed("--key", str(other))[1] == b"another key, given by hand"
    path.write_text('{"mask_area": 0.3, "mask_threshold": 0.1}')
    assert parsed()[0].mask_threshold == 0.1
    chosen, _ = parsed("--mask-area", "0.2")  # replaces a saved threshold
    assert (chosen.mask_area, chosen.mask_threshold) == (0.2, None)


def test_a_failure_in_the_background_is_told_and_the_next_request_still_runs(page, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(page.bench, "preview", lambda *_: 1 / 0)
        answers = page.set(seed=3)
        assert "ZeroDivisionError" in answers["error"]["text"] and "preview" not in answers
    assert "preview" in page.set(seed=4)
