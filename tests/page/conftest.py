"""The page in Chromium, which all tests of this room share: none of them runs an event loop."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect

from tests.page.looking import Looking, browser_or_skip
from tests.server.conftest import (  # noqa: F401
    Running,
    app,
    client,
    collection_folder,
    media_folder,
    own_copy,
    running,
)

if TYPE_CHECKING:
    from playwright.sync_api import Browser


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    expect.set_options(timeout=30_000)  # a busy machine takes longer than Playwright's 5 s
    with browser_or_skip() as browser:
        yield browser


@pytest.fixture
def look(browser: Browser, running: Running) -> Iterator[Looking]:  # noqa: F811
    """The page, open; at the end it must not have complained or asked anybody else."""
    with Looking(browser, running.address) as looking:
        yield looking
    assert looking.complaints == []
    assert all(url.startswith((running.address, "blob:")) for url in looking.asked)
