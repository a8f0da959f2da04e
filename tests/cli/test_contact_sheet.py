"""The contact sheet in a real browser: its links, its sounds, its paths."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from tests.cli.conftest import Run
from tests.page.looking import Looking, browser_or_skip, mistakes_of, until
from tests.server.media_files import picture


@pytest.mark.timeout(300)
def test_it_leads_to_files_and_plays_sounds(run: Run, folder: Path, tmp_path: Path) -> None:
    odd = picture(folder / "50% off #1" / "<red> & blue's — é.png", "red")
    run("index", folder)
    sheet = tmp_path / "sheet.html"
    run("search", "red", "-k", "6", "--sheet", sheet)
    with browser_or_skip() as browser, Looking(browser, sheet.as_uri(), waits=False) as look:
        page = look.page
        links = page.locator(".caption a")
        targets = links.evaluate_all("l => l.map(x => x.href)")
        paths = [Path(unquote(urlsplit(target).path)) for target in targets]
        assert odd in paths
        assert all(path.is_file() for path in paths)
        assert mistakes_of(page) == []
        # A long path breaks behind a slash, not within a name.
        parts = links.first.evaluate("l => [...l.childNodes].map(n => n.nodeName)")
        assert parts.count("WBR") == len(paths[0].parts) - 1
        siren = page.locator("li", has_text="siren.wav").locator("audio")
        assert urlsplit(siren.get_attribute("src") or "").fragment.startswith("t=0.00,")
        siren.evaluate("a => a.play()")
        until(page, "document.querySelector('audio').currentTime >= 0")
        until(page, "[...document.querySelectorAll('audio')].some(a => a.currentTime > 0)")
        assert look.complaints == []
