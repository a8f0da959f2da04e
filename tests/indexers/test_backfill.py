"""Fingerprints are made once for each content, also for collections of an earlier version."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from sqlalchemy import delete, update

from seehear.encoders.fake import FakeEncoder
from seehear.indexers import Progress
from seehear.indexers.progress import Stage
from seehear.media.fingerprints import NOTHING, VERSION
from seehear.stores.catalog.schema import fingerprints
from tests.indexers.helpers import InProcess, Library, age, counts, note, picture, sound


@pytest.fixture
def old(library: Library, media_folder: Path, in_process: InProcess) -> Library:
    """A collection of four files without fingerprints, as an earlier version left it."""
    picture(media_folder / "a.png", "red")
    sound(media_folder / "b.wav", "green")
    note(media_folder / "c.txt", "a red house by the sea")
    picture(media_folder / "below" / "d.png", "blue")
    library.index(media_folder)
    assert len(prints(library)) == 4
    forget(library)
    in_process.decoded.clear()
    return library


def prints(library: Library) -> dict[int, bytes]:
    return library.catalog.assets.fingerprints(range(20))


def forget(library: Library) -> None:
    with library.catalog.batch() as batch:
        batch.connection.execute(delete(fingerprints))


def test_an_old_collection_gets_them_without_encoding(
    old: Library, media_folder: Path, in_process: InProcess
) -> None:
    before, seen = old.encoded, list[Progress]()
    report = old.index(media_folder, progress=seen.append)
    assert counts(report) == {"unchanged": 4}
    assert not report.changed
    assert old.encoded == before
    assert {data[0] for data in prints(old).values()} == {VERSION}
    assert sorted(in_process.decoded) == ["a.png", "b.wav", "c.txt", "d.png"]
    marked = [p for p in seen if p.stage is Stage.MARK]
    assert (marked[0].files_done, marked[0].files_total) == (0, 4)
    assert (seen[-1].files_done, seen[-1].files_total) == (4, 4)
    in_process.decoded.clear()
    old.index(media_folder)
    assert in_process.decoded == []


def test_those_of_an_older_version_are_made_anew(
    old: Library, media_folder: Path, in_process: InProcess
) -> None:
    old.index(media_folder)
    made = prints(old)
    places = old.catalog.locations.in_root(1)
    (stale,) = (place.asset_id for place in places if place.path.name == "b.wav")
    with old.catalog.batch() as batch:
        batch.connection.execute(
            update(fingerprints)
            .where(fingerprints.c.asset_id == stale)
            .values(version=0, data=b"\0")
        )
    in_process.decoded.clear()
    old.index(media_folder)
    assert prints(old) == made
    assert in_process.decoded == ["b.wav"]


def test_a_stopped_run_is_continued(
    old: Library, media_folder: Path, in_process: InProcess
) -> None:
    stop = threading.Event()
    in_process.on_read = lambda path: stop.set() if len(in_process.decoded) == 2 else None
    report = old.index(media_folder, stop=stop)
    assert report.interrupted
    assert len(prints(old)) == 1
    in_process.on_read = None
    old.index(media_folder)
    assert len(prints(old)) == 4


def test_only_what_was_asked_for_is_read(
    old: Library, media_folder: Path, in_process: InProcess
) -> None:
    old.index(media_folder / "below")
    assert in_process.decoded == ["d.png"]


def test_a_file_that_changes_meanwhile_is_left(
    old: Library, media_folder: Path, in_process: InProcess
) -> None:
    def rewrite(path: Path) -> None:
        if path.name == "a.png":
            picture(path, "green", (33, 44))
            age(path, 7)

    in_process.on_read = rewrite
    old.index(media_folder)
    assert len(prints(old)) == 3


def test_a_file_that_cannot_be_decoded_any_more_is_not_tried_again(
    old: Library, media_folder: Path, in_process: InProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    from seehear.errors import BrokenMediaError
    from seehear.media import decode

    def broken(*_: object) -> object:
        raise BrokenMediaError("corrupt")

    monkeypatch.setattr(decode, "samples_open", broken)
    old.index(media_folder)
    assert set(prints(old).values()) == {NOTHING}


def test_another_model_keeps_them(old: Library, media_folder: Path, in_process: InProcess) -> None:
    old.index(media_folder)
    with old.catalog.batch() as batch:
        batch.connection.execute(update(fingerprints).values(data=bytes([VERSION]) + b"kept"))
    old.encoder = FakeEncoder(revision="2")
    report = old.index(media_folder)
    assert report.encoded == 4
    assert set(prints(old).values()) == {bytes([VERSION]) + b"kept"}
