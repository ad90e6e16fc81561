"""The page in a browser: sliders, uploads, tables, broken files."""

import http.client
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
    for _ in range(900):
        if process.poll() is not None or "The page is at" in log.read_text():
            break
        time.sleep(0.2)
    assert process.poll() is None, log.read_text()
    # nothing of Gradio's own options
    assert f"The page is at http://127.0.0.1:{port}" in log.read_text()
    assert "share=" not in log.read_text()
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
    shown = wait_for(lambda: "%" in text_of(browser, "answers") and text_of(browser, "answers"), "classes")
    assert all(name in shown for name in ("no_sub", "cdm", "axion"))
    assert "If it is an axion lens" in text_of(browser, "answers")
    assert "Unlike normal images" in text_of(browser, "answers")
    assert "never saw" not in text_of(browser, "note")


def test_picture_and_answers_are_seen_beside_the_sliders(browser: Any) -> None:
    wait_for(lambda: "%" in text_of(browser, "answers"), "classes")
    places = "return arguments[0].map(id => document.getElementById(id).getBoundingClientRect().toJSON())"
    names = ["picture", "answers", "kind"]
    size = {"deviceScaleFactor": 1, "mobile": False}
    try:
        browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", {"width": 1400, "height": 857, **size})
        picture, answers, kind = browser.execute_script(places, names)
        assert kind["right"] < picture["left"] < picture["right"] < answers["left"]
        assert max(picture["bottom"], answers["bottom"]) < 857
        # on a phone they come before the sliders
        browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", {"width": 390, "height": 844, **size})
        picture, answers, kind = browser.execute_script(places, names)
        assert picture["bottom"] < answers["top"] < 844
        assert answers["bottom"] < kind["top"]
    finally:
        browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def test_an_upload_too_large_to_be_kept_is_refused(address: str) -> None:
    connection = http.client.HTTPConnection(address.removeprefix("http://").partition("/")[0], timeout=60)
    connection.putrequest("POST", "/gradio_api/upload")
    connection.putheader("Content-Type", "multipart/form-data; boundary=x")
    connection.putheader("Content-Length", str(3 * 2**30))
    connection.endheaders()
    assert connection.getresponse().status == 413
    connection.close()


def test_keys_move_a_slider_and_nothing_old_stays(browser: Any) -> None:
    from selenium.webdriver.common.keys import Keys

    before = wait_for(lambda: source_of(browser, "picture"), "a picture")
    slider = browser.find_element("css selector", "#einstein_radius input[type=range]")
    slider.send_keys(*[Keys.ARROW_RIGHT] * 20)
    wait_for(lambda: "never saw an Einstein radius other than 1.28" in text_of(browser, "note"), "a warning")
    wait_for(lambda: source_of(browser, "picture") != before, "another picture")
    wait_for(lambda: source_of(browser, "explanation"), "a map")
    box = browser.find_element("css selector", "#einstein_radius input[type=number]")
    box.send_keys(Keys.CONTROL, "a", Keys.NULL, Keys.BACKSPACE)
    wait_for(lambda: "missing or out of its range" in text_of(browser, "note"), "what is wrong")
    assert "%" not in text_of(browser, "answers")
    assert not source_of(browser, "picture")
    box.send_keys("1.28", Keys.TAB)
    wait_for(lambda: "%" in text_of(browser, "answers"), "answers")
    assert not browser.find_elements("id", "log10_axion_mass_ev")
    browser.find_element("css selector", "#kind input[value=axion]").click()
    wait_for(lambda: browser.find_elements("id", "log10_axion_mass_ev"), "the slider of the axion mass")


def source_of(browser: Any, name: str) -> Any:
    found = browser.find_elements("css selector", f"#{name} img")
    return found[0].get_attribute("src") if found else None


