"""The viewer of the page in a real browser: zoom, swipe, full screen, moments on a line of time."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect

from seehear.collection import Collection
from seehear.encoders.fake import concept
from seehear.server import ServiceLimits, create_app
from tests.media.make import make_pdf
from tests.media.make_timed import Scene, Track, make_film
from tests.page.looking import Looking, ask, comes_to, mistakes_of, names, settled, until
from tests.server.conftest import SETTINGS, Running, picture

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="module")
def cinema(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A film that shows red three times and speaks of it once; pictures; a PDF."""
    folder = tmp_path_factory.mktemp("cinema")
    media = folder / "media"
    colours = ("red", "blue", "red", "green", "red", "black")
    scenes = [Scene(concept(one).rgb, 4.0 * n, 4.0 * n + 4.0, 0.2) for n, one in enumerate(colours)]
    for name in ("red", "orange"):
        picture(media / f"{name}.png", name, size_px=(640, 480))
    said = [(5.0, 7.0, "That ship is red."), (13.0, 14.0, "Nothing else.")]
    make_film(media / "film's.mp4", scenes, tracks=[Track("mov_text", said, "eng")])
    make_pdf(media / "report.pdf", ["An introduction.", "The zebra crossed the red river."])
    with Collection(folder / "collection", SETTINGS) as collection:
        assert collection.index(media).failed == 0
    app = create_app(
        folder / "collection", settings=SETTINGS, limits=ServiceLimits(decode_workers=1)
    )
    with Running(app) as server:
        yield server


@pytest.fixture
def seat(browser: Browser, cinema: Running) -> Iterator[Looking]:
    with Looking(browser, cinema.address) as looking:
        yield looking
    assert looking.complaints == []


def view(page: Page, text: str, name: str) -> None:
    ask(page, text)
    page.locator(".card", has_text=name).locator(".view").click()
    page.wait_for_selector("#viewer[open]")


SCALE = """() => {
    const made = getComputedStyle(document.querySelector('#viewer .picture')).transform;
    return made === 'none' ? 1 : new DOMMatrix(made).a;
}"""


def test_a_picture_is_zoomed_and_moved(seat: Looking) -> None:
    page = seat.page
    view(page, "red", "red.png")
    until(page, "document.querySelector('#viewer .picture img').complete")
    page.keyboard.press("z")
    comes_to(page, SCALE, 2.5)
    assert mistakes_of(page) == []
    box = page.locator(".stage").bounding_box()
    assert box is not None
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    left = "document.querySelector('#viewer .picture').getBoundingClientRect().left"
    before = page.evaluate(left)
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + 40, y, steps=4)
    page.mouse.up()
    assert page.evaluate(left) == pytest.approx(before + 40, abs=2)
    page.mouse.dblclick(x, y)
    comes_to(page, SCALE, 1)
    page.get_by_role("button", name="Zoom in or out").click()
    comes_to(page, SCALE, 2.5)
    page.keyboard.press("ArrowRight")  # the next one begins whole
    until(page, "!document.querySelector('.stage').classList.contains('zoomed')")


def test_a_picture_fills_the_screen(seat: Looking) -> None:
    page = seat.page
    view(page, "red", "red.png")
    page.get_by_role("button", name="Full screen").click()
    until(page, "document.fullscreenElement?.classList.contains('stage')")
    page.keyboard.press("f")
    until(page, "document.fullscreenElement === null")
    expect(page.locator("#viewer[open]")).to_have_count(1)


TOUCH = """([dx, dy]) => {
    const stage = document.querySelector('.stage');
    const at = { pointerId: 7, pointerType: 'touch', isPrimary: true, bubbles: true };
    const box = stage.getBoundingClientRect();
    const [x, y] = [box.left + box.width / 2, box.top + box.height / 2];
    const fire = (name, mx, my) => stage.dispatchEvent(
        new PointerEvent(name, { ...at, clientX: x + mx, clientY: y + my }));
    fire('pointerdown', 0, 0);
    fire('pointermove', dx / 2, dy / 2);
    fire('pointerup', dx, dy);
}"""


def test_a_swipe_leads_to_the_next(seat: Looking) -> None:
    page = seat.page
    ask(page, "red")
    order = names(page)
    page.locator(".card .view").first.click()
    viewed = "s => document.querySelector('#viewed').textContent === s"
    until(page, viewed, arg=order[0])
    page.evaluate(TOUCH, [-150, 10])
    until(page, viewed, arg=order[1])
    page.evaluate(TOUCH, [-30, 0])  # too short
    page.evaluate(TOUCH, [-100, 90])  # scrolls rather than swipes
    expect(page.locator("#viewed")).to_have_text(order[1])
    page.evaluate(TOUCH, [150, -10])
    until(page, viewed, arg=order[0])


