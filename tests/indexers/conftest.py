from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from seehear import media
from tests.indexers.helpers import InProcess, Library


@pytest.fixture
def library(tmp_path: Path) -> Iterator[Library]:
    """A new collection, beside the folder `media` of the test."""
    (tmp_path / "media").mkdir()
    made = Library(tmp_path / "collection")
    yield made
    made.close()


@pytest.fixture
def media_folder(tmp_path: Path, library: Library) -> Path:
    return tmp_path / "media"


@pytest.fixture
def in_process(monkeypatch: pytest.MonkeyPatch) -> InProcess:
    """Decode without worker processes: fast, and open to interference."""
    decoder = InProcess()
    monkeypatch.setattr(media, "decode_all", decoder)
    return decoder
