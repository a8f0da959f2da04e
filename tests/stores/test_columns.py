"""Segments in memory equal those of the catalog after any change of it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from seehear.stores import Catalog, Generation, SegmentColumns, VectorCache
from seehear.stores.catalog.segment_table import SegmentTable
from seehear.types import Ids, MediaInfo, Modality, Segment
from tests.stores.conftest import ROOT, both_databases, put

FILM = MediaInfo(Modality.VIDEO, "mp4", 1920, 1080, duration_s=60.0)


def rows(pieces: SegmentColumns) -> list[tuple[float, ...]]:
    """One tuple for each; no time is -1."""
    columns = (pieces.ids, pieces.assets, pieces.kinds, pieces.start_s, pieces.stop_s)
    return list(zip(*(np.nan_to_num(c, nan=-1.0).tolist() for c in columns), strict=True))


def agree(catalog: Catalog, generation: Generation, columns: SegmentTable) -> Ids:
    """Compares everything that columns can be asked; gives the ids of all segments."""
    ids = catalog.segments.ids(generation.id)
    assert rows(columns.of(ids)) == rows(catalog.segments.columns(ids))
    assets = np.array(sorted(set(catalog.segments.columns(ids).assets.tolist())), dtype=np.int64)
    for some in (assets, assets[::2], assets[:0]):
        expected = catalog.segments.of_assets(some, generation.id)
        np.testing.assert_array_equal(columns.segments_of(some), expected)
    return ids


@both_databases
def test_columns_say_what_the_catalog_says(filled: Catalog, generation: Generation) -> None:
    ids = agree(filled, generation, filled.segments.table(generation.id))
    assert len(ids) == 8


@both_databases
def test_columns_follow_what_comes_and_goes(filled: Catalog, generation: Generation) -> None:
    columns = filled.segments.table(generation.id)
    put(filled, generation, "/media/photos/later.jpg")
    filled.locations.remove(Path("/media/photos/song.mp3"))
    put(filled, generation, "/media/photos/film.jpg")
    caught_up = filled.segments.table(generation.id, columns)
    ids = agree(filled, generation, caught_up)
    assert set(ids.tolist()) != set(columns.segment_columns.ids.tolist())
    # The newest goes: what comes after it must be seen all the same.
    filled.locations.remove(Path("/media/photos/film.jpg"))
    without = filled.segments.table(generation.id, caught_up)
    put(filled, generation, "/media/photos/last.jpg")
    agree(filled, generation, filled.segments.table(generation.id, without))


@both_databases
def test_a_subtitle_is_the_videos_only_while_it_lies_beside_one(
    filled: Catalog, generation: Generation
) -> None:
    columns = filled.segments.table(generation.id)
    filled.locations.remove(Path("/media/photos/film.mp4"))
    with filled.batch() as batch:
        batch.set_sidecars(filled.locations.add_root(ROOT).id)
    agree(filled, generation, filled.segments.table(generation.id, columns))
    put(filled, generation, "/media/photos/film.mp4", FILM, [Segment(Modality.VIDEO, 0.0, 60.0)])
    with filled.batch() as batch:
        batch.set_sidecars(filled.locations.add_root(ROOT).id)
    agree(filled, generation, filled.segments.table(generation.id, columns))


def test_what_lies_nowhere_is_left_out(filled: Catalog, generation: Generation) -> None:
    columns = filled.segments.table(generation.id)
    before = filled.changes.state()
    with filled.batch() as batch:  # its asset stays for now
        (gone,) = [one for one in filled.locations.in_root(1) if one.path.name == "IMG_2041.jpg"]
        batch.remove_location(gone.id)
    after = filled.changes.state()
    assert (after.change, after.moves) == (before.change, before.moves + 1)
    columns = filled.segments.table(generation.id, columns)
    kept = columns.of(columns.segment_columns.ids)
    assert len(kept) == len(columns.segment_columns) - 1
    assert rows(kept) == rows(filled.segments.columns(columns.segment_columns.ids))


def files_of(cache: VectorCache, catalog: Catalog) -> list[Path]:
    cache.segment_table()
    return sorted((catalog.folder / "cache").glob("*.segments"))


def test_processes_map_one_file_of_columns(filled: Catalog, generation: Generation) -> None:
    expected = filled.segments.table(generation.id)
    first = VectorCache(filled.folder, filled, generation)
    (file,) = files_of(first, filled)
    written = file.stat().st_ino
    other = VectorCache(filled.folder, filled, generation)
    tables = [first.segment_table(), other.segment_table()]
    for table in tables:
        assert rows(table.of(expected.segment_columns.ids)) == rows(
            expected.of(expected.segment_columns.ids)
        )
        assert not table.own.flags.writeable  # of the file
        agree(filled, generation, table)
    assert file.stat().st_ino == written
    put(filled, generation, "/media/photos/later.jpg")
    later = other.segment_table(tables[1])
    agree(filled, generation, later)
    assert file.stat().st_ino != written
    agree(filled, generation, VectorCache(filled.folder, filled, generation).segment_table())


@pytest.mark.parametrize("damage", ["cut", "bit", "header", "missing", "other"])
def test_a_damaged_file_of_columns_is_made_anew(
    filled: Catalog, generation: Generation, damage: str
) -> None:
    cache = VectorCache(filled.folder, filled, generation)
    (file,) = files_of(cache, filled)
    data = bytearray(file.read_bytes())
    if damage == "cut":
        data = data[:-3]
    elif damage == "bit":
        data[2000 % len(data)] ^= 4
    elif damage == "header":
        data[5] ^= 64
    elif damage == "other":
        data = bytearray(bytes(data).replace(b'"identity": "', b'"identity": "1'))[: len(data)]
    file.unlink()
    if damage != "missing":
        file.write_bytes(data)
    again = VectorCache(filled.folder, filled, generation)
    agree(filled, generation, again.segment_table())
    assert files_of(again, filled) == [file]


def test_columns_of_a_catalog_that_was_replaced_are_read_anew(
    filled: Catalog, generation: Generation, tmp_path: Path
) -> None:
    filled.copy_to(tmp_path / "before.db")
    put(filled, generation, "/media/photos/later.jpg")
    columns = filled.segments.table(generation.id)
    filled.fill_from(tmp_path / "before.db")
    agree(filled, generation, filled.segments.table(generation.id, columns))
