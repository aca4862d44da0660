"""The explorer in a real browser: as a page of its own, and in the notebook in JupyterLab.

Needs Chromium (Debian: apt-get install chromium). Screenshots are left in outputs/browser.
"""

from __future__ import annotations

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
SHOTS = ROOT / "outputs" / "browser"
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
MINUTE = 60_000  # Playwright counts milliseconds
QUIET = [
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update"),
]
NAMELESS = """all => all.filter(one => !(one.labels?.length || one.getAttribute('aria-label')
    || one.textContent.trim())).map(one => one.outerHTML)"""
FAINT = """all => {
  const light = (colour) => {
    const [r, g, b] = colour.match(/[\\d.]+/g).map(x => x / 255)
      .map(x => x <= .03928 ? x / 12.92 : ((x + .055) / 1.055) ** 2.4);
    return .2126 * r + .7152 * g + .0722 * b + .05;
  };
  const behind = (one) => {
    const colour = getComputedStyle(one).backgroundColor;
    return colour == 'rgba(0, 0, 0, 0)' && one.parentElement ? behind(one.parentElement) : colour;
  };
  const written = one => [...one.childNodes].some(node => node.data?.trim());
  return all.filter(one => one.offsetParent && !one.disabled && written(one))
    .map(one => [light(getComputedStyle(one).color), light(behind(one)), one.outerHTML.slice(0, 80)])
    .filter(([a, b]) => Math.max(a, b) / Math.min(a, b) < 4.5);
}"""

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
    command = [sys.executable, "-m", "anonlab", "explore", "--no-browser", "--port", "0"]
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
    opened.set_viewport_size({"width": 1280, "height": 900})
    opened.locator("[name=photo]").select_option("astronaut")
    opened.wait_for_function("document.querySelector('[name=key]').value.includes('classroom')")
    settled(opened)
    return opened


@pytest.fixture(scope="module")
def photos(tmp_path_factory) -> Path:
    """A photo of 11 MB, and one of two people."""
    import numpy as np
    from PIL import Image

    from anonlab.notebook.samples import sample_photo

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


def settled(page) -> str:
    """The verdict, when the preview has arrived."""
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


def shoot(page, name: str) -> None:
    SHOTS.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=SHOTS / f"{name}.png", full_page=True)


def test_a_page_says_what_it_is_and_what_happens_while_networks_are_loaded(opened):
    assert opened.title() == "anonlab explorer"
    assert opened.before.startswith("anonlab explorer: turn the mask, watch the new face")
    assert "The networks are being loaded" in opened.before
    assert not opened.locator("#waiting").is_visible()


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
    shoot(page, "explorer")


def test_the_preview_stays_in_sight_with_a_group_and_comes_under_the_controls_on_a_phone(page, photos):
    from playwright.sync_api import expect

    page.set_input_files("[name=upload]", photos / "two.jpg")
    page.get_by_role("button", name="face 2").wait_for()
    settled(page)
    shoot(page, "two-people")
    for part in ("[data-part=preview]", "[data-part=heat]", ".people"):  # without scrolling
        expect(page.locator(part)).to_be_in_viewport(ratio=0.999)
        assert page.locator(part).bounding_box()["width"] > 150, part
    page.set_viewport_size({"width": 390, "height": 844})
    shoot(page, "phone")
    controls, preview = page.locator(".controls").bounding_box(), page.locator("[data-part=preview]")
    assert preview.bounding_box()["width"] > 300
    assert preview.bounding_box()["y"] > controls["y"] + controls["height"]
    assert page.evaluate("document.documentElement.scrollWidth") <= 390


def test_pictures_are_sharp_on_a_screen_of_double_density(browser, serving):
    page = new_page(browser, device_scale_factor=2)
    page.goto(serving[1])
    settled(page)
    shoot(page, "double-density")
    for name in ("heat", "edge", "person", "preview"):
        found = page.locator(f"img[data-part={name}]").evaluate("one => [one.naturalWidth, one.width]")
        assert found[0] >= 1.6 * found[1], name
    page.close()


def test_everything_has_a_name_works_by_keys_and_can_be_read(page):
    page.locator("summary").press("Enter")
    controls = page.locator("input, select, button")
    assert controls.count() > 25 and controls.evaluate_all(NAMELESS) == []
    assert page.locator("img:visible:not([alt])").count() == 0
    assert page.locator(".pictures img:visible[alt='']").count() == 0
    assert page.locator("body *").evaluate_all(FAINT) == []
    before = src(page, "edge")
    assert "recognises the preview" in move(page, "area", 6)
    assert src(page, "edge") != before
    page.locator("[name=aim]").press("Space")
    assert page.locator("[name=strength]").is_disabled()
    page.locator("[name=aim]").press("Space")
    page.get_by_label("look", exact=True).press("Space")
    page.locator("input[name=threshold]").press("End")
    warned = page.get_by_text("The mask is empty: nothing would be changed.")
    warned.wait_for()
    assert page.locator(".warning").count() == 1
    page.locator("input[name=threshold]").press("ArrowLeft")
    move(page, "area", -3)
    page.get_by_label("look", exact=True).press("Space")


def test_a_photo_larger_than_a_message_arrives(page, photos):
    assert (photos / "large.bmp").stat().st_size > 10 * 2**20
    drawn = src(page, "person")
    page.set_input_files("[name=upload]", photos / "large.bmp")
    page.wait_for_function("document.querySelector('[name=photo]').value == 'large.bmp'")
    settled(page)
    assert src(page, "person") != drawn
    assert re.fullmatch("[0-9a-f]{64}", page.locator("[name=key]").input_value())


def test_two_people_are_clicked_cancelled_made_saved_and_there_after_a_reload(page, photos, tmp_path):
    from PIL import Image

    page.set_input_files("[name=upload]", photos / "two.jpg")
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
    shoot(page, "finished")
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


def test_ten_loads_leave_the_server_below_4_gb_and_nothing_of_the_pages(browser, serving):
    server, address = serving
    for _ in range(10):
        page = new_page(browser)
        page.goto(address)
        page.locator("img[data-part=edge]").wait_for()
        page.close()
    tree = [server, *server.children(recursive=True)]
    assert sum(one.memory_info().rss for one in tree) < 4e9
    names = [one.name() for one in tree]
    assert len(names) == 1, names  # one process for all pages
    deadline = time.monotonic() + 60
    while server.num_threads() > 30 and time.monotonic() < deadline:  # forgotten pages end theirs
        time.sleep(1)
    assert sum(one.memory_info().rss for one in tree) < 4e9


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
    settled(page)
    drawn = src(page, "edge")
    assert "recognises the preview" in move(page, "area", 6)
    assert src(page, "edge") != drawn
    shoot(page, "jupyterlab")
    page.close()
