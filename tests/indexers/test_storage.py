"""Disks that are full, and collections that cannot be written."""

from __future__ import annotations

import random
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import seehear
from seehear.config import Settings
from seehear.encoders.base import SingleSpaceModel
from seehear.encoders.fake import FakeEncoder
from seehear.errors import StorageFullError, StoreError
from seehear.indexers import index, write
from seehear.stores import Catalog, archive
from tests.indexers.helpers import Library, counts, note, picture

pytestmark = pytest.mark.usefixtures("in_process")


def _mount(folder: Path, *options: str) -> bool:
    if sys.platform != "linux" or shutil.which("mount") is None:
        return False
    command = ["mount", *options, str(folder)]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of one MiB; only root may mount one."""
    folder = tmp_path / "disk"
    folder.mkdir()
    if not _mount(folder, "-t", "tmpfs", "-o", "size=1m", "tmpfs"):
        pytest.skip("cannot mount a small file system here")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)  # files may be mapped


def test_a_disk_that_fills_up_keeps_what_was_committed(
    small_disk: Path, media_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(write, "COMMIT_FILES", 16)
    words = ["red", "blue", "forest", "stone"]
    for i in range(120):
        note(media_folder / f"{i}.md", " ".join(random.Random(i).choices(words, k=400)))
    library = Library(small_disk / "collection")
    with pytest.raises(StorageFullError, match="the disk is full"):
        library.index(media_folder)
    kept = library.catalog.counts().assets
    assert 0 < kept < 120
    assert library.catalog.integrity_issues() == []
    assert _mount(small_disk, "-o", "remount,size=40m")
    assert counts(library.index(media_folder)) == {"added": 120 - kept, "unchanged": kept}
    library.close()


def test_a_read_only_collection_is_not_indexed_into(library: Library, media_folder: Path) -> None:
    picture(media_folder / "a.png")
    library.index(media_folder)
    picture(media_folder / "b.png", "blue")
    reader = Catalog.open(library.folder, read_only=True)
    with pytest.raises(StoreError, match="read-only"):
        index(reader, SingleSpaceModel("fake", FakeEncoder()), [media_folder])
    assert reader.counts().assets == 1
    reader.close()


def test_exports_and_imports_on_a_full_disk_are_whole_or_not_there(
    small_disk: Path, library: Library, media_folder: Path, tmp_path: Path
) -> None:
    for i in range(120):
        note(media_folder / f"{i}.md", " ".join(random.Random(i).choices(["red", "blue"], k=900)))
    library.index(media_folder)
    with pytest.raises(StorageFullError, match="the disk is full"):
        archive.export(library.catalog, small_disk / "export")
    assert list(small_disk.iterdir()) == []
    archive.export(library.catalog, tmp_path / "export")
    there = Catalog.open(small_disk / "collection")
    with pytest.raises(StorageFullError, match="the disk is full"):
        archive.restore(tmp_path / "export", there, {})
    assert there.counts().assets == 0
    assert there.integrity_issues() == []
    assert _mount(small_disk, "-o", "remount,size=40m")
    archive.restore(tmp_path / "export", there, {})
    assert there.counts() == library.catalog.counts()
    there.close()


def test_a_full_disk_keeps_no_search_from_answering(
    small_disk: Path, media_folder: Path, tmp_path: Path
) -> None:
    """Caches that cannot be written cost time, never an answer."""
    for i in range(40):
        note(media_folder / f"{i}.md", f"red {i} " * 9)
    with seehear.Collection(small_disk / "collection", Settings(model="fake")) as library:
        library.index(media_folder)
        expected = [hit.path for hit in library.search("red", k=5)]
    shutil.rmtree(small_disk / "collection" / "cache", ignore_errors=True)
    _fill(small_disk / "ballast")
    with seehear.Collection(small_disk / "collection") as library:
        assert [hit.path for hit in library.search("red", k=5)] == expected
        assert expected
        with pytest.raises(StorageFullError, match="full"):
            library.index(media_folder)
    for written in (small_disk / "collection").rglob(".writing-*"):
        pytest.fail(f"{written} is left behind")


def _fill(ballast: Path) -> None:
    """Take every byte that is free."""
    with ballast.open("wb", buffering=0) as file:
        for size in (1 << 16, 1 << 12, 1):
            try:
                while file.write(b"x" * size) == size:
                    pass
            except OSError:
                continue


@pytest.fixture
def frozen(tmp_path: Path) -> Iterator[Callable[[Path], Path]]:
    """Mounts a folder a second time, for reading only; only root may."""
    place = tmp_path / "frozen"
    place.mkdir()
    mounted = []

    def freeze(folder: Path) -> Path:
        if not _mount(place, "--bind", str(folder)):
            pytest.skip("cannot mount a folder a second time here")
        mounted.append(place)
        assert _mount(place, "-o", "remount,bind,ro")
        return place

    yield freeze
    for folder in mounted:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)  # files may be mapped


def test_a_collection_on_a_read_only_disk_is_searched(
    tmp_path: Path, media_folder: Path, frozen: Callable[[Path], Path]
) -> None:
    picture(media_folder / "a.png", "red")
    picture(media_folder / "b.png", "blue")
    with seehear.Collection(tmp_path / "written", Settings(model="fake")) as library:
        library.index(media_folder)
        expected = {hit.path: hit.score for hit in library.search("red")}
    with seehear.Collection(frozen(tmp_path / "written")) as library:
        found = {hit.path: hit.score for hit in library.search("red")}
        assert found == pytest.approx(expected, abs=1e-3)
        assert library.verify().good
        with pytest.raises(StoreError, match="read-only"):
            library.index(media_folder)
        with pytest.raises(StoreError, match="read-only"):
            library.forget(media_folder)


def test_what_a_killed_writer_left_in_its_log_is_read_on_a_read_only_disk(
    tmp_path: Path, media_folder: Path, frozen: Callable[[Path], Path]
) -> None:
    picture(media_folder / "a.png", "red")
    code = (
        "import os, sys, seehear\n"
        "from seehear.config import Settings\n"
        "library = seehear.Collection(sys.argv[1], Settings(model='fake'))\n"
        "library.index(sys.argv[2])\n"
        "os._exit(9)\n"
    )
    written = tmp_path / "written"
    command = [sys.executable, "-c", code, str(written), str(media_folder)]
    assert subprocess.run(command, check=False).returncode == 9
    assert (written / "catalog.db-wal").stat().st_size > 0
    with seehear.Collection(frozen(written)) as library:
        assert [hit.path.name for hit in library.search("red")] == ["a.png"]
