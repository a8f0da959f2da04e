"""The web page in a real browser: what a person does with it, by mouse, by keys, by ear."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from seehear.server import create_app
from tests.server.conftest import SETTINGS, Running, picture, sound
from tests.server.looking import Looking, browser_or_skip, mistakes_of, until

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with browser_or_skip() as browser:
        yield browser


@pytest.fixture
def look(browser: Browser, running: Running) -> Iterator[Looking]:
    """The page, open; at the end it must not have complained or asked anybody else."""
    with Looking(browser, running.address) as looking:
        yield looking
    assert looking.complaints == []
    assert all(url.startswith((running.address, "blob:")) for url in looking.asked)


def ask(page: Page, text: str) -> None:
    page.fill("#text", text)
    until(page, "document.querySelector('#says').textContent.match(/result|Nothing/)")


def names(page: Page, within: str = "#results") -> list[str]:
    return page.locator(f"{within} .card .name").all_inner_texts()


def drop(page: Page, path: Path, kind: str) -> None:
    """Drop a file on the page, as the desktop does."""
    page.evaluate(
        """([data, name, type]) => {
            const bytes = Uint8Array.from(atob(data), (c) => c.charCodeAt(0));
            const carried = new DataTransfer();
            carried.items.add(new File([bytes], name, { type }));
            for (const what of ['dragenter', 'dragover', 'drop'])
                window.dispatchEvent(new DragEvent(what, { dataTransfer: carried, bubbles: true }));
        }""",
        [base64.b64encode(path.read_bytes()).decode(), path.name, kind],
    )


def test_words_bring_cards(look: Looking) -> None:
    page = look.page
    page.fill("#text", "red")  # no Enter: results are live
    page.wait_for_selector(".card")
    assert "rose.png" in names(page)
    assert re.fullmatch(r"\d+ results?", page.inner_text("#says"))
    rose = page.locator(".card", has_text="rose.png")
    assert rose.locator("img").evaluate("i => i.decode().then(() => i.naturalWidth)") == 160
    label = rose.locator(".view").get_attribute("aria-label") or ""
    assert re.match(r"rose\.png, photo, in media/photos, score \d\.\d\d", label)
    assert page.url.endswith("?q=red")


def test_a_search_can_be_kept_as_an_address(look: Looking) -> None:
    look.page.goto(f"{look.address}/?q=green&kind=video")
    look.page.wait_for_selector(".card")
    assert names(look.page)[0] == "day.mp4"
    assert look.page.input_value("#text") == "green"


def test_a_dropped_photo(look: Looking, tmp_path: Path) -> None:
    drop(look.page, picture(tmp_path / "holiday.png", "green"), "image/png")
    look.page.wait_for_selector(".chip img")
    look.page.wait_for_selector(".card")
    assert "meadow.png" in names(look.page)
    assert look.page.inner_text(".chip") == "holiday.png"
    assert look.page.locator("#drop").is_hidden()
    look.page.click(".chip button")
    look.page.wait_for_selector("body.resting")


def test_a_dropped_sound_and_words_together(look: Looking, tmp_path: Path) -> None:
    drop(look.page, sound(tmp_path / "heard.wav", "purple"), "audio/wav")
    look.page.wait_for_selector(".card")
    assert names(look.page)[0] == "flute.wav"
    card = look.page.locator(".card", has_text="flute.wav")
    card.locator("canvas").wait_for()
    look.page.wait_for_selector(".card canvas.drawn")
    ask(look.page, "purple")
    assert "flute.wav" in names(look.page)


def test_a_video_plays_at_its_moment(look: Looking) -> None:
    page = look.page
    ask(page, "blue")
    page.check("[name=kind][value=video]", force=True)
    until(page, "document.querySelectorAll('.card').length <= 2")
    card = page.locator(".card", has_text="day.mp4")
    start_s = card.evaluate("c => c.hit.start_s")
    assert start_s >= 2.5
    card.locator(".view").hover()
    until(page, "s => document.querySelector('.card video')?.currentTime >= s", arg=start_s)
    assert card.locator("video").evaluate("v => v.muted")
    card.locator(".view").click()
    page.wait_for_selector("#viewer[open]")
    until(page, "s => document.querySelector('#viewer video').currentTime >= s", arg=start_s)
    page.keyboard.press("Escape")
    page.wait_for_selector("#viewer[open]", state="detached")


def test_a_sound_is_seen_and_heard(look: Looking) -> None:
    page = look.page
    ask(page, "purple")
    page.check("[name=kind][value=audio]", force=True)
    until(page, "document.querySelector('.card')?.hit.modality === 'audio'")
    page.locator(".card", has_text="flute.wav").locator(".view").click()
    page.wait_for_selector("#viewer .sound img")
    page.wait_for_selector("#viewer canvas.drawn")
    until(page, "document.querySelector('#viewer audio').currentTime >= 0")
    assert page.get_by_role("img", name="Spectrogram of flute.wav").is_visible()


def test_a_passage_is_read(look: Looking) -> None:
    page = look.page
    ask(page, "green frog")
    page.check("[name=kind][value=text]", force=True)
    until(page, "document.querySelector('.card')?.hit.modality === 'text'")
    assert page.locator(".card mark").first.inner_text().lower() in {"green", "frog"}
    page.locator(".card .view").first.click()
    assert "the frog sings" in page.inner_text("#viewer blockquote")


def test_filters(look: Looking) -> None:
    page = look.page
    ask(page, "red")
    page.check("[name=kind][value=image]", force=True)
    until(page, "[...document.querySelectorAll('.card')].every(c => c.hit.modality === 'image')")
    page.click("#narrow")
    page.fill("#under", "media/photos/2024")
    page.locator("#under").blur()
    until(page, "[...document.querySelectorAll('.card')].every(c => c.hit.folder.endsWith('2024'))")
    assert set(names(page)) <= {"flag.png", "meadow.png"}
    assert "media/photos" in page.locator("#folders option").evaluate_all(
        "o => o.map(x => x.value)"
    )
    page.click("#reset")
    until(page, "document.querySelectorAll('.card').length > 2")


def test_more_like_this_and_not_this(look: Looking) -> None:
    page = look.page
    ask(page, "red")
    page.get_by_role("button", name="More like rose.png").click()
    page.wait_for_selector(".chip:has-text('like rose.png')")
    page.get_by_role("button", name="Not like siren.wav").click()
    page.wait_for_selector(".chip.not:has-text('not siren.wav')")
    page.wait_for_selector("body:not(.busy)")
    assert page.locator("#trouble").is_hidden()
    assert page.locator(".card").count() > 0
    sent = look.bodies[-1]
    assert len(sent["like"]) == len(sent["unlike"]) == 1
    page.get_by_role("button", name="Remove not siren.wav").click()
    until(page, "document.querySelectorAll('.chip').length === 1")


def test_an_empty_answer_says_so(look: Looking) -> None:
    page = look.page
    ask(page, "red")
    page.check("[name=kind][value=audio]", force=True)
    page.click("#narrow")
    page.fill("#under", "media/photos")
    page.locator("#under").blur()
    until(page, "document.querySelector('#says').textContent.startsWith('Nothing found')")
    assert page.locator(".card").count() == 0


def test_mistakes_are_told_in_words(look: Looking, tmp_path: Path) -> None:
    page = look.page
    look.expects_refusals = True
    ask(page, "red")
    page.click("#narrow")
    page.fill("#where", "colour = red")
    page.locator("#where").blur()
    page.wait_for_selector("#trouble:not([hidden])")
    assert "colour" in page.inner_text("#trouble")
    page.click("#reset")
    page.wait_for_selector("#trouble", state="hidden")
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(b"\xff\xd8\xff\xe0 no picture")
    drop(page, broken, "image/jpeg")
    page.wait_for_selector("#trouble:not([hidden])")
    assert "broken.jpg" in page.inner_text("#trouble")


def test_weak_hits_stand_apart(look: Looking) -> None:
    page = look.page
    ask(page, "red")
    assert all(page.locator("#strong .card").evaluate_all("c => c.map(x => !x.hit.weak)"))
    assert all(page.locator("#weak .card").evaluate_all("c => c.map(x => x.hit.weak)"))
    ask(page, "quixotic zebra parade")
    until(page, "document.querySelector('#says').textContent.startsWith('Nothing')")
    assert page.locator("#strong .card").count() == 0


def test_keys_alone_are_enough(look: Looking) -> None:
    page = look.page
    page.keyboard.press("Tab")  # away from the box, which has the focus at first
    page.keyboard.press("/")
    page.keyboard.type("red")
    page.wait_for_selector(".card")
    page.wait_for_selector("body:not(.busy)")
    page.keyboard.press("ArrowDown")
    focused = "document.activeElement.closest('.card')?.hit.name"
    first = page.evaluate(focused)
    assert first == names(page)[0]
    page.keyboard.press("ArrowRight")
    assert page.evaluate(focused) == names(page)[1]
    page.keyboard.press("End")
    assert page.evaluate(focused) == names(page)[-1]
    page.keyboard.press("Home")
    page.keyboard.press("Enter")
    page.wait_for_selector("#viewer[open]")
    assert page.inner_text("#viewed") == first
    page.keyboard.press("ArrowRight")
    assert page.inner_text("#viewed") == names(page)[1]
    page.keyboard.press("Escape")
    assert page.evaluate(focused) == first
    page.keyboard.press("+")
    page.wait_for_selector(f".chip:has-text('like {first}')")
    page.keyboard.press("Escape")
    page.wait_for_selector("body.resting")
    assert page.input_value("#text") == ""


def test_a_recorded_sound_is_a_query(look: Looking) -> None:
    page = look.page
    page.click("#record")
    until(page, "document.querySelector('#record').getAttribute('aria-pressed') === 'true'")
    page.wait_for_timeout(2500)  # the browser's pretended microphone beeps every second
    page.click("#record")
    page.wait_for_selector(".chip:has-text('recording')")
    until(
        page,
        "document.querySelector('.card') || document.querySelector('#says').textContent"
        ".startsWith('Nothing')",
    )
    assert page.locator("#trouble").is_hidden()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [(1280, 860), (390, 844)], ids=["wide", "phone"])
def test_nobody_is_shut_out(
    browser: Browser, running: Running, scheme: str, size: tuple[int, int]
) -> None:
    """axe-core finds nothing, in every state of the page; nothing scrolls sideways."""
    with Looking(browser, running.address, scheme=scheme, size=size) as look:
        page = look.page
        assert mistakes_of(page) == []
        ask(page, "red")
        page.click("#narrow")
        assert mistakes_of(page) == []
        wide = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
        assert page.evaluate(wide) == 0
        page.click("#narrow")
        page.locator(".card", has_text="siren.wav").locator(".view").click()
        page.wait_for_selector("#viewer .sound img")
        assert mistakes_of(page) == []
        page.keyboard.press("Escape")
        page.click("#help")
        assert mistakes_of(page) == []


def test_the_theme_can_be_turned_and_is_kept(look: Looking) -> None:
    page = look.page
    paper = "getComputedStyle(document.body).backgroundColor"
    light = page.evaluate(paper)
    page.click("#theme")
    dark = page.evaluate(paper)
    assert dark != light
    page.reload()
    assert page.evaluate(paper) == dark


def test_a_token_is_asked_for(browser: Browser, collection_folder: Path) -> None:
    token = "a token of many characters"
    app = create_app(collection_folder, settings=SETTINGS, token=token)
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


def test_the_folders_are_brought_up_to_date(browser: Browser, own_copy: tuple[Path, Path]) -> None:
    media, folder = own_copy
    (media / "broken.jpg").write_bytes(b"\xff\xd8\xff\xe0 no picture")
    app = create_app(folder, settings=SETTINGS, roots=[media])
    with Running(app) as server, Looking(browser, server.address) as look:
        page = look.page
        page.wait_for_selector("#update:not([hidden])")
        assert "press Update" in page.inner_text(".hero")
        page.click("#update")
        until(page, "document.querySelector('#job-title').textContent === 'Up to date'")
        assert "11 added, 1 failed" in page.inner_text("#job-says")
        assert "broken.jpg" in page.inner_text("#job-failures")
        page.keyboard.press("Escape")
        until(page, "document.querySelector('#holdings').textContent.includes('5 photos')")
        ask(page, "red")
        assert "rose.png" in names(page)


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
