"""Reading everything again finds changes that size and time do not show."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from seehear.indexers import Progress, Stage, rehash
from tests.indexers.helpers import Library, age, counts, picture

pytestmark = pytest.mark.usefixtures("in_process")


def alter(path: Path) -> None:
    """Other content under the same size and time, as a failing disk makes it."""
    status = path.stat()
    content = bytearray(path.read_bytes())
    content[-10] ^= 0x40
    path.write_bytes(content)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def test_a_whole_collection_has_no_deviations(library: Library, media_folder: Path) -> None:
    for name in "abc":
        picture(media_folder / f"{name}.bmp", size_px=(40 + ord(name), 40))
    library.index(media_folder)
    seen: list[Progress] = []
    report = rehash(library.catalog, progress=seen.append)
    assert (report.files, report.deviations, report.offline) == (3, (), 0)
    assert report.bytes_read == sum(path.stat().st_size for path in media_folder.iterdir())
    assert seen[0].files_total == 3
    assert [(p.stage, p.files_done) for p in (seen[0], *seen[-2:])] == [
        (Stage.VERIFY, 0),
        (Stage.VERIFY, 3),
        (Stage.DONE, 3),
    ]


def test_deviations_are_told_apart_and_repaired_by_the_next_run(
    library: Library, media_folder: Path
) -> None:
    for i, name in enumerate(("altered", "changed", "gone", "good")):
        picture(media_folder / f"{name}.bmp", "red", (40 + i, 40))
    library.index(media_folder)
    alter(media_folder / "altered.bmp")
    age(picture(media_folder / "changed.bmp", "blue"), by_s=1)
    (media_folder / "gone.bmp").unlink()
    assert counts(library.index(media_folder, include=["altered.bmp"])) == {"unchanged": 1}

    report = rehash(library.catalog, repair=True)
    assert {d.path.stem: d.reason for d in report.deviations} == {
        "altered": "altered",
        "changed": "changed",
        "gone": "missing",
    }
    assert counts(library.index(media_folder)) == {"updated": 2, "removed": 1, "unchanged": 1}
    assert rehash(library.catalog).deviations == ()


def test_offline_roots_are_not_read(library: Library, media_folder: Path, tmp_path: Path) -> None:
    picture(media_folder / "a.png")
    library.index(media_folder)
    media_folder.rename(tmp_path / "away")
    library.index(media_folder)
    report = rehash(library.catalog)
    assert (report.files, report.offline, report.deviations) == (0, 1, ())


def test_stops_when_asked(library: Library, media_folder: Path) -> None:
    for i in range(20):
        picture(media_folder / f"{i}.png", "red", (40 + i, 40))
    library.index(media_folder)
    stop = threading.Event()
    report = rehash(library.catalog, progress=lambda _: stop.set(), stop=stop)
    assert report.interrupted
    assert report.files < 20
