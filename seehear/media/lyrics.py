"""Read the words of a song from its tags: plain text, text with times (LRC), and ID3's SYLT.

    ID3 (MP3)           USLT, SYLT
    Vorbis (FLAC, Ogg)  LYRICS, UNSYNCEDLYRICS, SYNCEDLYRICS
    MP4, APE, ASF       ©lyr, Lyrics, WM/Lyrics

FFmpeg reads all but SYLT. Of each language, words with times come before those without.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, BinaryIO

from seehear.languages import language_code
from seehear.media import subtitles
from seehear.media.limits import LIMITS
from seehear.media.subtitle_forms import Timed, from_lrc, until_next
from seehear.types import Origin, Segment

if TYPE_CHECKING:
    from av.container import InputContainer

_KEYS = frozenset(
    {"lyrics", "unsyncedlyrics", "unsynced lyrics", "syncedlyrics", "wm/lyrics", "©lyr"}
)
_BY_LANGUAGE = "lyrics-"
"""How FFmpeg names USLT: "lyrics-eng", "lyrics-description-eng"."""
_ENCODINGS = ("latin-1", "utf-16", "utf-16-be", "utf-8")
_WORDS = {0, 1, 2}
"""The contents of SYLT that are words: others, lyrics, a transcription. Not: chords, events."""
_MILLISECONDS = 2


def passages(file: BinaryIO, container: InputContainer) -> Iterator[tuple[Segment, str]]:
    """Yield the words of the tags, each language once."""
    tags = [container.metadata, *(stream.metadata for stream in container.streams)]
    texts = [found for one in tags for found in _texts(one)]
    timed = [*_synchronised(file), *((code, from_lrc(text)) for code, text in texts)]
    read: set[str | None] = set()
    for language, lines in timed:
        if lines and language not in read:
            read.add(language)
            yield from subtitles.passages(subtitles.in_order(lines), Origin.LYRICS, language)
    for language, text in texts:
        if language in read:
            continue
        read.add(language)
        cues = [subtitles.Cue(0.0, 0.0, " ".join(line.split())) for line in text.splitlines()]
        for segment, words in subtitles.passages(cues, Origin.LYRICS, language):
            yield replace(segment, start_s=None, stop_s=None), words


def has_words(file: BinaryIO, container: InputContainer) -> bool:
    """Tell whether the tags hold words."""
    tags = [container.metadata, *(stream.metadata for stream in container.streams)]
    return any(any(_texts(one)) for one in tags) or any(_synchronised(file))


def _texts(tags: Mapping[str, str]) -> Iterator[tuple[str | None, str]]:
    """Yield the words that tags hold, with their languages."""
    for key, value in tags.items():
        name = key.lower()
        if name in _KEYS or name.startswith(_BY_LANGUAGE):
            code = name.rpartition("-")[2] if name not in _KEYS else ""
            yield language_code(code), value[: LIMITS.text_characters].replace("\r", "\n")


def _synchronised(file: BinaryIO) -> Iterator[tuple[str | None, list[Timed]]]:
    """Yield the lines of each SYLT of an ID3 tag, with its language."""
    for name, data in _id3_frames(file):
        if name not in (b"SYLT", b"SLT") or len(data) < 7 or data[0] >= len(_ENCODINGS):
            continue
        encoding, (stamps, content) = _ENCODINGS[data[0]], data[4:6]
        if stamps != _MILLISECONDS or content not in _WORDS:
            continue
        pieces: list[tuple[float, str]] = []
        _, at = _text_at(data, 6, encoding)  # a description
        while at < len(data) and len(pieces) <= LIMITS.subtitle_cues:
            words, at = _text_at(data, at, encoding)
            if at + 4 <= len(data):
                pieces.append((struct.unpack_from(">I", data, at)[0] / 1000, words))
            at += 4
        yield language_code(data[1:4].decode("latin-1")), until_next(_lines(pieces))


def _lines(pieces: list[tuple[float, str]]) -> list[tuple[float, str]]:
    """Join syllables to lines, which then begin with a line break; else each piece is a line."""
    if not any("\n" in words for _, words in pieces[1:]):
        return pieces
    lines: list[tuple[float, str]] = []
    for start_s, words in pieces:
        if lines and not words.startswith("\n"):
            lines[-1] = lines[-1][0], lines[-1][1] + words
        else:
            lines.append((start_s, words))
    return lines


def _text_at(data: bytes, at: int, encoding: str) -> tuple[str, int]:
    """Return the text at a position up to its end mark, and the position behind that."""
    wide = 2 if encoding.startswith("utf-16") else 1
    end = next(
        (i for i in range(at, len(data) - wide + 1, wide) if not any(data[i : i + wide])), len(data)
    )
    return data[at:end].decode(encoding, "replace").replace("\r", "\n"), end + wide


def _id3_frames(file: BinaryIO) -> Iterator[tuple[bytes, bytes]]:
    """Yield the frames of an ID3v2 tag at the start of a file; none of packed ones."""
    position = file.tell()  # FFmpeg reads on from here
    file.seek(0)
    head = file.read(10)
    is_tag = head[:3] == b"ID3" and len(head) == 10 and 2 <= head[3] <= 4
    data = file.read(min(_synchsafe(head[6:]), LIMITS.metadata_bytes)) if is_tag else b""
    file.seek(position)
    if not is_tag:
        return
    version, flags = head[3], head[5]
    if flags & 0x80 and version < 4:
        data = data.replace(b"\xff\x00", b"\xff")
    at = 0
    if flags & 0x40 and version > 2 and len(data) >= 4:  # an extended header
        at = _synchsafe(data[:4]) if version == 4 else 4 + int.from_bytes(data[:4], "big")
    letters, rest = (3, 3) if version == 2 else (4, 6)
    while True:
        name, size = data[at : at + letters], data[at + letters : at + 2 * letters]
        if len(size) < letters or not name.strip(b"\0"):
            return
        length = _synchsafe(size) if version == 4 else int.from_bytes(size, "big")
        at += letters + rest
        content = data[at : at + length]
        format_flags = data[at - 1] if version == 4 else 0
        if format_flags & 0x01:  # the length before it was changed
            content = content[4:]
        if format_flags & 0x02:
            content = content.replace(b"\xff\x00", b"\xff")
        if not format_flags & 0x0C:  # neither packed nor encrypted
            yield name, content
        at += length


def _synchsafe(data: bytes) -> int:
    """Return a number that is stored in seven bits of each byte."""
    return sum((byte & 0x7F) << 7 * power for power, byte in enumerate(reversed(data)))
