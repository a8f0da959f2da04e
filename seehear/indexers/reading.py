"""Read what is said and written in files that are indexed: sound, pictures, frames, drawn pages.

    what is missing ─► decode ─► a reader's process ─► lines ─► passages ─► vectors ─► one commit
                       worker    (Whisper, rapidocr)            cut         model      for each file

Comes after the ordinary index and never slows it. A reading belongs to the content, whatever the
model: `cut_stored` makes the passages of another model from the lines that are stored. The cheapest
files come first. A reader that dies or hangs costs the reading of one file, which is found as
before.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from importlib.util import find_spec
from itertools import groupby
from pathlib import Path
from typing import cast

from seehear import media
from seehear.config import Settings
from seehear.encoders import Model
from seehear.errors import (
    EnvironmentFaultError,
    MediaError,
    ModelError,
    ReaderFailedError,
    UsageError,
)
from seehear.indexers.decode import is_lasting
from seehear.indexers.passages import cut_passages, reads_english_only
from seehear.indexers.progress import FailedFile, ProgressTracker, ReaderReport, ReadReport, Stage
from seehear.indexers.reading_lines import audio_of, lines_of
from seehear.libraries import remedy
from seehear.processes.resources import usable_cores
from seehear.readers import SAMPLE_RATE_HZ, Reader, ReaderKind
from seehear.readers.process import ReaderProcess
from seehear.readers.records import pack_reading
from seehear.readers.speech_models import SPEECH_MODELS, find_model
from seehear.stores import Catalog, ReadingState, StoredReading, ToRead
from seehear.suggestions import did_you_mean
from seehear.types import Modality, Origin, Reading, SampleSpec

READERS = (Origin.SPEECH, Origin.WRITING)
NO_READER = "none"
FRAME_PX = 1_080
"""Shorter side of a frame of a film that is read."""
SHOT_S = 5.0
"""Length of a shot, to estimate how many frames of a film are read."""
PAGES = 8
"""Pages of a scanned document, likewise."""
RATES = {Origin.SPEECH: 12.0, Origin.WRITING: 2.0}
"""Seconds of sound, and pictures, that are read in a second: until this run has measured it."""
MEASURED_S = 3.0
"""Seconds of work from which on this run's own rate counts."""
_LIBRARIES = {Origin.SPEECH: "faster_whisper", Origin.WRITING: "rapidocr"}
_FAKE, _FOLDER = "fake", "whisper:"


@dataclass(frozen=True, slots=True)
class ReadingWish:
    """What a collection's user wants to be read."""

    readers: tuple[Origin, ...] = ()
    speech_model: str | None = None
    """Name or folder; None means the reader's own default."""
    for_s: float | None = None
    """Seconds after which reading stops."""


def remember_wish(
    catalog: Catalog, read: Sequence[str] | None, speech_model: str | None, for_s: float | None
) -> ReadingWish:
    """Return what to read, as given now or else as the collection remembers it; remember it.

    Raises UsageError for an unknown reader, UnknownModelError for an unknown model.
    """
    known = catalog.readings.remembered()
    names = known.get("read", []) if read is None else parse_readers(read)
    chosen = tuple(Origin(one) for one in names if one in READERS)
    model, is_whole = known.get("speech_model"), True
    if speech_model and chosen and speech_model != model:
        model, is_whole = _lasting(speech_model)
    # Only now: a wish with a wrong name in it is refused as a whole.
    if is_whole:
        wished = {"read": [str(one) for one in chosen] or None, "speech_model": model}
        changed = {name: wish for name, wish in wished.items() if wish != known.get(name)}
        if changed:
            catalog.readings.remember(changed)
    return ReadingWish(chosen, model, for_s)


def _lasting(speech_model: str) -> tuple[str, bool]:
    """Return the name of a model so that it means the same from another folder; fetch nothing.

    Returns with it whether its folder can be read, if it is one. Raises UnknownModelError.
    """
    if speech_model == _FAKE or any(speech_model == one.name for one in SPEECH_MODELS):
        return speech_model, True
    is_whole = True
    try:
        find_model(speech_model)
    except EnvironmentFaultError:  # told when files are indexed
        is_whole = False
    folder = Path(speech_model.removeprefix(_FOLDER)).expanduser().absolute()
    return f"{_FOLDER}{folder}", is_whole


def parse_readers(read: Sequence[str]) -> tuple[Origin, ...]:
    """Return the readers of these names, each once; of "none" alone no reader.

    Raises UsageError.
    """
    if list(read) == [NO_READER]:
        return ()
    if unknown := [name for name in read if name not in READERS]:
        if NO_READER in unknown:
            raise UsageError("none stands alone: choose speech, writing, or none")
        hint = did_you_mean(unknown[0], [*READERS, NO_READER])
        raise UsageError(f'No reader "{unknown[0]}".{hint} It can be speech, writing, or none')
    return tuple(one for one in READERS if one in read)


