"""The explorer in a real browser: as a page by Voilà, and in JupyterLab.

Needs Chromium (Debian: apt-get install chromium). Screenshots are left in outputs/browser.
"""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
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


@pytest.fixture
def page(browser):
    page = browser.new_page(viewport={"width": 1280, "height": 1000})
    page.set_default_timeout(1.5 * MINUTE)
    yield page
    page.close()


@pytest.fixture
def serve():
    """Start a server from a command that takes a port, and stop it in the end."""
    running = []

    def start(*command: str, cwd: Path) -> str:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        arguments = [part.format(port=port) for part in command]
        environment = {k: v for k, v in os.environ.items() if k != "ANONLAB_HEADLESS"}
        running.append(subprocess.Popen([sys.executable, "-m", *arguments], cwd=cwd, env=environment))
        address = f"http://127.0.0.1:{port}"
        for _ in range(240):
            assert running[-1].poll() is None, "the server stopped"
            try:
                urllib.request.urlopen(f"{address}/static/favicon.ico", timeout=5).close()
                return address
            except urllib.error.HTTPError:
                return address  # it answers
            except OSError:
                time.sleep(0.5)
        raise AssertionError(f"{command[0]} does not answer")

    yield start
    for process in running:
        process.terminate()
        process.wait(30)


def status(page) -> str:
    return page.locator(".widget-html-content", has_text="a match is below").inner_text()


def settled(page) -> str:
    """The status, when the preview has arrived."""
    page.wait_for_function(
        "[...document.querySelectorAll('.widget-html-content')]"
        ".some(e => /in the preview; a match is below/.test(e.innerText))"
    )
    return status(page)


def pictures(page) -> list[str]:
    return page.locator("img.widget-image").evaluate_all("all => all.map(one => one.src)")


def move_area(page, keys: int) -> None:
    """Press the arrow key on the handle of the slider `mask area`."""
    slider = page.locator(".widget-hslider", has_text="mask area")
    handle = slider.locator(".noUi-handle")
    handle.focus()
    for _ in range(keys):
        handle.press("ArrowRight")


def drive(page, shot: str, faceless: Path) -> None:
    """Move the slider, see everything change; give it a photo without a face, see the reason."""
    before, drawn = settled(page), pictures(page)
    assert re.match(r"2\d% of the face in the mask; distance 0\.\d\d when it is blurred", before)
    move_area(page, 8)
    page.wait_for_function(
        "old => [...document.querySelectorAll('.widget-html-content')].every(e => e.innerText != old)",
        arg=before,
    )
    after = settled(page)
    share = [int(re.match(r"(\d+)%", text)[1]) for text in (before, after)]
    distance = [float(re.search(r"distance (\d\.\d\d)", text)[1]) for text in (before, after)]
    assert share[1] > share[0]
    assert distance[1] != distance[0]
    changed = [a != b for a, b in zip(drawn, pictures(page), strict=True)]
    assert changed[:2] == [True, True]  # the mask and the preview

    with page.expect_file_chooser() as chooser:
        page.locator("button", has_text="your photo").click()
    chooser.value.set_files(faceless)
    error = page.locator(".widget-html-content", has_text="no face that can be found")
    error.wait_for()
    assert "use a photo with a face" in error.inner_text()
    move_area(page, 1)  # the old photo is still there
    settled(page)
    SHOTS.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=SHOTS / f"{shot}.png", full_page=True)
    assert (SHOTS / f"{shot}.png").stat().st_size > 50_000


@pytest.fixture
def faceless(tmp_path) -> Path:
    from PIL import Image

    path = tmp_path / "meadow.png"
    Image.new("RGB", (320, 240), (60, 140, 60)).save(path)
    return path


def test_the_page_served_by_voila(page, serve, faceless):
    address = serve(
        "voila", "notebooks/02_mask_explorer.ipynb", "--no-browser", "--port={port}", cwd=ROOT
    )
    page.goto(address)
    page.locator(".widget-hslider", has_text="mask area").wait_for()
    assert page.locator("text=headless").count() == 0  # no code on the page
    drive(page, "voila", faceless)


def test_the_notebook_in_jupyterlab(page, serve, faceless, tmp_path):
    shutil.copytree(ROOT / "notebooks", tmp_path / "notebooks")  # it saves what it runs
    address = serve(
        "jupyterlab", "--no-browser", "--port={port}", "--allow-root", "--IdentityProvider.token=",
        f"--ServerApp.root_dir={tmp_path}", "--ServerApp.port_retries=0", cwd=tmp_path,
    )  # fmt: skip
    page.goto(f"{address}/lab/tree/notebooks/02_mask_explorer.ipynb?reset")
    page.locator(".jp-Notebook .jp-CodeCell").first.wait_for()
    run_all = page.locator("li[role=menuitem]", has_text=re.compile(r"^Run All Cells"))
    for _ in range(20):  # while it still starts, the laboratory closes menus
        page.get_by_role("menuitem", name="Run", exact=True).click()
        page.wait_for_timeout(1000)
        if run_all.is_visible():
            break
        page.keyboard.press("Escape")
    run_all.click()
    page.locator(".widget-hslider", has_text="mask area").wait_for()
    drive(page, "jupyterlab", faceless)
