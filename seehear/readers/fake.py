"""A reader that needs no library and no weights, so that tests of everything else take seconds.

Any words can be said and written for it, and it reads exactly these:

    say("the broken ankle", start_s=1.0)     a sound: each letter is two short tones
    write("EXIT", "Gate 7")                  an image: each letter is a square of one colour

A word "de|Haus" is the German word "Haus". Speech must be kept as it is (16 kHz mono, as in a WAV
file), and images as well (PNG, not smaller). It hears nothing in other sounds and sees nothing in
other images.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

import numpy as np

from seehear.readers.base import AudioBlock, Reader
from seehear.readers.blocks import SAMPLE_RATE_HZ, check_block
from seehear.types import AudioSample, Floats, ImageSample, Line, Reading

SYMBOL = 80
"""Samples of one tone; 16 tones stand for four bits, two of them for a byte."""
TONES_HZ = 400.0 + 200.0 * np.arange(16)
WORD_S = 0.25
"""From the start of a word to its end; the next one starts `GAP_S` later."""
GAP_S = 0.05
LOUDNESS = 0.5
LINE_GAP_S = 0.5
"""A longer pause begins a new line."""
CELL_PX = 8
MOST_LETTERS = 24
_BEGIN, _END = (255, 0, 0), (0, 255, 0)


def say(text: str, start_s: float = 0.0, duration_s: float | None = None) -> AudioSample:
    """Make a sound in which words are said, each `WORD_S` long, from `start_s` on."""
    words = text.split()
    first = round(start_s * SAMPLE_RATE_HZ)
    step = round((WORD_S + GAP_S) * SAMPLE_RATE_HZ)
    length = max(first + len(words) * step, round((duration_s or 0.0) * SAMPLE_RATE_HZ))
    waveform = np.zeros(length, dtype=np.float32)
    for at, word in enumerate(words):
        spoken = _spoken(word)
        waveform[first + at * step : first + at * step + len(spoken)] = spoken
    return AudioSample(waveform, SAMPLE_RATE_HZ)


def write(*lines: str, width_px: int = 400, height_px: int = 300) -> ImageSample:
    """Make a white image on which lines are written, one below the other."""
    pixels = np.full((height_px, width_px, 3), 255, dtype=np.uint8)
    for at, line in enumerate(lines):
        cells = [_BEGIN, *((byte, byte, 255 - byte) for byte in line.encode()), _END]
        top = (2 * at + 1) * CELL_PX
        strip = np.repeat(np.array([cells], dtype=np.uint8), CELL_PX, axis=1)
        strip = np.repeat(strip, CELL_PX, axis=0)
        pixels[top : top + CELL_PX, CELL_PX : CELL_PX + strip.shape[1]] = strip
    return ImageSample(pixels)


class FakeReader(Reader):
    """The reader that the docstring of the module describes; it hears and it sees."""

    engine = "fake 1"

    def hear(self, blocks: Iterable[AudioBlock], *, translate: bool = False) -> Reading:
        """Return what was said by `say`."""
        lines: list[Line] = []
        for start_s, block in blocks:
            lines += _lines(start_s, check_block(block))
        if translate:
            lines = [_translated(line) for line in lines]
        languages = [line.language for line in lines]
        return Reading(tuple(lines), max(languages, key=languages.count) if languages else None)

    def measure_speech(self, blocks: Iterable[AudioBlock]) -> float:
        """Return how long the words of `say` are."""
        return sum(
            stop_s - start_s
            for line in self.hear(blocks).lines
            for _, start_s, stop_s in line.words
        )

    def see(self, image: ImageSample) -> Reading:
        """Return what was written by `write`."""
        return Reading(tuple(_written(image)))


def _translated(line: Line) -> Line:
    return line if line.language == "en" else replace(line, translation=f"in English: {line.text}")


def _spoken(word: str) -> Floats:
    letters = word.encode()[:MOST_LETTERS]
    times_s = np.arange(SYMBOL) / SAMPLE_RATE_HZ
    tones = LOUDNESS * np.cos(2 * np.pi * TONES_HZ[:, None] * times_s)  # begins at full height
    halves = [half for letter in letters for half in divmod(letter, 16)]
    joined: Floats = tones[halves].ravel().astype(np.float32)
    return joined


def _lines(start_s: float, waveform: Floats) -> Iterator[Line]:
    """Yield a line for each run of words without a long pause, all of one language."""
    held: list[tuple[str, float, float]] = []
    language = "en"
    for at, word in _heard(waveform):
        spoken, _, rest = word.partition("|")
        named, text = (spoken, rest) if rest else ("en", word)
        word_s = round(start_s + at / SAMPLE_RATE_HZ, 3)
        if held and (named != language or word_s - held[-1][2] >= LINE_GAP_S):
            yield _line(held, language)
            held = []
        language = named
        held.append((text, word_s, round(word_s + WORD_S, 3)))
    if held:
        yield _line(held, language)


def _line(words: list[tuple[str, float, float]], language: str) -> Line:
    text = " ".join(word for word, _, _ in words)
    return Line(text, words[0][1], words[-1][2], tuple(words), confidence=1.0, language=language)


def _heard(waveform: Floats) -> Iterator[tuple[int, str]]:
    """Yield each word with the position of its first sample."""
    loud = np.flatnonzero(np.abs(waveform) > LOUDNESS / 8)
    if len(loud) == 0:
        return
    step = round((WORD_S + GAP_S) * SAMPLE_RATE_HZ)
    begins = loud[np.flatnonzero(np.diff(loud, prepend=-SAMPLE_RATE_HZ) > round(SYMBOL / 2))]
    tones = np.exp(-2j * np.pi * TONES_HZ[:, None] * np.arange(SYMBOL) / SAMPLE_RATE_HZ)
    past = 0
    for begin in begins.tolist():
        if begin < past:
            continue
        most = min(2 * MOST_LETTERS, (len(waveform) - begin) // SYMBOL)
        symbols = waveform[begin : begin + most * SYMBOL].reshape(-1, SYMBOL)
        powers = np.abs(symbols @ tones.T)
        clear = powers.max(axis=1) > 0.9 * LOUDNESS * SYMBOL / 2
        count = int(clear.argmin()) if not clear.all() else len(clear)
        halves = powers[:count].argmax(axis=1)[: count // 2 * 2].reshape(-1, 2)
        word = bytes((16 * halves[:, 0] + halves[:, 1]).astype(np.uint8)).decode(errors="replace")
        if word and word.isprintable() and "\ufffd" not in word:
            yield begin, word
            past = begin + step - 1


def _written(image: ImageSample) -> Iterator[Line]:
    pixels = image.pixels
    height, width = pixels.shape[:2]
    begins = (pixels == _BEGIN).all(axis=2)
    for top in range(0, height - CELL_PX + 1, CELL_PX):
        columns = np.flatnonzero(begins[top + CELL_PX // 2])
        if len(columns) == 0:
            continue
        left = int(columns[0])
        cells = pixels[top + CELL_PX // 2, left + CELL_PX // 2 :: CELL_PX].tolist()
        if list(_END) not in cells:
            continue
        count = cells.index(list(_END))
        text = bytes(cell[0] for cell in cells[1:count]).decode(errors="replace")
        right = left + (count + 1) * CELL_PX
        box = left / width, top / height, right / width, (top + CELL_PX) / height
        yield Line(text, box=box, confidence=1.0)
