"""Test watching: bursts settle, the collection ignores itself, a root goes and comes back."""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from seehear.encoders.base import SingleSpaceModel
from seehear.indexers import IndexReport, index, watch, watcher
from seehear.types import Origin
from tests.indexers.helpers import Library, counts, picture, spoken

pytestmark = pytest.mark.usefixtures("in_process")


class Watching:
    """`watch` in a thread, and what it reported."""

    def __init__(self, library: Library, *paths: Path) -> None:
        self.reports: list[IndexReport] = []
        self.errors: list[BaseException] = []
        self._stop = threading.Event()
        self._library, self._paths = library, paths
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        try:
            watch(
                self._library.catalog,
                SingleSpaceModel("fake", self._library.encoder),
                self._paths,
                self._library.settings,
                on_report=self.reports.append,
                stop=self._stop,
            )
        except BaseException as error:  # shown by the test that waits
            self.errors.append(error)

    def wait_for(self, condition: Callable[[], bool], timeout_s: float = 60.0) -> None:
        until = time.monotonic() + timeout_s
        while not condition():
            assert not self.errors, self.errors
            assert time.monotonic() < until, [counts(report) for report in self.reports]
            time.sleep(0.02)

    def wait_for_looks(self, count: int, looks: list[None]) -> None:
        """Wait until it has come round so often, whether there were changes or not."""
        until = len(looks) + count
        self.wait_for(lambda: len(looks) >= until)

    def end(self) -> None:
        self._stop.set()
        self._thread.join(60)
        assert not self._thread.is_alive()
        assert not self.errors, self.errors


@pytest.fixture(autouse=True)
def looks(monkeypatch: pytest.MonkeyPatch) -> list[None]:
    """One for each time that the watcher has come round, which it does quickly."""
    monkeypatch.setattr(watcher, "SETTLE_MS", 150)
    monkeypatch.setattr(watcher, "LOOK_MS", 300)
    seen: list[None] = []
    look = watcher._Watcher._look_at_the_clock

    def looked(self: watcher._Watcher) -> None:
        look(self)
        seen.append(None)

    monkeypatch.setattr(watcher._Watcher, "_look_at_the_clock", looked)
    return seen


@pytest.fixture
def start(library: Library, looks: list[None]) -> Iterator[Callable[..., Watching]]:
    started: list[Watching] = []

    def begin(*paths: Path) -> Watching:
        watching = Watching(library, *paths)
        started.append(watching)
        watching.wait_for(lambda: bool(watching.reports))
        watching.wait_for_looks(1, looks)  # the file system is watched after the first run
        return watching

    yield begin
    for watching in started:
        watching.end()


def test_a_burst_is_one_run(
    library: Library, media_folder: Path, start: Callable[..., Watching]
) -> None:
    picture(media_folder / "0.png")
    watching = start(media_folder)
    assert counts(watching.reports[0]) == {"added": 1}
    for i in range(1, 20):
        picture(media_folder / "burst" / f"{i}.png", "blue", (40 + i, 40))
    watching.wait_for(lambda: len(library.paths()) == 20)
    assert len(watching.reports) <= 3
    (media_folder / "0.png").rename(media_folder / "burst" / "0.png")
    watching.wait_for(lambda: watching.reports[-1].moved == 1)
    assert "burst/0.png" in library.paths()
    shutil.rmtree(media_folder / "burst")
    picture(media_folder / "last.png", "green")
    watching.wait_for(lambda: library.paths() == {"last.png"})


def test_a_root_that_goes_away_and_comes_back(
    library: Library,
    media_folder: Path,
    tmp_path: Path,
    start: Callable[..., Watching],
    looks: list[None],
) -> None:
    picture(media_folder / "a.png")
    watching = start(media_folder)
    media_folder.rename(tmp_path / "away")
    watching.wait_for(lambda: bool(watching.reports[-1].offline))
    assert library.paths() == {"a.png"}
    picture(tmp_path / "away" / "b.png", "blue")
    (tmp_path / "away").rename(media_folder)
    watching.wait_for(lambda: library.paths() == {"a.png", "b.png"})
    watching.wait_for_looks(2, looks)
    picture(media_folder / "c.png", "green")
    watching.wait_for(lambda: "c.png" in library.paths())
    assert library.encoder.samples.total() == 3


def test_a_collection_inside_its_root_does_not_wake_itself(
    media_folder: Path, monkeypatch: pytest.MonkeyPatch, looks: list[None]
) -> None:
    inside = Library(media_folder / "collection")
    picture(media_folder / "a.png")
    runs: list[object] = []

    def counted(*arguments: Any, **options: Any) -> IndexReport:
        runs.append(arguments)
        return index(*arguments, **options)

    monkeypatch.setattr(watcher, "index", counted)
    watching = Watching(inside, media_folder)
    watching.wait_for(lambda: bool(watching.reports))
    watching.wait_for_looks(4, looks)
    watching.end()
    assert len(runs) <= 2
    inside.close()


def test_waits_while_another_run_writes(
    library: Library,
    media_folder: Path,
    start: Callable[..., Watching],
    monkeypatch: pytest.MonkeyPatch,
    looks: list[None],
) -> None:
    monkeypatch.setattr(watcher, "LOCK_WAIT_S", 0.1)
    picture(media_folder / "a.png")
    watching = start(media_folder)
    other = Library(library.folder)
    with other.catalog.write_lock(30.0):
        picture(media_folder / "b.png", "blue")
        watching.wait_for_looks(3, looks)
        assert library.paths() == {"a.png"}
    watching.wait_for(lambda: library.paths() == {"a.png", "b.png"})
    other.close()


def test_places_of_changes() -> None:
    def places(*paths: str) -> set[str]:
        return watcher.changed_paths([(1, path) for path in paths], ["/m", "/n/f.jpg"], "/m/col")

    assert places("/m/a.jpg", "/m/b.jpg", "/m/x/c.jpg") == {"/m", "/m/x"}
    assert places("/m/col/catalog.db", "/m/col", "/elsewhere/a.jpg") == set()
    assert places("/m/.cache/a.jpg", "/m/x/.a.jpg.part") == set()
    assert places("/m/x/.seehearignore") == {"/m/x"}
    assert places("/n/f.jpg") == {"/n/f.jpg"}
    assert places(*(f"/m/{i}/a.jpg" for i in range(100))) == {"/m"}


def test_what_is_said_is_read_when_nothing_else_is_to_do(
    library: Library, media_folder: Path, start: Callable[..., Watching]
) -> None:
    library.catalog.readings.remember({"read": ["speech"], "speech_model": "fake"})
    spoken(media_folder / "first.wav", "first words")
    watching = start(media_folder)

    def done() -> int:
        return library.catalog.readings.counts()[Origin.SPEECH].done

    watching.wait_for(lambda: done() == 1)
    spoken(media_folder / "second.wav", "second words")
    watching.wait_for(lambda: done() == 2)
    watching.wait_for(lambda: watching.reports[-1].read is not None)
    assert sum(counts(report).get("added", 0) for report in watching.reports) == 2
