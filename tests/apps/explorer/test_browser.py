"""The explorer in a real browser: its page by Voilà, and the notebook in JupyterLab, by one server.

Needs Chromium (Debian: apt-get install chromium). Screenshots are left in outputs/browser.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from anonlab.apps.explorer.browser_files import LARGEST_UPLOAD

ROOT = Path(__file__).parents[3]
NOTEBOOK = "02_mask_explorer.ipynb"
SHOTS = ROOT / "outputs" / "browser"
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
MINUTE = 60_000  # Playwright counts milliseconds
QUIET = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]

pytestmark = [
    pytest.mark.browser,
    pytest.mark.serial,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here: apt-get install chromium"),
]


@pytest.fixture(scope="module")
def browser():
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """What is served: copies of the explorer's page and of its notebook, because running saves them."""
    folder = tmp_path_factory.mktemp("served")
    notebook = json.loads((ROOT / "notebooks" / NOTEBOOK).read_text())
    with_panel = [
        number for number, cell in enumerate(notebook["cells"]) if "Explorer(" in "".join(cell["source"])
    ]
    notebook["cells"] = notebook["cells"][: with_panel[0] + 2]  # what follows is not about the panel
    (folder / NOTEBOOK).write_text(json.dumps(notebook))
    shutil.copy(ROOT / "anonlab" / "explorer" / "page.ipynb", folder)
    return folder


@pytest.fixture(scope="module")
def address(folder) -> Iterator[str]:
    """A Jupyter server, which serves pages by Voilà as well."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [
        sys.executable, "-m", "jupyterlab", "--no-browser", f"--port={port}", "--allow-root",
        "--IdentityProvider.token=", f"--ServerApp.root_dir={folder}", "--ServerApp.port_retries=0",
    ]  # fmt: skip
    environment = {name: value for name, value in os.environ.items() if name != "ANONLAB_HEADLESS"}
    server = subprocess.Popen(command, cwd=folder, env=environment)
    try:
        yield answering(f"http://127.0.0.1:{port}", server)
    finally:
        server.terminate()
        server.wait(30)


def answering(address: str, server: subprocess.Popen) -> str:
    """The address, as soon as something answers there."""
    for _ in range(240):
        assert server.poll() is None, "the server stopped"
        try:
            urllib.request.urlopen(f"{address}/static/favicon.ico", timeout=5).close()
            return address
        except urllib.error.HTTPError:
            return address  # it answers
        except OSError:
            time.sleep(0.5)
    raise AssertionError(f"{address} does not answer")


def new_page(browser):
    page = browser.new_page(viewport={"width": 1280, "height": 860})
    page.set_default_timeout(3 * MINUTE)  # waits end as soon as they can
    return page


@pytest.fixture(scope="module")
def opened(browser, address):
    """The explorer's own page: opened once, because its kernel takes the most time."""
    page = new_page(browser)
    asked = page.asked = []  # every address that the page loads something from
    page.on("request", lambda request: asked.append(request.url))
    page.goto(f"{address}/voila/render/page.ipynb")
    page.locator(".anonlab-panel").wait_for()
    settled(page)
    yield page
    page.close()


@pytest.fixture
def page(opened):
    """With the astronaut's photo: the way back from whatever was looked at before."""
    choice(opened).select_option("astronaut")
    opened.wait_for_function("document.querySelector('.widget-text input').value.includes('classroom')")
    settled(opened)
    opened.wait_for_function(
        "[...document.querySelectorAll('.anonlab-pictures img')].filter(e => e.offsetParent).length == 2"
    )
    return opened


@pytest.fixture(scope="module")
def photos(tmp_path_factory) -> Path:
    """A photo that is larger than what servers let through by themselves, and one of two people."""
    import numpy as np
    from PIL import Image

    from anonlab.generators.samples import sample_photo

    folder = tmp_path_factory.mktemp("photos")
    astronaut = sample_photo("astronaut")
    noise = np.random.default_rng(0).integers(0, 8, (1900, 1900, 3), np.uint8)
    large = np.asarray(astronaut.crop((0, 0, 425, 425)).resize((1900, 1900))) // 2 + 60 + noise
    Image.fromarray(large).save(folder / "large.bmp")
    two = Image.new("RGB", (900, 512), "grey")
    two.paste(astronaut, (0, 0))
    two.paste(astronaut.crop((150, 0, 320, 220)).resize((340, 440)), (540, 40))
    two.save(folder / "two.jpg", quality=95)
    return folder


def choice(page):
    return page.locator("select").first


def status(page):
    return page.locator(".anonlab-status")


def settled(page) -> str:
    """The status, when the preview has arrived."""
    status(page).filter(has_text="in the preview; a match is below").wait_for()
    return status(page).inner_text()


def shares(text: str) -> tuple[int, int]:
    """Of the aligned picture and of the face, in percent."""
    found = re.search(r"mask: (\d+)% of the aligned picture, (\d+)% of the face", text)
    return int(found[1]), int(found[2])


def pictures(page) -> list[str]:
    return page.locator(".anonlab-pictures img:visible").evaluate_all("all => all.map(one => one.src)")


def move(page, name: str, keys: int) -> str:
    """Press an arrow key on the handle of a slider; the status, when its preview has arrived."""
    before = status(page).inner_text()
    handle = page.locator(".widget-hslider", has_text=name).locator(".noUi-handle")
    handle.focus()
    for _ in range(abs(keys)):
        handle.press("ArrowRight" if keys > 0 else "ArrowLeft")
    page.wait_for_function(
        "old => document.querySelector('.anonlab-status').innerText != old", arg=before
    )
    return settled(page)


