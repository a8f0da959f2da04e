"""Lost data is told apart from derived data, which is rebuilt."""

from __future__ import annotations

import re
import shutil
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from seehear.encoders.fake import FakeEncoder
from seehear.indexers import FileMismatch, Verification, verify
from seehear.stores import Catalog, FaultKind, VectorCache
from seehear.stores.catalog.change_log import ChangeLog, Changes
from tests.indexers.helpers import Library, note, picture, sound
from tests.indexers.test_rehashing import alter

pytestmark = pytest.mark.usefixtures("in_process")


@pytest.fixture
def filled(library: Library, media_folder: Path) -> Library:
    picture(media_folder / "red.png")
    picture(media_folder / "blue.bmp", "blue")
    sound(media_folder / "tone.wav", "red", "blue")
    note(media_folder / "notes.md", "The siren of the fire engine is red.")
    library.index(media_folder)
    assert verify(library.catalog).good
    return library


def change(library: Library, *statements: str) -> None:
    """Meddle with the catalog behind its back."""
    with closing(sqlite3.connect(library.folder / "catalog.db")) as database:
        for statement in statements:
            database.execute(statement)
        database.commit()


def test_a_whole_collection_is_good(filled: Library) -> None:
    found = verify(filled.catalog, hashes=True)
    assert (found.assets, found.segments) == (4, filled.catalog.counts().segments)
    assert (found.faults, found.loose_ends, found.renewed_files) == ((), (), 0)
    assert {index.modality for index in found.indexes} == {"image", "audio", "text"}
    assert sum(index.vectors for index in found.indexes) == found.segments
    assert found.hashes is not None
    assert (found.hashes.files, found.hashes.deviations) == (4, ())


FAULTS = {
    "DELETE FROM vectors WHERE modality = 'image'": "segments have no vector",
    "DELETE FROM segments WHERE id = 1": "rows refer to missing rows",
    "DELETE FROM assets WHERE id = 1": "rows refer to missing rows",
    "DELETE FROM encodings WHERE asset_id = 1": "segments belong to assets that are not marked",
    "UPDATE vectors SET data = x'00' WHERE segment_id = 1": "vectors are shorter or longer",
    "UPDATE vectors SET data = replace(hex(data), '', '') WHERE segment_id = 1": "vectors are sho",
    "UPDATE vectors SET change = 999 WHERE segment_id = 1": "a change number from the future",
    "UPDATE vectors SET modality = 'video' WHERE segment_id = 1": "do not match the modality",
    "INSERT INTO removals VALUES (1, 1, 1)": "both present and removed",
    "DELETE FROM counters WHERE name = 'change'": "counters are missing",
    "INSERT INTO segments SELECT 99, generation_id, asset_id, ordinal, modality, start_s, stop_s,"
    " text, crc, page, origin, language, confidence, box FROM segments WHERE id = 1": (
        "segments are duplicated"
    ),
    "INSERT INTO generations VALUES (9, 'x', '1', 'serving', '2026-01-01')": "beside another",
}


@pytest.mark.parametrize("statement", FAULTS)
def test_a_loss_in_the_truth_is_told(filled: Library, statement: str) -> None:
    change(filled, statement)
    found = verify(filled.catalog)
    assert not found.good
    assert not found.mended
    assert FAULTS[statement] in " ".join(fault.what for fault in found.lost)
    again = verify(filled.catalog)
    assert again.lost == found.lost, "nothing that is lost is made up"


RED = (
    "(SELECT s.id FROM segments s JOIN locations l ON l.asset_id = s.asset_id"
    " WHERE l.name = 'red.png')"
)
DAMAGE = {
    f"UPDATE vectors SET data = zeroblob(length(data)) WHERE segment_id = {RED}": "red.png",
    "UPDATE vectors SET data = (SELECT v.data FROM vectors v WHERE v.modality = 'text')"
    f" WHERE segment_id = {RED}": "red.png",
    "UPDATE segments SET text = replace(text, 'siren', 'sixen') WHERE text <> ''": "notes.md",
    "UPDATE segments SET stop_s = stop_s + 1 WHERE ordinal = 0 AND modality = 'audio'": "tone.wav",
}


@pytest.mark.parametrize("statement", DAMAGE)
def test_a_damaged_row_is_told_and_made_again_from_its_file(
    filled: Library, media_folder: Path, statement: str
) -> None:
    before = _vectors(filled)
    change(filled, statement)
    for _ in range(2):
        found = verify(filled.catalog)
        (issue,) = found.damaged
        assert (issue.count, [Path(name).name for name in issue.examples]) == (
            1,
            [DAMAGE[statement]],
        )
        assert not found.good
        assert (found.lost, found.renewed_files) == ((), 0), "the caches are from before"
        assert found.caches_good
    for path in _caches(filled):
        path.unlink()
    found = verify(filled.catalog)
    assert not found.good
    assert found.caches_good, "built without the damaged row"
    encoded = filled.encoded
    assert filled.index(media_folder).failed == 0
    assert filled.encoded > encoded
    assert verify(filled.catalog).good
    assert _vectors(filled) == before


