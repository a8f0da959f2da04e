"""The memory of a run stays small: work is kept as bytes, locations as numbers."""

from __future__ import annotations

import errno
import gc
import os
import shutil
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from seehear.errors import StorageFullError, StoreError
from seehear.indexers import Progress, work_queue
from seehear.indexers.diff import moves_first
from seehear.indexers.missing import IdBitmap, MissingLocations, SizeSet
from seehear.indexers.scan import ScannedFile
from seehear.indexers.work_queue import Work, WorkQueue
from seehear.stores import KnownFile, Location
from seehear.stores.catalog.records import KnownLocation
from tests.indexers.helpers import Library, counts, note


def work(number: int, before: KnownFile | None = None) -> Work:
    name = os.fsdecode(f"/media/{number:05d} ".encode() + b"\xe4\xff.png")
    return Work(ScannedFile(name, number % 7, 10**18 + number, (1 << 63) - 1), 3, before)


@pytest.mark.parametrize("in_memory_bytes", [1 << 20, 100])
def test_work_comes_back_as_it_was_put_as_often_as_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, in_memory_bytes: int
) -> None:
    monkeypatch.setattr(work_queue, "IN_MEMORY_BYTES", in_memory_bytes)
    known = KnownFile(5, 6, 7, -8, (1 << 64) - 1, True)
    put = [work(0), work(1, known), work(2, KnownFile(1, 2, 3, 4, 5, False)), work(3)]
    kept = WorkQueue(tmp_path)
    for item in put:
        kept.append(item)
    assert len(kept) == 4
    assert kept.size_bytes == 0 + 1 + 2 + 3
    assert list(kept) == put
    assert list(kept) == put
    assert list(tmp_path.iterdir()) == []  # a process that is killed leaves nothing behind
    kept.close()


def test_a_disk_that_takes_no_work_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Refusing:
        def __init__(self, number: int) -> None:
            self.number = number

        def write(self, _: bytes) -> Any:
            raise OSError(self.number, os.strerror(self.number))

    for number, wanted in ((errno.ENOSPC, StorageFullError), (errno.EIO, StoreError)):
        with closing(WorkQueue(tmp_path)) as kept, monkeypatch.context() as patch:
            patch.setattr(kept, "_file", Refusing(number))
            with pytest.raises(wanted, match="full" if number == errno.ENOSPC else "cannot write"):
                kept.append(work(1))


def test_what_may_be_a_move_comes_first_and_all_comes_once() -> None:
    items = [work(number) for number in range(50)]
    ordered = list(moves_first(items, SizeSet([2, 5, 5])))
    assert ordered == sorted(items, key=lambda item: item.file.size_bytes not in {2, 5})
    assert list(moves_first(items, SizeSet([]))) == items


def test_leaving_locations_are_taken_once_the_last_of_an_asset_first() -> None:
    leaving = MissingLocations()
    for id_, asset, size in ((10, 7, 100), (11, 8, 200), (12, 7, 100), (13, 9, 300)):
        leaving.add(id_, asset, size)
    having, others = leaving.split(SizeSet([100, 300, 400]))
    assert having.ids().tolist() == [10, 12, 13]
    assert others.ids().tolist() == [11]
    departures = having.by_asset()
    assert [departures.take(asset) for asset in (7, 8, 7, 7)] == [12, None, 10, None]
    assert departures.left().tolist() == [13]


def test_ids_that_were_met() -> None:
    met = IdBitmap()
    for id_ in (3, 70_000, 3, 8):
        met.add(id_)
    assert len(met) == 3
    assert [id_ for id_ in (0, 2, 3, 8, 9, 69_999, 70_000, 10**6) if id_ in met] == [3, 8, 70_000]


def test_more_files_than_are_compared_at_once(
    library: Library, media_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Renames, removals and copies among several chunks, with the work on disk."""
    monkeypatch.setattr("seehear.indexers.survey.AT_ONCE", 3)
    monkeypatch.setattr(work_queue, "IN_MEMORY_BYTES", 200)
    for number in range(11):
        note(media_folder / f"{number % 2}" / f"{number:02d}.txt", f"note number {number}")
    assert library.index(media_folder).added == 11
    assert library.index(media_folder).unchanged == 11
    (media_folder / "0").rename(media_folder / "2")
    (media_folder / "1" / "01.txt").unlink()
    note(media_folder / "1" / "copy.txt", "note number 3")
    report = library.index(media_folder)
    assert (report.moved, report.removed, report.added, report.unchanged) == (6, 1, 1, 4)
    assert report.encoded == 0
    assert library.index(media_folder / "1").unchanged == 5
    assert len(library.catalog.locations.roots()) == 1


def test_a_run_holds_few_files_at_any_time(
    library: Library, media_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While files are added, found as they were, renamed and removed."""
    # What is on its way between stages is bounded; with small bounds a few files show it.
    monkeypatch.setattr("seehear.indexers.survey.AT_ONCE", 8)
    monkeypatch.setattr("seehear.indexers.pipeline.CHANNEL_RESULTS", 8)
    monkeypatch.setattr("seehear.indexers.pipeline.CHANNEL_BYTES", 100)
    monkeypatch.setattr("seehear.indexers.write.COMMIT_FILES", 8)
    monkeypatch.setattr("seehear.indexers.progress.EVERY_S", 0.0)
    kinds = (ScannedFile, Work, KnownFile, KnownLocation, Location, os.DirEntry)
    alive: list[int] = []

    gc.collect()
    gc.freeze()  # what was there before is none of it, and need not be looked through

    def look(_: Progress) -> None:
        alive.append(sum(type(thing) in kinds for thing in gc.get_objects()))

    def run(folder: Path) -> dict[str, int]:
        return counts(library.index(folder, progress=look))

    for number in range(160):
        note(media_folder / "old" / f"{number // 20}" / f"{number}.txt", f"note number {number}")
    try:
        assert run(media_folder) == {"added": 160}
        assert run(media_folder) == {"unchanged": 160}
        (media_folder / "old").rename(media_folder / "new")
        assert run(media_folder) == {"moved": 160}
        shutil.rmtree(media_folder / "new" / "7")
        assert run(media_folder) == {"unchanged": 140, "removed": 20}
    finally:
        gc.unfreeze()
    assert len(alive) > 4 * 160 // 8
    assert max(alive) < 80
