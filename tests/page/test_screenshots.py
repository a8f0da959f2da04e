"""The script that takes the docs' pictures of the page: it runs, and no picture is blank."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest
from PIL import Image

from seehear.collection import Collection
from seehear.config import Settings
from seehear.server import create_app
from tests.page.looking import browser_or_skip
from tests.server.conftest import Running

ROOT = Path(__file__).resolve().parents[2]
SETTINGS = Settings(model="tiny", device="cpu")


def script() -> ModuleType:
    """Load docs/screenshots.py."""
    spec = importlib.util.spec_from_file_location("screenshots", ROOT / "docs" / "screenshots.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_it_takes_every_picture_of_the_docs(tmp_path: Path) -> None:
    module = script()
    if not module.MEDIA.is_dir():
        pytest.skip("the demo's media are missing (make demo)")
    with Collection(tmp_path / "collection", SETTINGS) as collection:
        collection.index(module.MEDIA)
    app = create_app(tmp_path / "collection", settings=SETTINGS, roots=[module.MEDIA])
    with Running(app) as server, browser_or_skip() as browser:
        taken = module.take_screenshots(tmp_path / "pictures", browser, server.address)
    kept = {path.name for path in (ROOT / "docs" / "screenshots").iterdir()}
    assert {path.name for path in taken} == kept
    for path in taken:
        colours = Image.open(path).convert("RGB").resize((64, 64)).getcolors(64 * 64)
        assert len(colours or ()) > 8, f"{path.name} is blank"


def test_a_page_shows_each_of_them() -> None:
    pages = [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]
    text = "\n".join(page.read_text(encoding="utf-8") for page in pages)
    for picture in (ROOT / "docs" / "screenshots").iterdir():
        assert f"screenshots/{picture.name})" in text, f"no page shows {picture.name}"
