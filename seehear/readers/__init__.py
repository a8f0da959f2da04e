"""Read what is said in sounds and what is written in images.

    reader = open_reader("speech", model="whisper-base", threads=2)
    reading = reader.hear([(0.0, sound)])          # Reading: lines with words and their times
    passages(reading, Origin.SPEECH)               # Segments, ready to be indexed

    speech.py    Whisper, by faster-whisper, and the gate that keeps sounds without words wordless
    writing.py   text in images, by rapidocr with the weights of its own package
    fake.py      a reader that needs no library, for tests
    blocks.py    a long sound, cut at its pauses into blocks that a reader can hold
    cut.py       lines cut into passages
    process.py   a reader in a process of its own, with limits; worker.py runs there

A reader is opened in the process that uses it and loads its libraries there. Whoever reads many
files uses a `ReaderProcess`, so that a reader that dies or hangs takes one file's reading with it.
"""

from __future__ import annotations

from seehear.readers.base import AudioBlock, Reader, ReaderKind
from seehear.readers.blocks import MOST_BLOCK_S, SAMPLE_RATE_HZ, audio_blocks
from seehear.readers.cut import encoded_passages, passages
from seehear.readers.registry import open_reader

__all__ = [
    "MOST_BLOCK_S",
    "SAMPLE_RATE_HZ",
    "AudioBlock",
    "Reader",
    "ReaderKind",
    "audio_blocks",
    "encoded_passages",
    "open_reader",
    "passages",
]
