"""Read subtitles as timed passages: SubRip (srt) and WebVTT here, others in subtitle_forms.py.

What is said is found by short passages: in sixty words a sentence asked for in other words hides
among its neighbours. So cues are joined, or cut, to about twelve words.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import PurePath
from typing import BinaryIO

from seehear.errors import BrokenMediaError, MediaLimitError
from seehear.languages import language_named
from seehear.media import subtitle_forms, text
from seehear.media.limits import LIMITS
from seehear.media.passages import count_words, ends_sentence, sentences
from seehear.media.text import unescape
from seehear.types import Modality, Origin, Segment

PAUSE_S = 0.5
"""A silence this long between two cues starts a new passage."""
PASSAGE_WORDS = 12
"""Most words of a passage. Of 40 sentences in an hour of sounds, asked for in other words, 60 %
were found first by passages of twelve words, and 50 % by passages of sixty."""

MOST_S = 1_000 * 3600.0
"""Times are written with up to three digits of hours; later ones are none."""

_NO_TIMES = "corrupt: the subtitles have no times"
_STAMP = r"(-?)(?:(\d{1,6}):)?(\d{1,3}):(-?)(\d{1,2})(?:[.,:;][ \t]?(\d{1,9}))?"
"""People and programs write also "00:01", "-00:00:01,5", "00:00:-1.000" and "00:00:01:500"."""
_TIMES = re.compile(rf"^[ \t]*{_STAMP}[ \t]*[-\u2013\u2014]{{1,2}}>[ \t]*{_STAMP}", re.M)
_BLANK_LINE = re.compile(r"\n[ \t]*+\n")
_NUMBER_LINE = re.compile(r"(?:\A|\n)[ \t]*+\d{1,9}[ \t]*+\n?\Z")
_MARKUP = re.compile(r"<[^<>\n]{0,200}>|\{\\[^{}\n]{0,200}\}")


@dataclass(frozen=True, slots=True)
class Cue:
    """Words shown over [start_s, stop_s)."""

    start_s: float
    stop_s: float
    text: str


def read_cues(file: BinaryIO, form: str) -> tuple[list[Cue], bool]:
    """Return the cues of a subtitle file of that form, in order of time; and whether it is whole.

    Only TTML tells that it is cut off. Raises MediaError.
    """
    words, is_whole = text.read_text(file), True
    if form in {"srt", "vtt"}:
        return cues(words, form), is_whole
    if form == "ttml":
        file.seek(0)
        timed, is_whole = subtitle_forms.from_ttml(file.read(4 * LIMITS.text_characters))
    else:
        timed = subtitle_forms.FORMS[form](words)
    if not timed:
        raise BrokenMediaError(_NO_TIMES)
    if len(timed) > LIMITS.subtitle_cues:
        raise MediaLimitError(f"more than {LIMITS.subtitle_cues:,} subtitles")
    return in_order(timed), is_whole


def in_order(timed: Iterable[tuple[float, float, str]]) -> list[Cue]:
    """Return cues in order of time, without those that have no words or an absurd time.

    A cue before 0 is shown at 0, and one that ends before it starts for a second.
    """
    found = []
    for start, stop_s, line in timed:
        words, start_s = " ".join(line.split()), max(0.0, start)
        if words and start_s <= MOST_S:
            found.append(Cue(start_s, stop_s if start_s < stop_s <= MOST_S else start_s + 1, words))
    return sorted(found, key=lambda cue: (cue.start_s, cue.stop_s))


def cues(text: str, form: str = "srt") -> list[Cue]:
    """Return the cues of SubRip or WebVTT, in order of time. Raises MediaError."""
    times = list(_TIMES.finditer(text))
    if not times:
        raise BrokenMediaError(_NO_TIMES)
    if len(times) > LIMITS.subtitle_cues:
        raise MediaLimitError(f"more than {LIMITS.subtitle_cues:,} subtitles")
    numbered = _NUMBER_LINE.search(text[: times[0].start()]) is not None
    found = []
    for index, match in enumerate(times):
        last = index + 1 == len(times)
        end = len(text) if last else times[index + 1].start()
        line_end = text.find("\n", match.end())
        words = text[line_end:end] if 0 <= line_end < end else ""
        if form == "vtt":  # a blank line ends a cue; names, notes and styles follow
            words = _BLANK_LINE.split(words.strip("\n"), maxsplit=1)[0]
        elif numbered and not last:
            words = _NUMBER_LINE.sub("", words)
        shown = _seconds(match.groups()[:6]), _seconds(match.groups()[6:])
        found.append((*shown, strip_markup(words)))
    return in_order(found)


def language_of(path: str) -> str | None:
    """Return the language that the name of a subtitle file tells: "film.de.forced.srt"."""
    for part in reversed(PurePath(path).name.split(".")[1:-1][-2:]):
        if (found := language_named(part.partition("-")[0])) is not None:
            return found
    return None


def strip_markup(words: str) -> str:
    """Return words without the marks of SubRip and WebVTT."""
    return unescape(_MARKUP.sub("", words))


def passages(
    items: Iterable[Cue], origin: Origin, language: str | None = None
) -> Iterator[tuple[Segment, str]]:
    """Join cues, or cut them, to passages of at most PASSAGE_WORDS words, in order of time.

    A pause ends a passage, and so does the end of a sentence once half of the words are there.
    """
    run: list[Cue] = []
    held = stop_s = 0.0
    for cue in _sentences(items):
        words = count_words(cue.text)
        if run and (
            cue.start_s - stop_s >= PAUSE_S
            or held + words > PASSAGE_WORDS
            or (held >= PASSAGE_WORDS / 2 and ends_sentence(run[-1].text))
        ):
            yield _joined(run, origin, language)
            run, held = [], 0.0
        run.append(cue)
        held, stop_s = held + words, max(stop_s, cue.stop_s)
    if run:
        yield _joined(run, origin, language)


def _sentences(items: Iterable[Cue]) -> Iterator[Cue]:
    """Yield cues of one sentence or a part of it, timed by their share of the letters.

    What is shown once more at once is one cue.
    """
    last = Cue(0.0, 0.0, "")
    for cue in items:
        if cue.text == last.text and cue.start_s - last.stop_s < PAUSE_S:
            continue
        last = cue
        texts = list(sentences(cue.text, PASSAGE_WORDS))
        edges = [0, *itertools.accumulate(map(len, texts))]
        each_s = (cue.stop_s - cue.start_s) / max(1, edges[-1])
        times = [round(cue.start_s + each_s * edge, 3) for edge in edges[:-1]] + [cue.stop_s]
        for text_, (start_s, stop_s) in zip(texts, itertools.pairwise(times), strict=True):
            yield Cue(start_s, stop_s, text_)


def _joined(run: Sequence[Cue], origin: Origin, language: str | None) -> tuple[Segment, str]:
    words = " ".join(cue.text for cue in run)
    stop_s = max(cue.stop_s for cue in run)
    segment = Segment(
        Modality.TEXT, run[0].start_s, stop_s, words, origin=origin, language=language
    )
    return segment, words


def _seconds(parts: tuple[str | None, ...]) -> float:
    sign, hours, minutes, inner_sign, seconds, fraction = parts
    whole = int(hours or 0) * 3600 + int(minutes or 0) * 60 + int(seconds or 0)
    return (whole + float(f"0.{fraction or 0}")) * (-1 if sign or inner_sign else 1)
