"""A small collection, and a row of the table by its topic."""

from __future__ import annotations

from pathlib import Path

import pytest

from seehear.collection import Collection
from seehear.config import Settings
from seehear.diagnostics import Row

FAKE = Settings(model="fake", device="cpu")


@pytest.fixture
def collection(tmp_path: Path) -> Path:
    folder = tmp_path / "collection"
    (tmp_path / "a.txt").write_text("A boat lies at the pier.")
    with Collection(folder, FAKE) as made:
        assert made.index(tmp_path / "a.txt").added == 1
    return folder


def row_of(rows: list[Row], topic: str) -> Row:
    return next(row for row in rows if row.topic == topic)