def number(page, name: str) -> float:
    """What a slider shows."""
    return float(page.locator(".widget-hslider", has_text=name).locator(".widget-readout").inner_text())


def upload(page, path: Path) -> None:
    with page.expect_file_chooser() as chooser:
        page.locator("button", has_text="your photo").click()
    chooser.value.set_files(path)


def download(page, what: str, folder: Path) -> Path:
    with page.expect_download() as saved:
        page.locator("a", has_text=what).click()
    path = folder / saved.value.suggested_filename
    saved.value.save_as(path)
    return path


def shoot(page, name: str) -> None:
    SHOTS.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=SHOTS / f"{name}.png", full_page=True)


def test_the_panel_is_the_first_thing_on_its_page_and_stays_in_view(page):
    assert page.locator(".anonlab-panel").bounding_box()["y"] < 100
    for words in ("Anonymizer", "make explore", "voila"):  # no code, and not how to start itself
        assert page.locator(f"text={words}").count() == 0, words
    shoot(page, "explorer")
    page.set_viewport_size({"width": 1100, "height": 560})
    page.locator(".anonlab-pictures").evaluate("one => one.scrollTo(0, 10000)")
    assert page.locator(".anonlab-pictures").evaluate("one => one.scrollTop") > 0
    for control in (page.locator("button", has_text="full quality"), choice(page), status(page)):
        box = control.bounding_box()
        assert box["y"] >= 0 and box["y"] + box["height"] <= 560
    page.set_viewport_size({"width": 1280, "height": 860})


def test_a_photo_larger_than_a_servers_own_limit_arrives(page, photos):
    assert (photos / "large.bmp").stat().st_size > 10 * 2**20
    drawn = pictures(page)
    upload(page, photos / "large.bmp")
    page.wait_for_function("document.querySelector('select').selectedOptions[0]?.text == 'large.bmp'")
    settled(page)
    assert pictures(page) != drawn
    key = page.locator(".widget-text", has_text="key").locator("input").input_value()
    assert re.fullmatch("[0-9a-f]{64}", key)  # a secret of one's own


def test_two_people_are_clicked_cancelled_made_and_downloaded(page, photos, tmp_path):
    from PIL import Image

    upload(page, photos / "two.jpg")
    faces = page.locator(".anonlab-face")
    faces.nth(1).wait_for()
    settled(page)
    drawn = pictures(page)
    faces.nth(1).click()
    page.locator("small", has_text="looking at 2").wait_for()
    page.wait_for_function(
        "old => [...document.querySelectorAll('.anonlab-pictures img')].every(one => one.src != old)",
        arg=drawn[1],
    )
    settled(page)
    shoot(page, "two-people")
    page.locator("button", has_text="full quality").click()
    page.locator("button", has_text="cancel").click()
    page.locator("button", has_text="cancel").wait_for(state="hidden")
    assert page.locator("a", has_text="save picture").count() == 0
    page.locator("text=everybody in the photo").click()  # only the second face
    page.locator("button", has_text="full quality").click()
    page.locator("a", has_text="save picture").wait_for()
    shoot(page, "finished")
    saved = download(page, "save picture", tmp_path)
    assert saved.name == "two-anonymized.jpg"
    assert Image.open(saved).size == (900, 512)
    settings = json.loads(download(page, "save settings", tmp_path).read_text())
    assert settings["mask_area"] == pytest.approx(number(page, "mask area"), abs=0.005)  # as it shows
    assert "key" not in settings
    key = page.locator(".widget-text", has_text="key").locator("input").input_value()
    assert download(page, "save key", tmp_path).read_text() == key


def test_the_page_asks_the_network_for_nothing(opened, address):
    assert len(opened.asked) > 10
    outside = [url for url in opened.asked if not url.startswith((address, "data:", "blob:"))]
    # a JupyterLab server names its own MathJax to pages that Voilà serves there; Voilà alone does not
    assert not [url for url in outside if "/mathjax/" not in url]
    icon = opened.locator(".fa-magic").first
    family = icon.evaluate("one => getComputedStyle(one, '::before').fontFamily")
    assert "Awesome" in family


def test_voila_alone_lets_large_photos_through_too():
    """`make explore` is this server, and not the one of these tests."""
    from voila.app import Voila

    makefile = (Path(__file__).parents[3] / "Makefile").read_text()
    [command] = re.findall(r"^\t\$\(BIN\)/voila (.+)$", makefile, re.MULTILINE)
    app = Voila()
    app.parse_command_line(shlex.split(command))
    assert app.tornado_settings["websocket_max_message_size"] > LARGEST_UPLOAD


def test_the_notebook_in_jupyterlab(browser, address):
    page = new_page(browser)
    page.goto(f"{address}/lab/tree/{NOTEBOOK}?reset")
    page.locator(".jp-Notebook .jp-CodeCell").first.wait_for()
    run_all = page.locator("li[role=menuitem]", has_text=re.compile(r"^Run All Cells"))
    for _ in range(20):  # while it still starts, the laboratory closes menus
        page.get_by_role("menuitem", name="Run", exact=True).click()
        page.wait_for_timeout(1000)
        if run_all.is_visible():
            break
        page.keyboard.press("Escape")
    run_all.click()
    page.locator(".anonlab-panel").wait_for()
    page.locator(".anonlab-panel").scroll_into_view_if_needed()
    before, drawn = shares(settled(page)), pictures(page)
    after = shares(move(page, "mask area", 6))
    assert after[0] > before[0] and after[1] > before[1]
    assert all(old != new for old, new in zip(drawn, pictures(page), strict=True))
    shoot(page, "jupyterlab")
    page.close()
