"""Read the subtitle formats other than SubRip and WebVTT, as lists of cues in file order.

ass, ssa   "Dialogue: 0,0:00:01.00,0:00:03.50,Default,,0,0,0,,Words{\\i1} with\\Nmarks"
sbv        "0:00:01.000,0:00:03.500" and the words below it, up to a blank line
ttml       <p begin="00:00:01.000" end="00:00:03.500">Words</p>, times also as "1.5s" or frames
lrc        "[00:12.50]A line of a song", up to the next one
"""

from __future__ import annotations

import re
from collections.abc import Callable

from seehear.errors import BrokenMediaError
from seehear.media import xml_stream
from seehear.media.limits import LIMITS

Timed = tuple[float, float, str]
"""(start_s, stop_s, words)"""

LAST_LINE_S = 5.0
"""Duration of the last line of a song, since no later line ends it."""
LONGEST_LINE_S = 20.0
"""A line of a song ends after this time, even if music without words follows."""

_TTML_CLOCK = r"(-?)(\d{1,6}):(\d\d):(\d\d)(?:[.,](\d{1,9})|:(\d{1,3}))?"
MOST_FIELDS = 100
"""Fields that a line of dialogue is said to have; ten are usual."""
LONGEST_LINE = 1_000
"""Limit of characters of one line of a song, which may be repeated at many times."""

_CLOCK = r"(-?)(\d{1,6}):(\d{1,2}):(\d{1,2})(?:[.,:](\d{1,9}))?"
_ASS_FIELDS = "layer, start, end, style, name, marginl, marginr, marginv, effect, text"
_ASS_MARKS = re.compile(r"\{[^{}\n]{0,2000}\}")
_SBV_TIMES = re.compile(rf"^{_CLOCK},{_CLOCK}[ \t]*$", re.M)
_LRC_TIME = r"\[(-?)(?:(\d{1,3}):(?=\d{1,2}:\d{1,2}\.))?(\d{1,4}):(\d{1,2})(?:[.:](\d{1,3}))?\]"
_LRC_STAMPS = re.compile(rf"^(?:[ \t]*{_LRC_TIME}){{1,200}}", re.M)
_LRC_STAMP = re.compile(_LRC_TIME)
_LRC_WORD_STAMP = re.compile(r"<\d{1,4}:\d{1,2}(?:[.:]\d{1,3})?>")


def from_ass(text: str) -> list[Timed]:
    """Read the lines of dialogue; comments and drawings are left out."""
    fields = [name.strip() for name in _ASS_FIELDS.split(",")]
    found: list[Timed] = []
    for line in text.split("\n"):
        kind, _, rest = line.partition(":")
        name = kind.strip().lower()
        if name == "format" and "text" in rest.lower():
            fields = [field.strip().lower() for field in rest.split(",", MOST_FIELDS)]
        if name != "dialogue" or "text" not in fields:
            continue
        values = dict(zip(fields, rest.split(",", len(fields) - 1), strict=False))
        start, stop = _clock(values.get("start", "")), _clock(values.get("end", ""))
        words = ass_words(values.get("text", ""))
        if start is not None and stop is not None and words:
            found.append((start, stop, words))
    return found


def ass_words(text: str) -> str:
    """Return the words of a line of dialogue without its marks; none of a drawing."""
    if re.search(r"\\p[1-9]", text):
        return ""
    return re.sub(r"\\[Nnh]", " ", _ASS_MARKS.sub("", text))


def from_sbv(text: str) -> list[Timed]:
    """Read the captions that YouTube exports."""
    times = list(_SBV_TIMES.finditer(text))
    found: list[Timed] = []
    for index, match in enumerate(times):
        end = times[index + 1].start() if index + 1 < len(times) else len(text)
        words = text[match.end() : end].replace("[br]", " ")
        numbers = match.groups()
        found.append((_seconds(numbers[:5]), _seconds(numbers[5:]), words))
    return found


def from_lrc(text: str) -> list[Timed]:
    """Read the lines of a song's text; a line may be sung at several times."""
    offset = re.search(r"^\[offset:[ \t]*([+-]?\d{1,7})\]", text, re.M | re.I)
    earlier = int(offset[1]) / 1000 if offset else 0.0
    lines: list[tuple[float, str]] = []
    for match in _LRC_STAMPS.finditer(text):
        end = text.find("\n", match.end())
        words = text[match.end() : end if end >= 0 else len(text)]
        words = _LRC_WORD_STAMP.sub(" ", words[:LONGEST_LINE]).strip()
        times = [_seconds(parts) - earlier for parts in _LRC_STAMP.findall(match[0])]
        lines.extend((max(0.0, at), words) for at in times)
    return until_next(lines)


