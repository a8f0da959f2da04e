"""Runs that are disturbed: files that change, stops, errors, other processes, other models."""

from __future__ import annotations

import _thread
import threading
from collections.abc import Sequence
from pathlib import Path

import pytest

from seehear.encoders.fake import FakeEncoder
from seehear.errors import BrokenMediaError, CollectionLockedError, ModelError, StorageFullError
from seehear.indexers import Progress
from seehear.stores import Catalog
from seehear.types import Modality, Sample, Vectors
from tests.indexers.helpers import (
    InProcess,
    Library,
    age,
    broken,
    counts,
    picture,
)


class Refuses(FakeEncoder):
    """Refuses pictures of one width."""

    def __init__(self, width_px: int | None = None) -> None:
        super().__init__()
        self.width_px = width_px

    def encode(self, modality: Modality, samples: Sequence[Sample]) -> Vectors:
        for sample in samples:
            if getattr(sample, "pixels", None) is not None and self.width_px in (
                0,
                sample.pixels.shape[1],  # type: ignore[union-attr]
            ):
                raise RuntimeError("CUDA out of memory")
        return super().encode(modality, samples)


def fill(folder: Path, count: int = 12) -> None:
    for i in range(count):
        picture(folder / f"{i:02}.png", "red", (40 + i, 40))


def test_a_file_that_changes_once_while_it_is_read_is_read_again(
    library: Library, media_folder: Path, in_process: InProcess
) -> None:
    path = picture(media_folder / "a.png", "red")
    picture(media_folder / "b.png", "blue")

    def change(read: Path) -> None:
        if read == path and in_process.decoded.count("a.png") == 1:
            picture(path, "green", (50, 50))

    in_process.on_read = change
    report = library.index(media_folder)
    assert counts(report) == {"added": 2}
    assert in_process.decoded.count("a.png") == 2
    assert library.catalog.counts().assets == 2
    in_process.on_read = None
    assert counts(library.index(media_folder)) == {"unchanged": 2}


def test_a_file_that_keeps_changing_is_a_failure_and_tried_by_the_next_run(
    library: Library, media_folder: Path, in_process: InProcess
) -> None:
    path = picture(media_folder / "a.png", "red")
    picture(media_folder / "b.png", "blue")
    sizes = iter(range(41, 60))

    def change(read: Path) -> None:
        if read == path:
            picture(path, "green", (next(sizes), 50))

    in_process.on_read = change
    report = library.index(media_folder)
    assert counts(report) == {"added": 1, "failed": 1}
    assert "keeps changing" in report.failures[0].reason
    assert library.catalog.counts().assets == 1
    in_process.on_read = None
    assert counts(library.index(media_folder)) == {"added": 1, "unchanged": 1}
    assert library.catalog.counts().failures == 0


def test_a_file_that_vanishes_before_it_is_read(
    library: Library, media_folder: Path, in_process: InProcess
) -> None:
    fill(media_folder, 3)

    def vanish(_: Path) -> None:
        (media_folder / "02.png").unlink(missing_ok=True)

    in_process.on_read = vanish
    report = library.index(media_folder)
    assert report.added == 2
    assert counts(library.index(media_folder)) == {"unchanged": 2}
    assert library.catalog.counts().failures == 0


def test_stopping_keeps_what_is_done_and_the_next_run_goes_on(
    library: Library, media_folder: Path, in_process: InProcess
) -> None:
    fill(media_folder)
    stop = threading.Event()

    def stop_halfway(_: Path) -> None:
        if len(in_process.decoded) == 6:
            stop.set()

    in_process.on_read = stop_halfway
    report = library.index(media_folder, stop=stop)
    assert report.interrupted
    assert 0 < report.added <= 6
    assert library.catalog.counts().assets == report.added
    in_process.on_read = None
    rest = library.index(media_folder)
    assert counts(rest) == {"added": 12 - report.added, "unchanged": report.added}


def test_stopping_removes_nothing(
    library: Library, media_folder: Path, in_process: InProcess
) -> None:
    fill(media_folder, 4)
    library.index(media_folder)
    (media_folder / "00.png").rename(media_folder / "moved.png")
    stop = threading.Event()
    stop.set()
    report = library.index(media_folder, stop=stop)
    assert report.interrupted
    assert library.catalog.counts().locations == 4