def test_all_moments_of_a_film_are_on_a_line_of_time(seat: Looking) -> None:
    page = seat.page
    view(page, "red", "film's.mp4")
    page.wait_for_selector(".timeline .mark")
    expect(page.locator(".side span")).to_have_text(["sight", "speech"])
    sight = page.locator(".side", has_text="sight").locator(".mark")
    told = sight.evaluate_all("m => m.map(x => x.getAttribute('aria-label'))")
    assert [" 0:00–0:04" in told[0], " 0:08–0:12" in told[1], " 0:16–0:20" in told[2]] == [True] * 3
    places = sight.evaluate_all("m => m.map(x => parseFloat(x.style.left))")
    assert places[:3] == pytest.approx([0.0, 100 / 3, 200 / 3], abs=1.5)
    assert mistakes_of(page) == []
    sight.nth(2).click()
    until(page, "document.querySelector('#viewer video').currentTime >= 15.9")
    speech = page.locator(".side", has_text="speech").locator(".mark").first
    speech.focus()
    page.keyboard.press("Enter")
    until(page, "Math.abs(document.querySelector('#viewer video').currentTime - 5.2) < 1.5")
    page.keyboard.press("Escape")
    page.wait_for_selector("#viewer[open]", state="detached")
    view(page, "red", "red.png")
    expect(page.locator(".timeline")).to_have_count(0)


def test_a_passage_stands_beside_its_page(seat: Looking) -> None:
    page = seat.page
    view(page, "zebra", "report.pdf")
    assert page.url.endswith("#page=2")
    drawn = page.get_by_role("img", name="Page 2 of report.pdf")
    assert drawn.evaluate("i => i.decode().then(() => i.naturalWidth)") > 100
    expect(page.locator("#viewer mark")).to_have_text(["zebra"])
    assert mistakes_of(page) == []
    page.reload()
    page.wait_for_selector("#viewer[open]")
    settled(page)
    expect(page.get_by_role("img", name="Page 2 of report.pdf")).to_be_visible()


ALPHAS = """() => {
    const veil = document.querySelector('#viewer canvas.veil');
    const { data } = veil.getContext('2d').getImageData(0, 0, veil.width, veil.height);
    return [data[3], data.at(-1)];
}"""


ONE_BOX = """some => {
    const [one, other] = some.map((at) => document.querySelector(at).getBoundingClientRect());
    return JSON.stringify(one) === JSON.stringify(other);
}"""


def test_what_matched_is_lit(look: Looking) -> None:
    page = look.page
    view(page, "red", "flag.png")
    page.wait_for_selector("#viewer canvas.veil")
    left, right = page.evaluate(ALPHAS)
    assert left < 20  # the red half is seen
    assert right > 100  # the white one is veiled
    comes_to(page, ONE_BOX, arg=["#viewer canvas", "#viewer img"])
    assert mistakes_of(page) == []
    page.get_by_role("button", name="Show what matched", pressed=True).click()
    expect(page.locator("canvas.veil")).to_be_hidden()
    page.reload()
    page.wait_for_selector("#viewer canvas.veil", state="attached")
    expect(page.locator("canvas.veil")).to_be_hidden()  # as it was left
    page.keyboard.press("w")
    expect(page.locator("canvas.veil")).to_be_visible()
    page.keyboard.press("Escape")
    page.wait_for_selector("#viewer[open]", state="detached")

    told = '{"patches": [], "steps": [0, 0, 1, 1], "start_s": 0, "step_s": 1}'
    page.route("**/explain?**", lambda route: route.fulfill(body=told))
    view(page, "cyan", "flute.wav")
    page.wait_for_selector("#viewer .spectrogram canvas.veil")
    page.unroute("**/explain?**")
    left, right = page.evaluate(ALPHAS)
    assert left > 100
    assert right < 20
    comes_to(page, ONE_BOX, arg=["#viewer .spectrogram", "#viewer .spectrogram img"])
    page.goto(f"{look.address}/?kind=image")  # without a query nothing made the hit
    settled(page)
    page.locator(".card .view").first.click()
    page.wait_for_selector("#viewer .picture img")
    expect(page.locator("canvas.veil")).to_have_count(0)
