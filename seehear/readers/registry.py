"""Find and open readers by their kind; the libraries of each are loaded when it is opened."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from seehear.errors import UsageError
from seehear.readers.base import Reader, ReaderKind


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
