"""The sequence of progress events of a run: counts only grow, and end where they should."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from seehear.cli import progress as shown
from seehear.collection import Collection
from seehear.config import Settings
from seehear.indexers import Progress, Stage
from tests.indexers.helpers import InProcess, Library, broken, note, picture

ORDER = list(Stage)


def check(seen: Sequence[Progress], *, stopped: bool = False) -> None:
    """What holds for the events of every run."""
    assert seen[0].stage is Stage.SCAN
    assert seen[-1].stage is Stage.DONE
    for before, event in pairwise(seen):
        assert ORDER.index(before.stage) <= ORDER.index(event.stage)
        if before.stage is event.stage or before.files_total is not None:
            assert before.files_done <= event.files_done
            assert before.bytes_done <= event.bytes_done
            assert before.files_total == event.files_total
        assert before.failed <= event.failed
    for event in seen:
        if event.files_total is not None:
            assert event.files_done <= event.files_total
        # What a person sees never claims a rate of nothing.
        assert " 0.0 files/s" not in shown.describe(event)
    if stopped:
        return
    stages = list(dict.fromkeys(event.stage for event in seen))
    assert stages == [Stage.SCAN, Stage.ENCODE, Stage.CLEAN, Stage.PREPARE, Stage.DONE]
    encode = [event for event in seen if event.stage is Stage.ENCODE]
    for event in (
        encode[-1],
        *(e for e in seen if ORDER.index(e.stage) > ORDER.index(Stage.ENCODE)),
    ):
        assert event.files_done == event.files_total
        assert event.bytes_done == event.bytes_total


@pytest.fixture
def collection(tmp_path: Path, in_process: InProcess) -> Iterator[Collection]:
    with Collection(tmp_path / "collection", Settings(model="fake")) as made:
        yield made


def index(collection: Collection, folder: Path) -> list[Progress]:
    seen: list[Progress] = []
    collection.index(folder, progress=seen.append)
    return seen


def test_all_new_then_nothing_to_do(collection: Collection, tmp_path: Path) -> None:
    for i in range(20):
        note(tmp_path / "media" / f"{i}.txt", f"note number {i}")
    seen = index(collection, tmp_path / "media")
    check(seen)
    assert seen[-1].files_total == 20
    assert seen[-1].files_per_s > 0
    seen = index(collection, tmp_path / "media")
    check(seen)
    assert (seen[-1].files_done, seen[-1].files_total) == (0, 0)


def test_one_file(collection: Collection, tmp_path: Path) -> None:
    seen = index(collection, note(tmp_path / "only.txt", "one note"))
    check(seen)
    assert seen[-1].files_done == 1


def test_an_empty_folder(collection: Collection, tmp_path: Path) -> None:
    (tmp_path / "media").mkdir()
    check(index(collection, tmp_path / "media"))


def test_files_that_fail_count_as_done(collection: Collection, tmp_path: Path) -> None:
    picture(tmp_path / "media" / "good.png")
    for i in range(3):
        broken(tmp_path / "media" / f"{i}.png")
    seen = index(collection, tmp_path / "media")
    check(seen)
    assert (seen[-1].files_done, seen[-1].failed) == (4, 3)


def test_moves_copies_and_removals(collection: Collection, tmp_path: Path) -> None:
    for i in range(6):
        note(tmp_path / "media" / f"{i}.txt", f"note number {i}")
    check(index(collection, tmp_path / "media"))
    (tmp_path / "media" / "0.txt").rename(tmp_path / "media" / "moved.txt")
    shutil.copy(tmp_path / "media" / "1.txt", tmp_path / "media" / "copied.txt")
    (tmp_path / "media" / "2.txt").unlink()
    check(index(collection, tmp_path / "media"))


def test_many_files(collection: Collection, tmp_path: Path) -> None:
    for i in range(600):
        note(tmp_path / "media" / f"{i % 7}" / f"{i}.txt", f"note number {i}")
    seen = index(collection, tmp_path / "media")
    check(seen)
    assert seen[-1].files_done == 600


@pytest.mark.parametrize("stage", [Stage.SCAN, Stage.ENCODE, Stage.CLEAN, Stage.PREPARE])
def test_a_stopped_run_ends_with_what_it_did(
    collection: Collection, tmp_path: Path, stage: Stage
) -> None:
    for i in range(40):
        note(tmp_path / "media" / f"{i:02}.txt", f"note number {i}")
    stop, seen = threading.Event(), list[Progress]()

    def look(event: Progress) -> None:
        seen.append(event)
        if event.stage is stage:
            stop.set()

    report = collection.index(tmp_path / "media", progress=look, stop=stop)
    check(seen, stopped=True)
    assert report.interrupted == (stage is not Stage.PREPARE)
    assert (Stage.PREPARE in [event.stage for event in seen]) == (stage is Stage.PREPARE)


def test_search_is_prepared_before_the_run_is_done(
    collection: Collection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    note(tmp_path / "a.txt", "one note")
    seen: list[Progress] = []
    at: list[Stage] = []
    calibrate = collection._missing_calibration

    def note_stage() -> dict[str, bytes]:
        at.append(seen[-1].stage)
        return calibrate()

    monkeypatch.setattr(collection, "_missing_calibration", note_stage)
    collection.index(tmp_path / "a.txt", progress=seen.append)
    assert at == [Stage.PREPARE]


KINDS = st.sampled_from(["new", "copy", "broken", "empty", "unknown"])


@contextmanager
def folder_of(kinds: Sequence[str]) -> Iterator[Path]:
    with TemporaryDirectory() as place:
        folder = Path(place) / "media"
        folder.mkdir()
        for i, kind in enumerate(kinds):
            if kind == "broken":
                broken(folder / f"{i}.png")
            elif kind in {"empty", "unknown"}:
                suffix = "txt" if kind == "empty" else "exe"
                (folder / f"{i}.{suffix}").write_bytes(b"" if kind == "empty" else b"MZ\x00\x01")
            else:
                note(folder / f"{i}.txt", "the same" if kind == "copy" else f"note {i}")
        yield folder


@given(
    first=st.lists(KINDS, max_size=12),
    later=st.lists(KINDS, max_size=6),
    stop_after=st.none() | st.integers(0, 30),
)
@settings(
    max_examples=settings().max_examples // 2,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
def test_any_folder_and_any_moment_of_a_stop(
    in_process: InProcess,
    monkeypatch: pytest.MonkeyPatch,
    first: list[str],
    later: list[str],
    stop_after: int | None,
) -> None:
    monkeypatch.setattr("seehear.indexers.progress.EVERY_S", 0.0)
    with (
        folder_of(first) as folder,
        closing(Library(folder.parent / "collection")) as library,
    ):
        for kinds in (first, later):
            for i, kind in enumerate(kinds):
                note(folder / f"later-{i}.txt", f"{kind} {kinds is later}")
            seen: list[Progress] = []
            stop = threading.Event()

            def look(
                event: Progress,
                seen: list[Progress] = seen,
                stop: threading.Event = stop,
            ) -> None:
                seen.append(event)
                if len(seen) == stop_after:
                    stop.set()

            report = library.index(folder, progress=look, stop=stop, calibrate=dict)
            check(seen, stopped=report.interrupted)
