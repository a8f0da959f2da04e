"""Looking through all files on the page in a real browser, also through very many."""

from __future__ import annotations

import json
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

import pytest
from playwright.sync_api import expect

from tests.page.looking import Looking, ask, leave, mistakes_of, names, only, settled, until
from tests.server.conftest import Running

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page, Route

pytestmark = pytest.mark.timeout(300)

MANY = 100_000
DAYS = 2_500


def headings(page: Page) -> list[str]:
    return page.locator("#tiles .group").all_inner_texts()


def shown(page: Page, count: int) -> None:
    """Wait until so many files are in view, none of them a blank."""
    until(page, f"document.querySelectorAll('#tiles .card:not(.blank)').length === {count}")


def test_there_is_something_to_look_at_before_typing(look: Looking) -> None:
    page = look.page
    shown(page, 11)
    assert [head.split()[-1] for head in headings(page)] == ["11"]
    assert str(date.today().year) in headings(page)[0]
    assert len(set(names(page))) == 11
    until(page, "document.querySelector('#examples button')")
    assert len(page.locator("#examples button").all_inner_texts()) <= 3
    page.click("#examples button >> nth=0")
    settled(page)
    assert page.locator("#strong .card").count() > 0  # it has an answer
    expect(page.locator("#wall")).to_be_hidden()
    page.evaluate("history.back()")
    shown(page, 11)


def test_folders_and_kinds(look: Looking) -> None:
    page = look.page
    page.click("[data-by=kind]")
    settled(page)
    shown(page, 11)
    assert [head.split()[0] for head in headings(page)] == ["Photos", "Videos", "Sounds", "Texts"]
    page.click("[data-by=folder]")
    settled(page)
    until(page, "document.querySelector('#tiles h2')?.textContent === 'media/clips'")
    assert page.url.endswith("/?group=folder")
    page.get_by_role("button", name="media/photos", exact=True).click()
    shown(page, 5)
    assert [head.split("\n")[0] for head in headings(page)] == ["media/photos", "media/photos/2024"]
    expect(page.locator("#says")).to_have_text("5 files")
    expect(page.locator("#active .word")).to_have_text("in media/photos")
    page.evaluate("history.back()")
    shown(page, 11)
    page.evaluate("history.back()")
    until(page, "document.querySelector('#tiles h2')?.textContent === 'Photos'")


def test_filters_without_a_query_look_through_what_passes(look: Looking) -> None:
    page = look.page
    only(page, "audio")
    shown(page, 2)
    assert set(names(page)) == {"siren.wav", "flute.wav"}
    expect(page.locator("#says")).to_have_text("2 files")
    page.click("#narrow")
    leave(page, "#where", "duration > 1h")
    expect(page.locator("#says")).to_have_text("0 files")
    page.click("#clear-all")
    shown(page, 11)
    page.wait_for_selector("body.resting")


def test_the_viewer_steps_through_all_files(look: Looking) -> None:
    page = look.page
    page.click("[data-by=kind]")
    settled(page)
    shown(page, 11)
    order = names(page)
    page.locator("#tiles .card").nth(1).locator(".view").click()
    page.wait_for_selector("#viewer[open]")
    page.keyboard.press("ArrowRight")
    until(page, "s => document.querySelector('#viewed').textContent === s", arg=order[2])
    expect(page.locator("#viewer dt:text('Score')")).to_have_count(0)
    assert mistakes_of(page) == []
    page.goto(page.url)
    until(page, "s => document.querySelector('#viewed').textContent === s", arg=order[2])
    page.locator("#viewer").get_by_role("button", name="More like this").click()
    settled(page)
    assert len(look.bodies[-1]["like"]) == 1
    expect(page.locator("#trouble")).to_be_hidden()


def test_keys_move_among_files(look: Looking) -> None:
    page = look.page
    shown(page, 11)
    focused = "document.activeElement.closest('.card')?.hit.name"
    page.locator("#text").focus()
    page.keyboard.press("ArrowDown")
    assert page.evaluate(focused) == names(page)[0]
    page.keyboard.press("ArrowRight")
    assert page.evaluate(focused) == names(page)[1]
    page.keyboard.press("ArrowDown")
    assert page.evaluate(focused) in names(page)[4:]
    page.keyboard.press("+")
    page.wait_for_selector("#chips .chip:has-text('like')")
    settled(page)
    expect(page.locator("#text")).to_have_value("")


# --- very many ---------------------------------------------------------------------------


def serve_many(route: Route) -> None:
    """Answer for a collection of 100,000 photos over 2,500 days."""
    parts = urlsplit(route.request.url)
    asked = {name: values[0] for name, values in parse_qs(parts.query).items()}
    answer: dict[str, Any] = {"version": "1"}
    if parts.path.endswith("items"):
        start, count = int(asked["start"]), int(asked["count"])
        answer["items"] = [item(number) for number in range(start, min(MANY, start + count))]
    else:
        newest = date(2026, 6, 30)
        days = [newest - timedelta(days=n) for n in range(DAYS)]
        answer["groups"] = [{"key": str(day), "count": MANY // DAYS} for day in days]
        answer["total"] = MANY
    route.fulfill(body=json.dumps(answer), content_type="application/json")


def item(number: int) -> dict[str, Any]:
    return {
        "asset_id": number + 1, "segment_id": number + 1, "modality": "image", "format": "jpeg",
        "name": f"photo {number}.jpg", "folder": "media/many", "snippet": None, "width_px": 40,
        "height_px": 30, "duration_s": None, "taken_at": None, "city": None, "country": None,
        "camera": None, "people": None, "thumbnail": "/page/icon.svg", "media": "/page/icon.svg",
    }  # fmt: skip


FRAMES = """async () => {
    const late = [];
    let last = performance.now();
    for (let n = 0; n < 120; n += 1) {
        scrollBy(0, 400);
        await new Promise(requestAnimationFrame);
        late.push(performance.now() - last);
        last = performance.now();
    }
    return late.sort((a, b) => a - b);
}"""


def test_only_what_is_near_the_view_is_in_the_page(browser: Browser, running: Running) -> None:
    with Looking(browser, running.address) as look:
        page = look.page
        page.route("**/v1/browse**", serve_many)
        page.reload()
        settled(page)
        until(page, "document.querySelectorAll('#tiles .card:not(.blank)').length > 10")
        count = "document.querySelectorAll('#tiles > li').length"
        assert page.evaluate(count) < 120
        look.asked.clear()
        times = page.evaluate(FRAMES)  # 48,000 pixels in two seconds: too fast to read
        assert times[len(times) // 2] < 34  # at least half of the frames are on time
        assert page.evaluate(count) < 200
        until(page, "!document.querySelector('#tiles .card.blank')")
        assert sum("/items" in url for url in look.asked) < 12  # not all that flew by

        page.evaluate("scrollTo(0, document.documentElement.scrollHeight)")
        until(page, "document.querySelector('#tiles').textContent.includes('photo 99999.jpg')")
        assert page.evaluate(count) < 200
        expect(page.locator("#wall-at")).to_contain_text("2019")
        last = page.locator("#tiles .card", has_text="photo 99999.jpg")
        expect(last).to_have_attribute("aria-posinset", "100000")
        at = page.evaluate("scrollY")
        ask(page, "red")
        page.evaluate("history.back()")
        until(page, "document.querySelector('#tiles').textContent.includes('photo 99999.jpg')")
        assert abs(page.evaluate("scrollY") - at) < 5  # back to where it was
