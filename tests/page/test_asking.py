"""The web page in a real browser: what a person does with it, by mouse, by keys, by ear."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from PIL import Image, ImageDraw
from playwright.sync_api import expect

from seehear.collection import Collection
from seehear.server import ServiceLimits, create_app
from tests.page.looking import Looking, ask, comes_to, drop, leave, names, only, settled, until
from tests.server.conftest import SETTINGS, Running, picture, sound

if TYPE_CHECKING:
    from playwright.sync_api import Browser

pytestmark = pytest.mark.timeout(300)

ONE = ServiceLimits(decode_workers=1)


def test_words_bring_cards(look: Looking) -> None:
    page = look.page
    page.fill("#text", "red")  # no Enter: results are live
    settled(page)
    assert "rose.png" in names(page)
    assert re.fullmatch(r"\d+ best match(es)? · \d+ more results?", page.inner_text("#says"))
    rose = page.locator(".card", has_text="rose.png")
    assert rose.locator("img").evaluate("i => i.decode().then(() => i.naturalWidth)") == 160
    label = rose.locator(".view").get_attribute("aria-label") or ""
    assert re.match(r"rose\.png, photo, in media/photos, score \d\.\d\d", label)
    assert page.url.endswith("?q=red")


def test_a_search_can_be_kept_as_an_address(look: Looking) -> None:
    look.page.goto(f"{look.address}/?q=green&kind=video")
    settled(look.page)
    assert names(look.page)[0] == "day.mp4"
    expect(look.page.locator("#text")).to_have_value("green")


def test_a_dropped_photo(look: Looking, tmp_path: Path) -> None:
    drop(look.page, picture(tmp_path / "holiday.png", "green"), "image/png")
    look.page.wait_for_selector(".chip img")
    settled(look.page)
    assert "meadow.png" in names(look.page)
    expect(look.page.locator(".chip")).to_have_text("holiday.png")
    expect(look.page.locator("#drop")).to_be_hidden()
    look.page.click(".chip button")
    look.page.wait_for_selector("body.resting")


def test_a_dropped_sound_and_words_together(look: Looking, tmp_path: Path) -> None:
    drop(look.page, sound(tmp_path / "heard.wav", "purple"), "audio/wav")
    settled(look.page)
    assert names(look.page)[0] == "flute.wav"
    card = look.page.locator(".card", has_text="flute.wav")
    card.locator("canvas").wait_for()
    look.page.wait_for_selector(".card canvas.drawn")
    ask(look.page, "purple")
    assert "flute.wav" in names(look.page)


def test_a_video_plays_at_its_moment(look: Looking) -> None:
    page = look.page
    ask(page, "blue")
    only(page, "video")
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
    only(page, "audio")
    page.locator(".card", has_text="flute.wav").locator(".view").click()
    page.wait_for_selector("#viewer .sound img")
    page.wait_for_selector("#viewer canvas.drawn")
    until(page, "document.querySelector('#viewer audio').currentTime >= 0")
    expect(page.get_by_role("img", name="Spectrogram of flute.wav")).to_be_visible()


def test_a_passage_is_read(look: Looking) -> None:
    page = look.page
    ask(page, "green frog")
    only(page, "text")
    assert page.locator(".card mark").first.inner_text().lower() in {"green", "frog"}
    page.locator(".card .view").first.click()
    expect(page.locator("#viewer blockquote")).to_contain_text("the frog sings")
    marked = page.locator("#viewer blockquote mark").all_inner_texts()
    assert {word.lower() for word in marked} == {"green", "frog"}


def test_filters(look: Looking) -> None:
    page = look.page
    ask(page, "red")
    only(page, "image")
    kinds = page.locator(".card").evaluate_all("c => c.map(x => x.hit.modality)")
    assert set(kinds) == {"image"}
    page.click("#narrow")
    until(page, "document.querySelector('#folders option[value=\"media/photos\"]') !== null")
    leave(page, "#under", "media/photos/2024")
    assert set(names(page)) == {"flag.png", "meadow.png"}
    leave(page, "#where", "width < 100")
    assert names(page) == []
    page.click("#clear-all")
    settled(page)
    assert len(names(page)) == 11
    leave(page, "#without", "white")
    assert look.bodies[-1]["without"] == "white"


@pytest.fixture(scope="module")
def crowd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """Photos of three years, a photo twice, and more notes than the page shows at first."""
    folder = tmp_path_factory.mktemp("crowd")
    for year, colour in (("2022", "blue"), ("2023", "orange"), ("2024", "purple")):
        photo = picture(folder / "media" / f"{year}.jpg", colour)
        exif = Image.Exif()
        exif.get_ifd(0x8769)[0x9003] = f"{year}:06:15 12:00:00"  # DateTimeOriginal
        Image.open(photo).save(photo, exif=exif)
    # Plain colours are no copies of each other: something must be seen in them.
    rose = picture(folder / "media" / "rose.png", "red")
    with Image.open(rose) as drawn:
        ImageDraw.Draw(drawn).ellipse((30, 20, 90, 100), fill=(150, 10, 10))
        ImageDraw.Draw(drawn).line((0, 110, 159, 60), fill=(255, 90, 90), width=9)
        drawn.save(rose)
        drawn.resize((80, 60)).save(folder / "media" / "rose, smaller.jpg")
    for n in range(50):
        note = f"Note {n}: a red thing, number {n * n}."
        (folder / "media" / f"note{n:02d}.md").write_text(note)
    with Collection(folder / "collection", SETTINGS) as collection:
        collection.index(folder / "media")
    app = create_app(folder / "collection", settings=SETTINGS, limits=ONE)
    with Running(app) as server:
        yield server


def test_photos_of_a_time(browser: Browser, crowd: Running) -> None:
    with Looking(browser, crowd.address) as look:
        page = look.page
        ask(page, "red")
        page.click("#narrow")
        leave(page, "#from", "2023-01-01")
        assert set(names(page)) == {"2023.jpg", "2024.jpg"}
        leave(page, "#to", "2023-06-15")  # a day's pictures lie before its end
        assert names(page) == ["2023.jpg"]
        leave(page, "#where", "width > 9")
        assert names(page) == ["2023.jpg"]


def test_copies_are_folded_and_more_can_be_shown(browser: Browser, crowd: Running) -> None:
    with Looking(browser, crowd.address) as look:
        page = look.page
        ask(page, "red")
        assert len(names(page)) == 40
        page.click("#longer")
        settled(page)
        assert len(names(page)) == 54
        focused = "document.activeElement.closest('.card')?.hit.rank"
        comes_to(page, focused, 41)  # keys go on with the first new one
        only(page, "image")
        assert len(names(page)) == 4
        expect(page.locator(".badge.copies")).to_have_text(["+1 similar"])
        page.click("#narrow")
        page.check("#duplicates")
        settled(page)
        assert {"rose.png", "rose, smaller.jpg"} <= set(names(page))
        expect(page.locator(".badge.copies")).to_have_count(0)


def test_more_like_this_and_not_this(look: Looking) -> None:
    page = look.page
    ask(page, "red")
    page.get_by_role("button", name="More like rose.png").click()
    page.wait_for_selector(".chip:has-text('like rose.png')")
    page.get_by_role("button", name="Not like siren.wav").click()
    page.wait_for_selector(".chip.not:has-text('not siren.wav')")
    settled(page)
    expect(page.locator("#trouble")).to_be_hidden()
    assert page.locator(".card").count() > 0
    sent = look.bodies[-1]
    assert len(sent["like"]) == len(sent["unlike"]) == 1
    page.get_by_role("button", name="Remove not siren.wav").click()
    until(page, "document.querySelectorAll('.chip').length === 1")


def test_an_empty_answer_says_so(look: Looking) -> None:
    page = look.page
    ask(page, "red")
    only(page, "audio")
    page.click("#narrow")
    leave(page, "#under", "media/photos")
    assert page.inner_text("#says").startswith("Nothing found")
    expect(page.locator(".card")).to_have_count(0)


def test_mistakes_are_told_in_words(look: Looking, tmp_path: Path) -> None:
    page = look.page
    look.expects_refusals = True
    ask(page, "red")
    page.click("#narrow")
    leave(page, "#where", "colour = red")
    expect(page.locator("#trouble")).to_contain_text("colour")
    page.click("#clear-all")
    settled(page)
    expect(page.locator("#trouble")).to_be_hidden()
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(b"\xff\xd8\xff\xe0 no picture")
    drop(page, broken, "image/jpeg")
    settled(page)
    expect(page.locator("#trouble")).to_contain_text("broken.jpg")


def test_weak_hits_stand_apart(look: Looking) -> None:
    page = look.page
    ask(page, "red")
    assert all(page.locator("#strong .card").evaluate_all("c => c.map(x => !x.hit.weak)"))
    assert all(page.locator("#weak .card").evaluate_all("c => c.map(x => x.hit.weak)"))
    ask(page, "quixotic zebra parade")
    page.keyboard.press("Enter")
    settled(page)
    expect(page.locator("#says")).to_have_text("No best matches · 11 more results")
    expect(page.locator("#strong .card")).to_have_count(0)


def test_keys_alone_are_enough(look: Looking) -> None:
    page = look.page
    page.keyboard.press("Tab")  # away from the box, which has the focus at first
    page.keyboard.press("/")
    page.keyboard.type("red")
    settled(page)
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
    expect(page.locator("#viewed")).to_have_text(first)
    page.keyboard.press("ArrowRight")
    expect(page.locator("#viewed")).to_have_text(names(page)[1])
    page.keyboard.press("Escape")
    until(page, "name => document.activeElement.closest('.card')?.hit.name === name", arg=first)
    page.keyboard.press("+")
    page.wait_for_selector(f".chip:has-text('like {first}')")
    settled(page)
    comes_to(page, focused, first)  # the keys stay with the results
    page.keyboard.press("+")
    page.keyboard.press("-")
    page.wait_for_selector(".chip.not")
    settled(page)
    expect(page.locator("#text")).to_have_value("red")
    page.locator("#text").focus()
    page.keyboard.press("Escape")
    page.wait_for_selector("body.resting")
    expect(page.locator("#text")).to_have_value("")
    expect(page.locator(".chip")).to_have_count(0)
    page.locator("#text").blur()
    page.keyboard.press("?")
    page.wait_for_selector("#keys[open]")


def test_the_space_key_plays_where_it_stands(look: Looking) -> None:
    page = look.page
    ask(page, "purple")
    only(page, "audio")
    page.keyboard.press("Tab")
    page.locator("#text").focus()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Space")
    until(page, "document.querySelector('.card audio')?.currentTime > 0")
    assert not page.locator(".card audio").evaluate("a => a.muted")
    page.keyboard.press("Space")
    until(page, "!document.querySelector('.card audio')")


def test_a_recorded_sound_is_a_query(look: Looking) -> None:
    page = look.page
    page.click("#record")
    until(page, "document.querySelector('#record').getAttribute('aria-pressed') === 'true'")
    # The browser's pretended microphone beeps every second.
    until(page, "document.querySelector('#level').style.getPropertyValue('--level') > 0.05")
    page.wait_for_timeout(200)  # the beep is heard to its end
    page.click("#record")
    page.wait_for_selector(".chip:has-text('recording')")
    settled(page)
    expect(page.locator("#trouble")).to_be_hidden()
    assert names(page) or page.inner_text("#says").startswith("Nothing found")


def test_a_pasted_picture_is_a_query(look: Looking, tmp_path: Path) -> None:
    data = base64.b64encode(picture(tmp_path / "x.png", "blue").read_bytes()).decode()
    look.page.evaluate(
        """data => {
            const bytes = Uint8Array.from(atob(data), (c) => c.charCodeAt(0));
            const carried = new DataTransfer();
            carried.items.add(new File([bytes], 'image.png', { type: 'image/png' }));
            const how = { clipboardData: carried, bubbles: true, cancelable: true };
            document.activeElement.dispatchEvent(new ClipboardEvent('paste', how));
        }""",
        data,
    )
    look.page.wait_for_selector(".chip img")
    settled(look.page)
    assert names(look.page)[0] == "sky.png"


def test_what_is_written_into_the_page_does_not_run(look: Looking) -> None:
    """The policy holds in the browser itself: no script but the page's own, no other host."""
    look.page.evaluate(
        """() => {
            const script = document.createElement('script');
            script.textContent = 'window.ran = true';
            document.body.append(script);
            const image = '<img src=x onerror="window.ran = true">';
            document.body.insertAdjacentHTML('beforeend', image);
        }"""
    )
    until(look.page, "document.querySelector('img[src=x]').complete")
    assert look.page.evaluate("window.ran === undefined")
    answer = "fetch('http://127.0.0.1:1/').then(() => 'sent', () => 'refused')"
    comes_to(look.page, answer, "refused")
    assert any("Content Security Policy" in told for told in look.complaints)
    look.complaints.clear()
    look.asked = [url for url in look.asked if ":1/" not in url]
