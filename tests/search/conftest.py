"""Collections that tests share; they are read only."""

from __future__ import annotations

import pytest

from tests.search.library import Library, demo


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Library:
    """Six concepts in all four modalities; not to be added to."""
    return demo(tmp_path_factory.mktemp("demo"))
