"""The explorer in a real browser: as a page of its own, and in the notebook in JupyterLab.

Needs Chromium (Debian: apt-get install chromium).
"""

import http.client
import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

ROOT = Path(__file__).parents[3]
NOTEBOOK = "02_mask_explorer.ipynb"
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
MINUTE = 60_000  # Playwright counts milliseconds
QUIET = [
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update"),
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
def serving() -> Iterator[tuple[psutil.Process, str]]:
    """The explorer's server, which has just begun, and its address."""
    command = [sys.executable, "-m", "anonlab.apps.explorer.server", "--no-browser", "--port", "0"]
    server = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    try:
        yield psutil.Process(server.pid), re.search(r"http://\S+/", server.stdout.readline())[0]
    finally:
        server.terminate()
        server.wait(30)


def new_page(browser, **options):
    page = browser.new_page(**{"viewport": {"width": 1280, "height": 900}, **options})
    page.set_default_timeout(5 * MINUTE)  # waits end as soon as they can
    return page


@pytest.fixture(scope="module")
def opened(browser, serving):
    page = new_page(browser)
    asked, page.faults = [], []  # every address that the page loads something from, every script's error
    page.asked = asked
    page.on("request", lambda request: asked.append(request.url))
    page.on("pageerror", lambda error: page.faults.append(str(error)))
    page.goto(serving[1])
    page.before = page.locator("body").inner_text()
    settled(page)
    yield page
    assert page.faults == []
    page.close()


@pytest.fixture
def page(opened):
    """With the astronaut's photo: the way back from whatever was looked at before."""
    opened.locator("[name=photo]").select_option("astronaut")
    opened.wait_for_function("document.querySelector('[name=key]').value.includes('classroom')")
    settled(opened)
    return opened


@pytest.fixture(scope="module")
def two(tmp_path_factory) -> Path:
    from PIL import Image

    from anonlab.notebook.samples import sample_photo

    path, astronaut = tmp_path_factory.mktemp("photos") / "two.jpg", sample_photo("astronaut")
    two = Image.new("RGB", (900, 512), "grey")
    two.paste(astronaut, (0, 0))
    two.paste(astronaut.crop((150, 0, 320, 220)).resize((340, 440)), (540, 40))
    two.save(path, quality=95)
    return path


def settled(page) -> str:
    page.wait_for_function(
        "(() => { const one = document.querySelector('[data-part=preview]');"
        " return one?.src && one.checkVisibility() && !one.closest('.old'); })()"
    )
    return page.locator("[data-part=verdict]").inner_text()


def src(page, name: str) -> str:
    return page.locator(f"img[data-part={name}]").get_attribute("src")


def move(page, name: str, keys: int) -> str:
    """Press an arrow key on a slider; the verdict, when its preview has arrived."""
    handle = page.locator(f"input[name={name}]")
    handle.focus()
    for _ in range(abs(keys)):
        handle.press("ArrowRight" if keys > 0 else "ArrowLeft")
    return settled(page)


def download(page, what: str, folder: Path) -> Path:
    with page.expect_download() as saved:
        page.get_by_role("button", name=what).click()
    path = folder / saved.value.suggested_filename
    saved.value.save_as(path)
    return path


def test_a_dragged_slider_moves_the_mask_and_the_other_slider(page):
    drawn, face = src(page, "edge"), src(page, "preview")
    box = page.locator("input[name=area]").bounding_box()
    middle = box["y"] + box["height"] / 2
    page.mouse.move(box["x"] + box["width"] * 0.4, middle)
    page.mouse.down()
    seen, thresholds = set(), set()
    for step in range(20):
        page.mouse.move(box["x"] + box["width"] * (0.4 + 0.02 * step), middle)
        page.wait_for_timeout(100)
        seen.add(src(page, "edge"))
        thresholds.add(page.locator("[data-of=threshold]").inner_text())
    assert len(seen - {drawn}) >= 5 and len(thresholds) >= 5  # of 20 places, on any machine
    assert src(page, "preview") == face  # it follows when the mouse is let go
    page.mouse.up()
    page.wait_for_function("old => document.querySelector('[data-part=preview]').src != old", arg=face)


def test_two_people_are_clicked_cancelled_made_saved_and_there_after_a_reload(page, two, tmp_path):
    from PIL import Image

    page.set_input_files("[name=upload]", two)
    page.get_by_role("button", name="face 2").click()
    page.locator("[aria-label='face 2'][aria-pressed=true]").wait_for()
    settled(page)
    page.get_by_role("button", name="six seeds").click()
    seed = page.get_by_role("button", name="seed 3")
    seed.click()
    page.wait_for_function("document.querySelector('[data-of=seed]').innerText == '3'")
    settled(page)
    page.get_by_role("button", name="full quality").click()
    page.get_by_role("button", name="cancel").click()
    page.get_by_text("cancelled; nothing was made").wait_for()
    assert page.get_by_role("button", name="save picture").count() == 0
    page.get_by_label("everybody in the photo").uncheck()  # only the second face
    page.get_by_role("button", name="full quality").click()
    page.get_by_role("button", name="save picture").wait_for()
    saved = download(page, "save picture", tmp_path)
    assert saved.name == "two-anonymized.jpg" and Image.open(saved).size == (900, 512)
    settings = json.loads(download(page, "save settings", tmp_path).read_text())
    assert settings["seed"] == 3 and "key" not in settings
    warned = []
    page.once("dialog", lambda dialog: (warned.append(dialog.type), dialog.accept()))
    page.reload()  # the key was not saved
    assert warned == ["beforeunload"]
    page.locator("[aria-label='face 2'][aria-pressed=true]").wait_for()
    settled(page)
    assert page.locator("[name=photo]").input_value() == "two.jpg"
    assert page.locator("[data-of=seed]").inner_text() == "3"
    key = page.locator("[name=key]").input_value()
    assert download(page, "save key", tmp_path).read_text() == key


def test_the_page_asks_the_network_for_nothing_and_answers_this_machine_only(opened, serving):
    address = serving[1]
    assert len(opened.asked) >= 3
    assert [url for url in opened.asked if not url.startswith((address, "data:", "blob:"))] == []
    port = int(address.rstrip("/").rpartition(":")[2])
    for host, status in ((f"localhost:{port}", 200), ("elsewhere.example", 404)):
        connection = http.client.HTTPConnection("127.0.0.1", port)
        connection.request("GET", "/panel.js", headers={"Host": host})
        assert connection.getresponse().status == status
        connection.close()


@pytest.fixture
def laboratory(tmp_path) -> Iterator[str]:
    """JupyterLab on a copy of the notebook as far as its panel, because running saves it."""
    notebook = json.loads((ROOT / "notebooks" / NOTEBOOK).read_text())
    sources = ["".join(cell["source"]) for cell in notebook["cells"]]
    last = next(number for number, source in enumerate(sources) if "Explorer(" in source)
    notebook["cells"] = notebook["cells"][: last + 1]  # what follows is not about the panel
    (tmp_path / NOTEBOOK).write_text(json.dumps(notebook))
    command = [
        *(sys.executable, "-m", "jupyterlab", "--no-browser", "--port=0", "--allow-root"),
        *("--IdentityProvider.token=", f"--ServerApp.root_dir={tmp_path}"),
    ]
    environment = {name: value for name, value in os.environ.items() if name != "ANONLAB_HEADLESS"}
    log = tmp_path / "log"
    with log.open("w") as written:
        server = subprocess.Popen(command, cwd=tmp_path, env=environment, stderr=written)
    try:
        while not (found := re.search(r"http://(?:localhost|127\.0\.0\.1):[1-9]\d+", log.read_text())):
            assert server.poll() is None, log.read_text()
            time.sleep(0.5)
        yield found[0]
    finally:
        server.terminate()
        server.wait(30)


def test_the_notebook_in_jupyterlab(browser, laboratory):
    page = new_page(browser)
    page.goto(f"{laboratory}/lab/tree/{NOTEBOOK}?reset")
    page.locator(".jp-Notebook .jp-CodeCell").first.wait_for()
    run_all = page.locator("li[role=menuitem]", has_text=re.compile(r"^Run All Cells"))
    for _ in range(20):  # while it still starts, the laboratory closes menus
        page.get_by_role("menuitem", name="Run", exact=True).click()
        page.wait_for_timeout(1000)
        if run_all.is_visible():
            break
        page.keyboard.press("Escape")
    run_all.click()
    page.locator(".anonlab").wait_for()
    page.locator(".anonlab").scroll_into_view_if_needed()
    assert "recognises the preview" in settled(page)
    page.close()
