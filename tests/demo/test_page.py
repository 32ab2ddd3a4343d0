"""The page of demo/web.py in a real browser, used as a person would."""

import json
from urllib.parse import urlsplit

import numpy as np
import pytest
from selenium.webdriver import ActionChains, Keys

from demo import web
from mmseg_rloss.visualization import read_image
from tests.demo.browser import CHROMIUM, DRIVER, open_browser, serve
from tests.tools.network import CLASSES, write_image, write_network

pytestmark = pytest.mark.skipif(
    not (CHROMIUM and DRIVER),
    reason="no Chromium with its driver: apt-get install chromium chromium-driver",
)
SIZE = (48, 64)


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    folder = tmp_path_factory.mktemp("demo")
    network = write_network(folder)
    for name in ("a", "b"):
        write_image(folder / "images" / f"{name}.png", SIZE)
    options = [f"--config={network.config}", f"--checkpoint={network.checkpoint}"]
    return web.make_demo(web.parse_args([*options, f"--images={folder / 'images'}"]))


@pytest.fixture(scope="module")
def browser():
    with open_browser() as browser:
        yield browser


@pytest.fixture
def page(browser, demo):
    """The page, newly opened on the first image."""
    with serve(demo) as url:
        browser.driver.get_log("performance"), browser.driver.get_log("browser")
        browser.open(url)
        yield browser


def pictures(page) -> dict[str, str]:
    """What the figures show, by their names."""
    script = """return Object.fromEntries([...document.querySelectorAll('figure[id] img')]
        .filter(image => !image.hidden).map(image => [image.parentElement.id, image.src]))"""
    return page.driver.execute_script(script)


def strokes_of(page) -> list[dict]:
    return page.driver.execute_script("return strokes")


def expected(demo, page, name="a.png") -> dict[str, str]:
    """The pictures of the strokes that the page has, computed without it."""
    image = read_image(demo.images[name])
    labels = web.draw_strokes(strokes_of(page), image.shape[:2], demo.classes)
    sigmas = [float(page.find(f"#sigma_{kind}").get_attribute("value")) for kind in ("rgb", "xy")]
    answers = demo.answer(image, labels, *sigmas)
    answers["pull"] = answers.pop("pulls").get(
        int(page.find(":checked[name=class]").get_attribute("value"))
    )
    return {name: web.as_url(shown) for name, shown in answers.items() if shown is not None}


def test_strokes_of_the_mouse_are_answered(page, demo):
    assert pictures(page).keys() == {"prediction"}
    page.choose_class(2)
    page.draw([(10, 8), (50, 8), (50, 30)], SIZE[1])
    assert "second class" in page.text("#status")
    page.choose_class(1)
    page.draw([(20, 40), (40, 40)], SIZE[1])
    assert "second class" not in page.text("#status")
    first, second = strokes_of(page)
    assert (first["label"], second["label"]) == (2, 1)
    for corner in [(10, 8), (50, 8), (50, 30)]:
        assert np.abs(np.array(first["points"]) - corner).max(1).min() < 1
    assert pictures(page) == expected(demo, page)
    assert pictures(page).keys() == {"pull", "agreed", "prediction", "together"}
    assert page.text("#pulled") == CLASSES[1]
    pull = pictures(page)["pull"]
    page.choose_class(2)
    assert page.text("#pulled") == CLASSES[2] and pictures(page)["pull"] != pull
    page.choose_class(0)
    assert "pull" not in pictures(page)
    assert page.text("#pull .nothing") == f"Draw a stroke of {CLASSES[0]}."


def test_undo_clear_bandwidths_and_another_image(page, demo):
    page.draw([(10, 8), (50, 8)], SIZE[1])
    page.draw([(10, 20), (50, 20)], SIZE[1])
    page.find("#undo").click()
    page.wait_for_answers()
    assert len(strokes_of(page)) == 1 and pictures(page) == expected(demo, page)
    before = pictures(page)["pull"]
    page.find("#sigma_xy").send_keys(Keys.END)
    page.wait_for_answers()
    assert pictures(page) == expected(demo, page) and pictures(page)["pull"] != before
    assert page.text("#sigma_xy-value") == "250 px"
    page.find("#clear").click()
    page.wait_for_answers()
    assert not strokes_of(page) and not page.find("#clear").is_enabled()
    page.draw([(10, 8), (50, 8)], SIZE[1])
    page.open_image("b.png")
    assert not strokes_of(page) and page.text("#sigma_xy-value") == "10 px"
    assert pictures(page) == expected(demo, page, "b.png")