def until_next(lines: list[tuple[float, str]]) -> list[Timed]:
    """Return the lines of a song, given as (start_s, words), in order; each ends at the next."""
    lines = sorted(lines, key=lambda line: line[0])
    stops = [start for start, _ in lines[1:]] + [lines[-1][0] + LAST_LINE_S] if lines else []
    return [
        (start, min(stop, start + LONGEST_LINE_S), words)
        for (start, words), stop in zip(lines, stops, strict=True)
    ]


def from_ttml(data: bytes) -> tuple[list[Timed], bool]:
    """Read the paragraphs of a timed text, and tell whether it is whole.

    Of one that is cut off or damaged, what comes before is read. Raises BrokenMediaError for XML
    without any paragraph before its fault.
    """
    reader = _TimedText()
    try:
        xml_stream.read([data.lstrip(b"\xef\xbb\xbf \t\r\n")], reader)  # nothing may precede XML
    except BrokenMediaError:
        reader.close()
        if not reader.found:
            raise
        return reader.found, False
    return reader.found, True


class _TimedText:
    def __init__(self) -> None:
        self.found: list[Timed] = []
        self._frames_per_s, self._ticks_per_s = 30.0, 1.0
        self._start: list[float] = [0.0]
        """Start time of each open element: times inside it count from there."""
        self._open: tuple[float, float] | None = None
        self._words: list[str] = []

    def start(self, name: str, attributes: dict[str, str]) -> None:
        given = {xml_stream.local(key): value for key, value in attributes.items()}
        if name == "tt":
            self._frames_per_s = _number(given.get("frameRate"), 30.0)
            self._ticks_per_s = _number(given.get("tickRate"), 1.0)
        begin = self._time(given.get("begin"))
        start = self._start[-1] + (begin or 0.0)
        if name == "p":
            stop, lasts = self._time(given.get("end")), self._time(given.get("dur"))
            if stop is not None:
                self._open = (start, self._start[-1] + stop)
            elif begin is not None or lasts is not None:
                self._open = (start, start + (LAST_LINE_S if lasts is None else lasts))
            self._words = []
        elif name == "br":
            self._words.append(" ")
        self._start.append(start)

    def end(self, name: str) -> None:
        self._start.pop()
        if name == "p":
            self.close()
            if len(self.found) > LIMITS.subtitle_cues:
                raise xml_stream.Done

    def close(self) -> None:
        """End the paragraph that is open, if there is one."""
        if self._open is not None:
            self.found.append((*self._open, "".join(self._words)))
            self._open = None

    def data(self, text: str) -> None:
        if self._open is not None:
            self._words.append(text)

    def _time(self, value: str | None) -> float | None:
        if not value:
            return None
        if clock := re.fullmatch(_TTML_CLOCK, value):
            *numbers, frames = clock.groups()
            return _seconds(tuple(numbers)) + int(frames or 0) / self._frames_per_s
        if offset := re.fullmatch(r"(\d{1,12}(?:\.\d{1,9})?)(h|m|s|ms|f|t)", value):
            units = {
                "h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001,
                "f": 1 / self._frames_per_s, "t": 1 / self._ticks_per_s,
            }  # fmt: skip
            return float(offset[1]) * units[offset[2]]
        return None


def _number(value: str | None, otherwise: float) -> float:
    try:
        found = float(value or "")
    except ValueError:
        return otherwise
    return found if 0 < found < 1e12 else otherwise


def _clock(value: str) -> float | None:
    match = re.fullmatch(_CLOCK, value.strip())
    return _seconds(match.groups()) if match else None


def _seconds(parts: tuple[str, ...]) -> float:
    sign, hours, minutes, seconds, fraction = parts
    whole = int(hours or 0) * 3600 + int(minutes) * 60 + int(seconds)
    return (whole + float(f"0.{fraction or 0}")) * (-1 if sign else 1)


FORMS: dict[str, Callable[[str], list[Timed]]] = {
    "ass": from_ass,
    "sbv": from_sbv,
    "lrc": from_lrc,
}