def test_a_file_stays_while_models_and_stretch_change(browser: Any, tmp_path: Path) -> None:
    np.save(tmp_path / "lens.npy", np.random.default_rng(0).poisson(50, (3, 100, 100)).astype(np.float32))
    (tmp_path / "broken.npy").write_bytes(b"nothing")
    browser.find_element("xpath", "//button[@role='tab'][contains(., 'drop an image')]").click()
    box = wait_for(lambda: browser.find_element("css selector", "#upload input[type=file]"), "a place to drop")
    box.send_keys(str(tmp_path / "broken.npy"))
    wait_for(lambda: "broken.npy is not a NumPy file" in text_of(browser, "note"), "what is wrong")
    assert "%" not in text_of(browser, "answers")
    browser.find_element("css selector", "#upload button[aria-label='Clear']").click()
    box = wait_for(lambda: browser.find_element("css selector", "#upload input[type=file]"), "a place to drop")
    box.send_keys(str(tmp_path / "lens.npy"))
    wait_for(lambda: "select bands first" in text_of(browser, "answers"), "a refusal")
    browser.find_element("css selector", "#bands input, #bands textarea").send_keys("1\n")
    wait_for(lambda: "%" in text_of(browser, "answers"), "answers")
    before = source_of(browser, "picture")
    browser.find_element("css selector", "#stretch input[value=linear]").click()
    wait_for(lambda: source_of(browser, "picture") not in (None, before), "another picture")
    assert "lens.npy, 100 x 100 pixels, 1 band" in text_of(browser, "caption")
    for _ in range(2):
        browser.find_element("css selector", "#models input[type=checkbox]").click()
    wait_for(lambda: "%" in text_of(browser, "answers"), "answers")
    assert "lens.npy" in text_of(browser, "caption")


def test_a_tab_says_what_the_page_is_about(browser: Any) -> None:
    def tab(name: str) -> Any:
        return browser.find_element("xpath", f"//button[@role='tab'][contains(., '{name}')]")

    # the file of the test before
    tab("draw a lens").click()
    wait_for(lambda: "Simulated lens" in text_of(browser, "caption"), "the lens of the sliders")
    tab("drop an image").click()
    wait_for(lambda: "lens.npy" in text_of(browser, "caption"), "the file")
    browser.find_element("css selector", "#upload button[aria-label='Clear']").click()
    wait_for(lambda: "Drop a file" in text_of(browser, "note"), "nothing")
    assert not source_of(browser, "picture")


def test_an_example_ticks_its_model(browser: Any) -> None:
    box = browser.find_element("css selector", "#models input[name=anomalies]")
    box.click()
    browser.find_element("xpath", "//button[contains(., 'unlike (anomalies)')]").click()
    wait_for(lambda: "Unlike normal images" in text_of(browser, "answers"), "the answer of the example's model")
    assert box.is_selected()
    assert "unlike.npy" in text_of(browser, "caption")


def test_many_files_are_answered_for_or_explained(browser: Any, tmp_path: Path) -> None:
    np.save(tmp_path / "lens.npy", np.random.default_rng(0).poisson(50, (100, 100)).astype(np.float32))
    (tmp_path / "broken.npy").write_bytes(b"nothing")
    browser.find_element("xpath", "//button[@role='tab'][contains(., 'many images')]").click()
    box = wait_for(lambda: browser.find_element("css selector", "#uploads input[type=file]"), "a place to drop")
    assert not browser.find_elements("id", "table")
    box.send_keys(f"{tmp_path / 'lens.npy'}\n{tmp_path / 'broken.npy'}")
    wait_for(lambda: "2 images, 1 of them without an answer" in text_of(browser, "many_note"), "a table")
    assert "lens.npy" in text_of(browser, "table")
    assert browser.find_elements("css selector", "a[download*='answers-']")
    browser.find_element("css selector", "#models input[type=checkbox]").click()
    wait_for(lambda: "press “ask the models”" in text_of(browser, "many_note"), "that the table is of other models")
