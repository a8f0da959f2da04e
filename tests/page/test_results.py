"""Results on the page in a real browser: best and more, mistakes, order, choosing several."""

from __future__ import annotations

import csv
import io
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from PIL import Image
from playwright.sync_api import expect

from seehear.collection import Collection
from seehear.server import ServiceLimits, create_app
from tests.page.looking import Looking, ask, comes_to, leave, mistakes_of, names, settled, until
from tests.server.conftest import SETTINGS, Running, picture

if TYPE_CHECKING:
    from playwright.sync_api import Browser

pytestmark = pytest.mark.timeout(300)

DEEP = "a folder with a name that is long/another one that is long as well/Rome"


@pytest.fixture(scope="module")
def trip(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """Photos of three cameras and days, some of them in a deep folder."""
    folder = tmp_path_factory.mktemp("trip")
    for number, (colour, camera) in enumerate(
        (("red", "Brownie"), ("orange", "Leica"), ("purple", "Brownie"))
    ):
        photo = picture(folder / "trip" / DEEP / f"{colour}.jpg", colour)
        exif = Image.Exif()
        exif.get_ifd(0x8769)[0x9003] = f"202{number}:06:15 12:00:00"  # DateTimeOriginal
        exif[0x0110] = camera
        Image.open(photo).save(photo, exif=exif)
    picture(folder / "trip" / "=undated, and with a long name that goes on.png", "blue")
    with Collection(folder / "collection", SETTINGS) as collection:
        assert collection.index(folder / "trip").failed == 0
    app = create_app(
        folder / "collection", settings=SETTINGS, limits=ServiceLimits(decode_workers=1),
        reveal=True,
    )  # fmt: skip
    with Running(app) as server:
        yield server


@pytest.fixture
def travel(browser: Browser, trip: Running) -> Iterator[Looking]:
    with Looking(browser, trip.address) as looking:
        yield looking
    assert looking.complaints == []


def test_best_and_more_are_counted(travel: Looking) -> None:
    page = travel.page
    ask(page, "red")
    page.keyboard.press("Enter")
    settled(page)
    best, more = (page.locator(f"#{name} .card").count() for name in ("strong", "weak"))
    assert best
    assert more
    assert page.inner_text("#says") == (
        f"{best} best match{'es' * (best > 1)} · {more} more result{'s' * (more > 1)}"
    )
    expect(page.locator("#best")).to_have_text("Best matches")
    expect(page.locator("#divide")).to_have_text("More results")
    assert mistakes_of(page) == []


def test_half_a_word_is_not_told_that_nothing_is_found(travel: Looking) -> None:
    page = travel.page
    page.evaluate(
        """() => {
            window.told = [];
            const says = document.querySelector('#says');
            new MutationObserver(() => window.told.push(says.textContent))
                .observe(says, { childList: true, characterData: true, subtree: true });
        }"""
    )
    for text in ("x", "xy", "xyl"):
        ask(page, text)
    assert not any("No best" in one for one in page.evaluate("told"))
    until(page, "document.querySelector('#says').textContent.startsWith('No best matches')")


def test_a_mistake_leaves_what_was_found(travel: Looking) -> None:
    page = travel.page
    travel.expects_refusals = True
    ask(page, "red")
    before = names(page)
    page.click("#narrow")
    leave(page, "#where", "camera = Browny and width > 9")
    assert names(page) == before
    expect(page.locator("#trouble")).to_contain_text("No camera")
    expect(page.locator("#where")).to_have_attribute("aria-invalid", "true")
    assert mistakes_of(page) == []
    page.locator("#trouble").get_by_role("button", name="Brownie").click()
    settled(page)
    expect(page.locator("#where")).to_have_value("camera = Brownie and width > 9")
    expect(page.locator("#trouble")).to_be_hidden()
    assert page.get_attribute("#where", "aria-invalid") is None
    assert set(names(page)) == {"red.jpg", "purple.jpg"}

    leave(page, "#where", "")
    leave(page, "#under", f"trip/{DEEP}e")
    expect(page.locator("#under")).to_have_attribute("aria-invalid", "true")
    assert set(names(page)) >= {"red.jpg", "purple.jpg"}
    page.locator("#trouble button").first.click()
    settled(page)
    expect(page.locator("#under")).to_have_value(f"trip/{DEEP}")
    assert len(names(page)) == 3
    leave(page, "#where", "width >")
    expect(page.locator("#trouble")).to_contain_text("incomplete")
    expect(page.locator("#where")).to_have_attribute("aria-invalid", "true")
    assert len(names(page)) == 3
    ask(page, "")  # the same without a query
    expect(page.locator("#trouble")).to_contain_text("incomplete")


def test_results_can_be_sorted_by_date(travel: Looking) -> None:
    page = travel.page
    ask(page, "red")
    matches = names(page)
    page.select_option("#sort", "oldest")
    settled(page)
    undated = "=undated, and with a long name that goes on.png"
    assert names(page) == ["red.jpg", "orange.jpg", "purple.jpg", undated]
    assert page.url.endswith("sort=oldest")
    page.select_option("#sort", "newest")
    settled(page)
    assert names(page) == ["purple.jpg", "orange.jpg", "red.jpg", undated]
    expect(page.locator("#divide")).to_be_hidden()
    page.reload()
    settled(page)
    assert names(page)[0] == "purple.jpg"
    expect(page.locator("#sort")).to_have_value("newest")
    page.evaluate("history.go(-2)")
    until(page, "document.querySelector('#sort').value === 'match'")
    settled(page)
    assert names(page) == matches


def test_a_card_says_when_and_with_what_and_where_it_ends(travel: Looking) -> None:
    page = travel.page
    ask(page, "red")
    card = page.locator(".card", has_text="red.jpg")
    expect(card.locator(".when")).to_have_text("15 Jun 2020 · Brownie")
    # The end of the long path is in view, its beginning gives way.
    end = card.locator(".folder .end")
    expect(end).to_have_text("/Rome")
    beyond = (
        "e => e.getBoundingClientRect().right - e.closest('.card').getBoundingClientRect().right"
    )
    assert end.evaluate(beyond) <= 0
    expect(card.locator(".folder")).to_have_attribute("title", f"trip/{DEEP}")
    card.locator(".view").click()
    facts = page.inner_text("#viewer .facts")
    assert "15 June 2020, 12:00" in facts
    assert "Brownie" in facts


def test_paths_are_copied_where_they_may_be(travel: Looking) -> None:
    page = travel.page
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    ask(page, "red")
    page.locator(".card", has_text="red.jpg").locator(".view").click()
    expect(page.locator("#viewer").get_by_role("button", name="Show in folder")).to_be_visible()
    page.locator("#viewer").get_by_role("button", name="Copy path").click()
    until(page, "document.querySelector('#viewer .row').textContent.includes('Copied')")
    assert page.evaluate("navigator.clipboard.readText()").endswith(f"/trip/{DEEP}/red.jpg")


def test_several_are_chosen_and_taken_along(travel: Looking, tmp_path: Path) -> None:
    page = travel.page
    ask(page, "red")
    for name in ("red.jpg", "=undated"):
        card = page.locator(".card", has_text=name)
        card.hover()
        card.locator("input").check()
    expect(page.locator("#chosen-says")).to_have_text("2 selected")
    assert mistakes_of(page) == []
    ask(page, "orange")  # what was chosen stays, through other queries
    expect(page.locator("#chosen-says")).to_have_text("2 selected")
    assert page.locator(".card", has_text="red.jpg").locator("input").is_checked()
    with page.expect_download() as download:
        page.click("#chosen-download")
    download.value.save_as(tmp_path / "all.zip")
    assert download.value.suggested_filename == "seehear.zip"
    with zipfile.ZipFile(tmp_path / "all.zip") as archive:
        assert {name[:8] for name in archive.namelist()} == {"red.jpg", "=undated"}
    with page.expect_download() as download:
        page.click("#chosen-list")
    rows = list(csv.DictReader(io.StringIO(download.value.path().read_text("utf-8-sig"))))
    assert [row["name"][:9] for row in rows] == ["red.jpg", "'=undated"]
    assert rows[0]["camera"] == "Brownie"
    assert rows[0]["folder"] == f"trip/{DEEP}"
    page.click("#chosen-clear")
    expect(page.locator("#chosen")).to_be_hidden()
    expect(page.locator(".card input:checked")).to_have_count(0)
    with page.expect_download() as download:
        page.click("#export")
    rows = list(csv.DictReader(io.StringIO(download.value.path().read_text("utf-8-sig"))))
    assert [row["rank"] for row in rows] == ["1", "2", "3", "4"]


def test_one_line_can_say_more(travel: Looking) -> None:
    page = travel.page
    ask(page, "2:red + orange - purple")
    expect(page.locator("#active .word")).to_have_text(["red ×2", "orange", "not purple"])
    assert travel.bodies[-1]["parts"] == [
        {"text": "red", "weight": 2, "exclude": False},
        {"text": "orange", "weight": 1, "exclude": False},
        {"text": "purple", "weight": 1, "exclude": True},
    ]
    assert "text" not in travel.bodies[-1]
    assert names(page)[0] in {"red.jpg", "orange.jpg"}
    assert mistakes_of(page) == []
    page.get_by_role("button", name="Remove orange").click()
    settled(page)
    expect(page.locator("#text")).to_have_value("2:red - purple")
    page.reload()
    settled(page)
    expect(page.locator("#active .word")).to_have_text(["red ×2", "not purple"])


LINES: dict[str, list[str] | None] = {
    "red car": None,
    "10:30 train": None,
    "well-known e-mail": None,
    '"red + blue"': None,
    "red +": ["red"],
    "red + 0:blue": ["red"],
    'red - "sea - side"': ["red", "not sea - side"],
    "1.5:red": ["red ×1.5"],
}


def test_lines_are_read_as_the_command_line_reads_them(travel: Looking) -> None:
    from seehear.search import is_compact

    for line, parts in LINES.items():
        ask(travel.page, line)
        assert travel.page.locator("#active .word").all_inner_texts() == (parts or []), line
        assert is_compact(line) == (parts is not None)
        assert ("parts" in travel.bodies[-1]) == (parts is not None)


def test_words_that_are_filters_are_chips(travel: Looking) -> None:
    page = travel.page
    ask(page, "red in June 2020")
    expect(page.locator("#active .read")).to_have_text(["taken in June 2020"])
    assert names(page) == ["red.jpg"]
    expect(page.locator("#read")).to_have_text("Read as filters: taken in June 2020.")
    assert mistakes_of(page) == []
    page.get_by_role("button", name="Search for “in June 2020” as words").click()
    settled(page)
    assert len(names(page)) == 4
    expect(page.locator("#text")).to_have_value("red in June 2020")
    comes_to(page, "document.activeElement.id", "text")
    assert "as_written=in+June+2020" in page.url
    page.reload()
    settled(page)
    expect(page.locator("#active .read")).to_have_count(0)
    page.get_by_role("button", name="Make a filter of “in June 2020”").press("Enter")
    settled(page)
    assert names(page) == ["red.jpg"]
    # The keys stay where they were: on what can be taken back.
    comes_to(page, "document.activeElement.dataset.words", "in June 2020")
    page.go_back()
    settled(page)
    assert len(names(page)) == 4

    ask(page, "red 2021")  # it could be content as well: nothing is done without a person
    assert len(names(page)) == 4
    offer = page.locator("#active .offer")
    expect(offer).to_have_text(["taken in 2021?"])
    assert mistakes_of(page) == []
    box = "document.querySelector('#results').getBoundingClientRect().top"
    before = page.evaluate(box)
    offer.click()
    settled(page)
    assert names(page) == ["orange.jpg"]
    comes_to(page, box, before)  # nothing jumps
    page.get_by_role("button", name="Edit the filter taken in 2021").click()
    settled(page)
    expect(page.locator("#text")).to_have_value("red")
    expect(page.locator("#where")).to_have_value("taken >= 2021-01-01 and taken < 2022-01-01")
    comes_to(page, "document.activeElement.id", "where")
    assert names(page) == ["orange.jpg"]
    page.click("#clear-all")
    settled(page)
    assert len(names(page)) == 4


def test_words_that_are_filters_alone_look_through_what_passes(travel: Looking) -> None:
    page = travel.page
    ask(page, "photos in June 2020")
    assert page.locator("#active .read").all_inner_texts() == [
        "pictures only",
        "taken in June 2020",
    ]
    until(page, "document.querySelector('#tiles .card .name')?.textContent === 'red.jpg'")
    expect(page.locator("#says")).to_have_text("1 file")
    page.click("#clear-all")
    settled(page)
    expect(page.locator("#wall")).to_be_hidden()
    assert len(names(page)) == 4
    ask(page, "")
    expect(page.locator("#active li")).to_have_count(0)
