"""Writing many contents at once gives the same rows as writing them one by one."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from seehear.errors import SpaceMismatchError
from seehear.stores import Catalog, Generation, NewContent, NewLocation
from seehear.types import EmbeddingSpace, MediaInfo, Modality, Segment
from tests.stores.conftest import SPACE, unit
from tests.stores.one_by_one import put_asset, put_encoding


def contents(revision: int) -> list[tuple[NewContent, list[NewLocation]]]:
    """Ten contents of three kinds at fifteen places; some change with the revision."""
    made = []
    for i in range(10):
        name = f"{i}-{revision if i % 3 == 0 else 0}"
        kind = (Modality.IMAGE, Modality.AUDIO, Modality.TEXT)[i % 3]
        segments = [Segment(kind, text="red fox" if kind is Modality.TEXT else None)] * (i % 4)
        details = {"title": f"title {i}", "camera": "Canon"}
        content = NewContent(
            name, i + 1, MediaInfo(kind, "x", details=details), segments,
            {SPACE: (range(len(segments)), unit(i, len(segments)))} if segments else {},
            bytes([1, i, revision]) if i % 2 else b"",
        )  # fmt: skip
        paths = [f"/m/{i}.x"] + [f"/m/copy-{i}.x"] * (i % 2)
        made.append((content, [NewLocation(1, Path(p), i + 1, revision, 1 << 63) for p in paths]))
    return made


def dump(catalog: Catalog) -> dict[str, list[Any]]:
    """Every table, in order, without the change numbers (one per batch)."""
    queries = {
        "assets": "SELECT * FROM assets ORDER BY content_hash",
        "encodings": "SELECT * FROM encodings ORDER BY 1, 2",
        "fingerprints": "SELECT * FROM fingerprints ORDER BY 1",
        "locations": "SELECT path, asset_id, root_id, name, shown, folders, size_bytes,"
        " modified_ns, inode, sidecar_of FROM locations ORDER BY path",
        "vectors": "SELECT a.content_hash, s.ordinal, s.modality, s.text, v.space_id, v.data"
        " FROM segments s JOIN assets a ON a.id = s.asset_id JOIN vectors v ON v.segment_id = s.id"
        " ORDER BY 1, 2",
    }
    with closing(sqlite3.connect(catalog.folder / "catalog.db")) as database:
        return {name: database.execute(query).fetchall() for name, query in queries.items()}


def test_many_at_once_equals_one_by_one(tmp_path: Path) -> None:
    one, many = Catalog.open(tmp_path / "one"), Catalog.open(tmp_path / "many")
    for catalog in (one, many):
        catalog.locations.add_root(Path("/m"))
        catalog.generations.create("fake", "1", [SPACE])
    for revision in (1, 2):
        made = contents(revision)
        with many.batch() as batch:
            batch.put_contents(1, [content for content, _ in made], [at for _, at in made])
        for content, places in made:
            with one.batch() as batch:
                asset = put_asset(batch, content.content_hash, content.size_bytes, content.info)
                put_encoding(batch, 1, asset.id, content.segments, content.vectors)
                if content.fingerprint:
                    batch.put_fingerprints({asset.id: content.fingerprint})
                for p in places:
                    batch.put_location(
                        p.root_id, p.path, asset.id, p.size_bytes, p.modified_ns, p.inode
                    )
        assert dump(one) == dump(many)
    assert many.integrity_issues() == []
    one.close()
    many.close()


def test_vectors_that_do_not_fit_are_refused(catalog: Catalog, generation: Generation) -> None:
    segments = [Segment(Modality.IMAGE)]
    info = MediaInfo(Modality.IMAGE, "png")
    for space, rows in ((SPACE, unit(1, 2)), (EmbeddingSpace("other", "1", 8), unit(1, 1))):
        content = NewContent("a", 1, info, segments, {space: ([0], rows)})
        with pytest.raises(SpaceMismatchError), catalog.batch() as batch:
            batch.put_contents(generation.id, [content], [[]])
    assert catalog.counts().assets == 0
