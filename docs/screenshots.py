"""Take the pictures of the web page that the docs show: `python docs/screenshots.py [FOLDER]`.

Needs Chromium and the demo's media (`make demo`). Indexes the media with the bundled model, starts
the service on a free port and writes the pictures to docs/screenshots, or to FOLDER.
"""

from __future__ import annotations

import io
import shutil
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote_plus

import seehear
from seehear.server import create_app

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

DOCS = Path(__file__).resolve().parent
MEDIA = DOCS.parent / "demo" / "media"
CHROMIUM = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
DESK = (1280, 860)
PHONE = (390, 844)


def take_screenshots(folder: Path, browser: Browser, address: str) -> list[Path]:
    """Write every picture of the service at `address` into the folder; return their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []

    def save(page: Page, name: str) -> None:
        from PIL import Image

        page.wait_for_timeout(800)  # waveforms and video frames are drawn after their data arrive
        picture = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
        paths.append(folder / f"{name}.webp")
        picture.save(paths[-1], quality=82, method=6)

    with open_page(browser, address, "dark", DESK) as page:
        wait_until(page, "document.querySelectorAll('#examples button').length > 0")
        save(page, "start-dark")
    with open_page(browser, address, "light", DESK, query="a motorcycle") as page:
        save(page, "results-light")
    with open_page(browser, address, "dark", PHONE, query="waves at the sea") as page:
        save(page, "results-phone")
    with open_page(browser, address, "dark", DESK, query="church bells ringing") as page:
        page.locator(".card", has_text=".wav").first.locator(".view").click()
        page.wait_for_selector("#viewer canvas.drawn")
        wait_for_pictures(page, "#viewer img")
        save(page, "sound-dark")
    with open_page(browser, address, "light", DESK, query="a cat&kind=video") as page:
        page.locator(".card", has_text=".mp4").first.locator(".view").click()
        wait_until(page, "document.querySelector('#viewer video')?.readyState >= 2")
        save(page, "moment-light")
    return paths


@contextmanager
def open_page(
    browser: Browser, address: str, scheme: Any, size: tuple[int, int], query: str = ""
) -> Iterator[Page]:
    """Open the page in a window of its own, with the answer to a query when there is one."""
    context = browser.new_context(
        viewport={"width": size[0], "height": size[1]},
        color_scheme=scheme,
        reduced_motion="reduce",
    )
    page = context.new_page()
    page.goto(f"{address}/?q={quote_plus(query, safe='&=')}" if query else address)
    wait_until(page, "!document.body.classList.contains('busy')")
    wait_for_pictures(page, ".card img")
    yield page
    context.close()


def wait_for_pictures(page: Page, selector: str) -> None:
    """Wait for every picture in the window that a selector names."""
    wait_until(
        page,
        """s => [...document.querySelectorAll(s)]
            .filter(i => i.getBoundingClientRect().top < innerHeight)
            .every(i => i.complete && i.naturalWidth)""",
        selector,
    )


def wait_until(page: Page, condition: str, argument: Any = None, timeout_s: float = 60.0) -> None:
    """Wait until a condition holds; Playwright's own wait is stopped by the page's policy."""
    give_up = time.monotonic() + timeout_s
    while not page.evaluate(condition, argument):
        if time.monotonic() > give_up:
            raise TimeoutError(condition)
        page.wait_for_timeout(50)


@contextmanager
def serve(collection: Path) -> Iterator[str]:
    """Run the service over a collection in a thread; give its address."""
    import uvicorn

    app = create_app(collection, roots=[MEDIA])
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="warning"))
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        while thread.is_alive() and not server.started:
            time.sleep(0.05)
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()


def main() -> None:
    """Take all pictures."""
    from playwright.sync_api import sync_playwright

    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else DOCS / "screenshots"
    program = next(filter(None, map(shutil.which, CHROMIUM)), None)
    if program is None:
        sys.exit("Chromium is missing; install it (apt-get install chromium)")
    if not MEDIA.is_dir():
        sys.exit("the demo's media are missing; run `make demo` first")
    with tempfile.TemporaryDirectory() as temporary:
        with seehear.open(Path(temporary) / "demo") as library:
            library.index(MEDIA)
        with serve(Path(temporary) / "demo") as address, sync_playwright() as driver:
            browser = driver.chromium.launch(executable_path=program, args=["--no-sandbox"])
            for path in take_screenshots(folder, browser, address):
                print(path)
            browser.close()


if __name__ == "__main__":
    main()
