"""Measure how smoothly the page scrolls through a large collection, in Chromium.

    python -m benchmarks.bench_scroll --data DIR --count 100000

Makes a collection of that size in DIR, unless there is one (benchmarks/stocked.py), and serves it
in a process of its own, with a drawn picture for each thumbnail: the files do not exist. For each
speed, in pixels a frame: the time from one frame to the next, and the processor's time that the
page's main thread needs for one (below 16.7 ms it can draw 60 a second).
"""

from __future__ import annotations

import argparse
import io
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.request import urlopen

import numpy as np

from benchmarks import record
from benchmarks.stocked import stock

SPEEDS = {"reading": 60, "flicking": 240, "dragging": 1500}
FRAMES = 240
SCROLL = """async ([speed, frames]) => {
    const times = [];
    let last = await new Promise(requestAnimationFrame);
    for (let n = 0; n < frames; n += 1) {
        scrollBy(0, speed);
        const now = await new Promise(requestAnimationFrame);
        times.push(now - last);
        last = now;
    }
    return times;
}"""
LOADED = "document.querySelectorAll('#tiles .card:not(.blank)').length > 10"


def serve(collection: Path, port: int) -> None:
    """Serve a collection until the process is ended, with pictures that are drawn once."""
    import uvicorn
    from PIL import Image
    from starlette.responses import Response

    from seehear.config import Settings
    from seehear.server import create_app

    pictures = []
    rng = np.random.default_rng(0)
    for _ in range(24):
        pixels = rng.integers(0, 255, (6, 8, 3), dtype=np.uint8)
        out = io.BytesIO()
        Image.fromarray(pixels).resize((320, 240), Image.Resampling.BICUBIC).save(out, "WEBP")
        pictures.append(out.getvalue())
    app = create_app(collection, settings=Settings(model="tiny", device="cpu"))

    async def wrapped(scope: Any, receive: Any, send: Any) -> None:
        parts = scope.get("path", "").split("/")
        if parts[-1] != "thumbnail":
            await app(scope, receive, send)
            return
        picture = pictures[int(parts[-2]) % len(pictures)]
        await Response(picture, media_type="image/webp")(scope, receive, send)

    uvicorn.run(wrapped, port=port, log_level="warning")


def measure(page: Any) -> dict[str, Any]:
    """Return for each speed the times of frames in ms, and the main thread's work for one."""
    session = page.context.new_cdp_session(page)
    session.send("Performance.enable", {"timeDomain": "threadTicks"})

    def work_s() -> float:
        told = session.send("Performance.getMetrics")["metrics"]
        return float(next(one["value"] for one in told if one["name"] == "TaskDuration"))

    found = {}
    for name, speed in SPEEDS.items():
        page.evaluate("scrollTo(0, 20000)")
        page.wait_for_timeout(1500)
        before = work_s()
        times = np.array(page.evaluate(SCROLL, [speed, FRAMES]))
        worked = 1000 * (work_s() - before) / FRAMES
        page.wait_for_timeout(300)
        found[name] = {
            "pixels": speed,
            "median_ms": round(float(np.median(times)), 1),
            "p95_ms": round(float(np.percentile(times, 95)), 1),
            "late": round(float((times > 25).mean()), 3),
            "work_ms": round(worked, 1),
            "elements": page.evaluate("document.querySelectorAll('#tiles > li').length"),
        }
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="benchmarks.bench_scroll", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--data", type=Path, required=True, help="folder for the collection")
    parser.add_argument("--count", type=int, default=100_000, help="how many files")
    parser.add_argument("--serve", type=int, metavar="PORT", help=argparse.SUPPRESS)
    record.add_options(parser)
    chosen = parser.parse_args(arguments)
    folder = chosen.data / f"scroll-{chosen.count}"
    if chosen.serve:
        serve(folder, chosen.serve)
        return 0
    from playwright.sync_api import sync_playwright

    if not folder.exists():
        stock(folder, chosen.count)
    program = shutil.which("chromium") or shutil.which("google-chrome")
    if program is None:
        parser.error("Chromium is missing; install it (apt-get install chromium)")
    port = 8973
    command = [sys.executable, "-m", "benchmarks.bench_scroll", "--data", str(chosen.data)]
    command += ["--count", str(chosen.count), "--serve", str(port)]
    with subprocess.Popen(command) as service, sync_playwright() as driver:
        try:
            address = f"http://127.0.0.1:{port}"
            _wait(f"{address}/readyz")
            browser = driver.chromium.launch(executable_path=program, args=["--no-sandbox"])
            page = browser.new_page(viewport={"width": 1280, "height": 860})
            page.goto(address)
            while not page.evaluate(LOADED):
                page.wait_for_timeout(100)
            found = measure(page)
            browser.close()
        finally:
            service.terminate()
    for name, one in found.items():
        print(name, *(f"{key} {value}" for key, value in one.items()))
    record.keep("scroll", {"files": chosen.count, "speeds": found}, chosen)
    return 0


def _wait(address: str) -> None:
    for _ in range(1200):
        try:
            with urlopen(address):
                return
        except (URLError, ConnectionError):
            time.sleep(0.1)
    raise SystemExit("the service did not start")


if __name__ == "__main__":
    raise SystemExit(main())