def forget_readings(catalog: Catalog, read: Sequence[str]) -> int:
    """Remove the readings of some readers, and no longer wish for them; return how many.

    Raises UsageError for an unknown reader.
    """
    gone = parse_readers(read)
    known = catalog.readings.remembered().get("read", [])
    catalog.readings.remember({"read": [one for one in known if one not in gone] or None})
    return sum(catalog.readings.remove(reader) for reader in gone)


@dataclass(frozen=True, slots=True)
class _Task:
    """One file for one reader; `amount` is in seconds of sound or in pictures."""

    reader: Origin
    asset: ToRead
    amount: float
    turn: int
    """Its place among the kinds of work, the cheapest first."""

    @property
    def path(self) -> Path:
        return self.asset.path


class ReadingRun:
    """Read what is missing; `report` grows with each file.

    `covers` tells which paths this run looks at. `retry` also reads what a reader failed on.
    """

    def __init__(
        self,
        catalog: Catalog,
        model: Model,
        generation_id: int,
        settings: Settings,
        wish: ReadingWish,
        *,
        covers: Callable[[ToRead], bool] = lambda asset: True,
        retry: bool = False,
        tally: ProgressTracker | None = None,
        is_stopped: Callable[[], bool] = lambda: False,
    ) -> None:
        self._catalog, self._model, self._generation = catalog, model, generation_id
        self._settings, self._wish = settings, wish
        self._covers, self._retry, self._stopped = covers, retry, is_stopped
        self._tally = tally or ProgressTracker()
        self._until = None if wish.for_s is None else time.monotonic() + wish.for_s
        self._readers: dict[Origin, Reader] = {}
        self._opened = ExitStack()
        self._files_left: Counter[Origin] = Counter()
        self._amounts_left = dict.fromkeys(READERS, 0.0)
        self._spent_s = dict.fromkeys(READERS, 0.0)
        self._amounts = dict.fromkeys(READERS, 0.0)
        self._warm: set[Origin] = set()
        """Readers that have read a file: the first one also pays for loading the reader."""
        self._translate = reads_english_only(model)
        self._out_of_time = False
        self._reports: dict[Origin, ReaderReport] = {}
        self._failures: list[FailedFile] = []
        self._faults: list[str] = []

    def close(self) -> None:
        """End the readers' processes."""
        self._opened.close()

    def report(self) -> ReadReport:
        """Return what was read so far, and what is left."""
        readers = {
            str(reader): replace(done, left=self._files_left[reader])
            for reader, done in self._reports.items()
        }
        return ReadReport(
            readers, tuple(self._failures), tuple(self._faults), self._estimate_s(),
            out_of_time=self._out_of_time,
        )  # fmt: skip

    def all(self) -> ReadReport:
        """Read until nothing is missing, or the time is over, or the run is stopped."""
        with closing(self.steps()) as steps:
            for _ in steps:
                self._tally.report()
        return self.report()

    def steps(self) -> Generator[None]:
        """Read one file after the other; each is committed when it is yielded.

        A reader that cannot be opened is left out, and the report says why.
        """
        tasks: list[_Task] = []
        for reader in self._wish.readers:
            try:
                tasks += self._tasks(reader)
            except (EnvironmentFaultError, ModelError) as fault:
                self._faults.append(str(fault))
        tasks.sort(key=lambda task: (task.turn, task.reader, task.amount, task.path))
        if not tasks:
            return
        for task in tasks:
            self._files_left[task.reader] += 1
            self._amounts_left[task.reader] += task.amount
        size_bytes = sum(task.asset.size_bytes for task in tasks)
        self._tally.begin(Stage.READ, len(tasks), size_bytes, self._what_is_left())
        for (_, reader), group in groupby(tasks, key=lambda task: (task.turn, task.reader)):
            if reader in self._readers:  # not if it has proved to be unusable
                yield from self._group(list(group))
            if self._is_over():
                return

    def _tasks(self, reader: Origin) -> list[_Task]:
        """List what a reader has still to read. Raises EnvironmentFaultError, ModelError."""
        if not self._catalog.readings.count_readable(reader, self._generation):
            return []  # so that no model is fetched for nothing
        engine = self._open(reader).engine
        self._reports[reader] = ReaderReport(engine)
        missing = self._catalog.readings.missing(
            reader, engine, self._generation, retry=self._retry
        )
        return [_task(reader, asset) for asset in missing if self._covers(asset)]

    def _open(self, reader: Origin) -> Reader:
        fake = self._wish.speech_model == _FAKE
        library = _LIBRARIES[reader]
        if not fake and find_spec(library) is None:
            raise EnvironmentFaultError(
                f"cannot read {reader}: the library {library} is not installed; "
                f"{remedy(library, missing=True)}",
                library,
            )
        model = self._wish.speech_model if fake or reader is Origin.SPEECH else None
        process = ReaderProcess(
            cast(ReaderKind, reader.value),
            model=model,
            threads=usable_cores(),
            check=self._raise_if_over,
        )
        self._readers[reader] = self._opened.enter_context(process)
        return process

    def _raise_if_over(self) -> None:
        if self._is_over():
            raise TimeoutError  # ends the reader's process; nobody sees it

    def _is_over(self) -> bool:
        late = self._until is not None and time.monotonic() >= self._until
        self._out_of_time = self._out_of_time or late
        return self._out_of_time or self._stopped()

    def _group(self, tasks: list[_Task]) -> Iterator[None]:
        """Read the files of one reader, which differ in length alone."""
        reader = tasks[0].reader
        spec = SampleSpec(image_px=FRAME_PX, sample_rate_hz=SAMPLE_RATE_HZ, reader=reader)
        roots = {root.id: str(root.path) for root in self._catalog.locations.roots()}
        hashes = {task.asset.content_hash for task in tasks}
        files = media.decode_all(
            tasks,
            spec,
            replace(self._settings, decode_workers=1),  # the reader takes the other cores
            wanted=hashes.__contains__,
            to_mark=lambda digest: False,
            root_of=lambda task: (
                None if self._settings.follow_links else roots.get(task.asset.root_id)
            ),
        )
        with closing(files):
            for file in files:
                task = cast(_Task, file.task)
                if self._is_over() or not self._fits(task):
                    return
                self._tally.working_on(task.path)
                began = time.monotonic()
                try:
                    whole = self._read(task, file)
                except EnvironmentFaultError as fault:
                    self._faults.append(str(fault))
                    del self._readers[reader]
                    return
                if not whole and self._is_over():
                    return
                if reader in self._warm:
                    self._spent_s[reader] += time.monotonic() - began
                    self._amounts[reader] += task.amount
                self._warm.add(reader)
                if whole:
                    self._files_left[reader] -= 1
                    self._amounts_left[reader] -= task.amount
                self._tally.done(task.asset.size_bytes)
                self._tally.tell_reading(*self._what_is_left())
                yield

    def _fits(self, task: _Task) -> bool:
        """Tell whether a file can be read in the time that is left; what follows it is longer."""
        if self._until is None:
            return True
        fits = time.monotonic() + task.amount / self._rate(task.reader) <= self._until
        self._out_of_time = self._out_of_time or not fits
        return fits

    def _read(self, task: _Task, file: media.DecodedFile) -> bool:
        """Read one file and store what came of it; False where a later run must read it."""
        if file.skipped or file.content_hash not in {None, task.asset.content_hash}:
            return False  # it has other content by now, which the next run indexes
        began, reader = time.monotonic(), self._readers[task.reader]
        reading, reason = Reading(), ""
        try:
            if task.reader is Origin.SPEECH:
                reading = reader.hear(audio_of(file), translate=self._translate)
            else:
                reading = lines_of(reader, file)
        except ReaderFailedError as error:
            reason = str(error)
        except MediaError as error:
            if file.changed or not is_lasting(error):
                return False
            reason = f"{error.stage}: {error}"
        if reason and self._is_over():
            return False  # the run has ended the reader
        cut = cut_passages(self._model, reading, task.reader, self._settings.batch_size)
        state = ReadingState.DONE if cut[0] else ReadingState.NOTHING
        stored = StoredReading(
            task.asset.asset_id,
            task.reader,
            reader.engine,
            ReadingState.FAILED if reason else state,
            pack_reading(reading)["lines"] if cut[0] else [],
            reason,
            reading.language,
            time.monotonic() - began,
        )
        self._catalog.readings.put(stored, self._generation, *cut)
        self._count(task, stored, len(cut[0]))
        return True

    def _count(self, task: _Task, stored: StoredReading, passages: int) -> None:
        done = self._reports[task.reader]
        self._reports[task.reader] = replace(
            done,
            files=done.files + 1,
            found=done.found + (stored.state is ReadingState.DONE),
            failed=done.failed + (stored.state is ReadingState.FAILED),
            passages=done.passages + passages,
            heard_s=done.heard_s + (task.amount if task.reader is Origin.SPEECH else 0.0),
        )
        if stored.state is ReadingState.FAILED:
            self._failures.append(FailedFile(task.path, str(task.reader), stored.reason))

    def _rate(self, reader: Origin) -> float:
        """Return seconds of sound, or pictures, that this reader takes in a second."""
        if self._spent_s[reader] < MEASURED_S:
            return RATES[reader]
        return max(1e-3, self._amounts[reader] / self._spent_s[reader])

    def _estimate_s(self) -> float:
        return sum(left / self._rate(reader) for reader, left in self._amounts_left.items())

    def _what_is_left(self) -> tuple[float, float, int]:
        """Return the seconds that it takes, the seconds of sound, and the pictures."""
        left = self._amounts_left
        return self._estimate_s(), left[Origin.SPEECH], round(left[Origin.WRITING])


def _task(reader: Origin, asset: ToRead) -> _Task:
    duration_s = asset.duration_s or 0.0
    if reader is Origin.SPEECH:
        return _Task(reader, asset, duration_s, 3 if asset.subtitled else 1)
    if asset.modality is Modality.VIDEO:
        return _Task(reader, asset, max(1.0, duration_s / SHOT_S), 2)
    return _Task(reader, asset, 1.0 if asset.modality is Modality.IMAGE else PAGES, 0)
