"""The demo's media, made once, and a collection of them indexed with the bundled model."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from seehear.collection import Collection


@pytest.fixture(scope="session")
def demo_media(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("skimage", reason="the demo's photographs come from scikit-image")
    from demo.make_media import main

    folder = tmp_path_factory.mktemp("demo")
    main(folder)
    return folder


@pytest.fixture(scope="session")
def demo_library(
    demo_media: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Collection]:
    with Collection(tmp_path_factory.mktemp("collection")) as library:
        report = library.index(demo_media)
        assert report.failed == 0, report.failures
        yield library
