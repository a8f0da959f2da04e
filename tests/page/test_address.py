"""The page's address in a real browser: what was asked, the moment that is open, going back."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, urlsplit

import pytest
from playwright.sync_api import expect

from tests.page.looking import (
    Looking,
    ask,
    comes_to,
    drop,
    leave,
    mistakes_of,
    names,
    only,
    settled,
    until,
)
from tests.server.conftest import Running, picture

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = pytest.mark.timeout(300)


def asked(page: Page) -> list[tuple[str, str]]:
    return parse_qsl(urlsplit(page.url).query)


def go_back(page: Page, text: str) -> None:
    page.evaluate("history.back()")
    until(page, "s => document.querySelector('#text').value === s", arg=text)
    settled(page)


def test_all_of_a_query_is_in_its_address(look: Looking) -> None:
    page = look.page
    ask(page, "red")
    only(page, "image")
    page.get_by_role("button", name="More like rose.png").click()
    settled(page)
    page.get_by_role("button", name="Not like sky.png").click()
    page.click("#narrow")
    leave(page, "#under", "media/photos")
    leave(page, "#from", "1999-12-31")
    leave(page, "#to", "2099-01-01")
    leave(page, "#without", "a dog, or two")
    leave(page, "#where", "width > 9 or height > 9")
    page.select_option("#mode", "semantic")
    page.check("#diverse")
    page.check("#duplicates")
    settled(page)
    query = dict(asked(page))
    assert set(query) == {
        *("q", "kind", "like", "unlike", "under", "from", "to", "without", "where", "by"),
        *("variety", "copies"),
    }
    sent = look.bodies[-1]

    page.goto(page.url)  # a new page, as another person opens it
    settled(page)
    assert look.bodies[-1] == {**sent, "typing": False}
    assert dict(asked(page)) == query
    page.wait_for_selector("#chips .chip:has-text('like rose.png')")
    page.wait_for_selector("#chips .chip.not:has-text('not sky.png')")


@pytest.mark.parametrize("query", ["like=&unlike=x.y", "like=1.999999999", "kind=nothing&by=sight"])
def test_an_address_that_asks_for_nonsense_is_no_trouble(look: Looking, query: str) -> None:
    look.expects_refusals = True
    look.page.goto(f"{look.address}/?q=red&{query}")
    settled(look.page)
    assert names(look.page) or look.page.locator("#trouble").is_visible()


def test_filters_are_chips_that_can_be_taken_away(look: Looking) -> None:
    page = look.page
    ask(page, "red")
    page.click("#narrow")
    leave(page, "#under", "media/photos")
    leave(page, "#without", "white")
    page.check("#diverse")
    page.click("#narrow")  # the panel is closed; its filters are still seen
    expect(page.locator("#options")).to_be_hidden()
    says = page.locator("#active .word").all_inner_texts()
    assert says == ["in media/photos", "without white", "more variety"]
    expect(page.locator("#count")).to_have_text("3")
    assert mistakes_of(page) == []
    page.get_by_role("button", name="Remove in media/photos").click()
    settled(page)
    assert "under" not in look.bodies[-1]
    assert look.bodies[-1]["without"] == "white"
    comes_to(page, "document.activeElement.id", "narrow")  # keys are not lost
    only(page, "audio")
    page.click("#clear-all")
    settled(page)
    assert set(look.bodies[-1]) == {"text", "as_written", "k", "typing", "moments"}
    expect(page.locator("#active")).to_be_hidden()
    expect(page.locator("#count")).to_have_text("")


def test_back_goes_through_what_was_asked(look: Looking, tmp_path: Path) -> None:
    page = look.page
    ask(page, "r")
    ask(page, "re")
    ask(page, "red")
    page.keyboard.press("Enter")
    settled(page)
    first = names(page)
    ask(page, "green")
    only(page, "video")
    page.click("#narrow")
    leave(page, "#without", "blue")
    go_back(page, "green")
    assert asked(page) == [("q", "green"), ("kind", "video")]
    expect(page.locator("#without")).to_have_value("")
    go_back(page, "green")
    assert asked(page) == [("q", "green")]
    go_back(page, "red")
    assert names(page) == first
    go_back(page, "")  # letters that were typed in one go are one step
    assert page.url.endswith("/")
    page.evaluate("history.forward()")
    until(page, "document.querySelector('#text').value === 'red'")
    settled(page)

    drop(page, picture(tmp_path / "holiday.png", "green"), "image/png")
    settled(page)
    with_file = names(page)
    ask(page, "")
    go_back(page, "red")
    expect(page.locator("#chips .chip")).to_have_text("holiday.png")  # files come back, too
    assert names(page) == with_file
    page.reload()
    settled(page)
    until(page, "document.querySelector('#says').textContent.includes('Add it again')")
    expect(page.locator("#says")).to_contain_text("holiday.png is no longer at hand")


def test_back_goes_out_of_the_viewer(look: Looking) -> None:
    page = look.page
    ask(page, "blue")
    only(page, "video")
    page.locator(".card", has_text="day.mp4").locator(".view").click()
    page.wait_for_selector("#viewer[open]")
    assert urlsplit(page.url).path.startswith("/moment/")
    assert urlsplit(page.url).fragment.startswith("t=")
    page.keyboard.press("ArrowRight")
    until(page, "document.querySelector('#viewed').textContent === 'dusk.mp4'")
    number = page.evaluate("document.querySelector('.card:nth-child(1)').hit.asset_id")
    assert urlsplit(page.url).path != f"/moment/{number}"
    page.evaluate("history.back()")
    page.wait_for_selector("#viewer[open]", state="detached")
    assert asked(page) == [("q", "blue"), ("kind", "video")]
    assert len(names(page)) == 2
    page.evaluate("history.forward()")
    page.wait_for_selector("#viewer[open]")
    page.keyboard.press("Escape")
    page.wait_for_selector("#viewer[open]", state="detached")
    until(page, "location.pathname === '/'")
    go_back(page, "blue")
    assert asked(page) == [("q", "blue")]


_CLOSE_AND_TYPE = """() => {
    document.querySelector('#viewer').close();
    const text = document.querySelector('#text');
    text.value = 'blue';
    text.dispatchEvent(new Event('input', { bubbles: true }));
}"""


def test_what_is_typed_while_the_viewer_closes_is_asked(look: Looking) -> None:
    page = look.page
    ask(page, "red")
    page.locator(".card", has_text="rose.png").locator(".view").click()
    page.wait_for_selector("#viewer[open]")
    page.evaluate(_CLOSE_AND_TYPE)  # the browser goes back after that
    settled(page)
    expect(page.locator("#text")).to_have_value("blue")
    assert asked(page) == [("q", "blue")]
    assert urlsplit(page.url).path == "/"


_CLOSE_AND_OPEN = """() => {
    document.querySelector('#viewer').close();
    document.querySelector('#viewer').addEventListener(
        'close', () => document.querySelector('.card:nth-child(2) .view').click(), { once: true }
    );
}"""


def test_what_is_opened_while_the_viewer_closes_stays_open(look: Looking) -> None:
    page = look.page
    ask(page, "red")
    first, second = names(page)[:2]
    page.locator(".card", has_text=first).first.locator(".view").click()
    until(page, "s => document.querySelector('#viewed').textContent === s", arg=first)
    page.evaluate(_CLOSE_AND_OPEN)
    until(page, "s => document.querySelector('#viewed').textContent === s", arg=second)
    page.wait_for_selector("#viewer[open]")
    page.wait_for_timeout(300)  # the browser has gone back by then
    expect(page.locator("#viewer[open]")).to_have_count(1)
    assert urlsplit(page.url).path.startswith("/moment/")
    page.keyboard.press("Escape")
    until(page, "location.pathname === '/'")
    assert asked(page) == [("q", "red")]


def test_back_while_typing_shows_where_it_leads(look: Looking) -> None:
    page = look.page
    ask(page, "red")
    page.locator(".card", has_text="rose.png").locator(".view").click()
    page.wait_for_selector("#viewer[open]")
    page.keyboard.press("Escape")
    until(page, "location.pathname === '/'")
    page.evaluate("history.forward()")
    page.wait_for_selector("#viewer[open]")
    page.evaluate("document.querySelector('#text').dispatchEvent(new Event('input'))")
    page.evaluate("history.back()")
    page.wait_for_selector("#viewer[open]", state="detached")
    settled(page)
    assert asked(page) == [("q", "red")]


def test_more_like_this_in_the_viewer_leads_on(look: Looking) -> None:
    page = look.page
    ask(page, "red")
    page.locator(".card", has_text="rose.png").locator(".view").click()
    page.locator("#viewer").get_by_role("button", name="More like this").click()
    page.wait_for_selector(".chip:has-text('like rose.png')")
    settled(page)
    assert urlsplit(page.url).path == "/"
    page.evaluate("history.back()")
    page.wait_for_selector("#viewer[open]")
    expect(page.locator("#viewed")).to_have_text("rose.png")


def asset_of(running: Running, name: str) -> int:
    from urllib.request import Request, urlopen

    wish = Request(
        f"{running.address}/v1/search",
        data=f'{{"text": "red", "where": "name = {name}"}}'.encode(),
        headers={"content-type": "application/json"},
    )
    import json

    with urlopen(wish) as answer:
        return int(json.load(answer)["hits"][0]["asset_id"])


@pytest.mark.parametrize(
    ("fragment", "start_s", "stop_s"),
    [
        ("t=4.5,5", 4.5, 5.0),
        pytest.param("t=4.5", 4.5, None, marks=pytest.mark.slow),
        ("t=npt:0:00:04.5", 4.5, None),
        pytest.param("t=,2", 0.0, 2.0, marks=pytest.mark.slow),
        pytest.param("t=5,2", 5.0, None, marks=pytest.mark.slow),
        ("t=nonsense", 0.0, None),
        pytest.param("", 0.0, None, marks=pytest.mark.slow),
    ],
)
def test_a_moment_has_an_address(
    look: Looking, running: Running, fragment: str, start_s: float, stop_s: float | None
) -> None:
    page = look.page
    page.goto(f"{look.address}/moment/{asset_of(running, 'day.mp4')}#{fragment}")
    page.wait_for_selector("#viewer[open]")
    expect(page.locator("#viewed")).to_have_text("day.mp4")
    until(page, "document.querySelector('#viewer video').readyState >= 2")
    at = page.evaluate("document.querySelector('#viewer video').currentTime")
    assert start_s <= at < start_s + 3  # it plays
    moment = page.locator("#viewer dt:text('Moment') + dd")
    assert moment.count() == (stop_s is not None)
    assert mistakes_of(page) == []
    page.keyboard.press("Escape")
    until(page, "location.pathname === '/' && !location.hash")
    page.wait_for_selector("body.resting")


def test_a_moment_that_does_not_exist_is_told(look: Looking) -> None:
    look.expects_refusals = True
    look.page.goto(f"{look.address}/moment/987654321#t=1")
    until(look.page, "!document.querySelector('#trouble').hidden")
    expect(look.page.locator("#trouble")).to_contain_text("987654321")
    expect(look.page.locator("#viewer[open]")).to_have_count(0)


def test_the_page_is_served_at_the_address_of_a_moment(running: Running) -> None:
    from urllib.request import urlopen

    with urlopen(f"{running.address}/moment/1") as answer:
        assert "script-src 'self'" in answer.headers["content-security-policy"]
        assert "#viewer" not in answer.headers
        assert b'<dialog id="viewer"' in answer.read()
