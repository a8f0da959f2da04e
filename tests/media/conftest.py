"""One file of every format, made once for all tests of this folder."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from seehear.media.workers import process
from seehear.processes import child
from tests.media import make


@pytest.fixture(scope="session")
def every_format(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return make.make_every_format(tmp_path_factory.mktemp("formats"))


@pytest.fixture(scope="module")
def started_anew() -> Iterator[None]:
    """Decode workers are started as in the product, not forked as in the other tests."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(process, "start_child", child.start_child)
        yield