def _vectors(library: Library) -> set[bytes]:
    catalog = library.catalog
    generation = catalog.generations.serving()
    assert generation is not None
    (space,) = generation.spaces
    ids = catalog.segments.ids(generation.id)
    return {row.tobytes() for row in catalog.segments.vectors(ids, generation, space)}


def test_a_damaged_row_of_a_read_only_collection_is_told(filled: Library) -> None:
    change(filled, *list(DAMAGE)[:1])
    reader = Catalog.open(filled.folder, read_only=True)
    found = verify(reader)
    assert len(found.damaged) == 1
    assert found.unrepaired
    reader.close()


def test_a_lost_log_is_told_once(filled: Library, media_folder: Path, tmp_path: Path) -> None:
    filled.catalog.copy_to(tmp_path / "older.db")
    picture(media_folder / "green.png", "green")
    filled.index(media_folder)
    assert verify(filled.catalog).good
    filled.close()
    for end in ("-wal", "-shm"):
        (filled.folder / f"catalog.db{end}").unlink(missing_ok=True)
    shutil.copy(tmp_path / "older.db", filled.folder / "catalog.db")
    filled.catalog = Catalog.open(filled.folder)
    found = verify(filled.catalog)
    (issue,) = found.damaged
    assert issue.what.startswith("of the last changes are missing: the log")
    assert not found.good
    assert filled.index(media_folder).added == 1
    assert verify(filled.catalog).good


def test_a_log_that_is_deleted_after_a_kill_is_told(
    library: Library, media_folder: Path, tmp_path: Path
) -> None:
    """What is committed is in the log alone until it is folded into the file."""
    picture(media_folder / "red.png")
    library.index(media_folder)
    library.close()  # folds the log into the file
    library.catalog = Catalog.open(library.folder)
    picture(media_folder / "blue.png", "blue")
    library.index(media_folder)
    left = tmp_path / "left"
    left.mkdir()
    for name in ("catalog.db", "last-change"):  # as a kill leaves them, without the log
        shutil.copy(library.folder / name, left / name)
    catalog = Catalog.open(left)
    assert catalog.counts().assets == 1
    assert len(verify(catalog).damaged) == 1
    catalog.close()


def test_a_damaged_page_is_told(filled: Library) -> None:
    filled.close()
    path = filled.folder / "catalog.db"
    with closing(sqlite3.connect(path)) as database:
        query = "SELECT rootpage FROM sqlite_master WHERE name = 'vectors'"
        start = (database.execute(query).fetchone()[0] - 1) * 4096
    data = bytearray(path.read_bytes())
    data[start : start + 8] = b"\xff" * 8
    path.write_bytes(data)
    catalog = Catalog.open(filled.folder)
    found = verify(catalog, hashes=True)
    assert [fault.what for fault in found.lost] == ["the database is damaged"]
    assert not found.good
    assert found.hashes is None
    catalog.close()


def test_an_index_of_the_database_is_made_anew(filled: Library) -> None:
    _damage_an_index(filled)
    catalog = Catalog.open(filled.folder)
    found = verify(catalog)
    assert [fault.what for fault in found.faults] == ["indexes of the database are damaged"]
    assert {fault.kind for fault in found.faults} == {FaultKind.DERIVED}
    assert found.mended
    assert found.good
    assert verify(catalog).faults == ()
    catalog.close()


def _damage_an_index(library: Library) -> None:
    library.close()
    with closing(sqlite3.connect(library.folder / "catalog.db")) as database:
        query = "SELECT * FROM sqlite_master WHERE name = 'locations_by_video'"
        index = database.execute(query).fetchone()
        database.execute("PRAGMA writable_schema = ON")
        database.execute("DELETE FROM sqlite_master WHERE name = 'locations_by_video'")
        database.commit()
    change(library, "UPDATE locations SET sidecar_of = 1 WHERE id = 2")  # which it does not see
    with closing(sqlite3.connect(library.folder / "catalog.db")) as database:
        database.execute("PRAGMA writable_schema = ON")
        database.execute("INSERT INTO sqlite_master VALUES (?, ?, ?, ?, ?)", index)
        database.commit()


def _caches(library: Library) -> list[Path]:
    return sorted((library.folder / "cache").iterdir())


DAMAGES: dict[str, Callable[[list[Path]], object]] = {
    "deleted": lambda files: shutil.rmtree(files[0].parent),
    "truncated": lambda files: [path.write_bytes(path.read_bytes()[:-9]) for path in files],
    "emptied": lambda files: [path.write_bytes(b"") for path in files],
    "flipped": lambda files: [
        path.write_bytes(path.read_bytes()[:-1] + bytes([path.read_bytes()[-1] ^ 1]))
        for path in files
    ],
    "of another version": lambda files: [
        path.write_bytes(re.sub(rb'"layout": \d', b'"layout": 0', path.read_bytes(), count=1))
        for path in files
    ],
    "another's": lambda files: [shutil.copy(files[0], path) for path in files[1:]],
}


