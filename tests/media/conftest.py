"""One file of every format, made once for all tests of this folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.media import make


@pytest.fixture(scope="session")
def every_format(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return make.make_every_format(tmp_path_factory.mktemp("formats"))
