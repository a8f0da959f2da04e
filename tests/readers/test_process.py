"""Readers in a process of their own: the same answers, limits, and what happens when one dies."""

import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from seehear.errors import EnvironmentFaultError, ReaderFailedError, UsageError
from seehear.readers import open_reader
from seehear.readers import process as reader_process
from seehear.readers.fake import say, write
from seehear.readers.process import ReaderLimits, ReaderProcess
from seehear.types import AudioSample

SOUND = [(0.0, say("the broken ankle", 1.0)), (10.0, say("de|gute de|Nacht"))]


@pytest.fixture
def reader() -> Iterator[ReaderProcess]:
    with ReaderProcess("speech", "fake") as opened:
        yield opened


def pid_of(reader: ReaderProcess) -> int:
    assert reader._child is not None
    return reader._child._process.pid


def test_it_reads_what_a_reader_in_this_process_reads(reader: ReaderProcess) -> None:
    here = open_reader("speech", model="fake")
    assert reader.engine == here.engine
    assert reader.hear(SOUND, translate=True) == here.hear(SOUND, translate=True)
    assert reader.measure_speech(SOUND) == here.measure_speech(SOUND) == pytest.approx(1.25)
    image = write("EXIT", "Gate 7")
    assert reader.see(image) == here.see(image)
    assert reader.hear([]).lines == ()


def test_one_process_reads_many_files_at_low_priority(reader: ReaderProcess) -> None:
    reader.hear(SOUND)
    first = pid_of(reader)
    reader.hear(SOUND)
    assert pid_of(reader) == first
    if os.name == "posix":
        assert os.getpriority(os.PRIO_PROCESS, first) >= 10


def test_a_reader_that_is_killed_takes_one_reading_with_it(reader: ReaderProcess) -> None:
    reader.hear(SOUND)

    def blocks() -> Iterator[tuple[float, AudioSample]]:
        yield SOUND[0]
        os.kill(pid_of(reader), signal.SIGKILL)
        yield SOUND[1]

    with pytest.raises(ReaderFailedError, match=r"fake 1 died on it \(signal SIGKILL\)"):
        reader.hear(blocks())
    assert reader.hear(SOUND).lines[0].text == "the broken ankle"


def test_a_reader_that_hangs_is_stopped() -> None:
    limits = ReaderLimits(timeout_s=0.5, time_per_second=0.1, patience=2.0)
    with ReaderProcess("speech", "fake", limits=limits) as reader:
        reader.hear([])
        os.kill(pid_of(reader), signal.SIGSTOP)
        since = time.monotonic()
        with pytest.raises(ReaderFailedError, match="takes too long"):
            reader.hear(SOUND)
        assert time.monotonic() - since < 20
        assert reader.hear([]).lines == ()


def test_a_reader_that_computes_without_end_is_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    """By its processor time: on a busy machine a reader may wait for long."""
    endless = "from seehear.readers.fake import FakeReader; "
    endless += "FakeReader.hear = lambda *_, **__: [None for _ in iter(int, 1)]; main("
    entry = reader_process._ENTRY.replace("main(", endless)
    monkeypatch.setattr(reader_process, "_ENTRY", entry)
    with (
        ReaderProcess("speech", "fake", limits=ReaderLimits(timeout_s=0.5, patience=200)) as reader,
        pytest.raises(ReaderFailedError, match="takes too long"),
    ):
        reader.hear(SOUND)


def test_an_image_that_nobody_takes_from_the_pipe_is_a_hang_too() -> None:
    with ReaderProcess(
        "writing", "fake", limits=ReaderLimits(timeout_s=0.5, patience=2.0)
    ) as reader:
        reader.see(write("EXIT"))
        os.kill(pid_of(reader), signal.SIGSTOP)
        with pytest.raises(ReaderFailedError, match="takes too long"):
            reader.see(write("EXIT", width_px=3000, height_px=3000))


def test_too_little_memory_is_one_file_s_failure() -> None:
    limits = ReaderLimits(memory_bytes=1 << 30)
    with ReaderProcess("writing", "fake", limits=limits) as reader:
        assert reader.see(write("EXIT")).lines[0].text == "EXIT"
        with pytest.raises(ReaderFailedError):
            reader.see(write("EXIT", width_px=12_000, height_px=12_000))
        assert reader.see(write("EXIT")).lines[0].text == "EXIT"


def test_an_error_of_the_file_s_blocks_is_passed_on_and_the_next_file_is_read(
    reader: ReaderProcess,
) -> None:
    def broken() -> Iterator[tuple[float, AudioSample]]:
        yield SOUND[0]
        raise ValueError("the file breaks here")

    with pytest.raises(ValueError, match="breaks here"):
        reader.hear(broken())
    assert reader.hear(SOUND).lines[0].text == "the broken ankle"


def test_a_wrong_block_is_a_mistake_of_the_caller(reader: ReaderProcess) -> None:
    with pytest.raises(UsageError, match="8000 Hz"):
        reader.hear([(0.0, AudioSample(np.zeros(80, np.float32), 8000))])


def test_a_program_that_cannot_start_is_a_fault_of_the_environment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(reader_process, "_ENTRY", "raise SystemExit(3)")
    with (
        ReaderProcess("speech", "fake") as reader,
        pytest.raises(EnvironmentFaultError, match=r"fake 1 cannot be started \(exit status 3\)"),
    ):
        reader.hear(SOUND)


def test_a_caller_that_is_gone_ends_the_work() -> None:
    gone = threading.Event()

    def check() -> None:
        if gone.is_set():
            raise RuntimeError

    with ReaderProcess("speech", "fake", check=check) as reader:
        reader.hear(SOUND)
        os.kill(pid_of(reader), signal.SIGSTOP)
        gone.set()
        with pytest.raises(ReaderFailedError):
            reader.hear(SOUND)


def test_closing_ends_the_process() -> None:
    with ReaderProcess("speech", "fake") as reader:
        reader.hear(SOUND)
        process = reader._child._process if reader._child else None
    assert process is not None
    assert process.poll() is not None


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize(("kind", "library"), [("speech", "ctranslate2"), ("writing", "cv2")])
def test_the_process_loads_neither_torch_nor_faiss(kind: str, library: str, whisper: Path) -> None:
    """Its own libraries are there, which shows that the list is that of the right process."""
    opened = ReaderProcess("speech", str(whisper)) if kind == "speech" else ReaderProcess("writing")
    with opened as reader:
        if kind == "speech":
            reader.hear([])
        else:
            reader.see(write("EXIT"))
        maps = Path(f"/proc/{pid_of(reader)}/maps").read_text()
    assert library in maps
    assert "libtorch" not in maps
    assert "faiss" not in maps
