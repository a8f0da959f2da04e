"""Disks that are full, and collections that cannot be written."""

from __future__ import annotations

import random
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from seehear.encoders.base import SingleSpaceModel
from seehear.encoders.fake import FakeEncoder
from seehear.errors import StorageFullError, StoreError
from seehear.indexers import index, write
from seehear.stores import Catalog
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
    subprocess.run(["umount", str(folder)], check=True)


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
    assert library.catalog.check_integrity() == []
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
