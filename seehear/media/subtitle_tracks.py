"""Read the subtitles inside a film or a sound: tracks of text, whatever the container.

Each language is read once, and its forced track, which has what is foreign to the film, beside it.
Tracks of images are left out.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import av.error
from av.stream import Discard, Disposition

from seehear.languages import language_code
from seehear.media import subtitles
from seehear.media.limits import LIMITS
from seehear.media.subtitle_forms import ass_words
from seehear.types import Origin, Segment

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.packet import Packet

    from seehear.media.timeline import Timeline

CODECS = frozenset({"subrip", "ass", "mov_text", "webvtt", "text"})
"""Decoders of text, by FFmpeg's names. Each gives a line of dialogue as ASS has it."""
_FIELDS_BEFORE_TEXT = 8
_JOINER = "\u2060"
"""What FFmpeg puts behind a backslash, so that it begins no mark."""


def passages(container: InputContainer, timeline: Timeline) -> Iterator[tuple[Segment, str]]:
    """Yield the passages of all subtitle tracks that are read, track by track.

    Raises FFmpeg's errors.
    """
    tracks = choose_tracks(container.streams.subtitles)
    if not tracks or timeline.pieces:
        return
    for stream in container.streams:
        # Of a file with an index the packets of other tracks are not even read.
        stream.discard = Discard.default if stream in tracks else Discard.all
    timed: dict[int, list[tuple[float, float, str]]] = {stream.index: [] for stream in tracks}
    for packet in _packets(container, tracks):
        timed[packet.stream.index] += _lines(packet, timeline.origin_s)
        if sum(map(len, timed.values())) > LIMITS.subtitle_cues:
            break
    shown: set[tuple[str | None, subtitles.Cue]] = set()
    for stream in tracks:
        language = _language(stream)
        cues = [c for c in subtitles.in_order(timed[stream.index]) if (language, c) not in shown]
        shown.update((language, cue) for cue in cues)
        yield from subtitles.passages(cues, Origin.SUBTITLES, language)


def choose_tracks(streams: Sequence[Any]) -> list[Any]:
    """Return the first track of text of each language, plain and forced; all of unknown ones."""
    chosen: dict[Any, Any] = {}
    for stream in streams:
        context = stream.codec_context
        if context is None or context.codec.canonical_name not in CODECS:
            continue
        language = _language(stream)
        forced = bool(stream.disposition & Disposition.forced)
        chosen.setdefault((language or stream.index, forced), stream)
    # What a forced track repeats of the plain one is left out, so that comes first.
    return sorted(chosen.values(), key=lambda stream: bool(stream.disposition & Disposition.forced))


def _language(stream: Any) -> str | None:
    return language_code(stream.metadata.get("language", ""))


def _packets(container: InputContainer, tracks: Sequence[Any]) -> Iterator[Packet[Any]]:
    """Yield the packets up to the end, or to where the file is damaged."""
    packets = container.demux(list(tracks))
    with suppress(av.error.InvalidDataError, av.error.EOFError):
        yield from packets


def _lines(packet: Packet[Any], origin_s: float) -> Iterator[tuple[float, float, str]]:
    """Yield the lines of a packet; none of one that is empty or damaged."""
    if packet.pts is None or not packet.size or not packet.time_base:
        return
    start_s = float(packet.pts * packet.time_base) - origin_s
    stop_s = start_s + float((packet.duration or 0) * packet.time_base)
    try:
        found = packet.stream.codec_context.decode2(packet) or ()
    except av.error.InvalidDataError:
        return
    for subtitle in found:
        fields = getattr(subtitle, "ass", b"").decode("utf-8", "replace")
        words = ass_words(fields.split(",", _FIELDS_BEFORE_TEXT)[-1]).replace(_JOINER, "")
        yield round(start_s, 3), round(stop_s, 3), subtitles.strip_markup(words)
