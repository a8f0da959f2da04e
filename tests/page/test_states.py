"""The web page in a real browser: looks, signing in, loading, updating, and its files."""

from __future__ import annotations

import re
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from playwright.sync_api import expect

from seehear.server import ServiceLimits, create_app
from seehear.server.served_collection import ModelPool
from tests.page.looking import (
    Looking,
    ask,
    comes_to,
    mistakes_in_both,
    mistakes_of,
    names,
    only,
    until,
)
from tests.server.conftest import PATIENCE_S, SETTINGS, Running

if TYPE_CHECKING:
    from playwright.sync_api import Browser

pytestmark = pytest.mark.timeout(300)

SIDEWAYS = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
ONE = ServiceLimits(decode_workers=1)


@pytest.mark.parametrize("size", [(1280, 860), (390, 844)], ids=["wide", "phone"])
def test_nobody_is_shut_out(browser: Browser, running: Running, size: tuple[int, int]) -> None:
    """axe-core finds nothing in any state of the page; nothing scrolls sideways."""
    with Looking(browser, running.address, size=size) as look:
        page = look.page
        until(page, "document.querySelectorAll('#examples button').length > 0")
        until(page, "document.querySelectorAll('#tiles .card:not(.blank)').length === 11")
        assert mistakes_in_both(page) == []
        page.click("[data-by=folder]")
        only(page, "image")
        page.mouse.wheel(0, 300)
        until(page, "document.querySelectorAll('#tiles .card:not(.blank)').length === 5")
        assert mistakes_in_both(page) == []
        comes_to(page, SIDEWAYS, 0)
        page.click("#clear-all")
        ask(page, "red")
        page.click("#narrow")
        assert mistakes_in_both(page) == []
        comes_to(page, SIDEWAYS, 0)
        page.click("#narrow")
        page.locator(".card", has_text="siren.wav").locator(".view").click()
        page.wait_for_selector("#viewer .sound img")
        assert mistakes_in_both(page) == []
        page.keyboard.press("Escape")
        page.click("#help")
        assert mistakes_in_both(page) == []


def test_the_theme_can_be_turned_and_is_kept(look: Looking) -> None:
    page = look.page
    paper = "getComputedStyle(document.body).backgroundColor"
    light = page.evaluate(paper)
    page.click("#theme")
    dark = page.evaluate(paper)
    assert dark != light
    page.reload()
    comes_to(page, paper, dark)


def test_a_token_is_asked_for(browser: Browser, collection_folder: Path) -> None:
    token = "a token of many characters"
    app = create_app(collection_folder, settings=SETTINGS, token=token, limits=ONE)
    with Running(app) as server, Looking(browser, server.address) as look:
        look.expects_refusals = True
        page = look.page
        page.wait_for_selector("#door[open]")
        page.fill("#token", "a wrong token of many characters")
        page.keyboard.press("Enter")
        until(page, "document.querySelector('#door-says').textContent")
        assert mistakes_of(page) == []
        page.fill("#token", token)
        page.keyboard.press("Enter")
        page.wait_for_selector("#door[open]", state="detached")
        ask(page, "red")
        rose = page.locator(".card", has_text="rose.png")
        assert rose.locator("img").evaluate("i => i.decode().then(() => i.naturalWidth)") == 160


def test_the_page_waits_for_the_model_without_complaint(
    browser: Browser, collection_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    go = threading.Event()
    load = ModelPool.batching

    def slow(self: ModelPool, name: str) -> Any:
        assert go.wait(PATIENCE_S)
        return load(self, name)

    monkeypatch.setattr(ModelPool, "batching", slow)
    app = create_app(collection_folder, settings=SETTINGS, limits=ONE)
    with (
        Running(app, path="/healthz") as server,
        Looking(browser, server.address, waits=False) as look,
    ):
        page = look.page
        says = "document.querySelector('#says').textContent"
        until(page, f"{says} === 'The model is loading …'")
        polls = len(look.asked)
        while len(look.asked) == polls:  # it asks again by itself
            page.wait_for_timeout(50)
        go.set()
        until(page, f"{says} === ''")
        ask(page, "red")
        assert "rose.png" in names(page)
        assert look.complaints == []


def test_the_folders_are_brought_up_to_date(browser: Browser, own_copy: tuple[Path, Path]) -> None:
    media, folder = own_copy
    (media / "broken.jpg").write_bytes(b"\xff\xd8\xff\xe0 no picture")
    app = create_app(folder, settings=SETTINGS, roots=[media], limits=ONE)
    with Running(app) as server, Looking(browser, server.address) as look:
        page = look.page
        page.wait_for_selector("#update:not([hidden])")
        expect(page.locator(".hero")).to_contain_text("Press Update")
        page.click("#update")
        until(page, "document.querySelector('#job-title').textContent === 'Up to date'")
        expect(page.locator("#job-says")).to_contain_text("11 added, 1 failed")
        expect(page.locator("#job-failures")).to_contain_text("broken.jpg")
        page.keyboard.press("Escape")
        until(page, "document.querySelector('#holdings').textContent.includes('5 photos')")
        ask(page, "red")
        assert "rose.png" in names(page)


def test_after_the_first_update_the_page_shows_what_came(
    browser: Browser, own_copy: tuple[Path, Path]
) -> None:
    media, folder = own_copy
    app = create_app(folder, settings=SETTINGS, roots=[media], limits=ONE)
    with Running(app) as server, Looking(browser, server.address) as look:
        page = look.page
        page.wait_for_selector("#update:not([hidden])")
        page.click("#update")
        until(page, "document.querySelectorAll('#tiles .card:not(.blank)').length === 11")
        page.wait_for_selector("#job[open]", state="detached")
        until(page, "document.querySelector('#says').textContent === 'Up to date: 11 added'")
        expect(page.locator(".hero")).not_to_contain_text("Press Update")
        until(page, "document.querySelector('#examples button')")
        assert look.complaints == []


def test_what_the_page_is_made_of(running: Running) -> None:
    from urllib.request import urlopen

    parts = Path(__file__).resolve().parents[2] / "seehear" / "server" / "page"
    for part in parts.iterdir():
        if part.suffix in {".html", ".css", ".js", ".svg"}:
            text = part.read_text(encoding="utf-8")
            assert not re.search(r"https?://(?!www\.w3\.org/)", text), part.name
            assert not re.search(r"\bon\w+=|style=|<script>|javascript:|eval\(|innerHTML", text), (
                part.name
            )
            with urlopen(f"{running.address}/page/{part.name}") as answer:
                assert answer.headers["x-content-type-options"] == "nosniff"


def test_missing_parts_are_not_found(client: Any) -> None:
    for name in ("nothing.js", "__init__.py", "..%2fapp.py", "%2e%2e/app.py"):
        assert client.get(f"/page/{name}").status_code == 404
