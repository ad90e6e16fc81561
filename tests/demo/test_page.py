"""The page in a browser: sliders, uploads, tables, broken files."""

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

webdriver = pytest.importorskip("selenium.webdriver")
pytest.importorskip("gradio")
CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
pytestmark = pytest.mark.skipif(not (CHROMIUM and DRIVER), reason="Chromium or its driver is not installed")
FLAGS = ("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync")
FLAGS += ("--disable-background-networking", "--disable-component-update", "--window-size=1500,1500")


@pytest.fixture(scope="module")
def address(model_folders: list[str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The page, served by a process of its own."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    log = tmp_path_factory.mktemp("app") / "log"
    command = [sys.executable, "-m", "deeplense_hf", "app", "--models", *model_folders, "--device", "cpu"]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "GRADIO_ANALYTICS_ENABLED": "False"}
    with log.open("w") as file:
        process = subprocess.Popen([*command, "--port", str(port)], stdout=file, stderr=file, env=environment)
    for _ in range(600):
        with socket.socket() as probe:
            if process.poll() is not None or probe.connect_ex(("127.0.0.1", port)) == 0:
                break
        time.sleep(0.2)
    assert process.poll() is None, log.read_text()
    yield f"http://127.0.0.1:{port}/?__theme=light"
    process.terminate()
    process.wait(20)


@pytest.fixture(scope="module")
def browser(address: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    for flag in (*FLAGS, f"--user-data-dir={tmp_path_factory.mktemp('browser')}"):
        options.add_argument(flag)
    options.binary_location = CHROMIUM
    driver = webdriver.Chrome(options=options, service=Service(DRIVER))
    driver.set_page_load_timeout(120)
    driver.get(address)
    yield driver
    driver.quit()


def wait_for(condition: Callable[[], Any], what: str) -> Any:
    """Wait until something is so; elements may be replaced while they are looked at."""
    from selenium.common.exceptions import WebDriverException

    for _ in range(300):
        try:
            found = condition()
        except WebDriverException:
            found = None
        if found:
            return found
        time.sleep(0.2)
    raise AssertionError(f"the page never showed {what}")


def text_of(browser: Any, name: str) -> str:
    return str(browser.find_element("id", name).text)


def test_a_lens_is_drawn_and_answered_for(browser: Any) -> None:
    shown = wait_for(lambda: "%" in text_of(browser, "probabilities") and text_of(browser, "probabilities"), "classes")
    assert all(name in shown for name in ("no_sub", "cdm", "axion"))
    assert "log10_axion_mass_ev: " in text_of(browser, "words")
    assert "Unlike smooth lenses" in text_of(browser, "words")
    assert "never saw" not in text_of(browser, "note")


def test_a_slider_changes_the_lens(browser: Any) -> None:
    from selenium.webdriver.common.keys import Keys

    before = wait_for(lambda: browser.find_element("css selector", "#picture img").get_attribute("src"), "a picture")
    slider = browser.find_element("css selector", "#einstein_radius input[type=range]")
    slider.send_keys(*[Keys.ARROW_RIGHT] * 20)
    browser.execute_script(
        "arguments[0].dispatchEvent(new Event('pointerup', {bubbles: true}));"
        "arguments[0].dispatchEvent(new Event('change', {bubbles: true}))",
        slider,
    )
    wait_for(lambda: "never saw an Einstein radius other than 1.28" in text_of(browser, "note"), "a warning")
    picture = browser.find_element("css selector", "#picture img")
    wait_for(lambda: picture.get_attribute("src") != before, "another picture")


def test_files_are_answered_for_or_explained(browser: Any, tmp_path: Path) -> None:
    np.save(tmp_path / "lens.npy", np.random.default_rng(0).poisson(50, (100, 100)).astype(np.float32))
    (tmp_path / "broken.npy").write_bytes(b"nothing")
    browser.find_element("xpath", "//button[@role='tab'][contains(., 'drop an image')]").click()
    box = wait_for(lambda: browser.find_element("css selector", "#upload input[type=file]"), "a place to drop")
    box.send_keys(str(tmp_path / "broken.npy"))
    wait_for(lambda: "broken.npy cannot be used" in text_of(browser, "note"), "what is wrong")
    browser.find_element("css selector", "#upload button[aria-label='Clear']").click()
    box = wait_for(lambda: browser.find_element("css selector", "#upload input[type=file]"), "a place to drop")
    box.send_keys(str(tmp_path / "lens.npy"))
    wait_for(lambda: "cannot be used" not in text_of(browser, "note"), "an answer")
    wait_for(lambda: "%" in text_of(browser, "probabilities"), "classes")
    browser.find_element("xpath", "//button[@role='tab'][contains(., 'many images')]").click()
    box = wait_for(lambda: browser.find_element("css selector", "#uploads input[type=file]"), "a place to drop")
    box.send_keys(f"{tmp_path / 'lens.npy'}\n{tmp_path / 'broken.npy'}")
    wait_for(lambda: "2 images, 1 of them without an answer" in text_of(browser, "note"), "a table")
    assert "lens.npy" in text_of(browser, "table")
    assert browser.find_elements("css selector", "a[download*='answers-']")
