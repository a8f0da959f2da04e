"""Rows that were damaged after writing are found by their checksum, and build no cache."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import text

from seehear.stores import Catalog, Generation, ScannedFile, ScanTable, VectorCache
from seehear.stores.catalog.checksums import segment_crc
from seehear.types import Modality
from tests.stores.conftest import SPACE, both_databases

SONG = "/media/photos/song.mp3"
FOX = "/media/photos/notes/fox.md"
FILM = "/media/photos/film.mp4"
BEACH = "/media/photos/2024/IMG_2041.jpg"

DAMAGE = {
    "a vector": ("UPDATE vectors SET data = :data WHERE segment_id = 1", BEACH),
    "the vector of another": (
        "UPDATE vectors SET data = (SELECT data FROM vectors WHERE segment_id = 2), "
        "crc = (SELECT crc FROM vectors WHERE segment_id = 2) WHERE segment_id = 1",
        BEACH,
    ),
    "the modality of a vector": (
        "UPDATE vectors SET modality = 'video' WHERE segment_id = 1",
        BEACH,
    ),
    "the change of a vector": ("UPDATE vectors SET change = 0 WHERE segment_id = 1", BEACH),
    "a checksum": ("UPDATE vectors SET crc = crc + 1 WHERE segment_id = 1", BEACH),
    "a checksum that is missing": ("UPDATE segments SET crc = NULL WHERE id = 1", BEACH),
    "one letter of a passage": (
        "UPDATE segments SET text = replace(text, 'fox', 'fax') WHERE text LIKE '%fox%'",
        FOX,
    ),
    "a passage that is lost": ("UPDATE segments SET text = NULL WHERE text LIKE '%fox%'", FOX),
    "a passage that is empty": ("UPDATE segments SET text = '' WHERE text LIKE '%fox%'", FOX),
    "a start": ("UPDATE segments SET start_s = 5.0000001 WHERE start_s = 5.0", SONG),
    "a stop": ("UPDATE segments SET stop_s = 61.0 WHERE stop_s = 60.0", FILM),
    "a time that is lost": ("UPDATE segments SET stop_s = NULL WHERE stop_s = 60.0", FILM),
    "an order": ("UPDATE segments SET ordinal = 7 WHERE start_s = 5.0", SONG),
}


def alter(catalog: Catalog, statement: str) -> None:
    with catalog.engine.begin() as connection:
        changed = connection.execute(
            text(statement), {"data": bytes(16)} if ":data" in statement else {}
        )
        assert changed.rowcount == 1


@both_databases
@pytest.mark.parametrize("case", DAMAGE)
def test_a_damaged_row_is_found_and_its_file_named(filled: Catalog, case: str) -> None:
    assert filled.damaged_encodings() == []
    statement, path = DAMAGE[case]
    alter(filled, statement)
    assert [found.name for found in filled.damaged_encodings()] == [path]


@both_databases
def test_a_marked_asset_is_encoded_again(filled: Catalog, generation: Generation) -> None:
    alter(filled, DAMAGE["a start"][0])
    (damaged,) = filled.damaged_encodings()
    assert filled.generations.unencoded(generation.id) == []
    filled.generations.mark_damaged([damaged])
    assert filled.generations.unencoded(generation.id) == [damaged.asset_id]
    assert not filled.generations.is_encoded(generation.id, damaged.asset_id)
    as_before = [ScannedFile(path, 1000, 1_700_000_000 * 10**9, 1) for path in (SONG, FOX)]
    with closing(ScanTable(filled.engine, filled.folder)) as table:
        table.add(filled.locations.roots()[0].id, as_before)
        assert table.compare(generation.id, retry_failed=False) == (1, [])
        assert [(str(task.path), task.intact) for task in table.tasks()] == [(SONG, True)]
    assert [issue.what for issue in filled.pending_work()] == ["contents are not encoded yet"]
    assert len(filled.segments.of_assets([damaged.asset_id], generation.id)) == 3, "kept till then"


def test_a_damaged_vector_builds_no_cache(filled: Catalog, generation: Generation) -> None:
    def open_index() -> VectorCache:
        return VectorCache(filled.folder, filled, generation)

    whole = open_index().index(SPACE, Modality.IMAGE)
    right = whole.vectors(whole.ids)
    for path in (filled.folder / "cache").iterdir():
        path.unlink()
    alter(filled, "UPDATE vectors SET data = (SELECT data FROM vectors WHERE segment_id = 2) "
          "WHERE segment_id = 1")  # fmt: skip
    built = open_index().index(SPACE, Modality.IMAGE)
    assert built.ids.tolist() == [2]
    np.testing.assert_array_equal(built.vectors(built.ids), right[1:])
    assert not filled.segments.vectors([1], generation, SPACE).any()


def test_a_byte_of_the_file_that_flips(filled: Catalog, tmp_path: Path) -> None:
    """No index covers passages, so the database itself finds nothing wrong."""
    filled.copy_to(tmp_path / "copy")
    data = (tmp_path / "copy").read_bytes()
    at = [i for i in range(len(data)) if data.startswith(b"The quick brown fox", i)]
    (tmp_path / "other").mkdir()
    for start in at:
        altered = bytearray(data)
        altered[start + 4] ^= 0x80  # no longer valid Unicode
        (tmp_path / "other" / "catalog.db").write_bytes(altered)
        catalog = Catalog.open(tmp_path / "other", read_only=True)
        names = [found.name for found in catalog.damaged_encodings()]
        catalog.close()
        if names:
            assert names == [FOX]
            return
    pytest.fail("the passage is nowhere in the table of segments")


def test_equal_values_have_one_checksum() -> None:
    """Databases store no difference between 0, 0.0 and -0.0."""
    assert len({segment_crc(1, 1, 0, "audio", zero, 5, None) for zero in (0, 0.0, -0.0)}) == 1
    empty, missing = (segment_crc(1, 1, 0, "text", None, None, words) for words in ("", None))
    assert empty != missing
