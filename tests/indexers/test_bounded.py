"""The memory of a run stays small: files are in tables on disk, and few in memory."""

from __future__ import annotations

import gc
import os
import shutil
from pathlib import Path

import pytest

from seehear.indexers import Progress
from seehear.stores import FileTask, Location, ScannedFile
from tests.indexers.helpers import Library, counts, note


def test_more_files_than_are_compared_at_once(
    library: Library, media_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Renames, removals and copies among several chunks and pages."""
    monkeypatch.setattr("seehear.indexers.survey.AT_ONCE", 3)
    monkeypatch.setattr("seehear.stores.catalog.scan_table.CHUNK", 2)
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
    monkeypatch.setattr("seehear.indexers.encoding.CHANNEL_BYTES", 100)
    monkeypatch.setattr("seehear.indexers.write.COMMIT_FILES", 8)
    monkeypatch.setattr("seehear.stores.catalog.scan_table.CHUNK", 8)
    monkeypatch.setattr("seehear.indexers.progress.EVERY_S", 0.0)
    kinds = (ScannedFile, FileTask, Location, os.DirEntry)
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
