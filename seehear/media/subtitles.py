"""Read subtitles as timed passages: SubRip (srt) and WebVTT here, others in subtitle_forms.py.

Neighbouring cues are joined up to the length of a passage, so that a sentence over three cues is
in one passage; a pause ends a passage. The last cue of a passage is repeated in the next one.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from seehear.errors import BrokenMediaError, MediaLimitError
from seehear.media import subtitle_forms, text
from seehear.media.limits import LIMITS
from seehear.media.text import unescape
from seehear.types import Modality, Segment

PAUSE_S = 4.0
"""A silence this long between two cues starts a new passage: the scene has changed."""

_NO_TIMES = "corrupt: the subtitles have no times"
_STAMP = r"(?:(\d+):)?(\d{1,2}):(\d{1,2})[.,](\d{1,3})"
_TIMES = re.compile(rf"^[ \t]*{_STAMP}[ \t]*-->[ \t]*{_STAMP}", re.M)
_BLANK_LINE = re.compile(r"\n[ \t]*+\n")
_MARKUP = re.compile(r"<[^<>\n]{0,200}>|\{\\[^{}\n]{0,200}\}")


@dataclass(frozen=True, slots=True)
class Cue:
    """Words shown over [start_s, stop_s)."""

    start_s: float
    stop_s: float
    text: str


def read_cues(file: BinaryIO, form: str) -> list[Cue]:
    """Return the cues of a subtitle file of that form, in order of time. Raises MediaError."""
    words = text.read_text(file)
    if form in {"srt", "vtt"}:
        return cues(words)
    if form == "ttml":
        file.seek(0)
        timed = subtitle_forms.from_ttml(file.read(4 * LIMITS.text_characters))
    else:
        timed = subtitle_forms.FORMS[form](words)
    if not timed:
        raise BrokenMediaError(_NO_TIMES)
    if len(timed) > LIMITS.subtitle_cues:
        raise MediaLimitError(f"more than {LIMITS.subtitle_cues:,} subtitles")
    found = [
        Cue(start_s, stop_s, folded)
        for start_s, stop_s, line in timed
        if (folded := " ".join(line.split())) and start_s <= stop_s <= LIMITS.video_duration_s
    ]
    return sorted(found, key=lambda cue: (cue.start_s, cue.stop_s))


def cues(text: str) -> list[Cue]:
    """Return the cues of SubRip or WebVTT, in order of time. Raises MediaError."""
    times = list(_TIMES.finditer(text))
    if not times:
        raise BrokenMediaError(_NO_TIMES)
    if len(times) > LIMITS.subtitle_cues:
        raise MediaLimitError(f"more than {LIMITS.subtitle_cues:,} subtitles")
    found = []
    for index, match in enumerate(times):
        end = times[index + 1].start() if index + 1 < len(times) else len(text)
        start_s, stop_s = _seconds(match.groups()[:4]), _seconds(match.groups()[4:])
        line_end = text.find("\n", match.end())
        # A blank line ends a cue; what follows is the number or name of the next one.
        block = text[line_end:end] if 0 <= line_end < end else ""
        words = _BLANK_LINE.split(block.strip("\n"), maxsplit=1)[0]
        words = " ".join(unescape(_MARKUP.sub("", words)).split())
        if words and start_s <= stop_s <= LIMITS.video_duration_s:
            found.append(Cue(start_s, stop_s, words))
    return sorted(found, key=lambda cue: (cue.start_s, cue.stop_s))


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
    hours, minutes, seconds, fraction = parts
    whole = int((hours or "0")[:6]) * 3600 + int(minutes or 0) * 60 + int(seconds or 0)
    return whole + int((fraction or "0").ljust(3, "0")) / 1000