@pytest.mark.parametrize("case", DAMAGES)
def test_caches_are_made_anew(filled: Library, case: str) -> None:
    count = len(_caches(filled))
    assert count == 5
    DAMAGES[case](_caches(filled))
    found = verify(filled.catalog)
    assert found.good
    assert found.renewed_files == (count - 1 if case == "another's" else count)
    assert all(index.agreed for index in found.indexes)
    assert verify(filled.catalog).renewed_files == 0


def test_a_cache_that_lies_is_found_out_and_made_anew(
    filled: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that is whole and of this catalog, and does not hold what the catalog holds."""
    truth = ChangeLog.since

    @contextmanager
    def turned(changes: ChangeLog, *arguments: Any) -> Iterator[Changes]:
        with truth(changes, *arguments) as found:
            blocks = ((ids, np.roll(rows, 1, axis=1)) for ids, rows in found.blocks)
            yield replace(found, blocks=blocks)

    for path in _caches(filled):
        path.unlink()
    monkeypatch.setattr(ChangeLog, "since", turned)
    generation = filled.catalog.generations.serving()
    assert generation is not None
    cache = VectorCache(filled.folder, filled.catalog, generation)
    for index in verify(filled.catalog).indexes:
        cache.index(generation.spaces[0], index.modality)
    monkeypatch.undo()

    reader = Catalog.open(filled.folder, read_only=True)
    found = verify(reader)
    assert (found.good, found.caches_good) == (False, False)
    assert "read-only" in found.unrepaired
    reader.close()

    found = verify(filled.catalog)
    assert not any(index.agreed for index in found.indexes)
    assert found.good
    assert verify(filled.catalog).renewed_files == 0


def test_caches_of_dropped_generations_are_removed(filled: Library, media_folder: Path) -> None:
    old = _caches(filled)
    filled.encoder = FakeEncoder("2")
    filled.index(media_folder)
    assert verify(filled.catalog).removed_files == 0
    both = _caches(filled)
    assert len(both) == 2 * len(old) - 1, "the words of files are those of all generations"
    filled.catalog.generations.drop(1)
    with _another_writes(filled):
        found = verify(filled.catalog)
    assert (found.good, found.removed_files) == (True, 0)
    assert _caches(filled) == both
    found = verify(filled.catalog)
    assert (found.good, found.removed_files, found.renewed_files) == (True, len(old) - 1, 0)
    assert len(set(_caches(filled)) & set(old)) == 1


def test_while_another_writes_everything_is_checked_and_nothing_repaired(filled: Library) -> None:
    _damage_an_index(filled)
    filled.catalog = Catalog.open(filled.folder)
    with _another_writes(filled):
        found = verify(filled.catalog)
    assert (found.good, found.mended) == (False, False)
    assert "writing" in found.unrepaired
    assert verify(filled.catalog).mended


@contextmanager
def _another_writes(library: Library) -> Iterator[None]:
    inside, go_on = threading.Event(), threading.Event()

    def hold() -> None:
        with library.catalog.write_lock():
            inside.set()
            go_on.wait(30)

    holder = threading.Thread(target=hold)
    holder.start()
    try:
        assert inside.wait(30)
        yield
    finally:
        go_on.set()
        holder.join()


def test_loose_ends_of_a_run_that_was_cut_short_are_no_faults(filled: Library) -> None:
    (picture_,) = (p for p in filled.catalog.locations.in_root(1) if p.path.suffix == ".png")
    with filled.catalog.batch() as batch:
        batch.remove_location(picture_.id)
    change(
        filled,
        "DELETE FROM vectors WHERE modality = 'text'",
        "DELETE FROM encodings WHERE asset_id IN"
        " (SELECT asset_id FROM segments WHERE modality = 'text')",
        "DELETE FROM segments WHERE modality = 'text'",
    )
    found = verify(filled.catalog)
    told = {end.what: end.count for end in found.loose_ends}
    assert told == {"contents no longer have a file": 1, "contents are not encoded yet": 1}
    assert found.lost == ()


def test_files_are_read_and_compared(filled: Library, media_folder: Path) -> None:
    (media_folder / "tone.wav").unlink()
    ordinary = verify(filled.catalog, hashes=True)
    assert ordinary.good, "a file that was deleted is no fault of the collection"
    assert [d.reason for d in _deviations(ordinary)] == ["missing"]
    alter(media_folder / "blue.bmp")
    found = verify(filled.catalog, hashes=True)
    assert {d.path.name: d.reason for d in _deviations(found)} == {
        "blue.bmp": "altered",
        "tone.wav": "missing",
    }
    assert not found.good
    assert found.hashes is not None
    assert found.hashes.marked
    filled.index(media_folder)
    assert verify(filled.catalog, hashes=True).good


def _deviations(found: Verification) -> tuple[FileMismatch, ...]:
    assert found.hashes is not None
    return found.hashes.deviations