def test_ctrl_c_is_a_clean_stop(
    library: Library, media_folder: Path, in_process: InProcess
) -> None:
    fill(media_folder)

    def interrupt(_: Path) -> None:
        if len(in_process.decoded) == 6:
            _thread.interrupt_main()

    in_process.on_read = interrupt
    report = library.index(media_folder)
    assert report.interrupted
    in_process.on_read = None
    library.index(media_folder)
    assert library.catalog.counts().assets == 12


def test_a_refused_picture_fails_alone_and_is_tried_again(
    tmp_path: Path, media_folder: Path, in_process: InProcess
) -> None:
    library = Library(tmp_path / "other", Refuses(45))
    fill(media_folder)
    report = library.index(media_folder)
    assert counts(report) == {"added": 11, "failed": 1}
    assert [(f.path.name, f.stage) for f in report.failures] == [("05.png", "encode")]
    library.encoder = FakeEncoder()
    assert counts(library.index(media_folder)) == {"added": 1, "unchanged": 11}
    library.close()


def test_an_encoder_that_is_broken_ends_the_run_and_blames_no_file(
    tmp_path: Path, media_folder: Path, in_process: InProcess
) -> None:
    library = Library(tmp_path / "other", Refuses(0))
    fill(media_folder, 30)
    with pytest.raises(ModelError, match="cannot encode image here"):
        library.index(media_folder)
    library.encoder = FakeEncoder()
    assert counts(library.index(media_folder)) == {"added": 30}
    library.close()


def test_a_progress_function_that_raises_ends_the_run(
    library: Library, media_folder: Path, in_process: InProcess
) -> None:
    fill(media_folder)

    def fail(progress: Progress) -> None:
        if progress.files_total:
            raise ZeroDivisionError

    before = set(threading.enumerate())
    with pytest.raises(ZeroDivisionError):
        library.index(media_folder, progress=fail)
    assert set(threading.enumerate()) <= before
    assert library.index(media_folder).added + library.catalog.counts().assets >= 12


