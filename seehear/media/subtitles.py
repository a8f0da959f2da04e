"""Read subtitles as timed passages: SubRip (srt) and WebVTT here, others in subtitle_forms.py.

Neighbouring cues are joined up to the length of a passage, so that a sentence over three cues is
in one passage; a pause ends a passage. The last cue of a passage is repeated in the next one.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import BinaryIO

from seehear.errors import BrokenMediaError, MediaLimitError
from seehear.media import subtitle_forms, text
from seehear.media.limits import LIMITS
from seehear.media.text import unescape
from seehear.types import Modality, Segment

PAUSE_S = 4.0
"""A silence this long between two cues starts a new passage: the scene has changed."""

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
    return _in_order(timed), is_whole


def _in_order(timed: Iterable[tuple[float, float, str]]) -> list[Cue]:
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
        words = unescape(_MARKUP.sub("", words))
        found.append((_seconds(match.groups()[:6]), _seconds(match.groups()[6:]), words))
    return _in_order(found)


def passages(items: list[Cue], most_words: int) -> Iterator[tuple[Segment, str]]:
    """Join cues to runs of at most `most_words` words, with the times from first to last."""
    run: list[Cue] = []
    fresh = 0  # number of cues in the run that are in no earlier passage
    for cue in items:
        words = sum(len(held.text.split()) for held in run) + len(cue.text.split())
        paused = bool(run) and cue.start_s - run[-1].stop_s >= PAUSE_S
        if run and fresh and (paused or words > most_words):
            yield _joined(run)
            last = run[-1]
            # Repeat the last cue in the next passage, unless a pause or its length forbids it.
            fits = len(last.text.split()) + len(cue.text.split()) <= most_words
            run, fresh = ([last] if fits and not paused and len(run) > 1 else []), 0
        run.append(cue)
        fresh += 1
    if fresh:
        yield _joined(run)


def _joined(run: list[Cue]) -> tuple[Segment, str]:
    texts = [
        cue.text for index, cue in enumerate(run) if index == 0 or cue.text != run[index - 1].text
    ]
    text = " ".join(texts)
    stop = max(cue.stop_s for cue in run)
    return Segment(Modality.TEXT, run[0].start_s, stop, text), text


def _seconds(parts: tuple[str | None, ...]) -> float:
    sign, hours, minutes, inner_sign, seconds, fraction = parts
    whole = int(hours or 0) * 3600 + int(minutes or 0) * 60 + int(seconds or 0)
    return (whole + float(f"0.{fraction or 0}")) * (-1 if sign or inner_sign else 1)
