"""Define what a reader does."""

from __future__ import annotations

from collections.abc import Iterable
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
