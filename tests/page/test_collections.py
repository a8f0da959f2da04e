"""Several collections in one service, in a real browser: the list, and the page below a prefix."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import expect

from seehear.collection import Collection
from seehear.server import ServiceLimits, create_app
from tests.page.looking import Looking, ask, comes_to, mistakes_in_both, names, settled, until
from tests.page.test_states import SIDEWAYS
from tests.server.conftest import SETTINGS, Running, sound

if TYPE_CHECKING:
    from playwright.sync_api import Browser

pytestmark = pytest.mark.timeout(300)

TOKEN = "a token of many characters"
ONE = ServiceLimits(decode_workers=1)


@pytest.fixture(scope="module")
def folders(collection_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The collection of this room, a small one, and one that cannot be opened."""
    base = tmp_path_factory.mktemp("collections")
    sound(base / "media" / "owl.wav", "red", seconds=4.0)
    with Collection(base / "nature-sounds", SETTINGS) as library:
        library.index(base / "media")
    (base / "broken").mkdir()
    (base / "broken" / "catalog.db").write_bytes(b"not a database " * 100)
    return {
        "photos": collection_folder,
        "nature-sounds": base / "nature-sounds",
        "films_of_a_long_summer_by_the_sea_1998": base / "broken",
    }


@pytest.fixture(scope="module")
def several(folders: dict[str, Path]) -> Iterator[Running]:
    with Running(create_app(folders, settings=SETTINGS, limits=ONE), path="/photos/readyz") as run:
        yield run


def test_the_page_below_a_prefix(browser: Browser, several: Running) -> None:
    """All that it asks for is below its prefix; search, viewer, browsing and Back work there."""
    address = f"{several.address}/photos"
    with Looking(browser, address) as look:
        page = look.page
        assert urlsplit(page.url).path == "/photos/"
        until(page, "document.querySelectorAll('#tiles .card:not(.blank)').length === 11")
        expect(page.locator("#collection")).to_have_text("photos")
        ask(page, "red")
        assert "rose.png" in names(page)
        assert urlsplit(page.url)[2:4] == ("/photos/", "q=red")
        until(page, "document.querySelector('.card .view img').naturalWidth > 0")
        page.locator(".card", has_text="rose.png").locator(".view").click()
        page.wait_for_selector("#viewer[open]")
        moment = page.url
        assert re.fullmatch("/photos/moment/[0-9]+", urlsplit(moment).path)
        until(page, "document.querySelector('#viewer .picture img').naturalWidth > 0")
        page.evaluate("history.back()")
        until(page, "!document.querySelector('#viewer').open")
        assert urlsplit(page.url)[2:4] == ("/photos/", "q=red")
        page.locator(".card", has_text="siren.wav").locator(".view").click()
        page.wait_for_selector("#viewer .sound img")
        page.keyboard.press("Escape")
        page.goto(moment)  # as another person opens it
        page.wait_for_selector("#viewer[open]")
        assert page.locator("#viewed").inner_text().startswith("rose.png")
        page.keyboard.press("Escape")
        settled(page)
        assert urlsplit(page.url)[2:4] == ("/photos/", "q=red")
        page.locator(".card", has_text="rose.png").locator(".tick-box input").check()
        with page.expect_download() as begun:
            page.click("#chosen-download")
        assert urlsplit(begun.value.url).path == "/photos/v1/download"
        page.click(".brand")
        settled(page)
        assert urlsplit(page.url)[2:4] == ("/photos/", "")
    assert look.complaints == []
    beside = [url for url in look.asked if not url.startswith((f"{address}/", "blob:"))]
    assert set(beside) <= {address}


def test_from_the_list_and_back(browser: Browser, several: Running) -> None:
    with Looking(browser, several.address) as look:
        page = look.page
        page.wait_for_selector("#collections .card")
        told = page.locator("#collections .card").all_inner_texts()
        assert [one.split("\n")[0] for one in told] == [
            *("photos", "nature-sounds", "films_of_a_long_summer_by_the_sea_1998")
        ]
        assert "1 sound" in told[1]
        until(page, "document.querySelectorAll('#collections .trouble').length === 1")
        page.click("text=nature-sounds")
        page.wait_for_selector("#collection:has-text('nature-sounds')")
        ask(page, "red")
        assert names(page) == ["owl.wav"]
        page.click("#collection")
        page.wait_for_selector("#collections .card")
        assert urlsplit(page.url).path == "/"
    assert look.complaints == []


@pytest.mark.parametrize("size", [(1280, 860), (390, 844)], ids=["wide", "phone"])
def test_nobody_is_shut_out(browser: Browser, several: Running, size: tuple[int, int]) -> None:
    with Looking(browser, several.address, size=size) as look:
        page = look.page
        until(page, "document.querySelectorAll('#collections .trouble').length === 1")
        assert mistakes_in_both(page) == []
        comes_to(page, SIDEWAYS, 0)
        page.click("text=photos")
        page.wait_for_selector("#collection:not([hidden])")
        assert mistakes_in_both(page) == []
        comes_to(page, SIDEWAYS, 0)


def test_one_signs_in_on_the_list_for_all(browser: Browser, folders: dict[str, Path]) -> None:
    two = {name: folders[name] for name in ("photos", "nature-sounds")}
    app = create_app(two, settings=SETTINGS, limits=ONE, token=TOKEN)
    with Running(app) as server, Looking(browser, server.address, waits=False) as look:
        look.expects_refusals = True
        page = look.page
        page.wait_for_selector("#door[open]")
        assert mistakes_in_both(page) == []
        expect(page.locator("#collections .card")).to_have_count(0)
        page.fill("#token", "wrong, wrong, wrong")
        page.keyboard.press("Enter")
        until(page, "document.querySelector('#door-says').textContent")
        page.fill("#token", TOKEN)
        page.keyboard.press("Enter")
        page.click("text=photos")
        page.wait_for_selector("#collection:has-text('photos')")
        ask(page, "red")
        assert "rose.png" in names(page)
