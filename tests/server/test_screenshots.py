"""Pictures of the page for the docs, over the demo's media and the bundled model.

    SEEHEAR_SCREENSHOTS=1 python -m pytest -m slow tests/server/test_screenshots.py

Without the variable nothing is written; the test then shows that none of the views is blank.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from seehear.collection import Collection
from seehear.config import Settings
from seehear.server import create_app
from tests.server.conftest import Running
from tests.server.looking import Looking, browser_or_skip, settled, until

if TYPE_CHECKING:
    from playwright.sync_api import Browser

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

MEDIA = Path(__file__).resolve().parents[2] / "demo" / "media"
SETTINGS = Settings(model="tiny", device="cpu")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with browser_or_skip() as browser:
        yield browser


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    if not MEDIA.is_dir():
        pytest.skip("the demo's media are not there (make demo)")
    folder = tmp_path_factory.mktemp("demo")
    with Collection(folder, SETTINGS) as collection:
        collection.index(MEDIA)
    with Running(create_app(folder, settings=SETTINGS, roots=[MEDIA])) as server:
        yield server


def drawn(look: Looking, pictures: str) -> None:
    """Wait for every picture in the window that a selector names."""
    until(
        look.page,
        """s => [...document.querySelectorAll(s)]
            .filter(i => i.getBoundingClientRect().top < innerHeight)
            .every(i => i.complete && i.naturalWidth)""",
        pictures,
    )


def ask(look: Looking, text: str) -> None:
    look.page.fill("#text", text)
    settled(look.page)
    drawn(look, ".card img")
    look.page.wait_for_timeout(500)


def test_the_page_at_rest_and_with_results(browser: Browser, demo: Running) -> None:
    with Looking(browser, demo.address, scheme="dark") as look:
        look.shot("rest-dark")
    with Looking(browser, demo.address) as look:
        ask(look, "a motorcycle")
        look.shot("results-light")
    with Looking(browser, demo.address, scheme="dark", size=(390, 844)) as look:
        ask(look, "waves at the sea")
        look.shot("results-phone")


def test_a_sound_and_a_moment_of_a_video(browser: Browser, demo: Running) -> None:
    with Looking(browser, demo.address, scheme="dark") as look:
        ask(look, "church bells ringing")
        look.page.locator(".card", has_text=".wav").first.locator(".view").click()
        look.page.wait_for_selector("#viewer canvas.drawn")
        drawn(look, "#viewer img")
        look.page.wait_for_timeout(800)
        look.shot("sound-dark")
    with Looking(browser, demo.address) as look:
        look.page.goto(f"{demo.address}/?q=a+rocket+launch&kind=video")
        settled(look.page)
        look.page.locator(".card", has_text=".mp4").first.locator(".view").click()
        until(look.page, "document.querySelector('#viewer video')?.readyState >= 2")
        look.page.wait_for_timeout(800)
        look.shot("moment-light")