def test_a_full_disk_ends_the_run_and_keeps_what_was_committed(
    library: Library,
    media_folder: Path,
    in_process: InProcess,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    fill(media_folder, 2)
    library.index(media_folder)
    fill(media_folder, 12)
    whole = Catalog.batch

    def full(catalog: Catalog) -> object:
        if threading.current_thread().name == "seehear-write":
            raise StorageFullError("the disk is full")
        return whole(catalog)

    monkeypatch.setattr(Catalog, "batch", full)
    with pytest.raises(StorageFullError):
        library.index(media_folder)
    monkeypatch.undo()
    assert library.catalog.counts().assets == 2


def test_two_runs_at_once(library: Library, media_folder: Path, in_process: InProcess) -> None:
    fill(media_folder)
    inside, go_on = threading.Event(), threading.Event()

    def pause(_: Path) -> None:
        inside.set()
        go_on.wait(10)

    in_process.on_read = pause
    first = threading.Thread(target=library.index, args=(media_folder,))
    first.start()
    try:
        assert inside.wait(10)
        second = Library(library.folder)
        with pytest.raises(CollectionLockedError, match="process"):
            second.index(media_folder)
        with pytest.raises(CollectionLockedError, match="this process"):
            library.index(media_folder)
        # A reader is not held up by the writer.
        assert second.catalog.counts().assets == 0
    finally:
        go_on.set()
        first.join()
    assert counts(second.index(media_folder, wait_s=5.0)) == {"unchanged": 12}
    second.close()


def test_readers_see_whole_assets_while_a_run_writes(
    library: Library, media_folder: Path, in_process: InProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    from seehear.indexers import write

    monkeypatch.setattr(write, "COMMIT_FILES", 1)
    fill(media_folder, 30)
    problems: list[str] = []
    done = threading.Event()

    def read() -> None:
        reader = Catalog.open(library.folder, read_only=True)
        while not done.is_set():
            generation = reader.generations.serving()
            if generation is None:
                continue
            ids = reader.segments.ids(generation.id)
            resolved = reader.segments.resolve(ids)
            vectors = reader.segments.vectors(ids, generation, generation.spaces[0])
            if len(resolved) != len(ids) or len(vectors) != len(ids):
                problems.append(f"{len(ids)} {len(resolved)} {len(vectors)}")
        reader.close()

    thread = threading.Thread(target=read)
    thread.start()
    try:
        library.index(media_folder)
    finally:
        done.set()
        thread.join()
    assert not problems


def test_another_model_takes_over_in_one_step(
    library: Library, media_folder: Path, in_process: InProcess
) -> None:
    fill(media_folder)
    broken(media_folder / "bad.png")
    first = library.index(media_folder)
    assert not first.promoted
    old = library.catalog.generations.serving()
    library.encoder = FakeEncoder("2")
    stop = threading.Event()
    in_process.decoded.clear()

    def halfway(_: Path) -> None:
        if len(in_process.decoded) == 6:
            stop.set()

    in_process.on_read = halfway
    report = library.index(media_folder, stop=stop)
    in_process.on_read = None
    assert (report.interrupted, report.promoted) == (True, False)
    assert library.catalog.generations.serving() == old
    assert report.pending == 12 - report.encoded > 0

    rest = library.index(media_folder)
    assert rest.promoted
    assert rest.encoded == report.pending
    assert rest.pending == 0
    serving = library.catalog.generations.serving()
    assert serving is not None
    assert serving.id == rest.generation_id
    assert serving.revision == "2"
    assert len(library.catalog.segments.ids(serving.id)) == 12
    assert [g.state for g in library.catalog.generations.all()] == ["retired", "serving"]


def test_a_new_generation_covers_every_root(
    library: Library, tmp_path: Path, media_folder: Path, in_process: InProcess
) -> None:
    other = tmp_path / "other"
    fill(media_folder, 3)
    picture(other / "x.png", "blue")
    library.index(media_folder, other)
    library.encoder = FakeEncoder("2")
    report = library.index(other)
    assert report.promoted
    assert report.encoded == 4


def test_a_generation_that_lacks_something_waits(
    library: Library, media_folder: Path, in_process: InProcess
) -> None:
    fill(media_folder)
    library.index(media_folder)
    old = library.catalog.generations.serving()
    encoder = Refuses(45)
    library.encoder = encoder
    encoder.space = FakeEncoder("2").space
    report = library.index(media_folder)
    assert not report.promoted
    assert report.failed == 1
    assert report.pending == 1
    assert library.catalog.generations.serving() == old
    assert counts(report)["unchanged"] == 11
    encoder.width_px = None
    assert library.index(media_folder).promoted


def test_an_index_run_with_the_old_model_brings_it_back(
    library: Library, media_folder: Path, in_process: InProcess
) -> None:
    fill(media_folder, 4)
    library.index(media_folder)
    library.encoder = FakeEncoder("2")
    library.index(media_folder)
    age(picture(media_folder / "00.png", "blue"), by_s=3)
    library.index(media_folder)
    library.encoder = FakeEncoder("1")
    report = library.index(media_folder)
    assert report.promoted
    assert report.encoded == 1
    assert len(library.catalog.generations.all()) == 2


def test_a_generation_waits_for_what_patterns_left_out(
    library: Library, media_folder: Path, in_process: InProcess
) -> None:
    fill(media_folder, 4)
    library.index(media_folder)
    library.encoder = FakeEncoder("2")
    report = library.index(media_folder, exclude=["00.png"])
    assert (report.promoted, report.pending, report.encoded) == (False, 1, 3)
    assert library.index(media_folder).promoted


def test_a_file_that_cannot_be_decoded_again_keeps_the_old_model_until_it_is_replaced(
    library: Library, media_folder: Path, in_process: InProcess
) -> None:
    """A decoder that fails on an unchanged file does not take it out of the serving generation."""
    fill(media_folder, 4)
    library.index(media_folder)
    library.encoder = FakeEncoder("2")

    def fail(path: Path) -> None:
        if path.name == "01.png":
            raise BrokenMediaError("the decoder died")

    in_process.on_read = fail
    stop = threading.Event()
    report = library.index(media_folder, stop=stop)
    assert (report.failed, report.promoted, report.pending) == (1, True, 0)
    assert "01.png" in library.paths()
    in_process.on_read = None
    library.encoder = FakeEncoder("1")
    back = library.index(media_folder)
    assert (back.encoded, back.promoted) == (0, True)
