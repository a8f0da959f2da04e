"""Open the page in a browser: the system's Chromium, driven by Playwright."""

from __future__ import annotations

import base64
import json
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

_PROGRAMS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


@contextmanager
def browser_or_skip() -> Iterator[Browser]:
    """Chromium without a window; skips, with the reason, where there is none."""
    program = next(filter(None, map(shutil.which, _PROGRAMS)), None)
    if program is None:
        pytest.skip("no chromium on this machine (apt-get install chromium)")
    playwright = pytest.importorskip("playwright.sync_api")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(
            executable_path=program,
            timeout=180_000,
            args=[
                "--no-sandbox",  # root in a container has none to give
                "--use-fake-ui-for-media-stream",
                "--use-fake-device-for-media-stream",
                "--autoplay-policy=no-user-gesture-required",
            ],
        )
        yield browser
        browser.close()


class Looking:
    """The page in the tab of a browser, and a note of all that it asked for or complained about.

    All tests use one tab, which compiles the page's parts once; nothing of one test is left for
    the next but what the browser has cached.
    """

    def __init__(
        self,
        browser: Browser,
        address: str,
        *,
        size: tuple[int, int] = (1280, 860),
        waits: bool = True,
    ) -> None:
        """`waits`: until the service is ready."""
        self.address = address
        self._waits = waits
        self.expects_refusals = False
        self.complaints: list[str] = []
        self.asked: list[str] = []
        self.bodies: list[dict[str, Any]] = []
        context = browser.contexts[0] if browser.contexts else browser.new_context()
        self.page: Page = context.pages[0] if context.pages else context.new_page()
        self.page.set_default_timeout(60_000)
        self.page.set_viewport_size({"width": size[0], "height": size[1]})
        self.page.emulate_media(color_scheme="light", reduced_motion="reduce")
        self._listeners: dict[Any, Any] = {
            "pageerror": lambda error: self.complaints.append(str(error)),
            "console": self._heard,
            "request": self._noted,
        }

    def __enter__(self) -> Looking:
        for event, listener in self._listeners.items():
            self.page.on(event, listener)
        self.page.goto(self.address)
        if self._waits:
            settled(self.page)
        return self

    def __exit__(self, *_: object) -> None:
        self.page.unroute_all()
        self.page.evaluate("localStorage.clear()")
        self.page.context.clear_cookies()
        for event, listener in self._listeners.items():
            self.page.remove_listener(event, listener)
        self.page.goto("about:blank")

    def _heard(self, message: Any) -> None:
        text = message.text
        refused = "Failed to load resource" in text
        # Chromium may still ask for the icon of a page that has been left.
        late = "'null'" in text or "ERR_FAILED" in text
        if late and "/page/icon.svg" in f"{text} {message.location['url']}":
            return
        if message.type in {"error", "warning"} and not (refused and self.expects_refusals):
            self.complaints.append(text)

    def _noted(self, request: Any) -> None:
        self.asked.append(request.url)
        if request.method == "POST" and (request.headers.get("content-type") or "").startswith(
            "application/json"
        ):
            self.bodies.append(json.loads(request.post_data or "{}"))


def until(page: Page, condition: str, arg: Any = None, timeout_s: float = 60.0) -> None:
    """Wait until a condition in JavaScript holds, or `s => condition` of an argument.

    Playwright's own `wait_for_function` evaluates strings inside the page, and the page's content
    security policy forbids that, as it should.
    """
    give_up = time.monotonic() + timeout_s
    while not page.evaluate(condition, arg):
        assert time.monotonic() < give_up, f"it never came to: {condition}"
        page.wait_for_timeout(50)


def comes_to(page: Page, expression: str, value: Any = True, arg: Any = None) -> None:
    """Assert that an expression in JavaScript has a value now or soon: a layout takes a moment."""
    give_up = time.monotonic() + 30
    while (now := page.evaluate(expression, arg)) != value:
        assert time.monotonic() < give_up, f"{expression} is {now!r}, never {value!r}"
        page.wait_for_timeout(50)


def settled(page: Page) -> None:
    """Wait until the page shows the answer to what was asked of it last.

    It is busy from the moment of an input on, so that no earlier answer is taken for this one.
    """
    until(page, "!document.body.classList.contains('busy')")


_AXE = """options => axe.run(document, { resultTypes: ['violations'], ...options })
    .then(({ violations }) => violations.flatMap(({ id, help, nodes }) =>
        nodes.map(({ html }) => `${id}: ${help}: ${html.slice(0, 160)}`)))"""


def mistakes_of(page: Page, *rules: str) -> list[str]:
    """What axe-core has to say against the page as it is now: by some rules, or by all."""
    base = pytest.importorskip("axe_playwright_python.base")
    settled(page)
    if not page.evaluate("'axe' in window"):
        page.evaluate(base.AXE_SCRIPT)
    found: list[str] = page.evaluate(_AXE, {"runOnly": list(rules)} if rules else {})
    return found


def mistakes_in_both(page: Page) -> list[str]:
    """The same in light and in dark, where nothing but colours can differ."""
    found = mistakes_of(page)
    page.emulate_media(color_scheme="dark")
    found += [f"dark: {one}" for one in mistakes_of(page, "color-contrast")]
    page.emulate_media(color_scheme="light")
    return found


def ask(page: Page, text: str) -> None:
    page.fill("#text", text)
    settled(page)


def only(page: Page, kind: str) -> None:
    """Let one kind pass the filter."""
    page.check(f"[name=kind][value={kind}]", force=True)
    settled(page)


def leave(page: Page, field: str, value: str) -> None:
    """Fill a field of the filters and go on, which is when it counts."""
    page.fill(field, value)
    page.locator(field).blur()
    settled(page)


def names(page: Page, within: str = "#results") -> list[str]:
    return page.locator(f"{within} .card .name").all_text_contents()


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
