"""Define what a reader does, and open one by its kind."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from seehear.errors import UsageError
from seehear.types import AudioSample, ImageSample, Reading

ReaderKind = Literal["speech", "writing"]
AudioBlock = tuple[float, AudioSample]
"""The start of a block in seconds on the clock of its file, and its sound: mono at 16 kHz, at most
ten minutes."""


class Reader:
    """A reader of one kind; `engine` changes whenever it would read the same file differently."""

    engine: str
    """Name, revision and settings that change what is read, as one string."""

    def hear(self, blocks: Iterable[AudioBlock], *, translate: bool = False) -> Reading:
        """Return what is said in a sound that comes in blocks, in order of time.

        With `translate`, lines that are not English also get their translation where the model has
        learnt it. Raises UsageError for a reader of another kind and for blocks of another rate.
        """
        raise UsageError(f"the reader {self.engine} hears nothing")

    def measure_speech(self, blocks: Iterable[AudioBlock]) -> float:
        """Return the seconds of speech in a sound, a hundred times as fast as reading it.

        Raises as `hear`.
        """
        raise UsageError(f"the reader {self.engine} hears nothing")

    def see(self, image: ImageSample) -> Reading:
        """Return what is written in an image, in reading order; boxes are shares of the image.

        Raises UsageError for a reader of another kind.
        """
        raise UsageError(f"the reader {self.engine} sees nothing")


@dataclass(frozen=True, slots=True)
class FoundReader:
    """A reader that can be opened here: its identity, and what `open_reader` takes as its model."""

    engine: str
    model: str | None


def find_reader(kind: ReaderKind, model: str | None = None) -> FoundReader:
    """Return the identity of a reader; loads no library, and fetches its model if it has to.

    Raises as `open_reader`, except for libraries that do not load.
    """
    if model == "fake":
        from seehear.readers.fake import FakeReader

        return FoundReader(FakeReader.engine, model)
    if kind == "speech":
        from seehear.readers import speech, speech_models

        folder = speech_models.find_model(model)
        return FoundReader(speech.engine_of(folder), str(folder))
    if kind == "writing":
        from seehear.readers import writing

        return FoundReader(writing.engine_of(), None)
    raise UsageError(f"no reader of the kind {kind!r}: choose speech or writing")


def open_reader(kind: ReaderKind, *, model: str | None = None, threads: int = 1) -> Reader:
    """Open a reader in this process; its libraries are loaded now.

    `model` is the name of a Whisper model or its folder for "speech" (None: `whisper-base`), and
    "fake" for the reader that tests use.

    Raises EnvironmentFaultError for a missing library or a damaged model, ModelError for a model
    that is unknown or not on this machine, UsageError for an unknown kind.
    """
    found = find_reader(kind, model)
    if found.model == "fake":
        from seehear.readers.fake import FakeReader

        return FakeReader()
    if kind == "speech":
        from seehear.readers.speech import SpeechReader

        return SpeechReader(Path(found.model or ""), threads)
    from seehear.readers.writing import WritingReader

    return WritingReader(threads)
