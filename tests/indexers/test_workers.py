"""The whole run with real decode workers: every kind of media, what breaks, and nothing left."""

from __future__ import annotations

import shutil
import sys
import threading
from pathlib import Path

import pytest

from seehear import media
from seehear.errors import EnvironmentFaultError
from seehear.indexers import Progress, Stage
from tests.indexers.helpers import Library, broken, counts, note, picture, sound


def test_every_kind_from_workers_equals_decoding_in_this_process(
    tmp_path: Path, media_folder: Path, library: Library
) -> None:
    for i, colour in enumerate(("red", "green", "blue")):
        picture(media_folder / f"{colour}.jpg", colour, (300 + i, 200))
    shutil.copy(media_folder / "red.jpg", media_folder / "again.jpg")
    sound(media_folder / "long.wav", "red", "green", "blue", seconds=4.0)
    note(media_folder / "notes.md", "The forest is green. " * 40)
    broken(media_folder / "bad.jpg")
    broken(media_folder / "empty.png", b"")
    broken(media_folder / "data.xml", b"<a/>")
    report = library.index(media_folder)
    assert counts(report) == {"added": 6, "failed": 2, "skipped": 1}
    assert report.encoded == 5
    assert counts(library.index(media_folder)) == {"unchanged": 6, "failed": 2, "skipped": 1}

    generation = library.catalog.generations.serving()
    assert generation is not None
    ids = library.catalog.segments.ids(generation.id)
    vectors = library.catalog.segments.vectors(ids, generation, generation.spaces[0])
    for found, stored in zip(library.catalog.segments.resolve(ids), vectors, strict=True):
        pairs = list(media.samples(found.path, None, library.encoder.spec))
        segment, sample = pairs[found.ordinal]
        assert segment == found.segment
        expected = library.encoder.encode(segment.modality, [sample])[0]
        assert stored == pytest.approx(expected, abs=2e-3)  # kept in half precision


def test_a_stop_ends_workers_and_threads(library: Library, media_folder: Path) -> None:
    for i in range(60):
        picture(media_folder / f"{i:02}.jpg", "red", (900 + i, 700))
    before = threading.active_count()
    stop = threading.Event()

    def stop_halfway(progress: Progress) -> None:
        if progress.stage is Stage.ENCODE and progress.elapsed_s > 0.5:
            stop.set()

    report = library.index(media_folder, stop=stop, progress=stop_halfway)
    assert threading.active_count() == before
    rest = library.index(media_folder)
    assert report.added + rest.added == 60


def test_a_worker_that_cannot_start_is_one_clear_error(
    library: Library, media_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    picture(media_folder / "a.png")
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    with pytest.raises(EnvironmentFaultError):
        library.index(media_folder)
    monkeypatch.undo()
    assert counts(library.index(media_folder)) == {"added": 1}
