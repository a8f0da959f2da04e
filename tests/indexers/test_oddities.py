"""Test whole index runs over unusual folders."""

from __future__ import annotations

import os
import socket
import sys
from pathlib import Path

import pytest

from seehear.indexers import IndexReport, verify
from tests.indexers.helpers import Library, counts, picture, unprivileged
from tests.indexers.test_scan import remove_deep

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="files of a kind that Linux has")


def test_a_folder_with_everything_odd_in_it(
    library: Library, media_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Decoded by worker processes, which open the same names."""
    names = ["plain.png", "new\nline.png", " blank .png", "-k.png", "%20.png", "\u2028.png"]
    names.append(os.fsdecode(b"caf\xe9 \xff.png"))
    for i, name in enumerate(names):
        picture(media_folder / name, "red", (60 + i, 50))
    picture(media_folder / "Case.png", "blue")
    picture(media_folder / "case.png", "blue")
    (media_folder / "loop").symlink_to(media_folder)
    (media_folder / "nowhere.png").symlink_to(media_folder / "missing.png")
    (media_folder / "null.png").symlink_to("/dev/null")
    os.mkfifo(media_folder / "pipe.png")
    monkeypatch.chdir(media_folder)
    deep = _deep_picture(media_folder)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("socket.png")
        report = library.index(media_folder)
    assert (report.added, report.failed) == (len(names) + 3, 0)
    assert report.skipped == 4
    assert report.encoded == len(names) + 2, "two names of one content are one asset"
    expected = {*names, "Case.png", "case.png", deep}
    assert library.paths() == expected
    assert len(deep) > 3_700
    assert counts(library.index(media_folder)) == {"unchanged": len(names) + 3, "skipped": 4}
    found = verify(library.catalog, hashes=True)
    assert found.good
    assert found.hashes is not None
    assert found.hashes.files == len(names) + 3
    remove_deep(media_folder / ("d" * 200))


def _deep_picture(folder: Path) -> str:
    """A picture at a path of almost 4,000 characters; gives the path below the folder."""
    picture(folder / "deep.png", "green", (33, 33))
    data = (folder / "deep.png").read_bytes()
    (folder / "deep.png").unlink()
    levels = (3_950 - len(str(folder))) // 201
    here = Path.cwd()
    try:
        for _ in range(levels):
            os.mkdir("d" * 200)
            os.chdir("d" * 200)
        Path("deep.png").write_bytes(data)
    finally:
        os.chdir(here)
    return os.path.join(*["d" * 200] * levels, "deep.png")


@pytest.mark.usefixtures("in_process")
def test_what_lies_in_an_unreadable_folder_is_kept(library: Library, media_folder: Path) -> None:
    picture(media_folder / "a.png")
    locked = picture(media_folder / "locked" / "b.png", "blue").parent
    library.index(media_folder)
    locked.chmod(0)
    reports: list[IndexReport] = []
    unprivileged(lambda: reports.append(library.index(media_folder)))
    locked.chmod(0o755)
    assert counts(reports[0]) == {"unchanged": 1}
    assert "cannot be listed" in reports[0].notes[0]
    assert library.paths() == {"a.png", os.path.join("locked", "b.png")}
    (locked / "b.png").unlink()
    assert counts(library.index(media_folder)) == {"unchanged": 1, "removed": 1}


@pytest.mark.usefixtures("in_process")
def test_a_file_without_permission_is_tried_again(library: Library, media_folder: Path) -> None:
    path = picture(media_folder / "a.png")
    path.chmod(0)
    reports: list[IndexReport] = []
    unprivileged(lambda: reports.append(library.index(media_folder)))
    path.chmod(0o644)
    assert counts(reports[0]) == {"failed": 1}
    assert counts(library.index(media_folder)) == {"added": 1}