def test_everything_is_done_with_the_keyboard(page, demo):
    keys = ActionChains(page.driver)
    page.find("#canvas").send_keys("3")
    right, down = Keys.ARROW_RIGHT * 5, Keys.ARROW_DOWN * 4
    keys.send_keys(" ", right, down, " ").perform()
    page.wait_for_answers()
    (stroke,) = strokes_of(page)
    assert stroke["label"] == 2 and stroke["points"][0] == [32, 24]
    assert stroke["points"][-1] == pytest.approx([32 + 5 * 1.28, 24 + 4 * 1.28])
    assert pictures(page) == expected(demo, page)
    ActionChains(page.driver).key_down(Keys.CONTROL).send_keys("z").key_up(Keys.CONTROL).perform()
    page.wait_for_answers()
    assert not strokes_of(page)


def test_a_file_is_opened_and_one_that_is_not_an_image_is_reported(page, tmp_path):
    write_image(tmp_path / "c.png", (30, 90))
    page.find("#file").send_keys(str(tmp_path / "c.png"))
    page.wait_for_answers()
    size = "return [image.element.width, image.element.height]"
    assert page.driver.execute_script(size) == [90, 30]
    assert page.find("#images").get_attribute("value") == ""
    assert not page.find("#error").is_displayed()
    (tmp_path / "d.png").write_bytes(b"no image")
    page.find("#file").send_keys(str(tmp_path / "d.png"))
    page.wait_for("#error", "unreadable")
    (tmp_path / "large.png").write_bytes(bytes(web.MAX_BYTES + 2**20))
    page.find("#file").send_keys(str(tmp_path / "large.png"))
    page.wait_for("#error", "large.png has 17.0 MiB, more than 16 MiB")
    page.draw([(10, 8), (50, 8)], 90)
    assert not page.find("#error").is_displayed(), "what works again has no error"


def test_without_a_network_it_says_how_to_get_one(browser, demo):
    with serve(web.Demo(demo.images, demo.classes, demo.palette)) as url:
        browser.open(url)
        browser.draw([(10, 8), (50, 8)], SIZE[1])
        assert pictures(browser).keys() == {"pull", "agreed"}
        assert "make train" in browser.text("#prediction .nothing")
        assert "No network" in browser.text("#together .nothing")


def test_without_images_it_asks_for_a_file(browser, demo, tmp_path):
    write_image(tmp_path / "c.png", SIZE)
    with serve(web.Demo({}, demo.classes, demo.palette)) as url:
        browser.driver.get(url)
        browser.wait_for("#agreed .nothing", "Open an image first.")
        browser.find("#canvas").send_keys(Keys.CONTROL, "z", Keys.NULL, " ", Keys.ARROW_UP)
        assert not browser.find("#error").is_displayed()
        browser.find("#file").send_keys(str(tmp_path / "c.png"))
        browser.wait_for_answers()
        browser.draw([(10, 8), (50, 8)], SIZE[1])
        assert "agreed" in pictures(browser)


def test_a_server_that_has_gone_is_reported(browser, demo):
    with serve(demo) as url:
        browser.open(url)
    browser.find("#canvas").send_keys("  ")
    browser.wait_for("#error", "The server does not answer. Is it still running?")


def test_loads_nothing_from_elsewhere_and_has_no_errors(page):
    page.draw([(10, 8), (50, 8)], SIZE[1])
    events = [
        json.loads(entry["message"])["message"] for entry in page.driver.get_log("performance")
    ]
    own = page.driver.current_url.rstrip("/")
    addresses = [
        event["params"]["request"]["url"]
        for event in events
        if event["method"] == "Network.requestWillBeSent"
        and event["params"]["documentURL"].startswith(own)
    ]
    assert len(addresses) >= 4
    assert {urlsplit(address).scheme for address in addresses} <= {"http", "data", "blob"}
    assert all(a.startswith(own) for a in addresses if a.startswith("http"))
    assert page.driver.get_log("browser") == []
