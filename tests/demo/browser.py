"""The page of demo/web.py in a headless Chromium, for its test and for its picture."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
import threading
from collections.abc import Iterator, Sequence

from selenium.webdriver import ActionChains, Chrome, ChromeOptions
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.support.select import Select
from selenium.webdriver.support.wait import WebDriverWait

from demo.web import Demo, DemoServer

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "google-chrome", "chrome"))), None)
DRIVER = shutil.which("chromedriver")
# Chromium as root, without a screen, and without a word to its maker.
FLAGS = "headless no-sandbox disable-gpu disable-quic no-first-run disable-background-networking"
FLAGS += " disable-component-update disable-sync disable-dev-shm-usage hide-scrollbars"
SECONDS = 60  # on a machine that is busy


@contextlib.contextmanager
def serve(demo: Demo) -> Iterator[str]:
    """The address of a server that runs meanwhile, on any free port."""
    with DemoServer(demo, "127.0.0.1", 0) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs=dict(poll_interval=0.05))
        thread.start()
        try:
            yield server.url
        finally:
            server.shutdown()
            thread.join()


@contextlib.contextmanager
def open_browser(width: int = 1360, height: int = 900) -> Iterator[Browser]:
    """A browser with a profile of its own."""
    options = ChromeOptions()
    options.binary_location = CHROMIUM
    options.set_capability("goog:loggingPrefs", dict(browser="ALL", performance="ALL"))
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        flags = [*FLAGS.split(), f"user-data-dir={profile}", f"window-size={width},{height}"]
        for flag in flags:
            options.add_argument(f"--{flag}")
        driver = Chrome(options, Service(DRIVER))
        try:
            yield Browser(driver)
        finally:
            driver.quit()


class Browser:
    """What a person does with the page."""

    def __init__(self, driver: Chrome) -> None:
        self.driver = driver

    def open(self, url: str) -> None:
        self.driver.get(url)
        self.wait_for_answers()

    def find(self, css: str):
        return self.driver.find_element(By.CSS_SELECTOR, css)

    def text(self, css: str) -> str:
        return self.find(css).text

    def wait_for(self, css: str, words: str) -> None:
        """Wait until a part of the page has words."""
        WebDriverWait(self.driver, SECONDS, 0.05).until(
            lambda _: words in self.text(css), f"{css}: {words!r} does not come"
        )

    def wait_for_answers(self) -> None:
        self.wait_for("#status", "Answered")

    def open_image(self, name: str) -> None:
        Select(self.find("#images")).select_by_visible_text(name)
        self.wait_for_answers()

    def choose_class(self, label: int) -> None:
        self.driver.execute_script(
            "arguments[0].click()", self.find(f"[name=class][value='{label}']")
        )

    def draw(self, points: Sequence[tuple[float, float]], image_width: int) -> None:
        """Draw a stroke through points in pixels of the image, and wait for the answers."""
        canvas = self.find("#canvas")
        scale = canvas.size["width"] / image_width
        centre = canvas.size["width"] / 2, canvas.size["height"] / 2
        offsets = [(round(x * scale - centre[0]), round(y * scale - centre[1])) for x, y in points]
        actions = ActionChains(self.driver, duration=20)
        actions.move_to_element_with_offset(canvas, *offsets[0]).click_and_hold()
        for offset in offsets[1:]:
            actions.move_to_element_with_offset(canvas, *offset)
        actions.release().perform()
        self.wait_for_answers()
