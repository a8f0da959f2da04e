"""Test what an index run reads of a root: the joins of a scan with the catalog."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path

import pytest
from sqlalchemy import event, select, text

from seehear.errors import StorageFullError
from seehear.stores import RACY_INODE, Catalog, FileTask, Generation, ScannedFile, ScanTable
from seehear.stores.catalog.schema import locations
from seehear.types import MediaInfo, Modality
from tests.stores.conftest import ROOT, both_databases, put

AT = 1_700_000_000 * 10**9


@pytest.fixture
def table(filled: Catalog) -> Iterator[ScanTable]:
    with closing(ScanTable(filled.engine, filled.folder)) as made:
        yield made


def scanned(name: str, size_bytes: int = 1000, at: int = AT, inode: int = 1) -> ScannedFile:
    return ScannedFile(f"{ROOT}/{name}", size_bytes, at, inode)


def names(table: ScanTable) -> list[str]:
    return [os.path.relpath(task.path, ROOT) for task in table.tasks()]


def open_files() -> Iterator[str]:
    for descriptor in Path("/proc/self/fd").iterdir():
        with suppress(OSError):  # that of the listing itself
            yield str(descriptor.readlink())


def gone(table: ScanTable, *, if_moved: bool = True) -> list[int]:
    return [id_ for ids in table.take_gone(if_moved=if_moved) for id_ in ids]


@both_databases
def test_what_is_as_it_was_is_no_task(
    filled: Catalog, generation: Generation, table: ScanTable
) -> None:
    root = filled.locations.add_root(ROOT)
    other = filled.locations.add_root(Path("/media/other"))
    for name in ("odd caf\udce9.jpg", "same", "larger", "later", "another inode"):
        put(filled, generation, f"{ROOT}/{name}", content=ascii(name), size_bytes=7)
    asset = put(filled, generation, f"{ROOT}/racy", size_bytes=7)
    with filled.batch() as batch:
        batch.put_location(root.id, ROOT / "racy", asset, 7, AT, RACY_INODE)
        for name, size_bytes in (("bad", 5), ("mended", 5)):
            batch.put_failure(root.id, ROOT / name, "decode", "truncated", size_bytes, AT)
    files = [
        scanned("same", 7), scanned("odd caf\udce9.jpg", 7), scanned("larger", 8),
        scanned("later", 7, AT + 1), scanned("another inode", 7, inode=2),
        scanned("racy", 7, inode=RACY_INODE), scanned("new", 9), scanned("bad", 5),
        scanned("mended", 6),
    ]  # fmt: skip
    table.add(root.id, files[:3])
    table.add(root.id, files[3:])
    table.add(other.id, [ScannedFile("/media/other/a", 3, AT, 1)])
    unchanged, failed = table.compare(generation.id, retry_failed=False)
    assert unchanged == 2
    assert [(failure.path.name, failure.reason) for failure in failed] == [("bad", "truncated")]
    found = {task.path.name: task for task in table.tasks()}
    # First those of 7 bytes: what "larger" had before may lie in one of them now.
    assert list(found) == ["later", "another inode", "racy", "larger", "new", "mended", "a"]
    assert (table.task_count, table.task_bytes) == (7, 8 + 7 + 7 + 7 + 9 + 6 + 3)
    new = found["new"]
    assert new == FileTask(root.id, ROOT / "new", 9, AT, 1, None, None, False, False)
    assert found["mended"].failed_before
    assert found["later"].asset_id is not None
    assert not any(task.intact for task in found.values())
    assert list(table.tasks()) == list(found.values())


@both_databases
def test_another_generation_has_all_to_encode(
    filled: Catalog, generation: Generation, table: ScanTable
) -> None:
    root = filled.locations.add_root(ROOT)
    with filled.batch() as batch:
        batch.put_failure(root.id, ROOT / "bad", "decode", "truncated", 5, AT)
    table.add(root.id, [scanned("song.mp3"), scanned("bad", 5)])
    building = filled.generations.create("next", "1", generation.spaces)
    assert table.compare(building.id, retry_failed=True) == (0, [])
    song, bad = table.tasks()
    assert (song.intact, song.failed_before) == (True, False)
    assert (bad.intact, bad.failed_before) == (False, True)


@both_databases
def test_a_part_of_a_root_is_what_lies_at_a_path_and_below_it(
    filled: Catalog, generation: Generation
) -> None:
    root = filled.locations.add_root(ROOT)
    for path in ("/media/photos/winter.jpg", "/media/photos/winter 2/a.jpg"):
        put(filled, generation, path)  # before and after "winter/" in the order of bytes
    with filled.batch() as batch:
        batch.put_failure(root.id, ROOT / "winter" / "bad.png", "decode", "truncated", 5, AT)
    paths = {one.id: str(one.path) for one in filled.locations.in_root(root.id)}
    assert len(paths) == 8
    assert len(filled.locations.in_root(root.id, most=2)) == 2
    parts = {"winter": ["winter/snow.png"], "winter.jpg": ["winter.jpg"], "film": []}
    for name, wanted in parts.items():
        with closing(ScanTable(filled.engine, filled.folder)) as table:
            cured = table.find_gone(root.id, ROOT / name, None)
            assert [os.path.relpath(paths[id_], ROOT) for id_ in gone(table)] == wanted
            assert cured == ([f"{ROOT}/winter/bad.png"] if name == "winter" else [])
            assert table.find_gone(filled.locations.add_root(Path("/media")).id, ROOT, None) == []
            assert table.gone == 0


@both_databases
def test_only_what_would_have_been_scanned_is_gone(
    filled: Catalog, generation: Generation, table: ScanTable, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("seehear.stores.catalog.scan_table.CHUNK", 10)  # several pages
    root = filled.locations.add_root(ROOT)
    for number in range(45):
        put(filled, generation, f"{ROOT}/many/{number:04}", size_bytes=number)
    with filled.batch() as batch:
        batch.put_failure(root.id, ROOT / "many" / "bad", "decode", "truncated", 5, AT)
    paths = {one.id: str(one.path) for one in filled.locations.in_root(root.id)}
    table.add(root.id, [scanned(f"many/{number:04}") for number in range(0, 45, 3)])
    below = ROOT / "many"
    cured = table.find_gone(root.id, below, lambda path: path.endswith(("1", "d")))
    assert cured == [f"{ROOT}/many/bad"]
    table.find_gone(root.id, ROOT / "winter", None)  # asks nothing anew of what was found before
    wanted = [f"{n:04}" for n in range(45) if n % 3 and n % 10 == 1]
    assert table.gone == len(wanted) + 1
    assert [Path(paths[id_]).name for id_ in gone(table)] == [*wanted, "snow.png"]
    assert table.gone == 0


@both_databases
def test_moves_come_first_and_are_taken_once_the_last_of_an_asset_first(
    filled: Catalog, generation: Generation, table: ScanTable
) -> None:
    root = filled.locations.add_root(ROOT)
    made = [("a1", "a", 100), ("b", "b", 200), ("a2", "a", 100), ("c", "c", 300), ("d", "d", 400)]
    assets = {
        name: put(filled, generation, f"{ROOT}/{name}", content=content, size_bytes=size_bytes)
        for name, content, size_bytes in made
    }
    ids = {one.path.name: one.id for one in filled.locations.in_root(root.id)}
    # A new file of no known size, one of a size that goes, one that replaces a content, and one
    # of the size of that content.
    sizes = {"x": 9, "y": 300, "d": 401, "z": 400, "u": 100}
    table.add(root.id, [scanned(name, size_bytes) for name, size_bytes in sizes.items()])
    for name in ("a1", "b", "a2", "c"):
        table.find_gone(root.id, ROOT / name, None)
    table.compare(generation.id, retry_failed=False)
    assert names(table) == ["y", "z", "u", "x", "d"]
    assert gone(table, if_moved=False) == [ids["b"]]
    asked = [assets["a1"], assets["b"], assets["a1"]]
    assert table.take_moved(asked) == [ids["a2"], None, ids["a1"]]
    assert table.take_moved([assets["a1"]]) == [None]
    assert table.gone == 1
    assert gone(table) == [ids["c"]]
    assert table.take_moved([assets["c"]]) == [None]


def test_sqlite_goes_by_the_paths(
    filled: Catalog, generation: Generation, table: ScanTable
) -> None:
    """And not through the whole root, of which it expects less than there is."""
    root, seen = filled.locations.add_root(ROOT), []
    table.add(root.id, [scanned("a")])
    event.listen(
        filled.engine, "before_cursor_execute", lambda *given: seen.append((given[2], given[3]))
    )
    table.find_gone(root.id, ROOT / "winter", None)
    table.compare(generation.id, retry_failed=False)
    used = []
    with table._step() as connection:
        for statement, parameters in [one for one in seen if "JOIN locations" in one[0]]:
            plan = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters)
            used += [row[-1] for row in plan if "locations" in row[-1]]
    assert used
    assert all("sqlite_autoindex_locations_1 (path" in one for one in used)


@both_databases
def test_a_scan_holds_up_neither_readers_nor_the_writer(
    filled: Catalog, generation: Generation, table: ScanTable
) -> None:
    root = filled.locations.add_root(ROOT)
    table.add(root.id, [scanned(f"{number}") for number in range(2000)])
    table.find_gone(root.id, ROOT, None)
    table.compare(generation.id, retry_failed=False)
    tasks = table.tasks()
    assert next(tasks).path.name == "0"
    filled.locations.set_online(root.id, False)
    assert [one.online for one in filled.locations.roots()] == [False]
    # Another thread takes moves meanwhile.
    taken: list[object] = []
    other = threading.Thread(target=lambda: taken.append(table.take_moved([1, 2, 3])))
    other.start()
    other.join(10)
    assert len(taken) == 1
    assert len(list(tasks)) == 1999


def test_a_scan_leaves_no_file_and_changes_nothing(filled: Catalog, generation: Generation) -> None:
    root, engine = filled.locations.add_root(ROOT), filled.engine
    (filled.folder / ".scan.db").write_bytes(b"left by a killed process")
    files = {path.name for path in filled.folder.iterdir()} - {".scan.db"}
    with engine.connect() as connection:
        before = connection.execute(text("SELECT * FROM sqlite_master")).all()
        connection.rollback()
        version = connection.exec_driver_sql("PRAGMA data_version").scalar()
        with closing(ScanTable(engine, filled.folder)) as table:
            table.add(root.id, [scanned(f"{number}") for number in range(2000)])
            table.find_gone(root.id, None, None)
            table.compare(generation.id, retry_failed=False)
            if os.name != "nt":
                assert {path.name for path in filled.folder.iterdir()} == files
        if Path("/proc/self/fd").is_dir():
            assert ".scan.db" not in " ".join(open_files())
        assert connection.exec_driver_sql("PRAGMA data_version").scalar() == version
        assert connection.execute(text("SELECT * FROM sqlite_master")).all() == before


def test_a_disk_that_takes_no_list_says_so(filled: Catalog, table: ScanTable) -> None:
    with table._step() as connection:
        connection.exec_driver_sql("PRAGMA scan.max_page_count = 20")
    root = filled.locations.add_root(ROOT)
    with pytest.raises(StorageFullError, match="cannot list the files: the disk is full"):
        table.add(root.id, [scanned(f"{number}" * 100) for number in range(2000)])
    table.add(root.id, [scanned("one more")])


@both_databases
def test_subtitles_are_joined_and_parted(filled: Catalog, generation: Generation) -> None:
    root = filled.locations.add_root(ROOT)
    film = MediaInfo(Modality.VIDEO, "mp4", duration_s=9.0)
    sound = MediaInfo(Modality.AUDIO, "mp3", duration_s=9.0)
    subtitle, note = MediaInfo(Modality.TEXT, "srt"), MediaInfo(Modality.TEXT, "txt")
    made = {
        name: put(filled, generation, f"/media/photos/films/{name}", info)
        for name, info in {
            "Night.MKV": film, "night.en.SRT": subtitle, "night.vtt": subtitle,
            "night.txt": note, "day.srt": subtitle, "s.srt": subtitle, "Night.mp3": sound,
            "night.en.forced.srt": subtitle, "Song.mp3": sound, "song.lrc": subtitle,
            "song.de.srt": subtitle, "song.txt": note,
        }.items()
    }  # fmt: skip
    elsewhere = put(filled, generation, "/media/photos/more/night.srt", subtitle)

    def joined() -> dict[int, int | None]:
        with filled.batch() as batch:
            batch.set_sidecars(root.id)
        with filled.engine.connect() as connection:
            rows = connection.execute(select(locations.c.asset_id, locations.c.sidecar_of))
            return {int(row[0]): row[1] for row in rows}

    found = joined()
    night = made["Night.MKV"]
    assert {asset for asset, video in found.items() if video == night} == {
        made["night.en.SRT"],
        made["night.vtt"],
        made["night.en.forced.srt"],
    }
    song = {made["song.lrc"], made["song.de.srt"]}
    assert {asset for asset, owner in found.items() if owner == made["Song.mp3"]} == song
    assert found[elsewhere] is None
    assert joined() == found
    # The film goes: what lay beside it is the sound's, whose name is the same.
    (film_location,) = filled.locations.of_assets([night])[night]
    with filled.batch() as batch:
        batch.remove_location(film_location.id)
    owners = joined()
    assert night not in owners.values()
    assert owners[made["night.vtt"]] == made["Night.mp3"]


def test_subtitles_that_stay_are_not_written_again(filled: Catalog) -> None:
    """An index run that finds nothing changed writes nothing to them."""
    root = filled.locations.add_root(ROOT)
    with filled.engine.connect() as connection:
        connection.execute(
            text(
                "CREATE TRIGGER none BEFORE UPDATE ON locations BEGIN SELECT RAISE(FAIL, 'no'); END"
            )
        )
        connection.commit()
    with filled.batch() as batch:
        batch.set_sidecars(root.id)
