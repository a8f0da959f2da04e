"""Make a small catalog: two roots, a few assets of each kind, one generation."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterator, Sequence
from contextlib import closing
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest

from seehear.stores import Catalog, Generation, archive
from seehear.types import EmbeddingSpace, MediaInfo, Modality, Segment, Vectors
from tests.stores.one_by_one import put_asset, put_encoding
from tests.stores.postgres import (
    _numbers,
    _templates,
    empty_postgres,
    postgres_copy,
    postgres_database,
    postgres_server,
)

__all__ = [
    "_numbers",
    "_templates",
    "empty_postgres",
    "postgres_copy",
    "postgres_database",
    "postgres_server",
]

SPACE = EmbeddingSpace("test", "1", 8)
ROOT = Path("/media/photos")


def unit(seed: int, count: int = 1, dim: int = SPACE.dim) -> Vectors:
    """Random unit vectors float32 (count, dim)."""
    rows = np.random.default_rng(seed).standard_normal((count, dim)).astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    return rows


def put(
    catalog: Catalog,
    generation: Generation,
    path: str,
    info: MediaInfo | None = None,
    segments: Sequence[Segment] | None = None,
    *,
    content: str | None = None,
    size_bytes: int = 1000,
    modified_ns: int = 1_700_000_000 * 10**9,
) -> int:
    """Index one file by hand; gives the asset's id."""
    info = info or MediaInfo(Modality.IMAGE, "jpeg", 640, 480)
    segments = segments if segments is not None else [Segment(info.modality)]
    root = catalog.locations.add_root(ROOT)
    seed = abs(hash(content or path)) % 2**32
    with catalog.batch() as batch:
        digest = hashlib.sha256((content or path).encode()).hexdigest()
        asset = put_asset(batch, digest, size_bytes, info)
        batch.put_location(root.id, Path(path), asset.id, size_bytes, modified_ns, 1)
        rows = unit(seed, len(segments))
        vectors = {SPACE: (range(len(segments)), rows)}
        put_encoding(batch, generation.id, asset.id, segments, vectors)
    return asset.id


both_databases = pytest.mark.parametrize("catalog", ["sqlite", "postgresql"], indirect=True)
"""Runs a test on a catalog in SQLite, and on one in PostgreSQL where there is a server."""


@pytest.fixture
def catalog(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Catalog]:
    """A catalog in SQLite unless the test says `both_databases`; empty unless it wants `filled`."""
    folder, url = tmp_path / "collection", None
    filled = "filled" in request.fixturenames
    if getattr(request, "param", "sqlite") == "postgresql":
        url = request.getfixturevalue("postgres_copy")(_stock if filled else _leave)
    elif filled:
        shutil.copytree(request.getfixturevalue("_filled_once"), folder)
    opened = Catalog.open(folder, url=url)
    yield opened
    opened.close()


def _leave(catalog: Catalog) -> None:
    pass


def _stock(catalog: Catalog) -> None:
    fill(catalog, start_generation(catalog))


@pytest.fixture(scope="session")
def _filled_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("filled") / "collection"
    with closing(Catalog.open(folder)) as catalog:
        _stock(catalog)
    return folder


@pytest.fixture
def generation(catalog: Catalog) -> Generation:
    return catalog.generations.serving() or start_generation(catalog)


def start_generation(catalog: Catalog) -> Generation:
    """One of the fake model, which serves."""
    made = catalog.generations.create("fake", "1", [SPACE])
    catalog.generations.promote(made.id)
    serving = catalog.generations.serving()
    assert serving is not None
    return serving


@pytest.fixture
def filled(catalog: Catalog) -> Catalog:
    """The catalog that `fill` makes."""
    return catalog


def fill(catalog: Catalog, generation: Generation) -> Catalog:
    """Two photos, a song, a film with subtitles beside it, and a note."""
    beach = MediaInfo(
        Modality.IMAGE, "jpeg", 4000, 3000, taken_at=datetime(2024, 7, 1, 12),
        details={"camera": "Canon EOS R5", "keywords": "beach; summer", "latitude": 48.2,
                 "longitude": -4.5, "orientation": "landscape"},
    )  # fmt: skip
    put(catalog, generation, "/media/photos/2024/IMG_2041.jpg", beach, size_bytes=5_000_000)
    snow = MediaInfo(Modality.IMAGE, "png", 300, 400, details={"orientation": "portrait"})
    put(catalog, generation, "/media/photos/winter/snow.png", snow, size_bytes=20_000)
    song = MediaInfo(Modality.AUDIO, "mp3", duration_s=200.0, details={"title": "Blue Danube"})
    windows = [Segment(Modality.AUDIO, start, start + 10.0) for start in (0.0, 5.0, 10.0)]
    put(catalog, generation, "/media/photos/song.mp3", song, windows)
    film = MediaInfo(Modality.VIDEO, "mp4", 1920, 1080, duration_s=60.0)
    put(catalog, generation, "/media/photos/film.mp4", film, [Segment(Modality.VIDEO, 0.0, 60.0)])
    lines = [Segment(Modality.TEXT, 3.0, 5.0, "We sail at dawn, captain.")]
    put(catalog, generation, "/media/photos/film.srt", MediaInfo(Modality.TEXT, "srt"), lines)
    passage = [Segment(Modality.TEXT, text="The quick brown fox jumps over the lazy dog.")]
    put(catalog, generation, "/media/photos/notes/fox.md", MediaInfo(Modality.TEXT, "md"), passage)
    with catalog.batch() as batch:
        batch.set_sidecars(catalog.locations.add_root(ROOT).id)
    return catalog


@pytest.fixture
def exported(filled: Catalog, tmp_path: Path) -> Path:
    target = tmp_path / "collection.seehear"
    archive.export(filled, target)
    return target


@pytest.fixture
def empty(tmp_path: Path) -> Catalog:
    return Catalog.open(tmp_path / "elsewhere")
