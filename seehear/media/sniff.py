"""Recognise a file by its first bytes.

Each format names the one decoder that reads it. Nothing is passed to a library that guesses among
hundreds of formats: FFmpeg's playlists (HLS, concat) open further files, and its rarer demuxers
are the least tested code.
"""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass
from enum import Enum
from typing import BinaryIO, NoReturn, cast

from seehear.errors import BrokenMediaError, UnsupportedMediaError
from seehear.media.formats import PACKED_SUFFIXES, RAW_SUFFIXES, SUFFIXES
from seehear.media.source import FileView, head_of, start_behind_tags
from seehear.types import Modality


class Decoder(Enum):
    """The decoder that reads a format."""

    PILLOW = "pillow"
    RAW = "raw"
    FFMPEG = "ffmpeg"
    SVG = "svg"
    PDF = "pdf"
    ARCHIVE = "archive"
    TEXT = "text"


@dataclass(frozen=True, slots=True)
class SniffedFormat:
    """A recognised format. `decoder` is the name that `reader` uses for it."""

    format: str
    reader: Decoder
    decoder: str = ""


_PILLOW = (
    (re.compile(rb"\xff\xd8\xff"), "jpeg", "JPEG"),
    (re.compile(rb"\x89PNG\r\n\x1a\n"), "png", "PNG"),
    (re.compile(rb"GIF8[79]a"), "gif", "GIF"),
    (re.compile(rb"RIFF....WEBP", re.DOTALL), "webp", "WEBP"),
    (re.compile(rb"\x00\x00\x00\x0cjP  \r\n\x87\n"), "jp2", "JPEG2000"),
    (re.compile(rb"\xff\x4f\xff\x51"), "jp2", "JPEG2000"),
    # BM are two letters of text, too: the reserved words and the header's size must fit.
    (
        re.compile(rb"BM.{4}\x00{4}.{4}[\x0c\x28\x34\x38\x40\x6c\x7c]\x00{3}", re.DOTALL),
        "bmp",
        "BMP",
    ),
    (re.compile(rb"P[1-6]\s"), "pnm", "PPM"),
    (re.compile(rb"P7\nWIDTH|P7\n#|P[fF]\s+-?\d"), "pnm", "PPM"),
    (re.compile(rb"8BPS\x00\x01\x00{6}"), "psd", "PSD"),
    # Other files begin so, too: check the first image's reserved byte and planes.
    (
        re.compile(rb"\x00\x00\x01\x00[\x01-\xff]\x00.{3}\x00[\x00\x01]\x00", re.DOTALL),
        "ico",
        "ICO",
    ),
)

_RAW = (
    (re.compile(rb"FUJIFILMCCD-RAW"), "raf"),
    (re.compile(rb"II(RO|RS)|MMOR"), "orf"),
    (re.compile(rb"IIU\x00"), "rw2"),
    (re.compile(rb"II\*\x00....CR", re.DOTALL), "cr2"),
    (re.compile(rb"FOVb"), "x3f"),
    (re.compile(rb"\x00MRM"), "mrw"),
    (re.compile(rb"II.{4}HEAPCCDR", re.DOTALL), "crw"),
)

_FFMPEG = (
    (re.compile(rb"(RIFF|RF64|BW64)....WAVE", re.DOTALL), "wav", "wav"),
    (re.compile(rb"riff\x2e\x91\xcf\x11\xa5\xd6\x28\xdb"), "w64", "w64"),
    (re.compile(rb"RIFF....AVI ", re.DOTALL), "avi", "avi"),
    (re.compile(rb"fLaC"), "flac", "flac"),
    (re.compile(rb"OggS"), "ogg", "ogg"),
    (re.compile(rb"FORM....AIF[FC]", re.DOTALL), "aiff", "aiff"),
    (re.compile(rb"caff\x00"), "caf", "caf"),
    (re.compile(rb"\x30\x26\xb2\x75\x8e\x66\xcf\x11"), "asf", "asf"),
    (re.compile(rb"#!AMR"), "amr", "amr"),
    (re.compile(rb"MAC "), "ape", "ape"),
    (re.compile(rb"wvpk"), "wv", "wv"),
    (re.compile(rb"TTA[12]"), "tta", "tta"),
    (re.compile(rb"\.snd\x00"), "au", "au"),
    (re.compile(rb"MPCK"), "mpc", "mpc8"),
    (re.compile(rb"MP\+"), "mpc", "mpc"),
    (re.compile(rb"DSD \x1c"), "dsf", "dsf"),
    (re.compile(rb"\x1a\x45\xdf\xa3"), "mkv", "matroska"),
    (re.compile(rb"FLV\x01"), "flv", "flv"),
    (re.compile(rb"\x06\x0e\x2b\x34\x02\x05\x01\x01"), "mxf", "mxf"),
    (re.compile(rb"\x00\x00\x01\xba"), "mpeg", "mpeg"),
    (re.compile(rb"\x00\x00\x01\xb3"), "mpeg", "mpegvideo"),
    (re.compile(rb"\x0b\x77"), "ac3", "ac3"),
    (re.compile(rb"\x7f\xfe\x80\x01"), "dts", "dts"),
    (re.compile(rb"....(moov|mdat|wide|free|skip|pnot)", re.DOTALL), "mov", "mov"),
)

_HEIF_BRANDS = frozenset({b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"})
_AVIF_BRANDS = frozenset({b"avif", b"avis"})

NO_DOCUMENT = "a zip archive, not a document that seehear reads"

_BINARY_OTHERS = (
    # Named because people have them in media folders and ask why they are not read.
    (re.compile(rb"PK\x03\x04"), NO_DOCUMENT),
    (re.compile(rb"\xd0\xcf\x11\xe0"), "an old office document, or one that asks for a password"),
    (re.compile(rb"\xff\x0a|\x00\x00\x00\x0cJXL "), "JPEG XL"),
    (re.compile(rb"8BPS\x00\x02"), "a large Photoshop document"),
    (re.compile(rb"\x7fELF|MZ"), "a program"),
)

_CLAIMED = {suffix: modality for modality, group in SUFFIXES.items() for suffix in group}

_TIFF_MAKE, _TIFF_SUB_IFDS, _TIFF_DNG_VERSION, _TIFF_COMPRESSION = 271, 330, 50706, 259
_RAW_COMPRESSIONS = frozenset({32767, 32769, 32770, 34713, 65000, 65535})
"""Packings of ARW, ORF, SRW, NEF, KDC and PEF that no TIFF library reads."""


def sniff_file(file: BinaryIO, suffix: str) -> tuple[SniffedFormat, BinaryIO]:
    """Return the format of an open file, and the file from the start of its content on.

    Music programs put ID3 tags before any format, with covers of any size. Raises as `sniff`.
    """
    if start := start_behind_tags(file):
        content = cast(BinaryIO, FileView(file, start))
        head = head_of(content)
        if (kind := _container(head) or _frame(head)) is not None:
            # FFmpeg reads the title from such a tag itself, but before these formats only.
            return kind, file if kind.format in _TAGGED else content
    return sniff(head_of(file), suffix), file


def sniff(head: bytes, suffix: str) -> SniffedFormat:
    """Return the format of a file from its first bytes; use the suffix where the bytes cannot tell.

    Raises UnsupportedMediaError for content that is not media, or BrokenMediaError if the suffix
    claims a media format.
    """
    kind = _image(head, suffix) or _container(head) or _elementary(head, suffix)
    if kind is not None:
        return kind
    if b"%PDF-" in head[:1024]:
        return SniffedFormat("pdf", Decoder.PDF)
    if (kind := _document(head, suffix)) is not None:
        return kind
    claimed = _CLAIMED.get(suffix)
    if suffix in {".ts", ".mts"} and looks_like_text(head):
        raise UnsupportedMediaError("the content is TypeScript, not a video", stage="probe")
    if claimed in (Modality.AUDIO, Modality.VIDEO) and not head.startswith(b"#EXTM3U"):
        # Junk before the header: let FFmpeg look further, with the demuxers of this table only.
        return SniffedFormat(suffix[1:], Decoder.FFMPEG)
    for pattern, name in _BINARY_OTHERS:
        if pattern.match(head):
            refuse(suffix, f"the content is {name}")
    if suffix in _TEXT_SUFFIXES and looks_like_text(head):
        return SniffedFormat(_text_format(head, suffix), Decoder.TEXT)
    return refuse(suffix, "the content is not of a kind that seehear reads")


def _document(head: bytes, suffix: str) -> SniffedFormat | None:
    """Recognise documents by their first bytes; a packed one's directory gives its format later."""
    if head.startswith(b"{\\rtf"):
        return SniffedFormat("rtf", Decoder.TEXT)
    if head.startswith(b"PK\x03\x04") and (
        suffix in PACKED_SUFFIXES or _PACKED_NAME.match(head, 30)
    ):
        return SniffedFormat("document", Decoder.ARCHIVE)
    packed = suffix == ".svgz" and head.startswith(b"\x1f\x8b")
    if packed or _is_svg(head, suffix):
        return SniffedFormat("svg", Decoder.SVG)
    return None


def _is_svg(head: bytes, suffix: str) -> bool:
    plain = _unmarked(head)
    # A drawing may begin with a comment longer than `head`.
    return _SVG.match(plain) is not None or (suffix == ".svg" and b"<svg" in plain)


def refuse(suffix: str, reason: str) -> NoReturn:
    """Raise UnsupportedMediaError, or BrokenMediaError where the suffix claims a media format."""
    if suffix in _CLAIMED:
        raise BrokenMediaError(f"named {suffix}, but {reason}", stage="probe")
    raise UnsupportedMediaError(reason, stage="probe")


def _image(head: bytes, suffix: str) -> SniffedFormat | None:
    for pattern, name, plugin in _PILLOW:
        if pattern.match(head):
            return SniffedFormat(name, Decoder.PILLOW, plugin)
    for pattern, name in _RAW:
        if pattern.match(head):
            return SniffedFormat(name, Decoder.RAW)
    return _boxed_or_tiff(head, suffix)


def _boxed_or_tiff(head: bytes, suffix: str) -> SniffedFormat | None:
    """Recognise families with common first bytes: TIFF and RAW, and the boxes of ISO files."""
    if head[:4] in (b"II*\x00", b"MM\x00*", b"II+\x00", b"MM\x00+"):
        return _tiff(head, suffix)
    if head[4:8] == b"ftyp":
        end = min(int.from_bytes(head[:4], "big"), 256, len(head) - 3)
        brands = {head[8:12], *(head[at : at + 4] for at in range(16, end, 4))}
        if head[8:12] == b"crx ":
            return SniffedFormat("cr3", Decoder.RAW)
        if brands & _AVIF_BRANDS:
            return SniffedFormat("avif", Decoder.PILLOW, "AVIF")
        if brands & _HEIF_BRANDS and b"mp41" not in brands and b"qt  " not in brands:
            return SniffedFormat("heic", Decoder.PILLOW, "HEIF")
    return None


def _container(head: bytes) -> SniffedFormat | None:
    for pattern, name, demuxer in _FFMPEG:
        if pattern.match(head):
            if name == "mkv" and b"webm" in head[:64]:
                return SniffedFormat("webm", Decoder.FFMPEG, demuxer)
            return SniffedFormat(name, Decoder.FFMPEG, demuxer)
    if head[4:8] == b"ftyp":
        brand = head[8:12]
        if brand == b"qt  ":
            return SniffedFormat("mov", Decoder.FFMPEG, "mov")
        return SniffedFormat("3gp" if brand.startswith(b"3g") else "mp4", Decoder.FFMPEG, "mov")
    return None


def _elementary(head: bytes, suffix: str) -> SniffedFormat | None:
    """Recognise streams without a file header: MPEG transport streams, MP3 and AAC frames."""
    for packet, lead in ((188, 0), (192, 4), (204, 0)):
        syncs = head[lead : lead + 8 * packet : packet]
        if len(syncs) >= 4 and set(syncs) == {0x47}:
            return SniffedFormat("ts", Decoder.FFMPEG, "mpegts")
    if head[:3] == b"ID3":
        name = "aac" if suffix == ".aac" else "mp3"
        return SniffedFormat(name, Decoder.FFMPEG, name)
    return _frame(head)


_TAGGED = frozenset({"mp3", "mp2", "aac", "flac", "tta"})

_BIT_RATES = (  # kbit/s by index, for layers 1 to 3 of MPEG-1, then 1 and 2/3 of MPEG-2
    (0, 32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448),
    (0, 32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (0, 32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256),
    (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
)


def _frame(head: bytes) -> SniffedFormat | None:
    """Recognise frames of AAC (ADTS) or MPEG audio: a header, and a second one after its frame.

    One header alone is little more than two bytes of sync, which a UTF-16 text may begin with, too.
    """
    if len(head) < 8 or head[0] != 0xFF or head[1] & 0xE0 != 0xE0:
        return None
    layer = head[1] >> 1 & 3
    if head[1] & 0xF6 == 0xF0:
        kind = SniffedFormat("aac", Decoder.FFMPEG, "aac")
        length = (head[3] & 3) << 11 | head[4] << 3 | head[5] >> 5
    else:
        kind = SniffedFormat("mp3" if layer == 1 else "mp2", Decoder.FFMPEG, "mp3")
        length = _mpeg_frame_bytes(head)
    follows = head[length : length + 2]
    same = len(follows) == 2 and follows[0] == 0xFF and follows[1] & 0xFE == head[1] & 0xFE
    return kind if length > 7 and (same or len(head) == length) else None


def _mpeg_frame_bytes(head: bytes) -> int:
    """Return the length of the MPEG audio frame with this header; 0 for an invalid header."""
    version, layer = head[1] >> 3 & 3, 4 - (head[1] >> 1 & 3)
    rate_index, sampling_index = head[2] >> 4, head[2] >> 2 & 3
    if version == 1 or layer == 4 or rate_index in (0, 15) or sampling_index == 3:
        return 0
    first = version == 3
    table = _BIT_RATES[layer - 1 if first else (3 if layer == 1 else 4)]
    sample_rate = (44_100, 48_000, 32_000)[sampling_index] // {3: 1, 2: 2, 0: 4}[version]
    padding = head[2] >> 1 & 1
    if layer == 1:
        return (12_000 * table[rate_index] // sample_rate + padding) * 4
    scale = 144_000 if first or layer == 2 else 72_000
    return scale * table[rate_index] // sample_rate + padding


def _tiff(head: bytes, suffix: str) -> SniffedFormat:
    tags = _tiff_tags(head)
    if _TIFF_DNG_VERSION in tags:
        return SniffedFormat("dng", Decoder.RAW)
    if tags.get(_TIFF_COMPRESSION) in _RAW_COMPRESSIONS or suffix in RAW_SUFFIXES:
        return SniffedFormat(suffix[1:] if suffix in RAW_SUFFIXES else "raw", Decoder.RAW)
    if _TIFF_MAKE in tags and _TIFF_SUB_IFDS in tags:
        return SniffedFormat("raw", Decoder.RAW)  # LibRaw first, then Pillow
    return SniffedFormat("tiff", Decoder.PILLOW, "TIFF")


def _tiff_tags(head: bytes) -> dict[int, int]:
    """Return the first directory's tags with their inline values, as far as `head` reaches."""
    order = "<" if head[:2] == b"II" else ">"
    if head[2:4] in (b"+\x00", b"\x00+"):
        return {}
    try:
        (at,) = struct.unpack_from(order + "I", head, 4)
        (count,) = struct.unpack_from(order + "H", head, at)
    except struct.error:
        return {}
    tags = {}
    for index in range(min(count, 200)):
        try:
            tag, kind = struct.unpack_from(order + "HH", head, at + 2 + 12 * index)
            layout = order + ("H" if kind == 3 else "I")
            (tags[tag],) = struct.unpack_from(layout, head, at + 10 + 12 * index)
        except struct.error:
            break
    return tags


_CONTROL = re.compile(rb"[\x00-\x08\x0e-\x1a\x1c-\x1f]")
_BOMS = (b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff")


def looks_like_text(head: bytes) -> bool:
    """Tell whether bytes are text in some encoding: no control characters, or a byte order mark."""
    if head.startswith(_BOMS):
        return True
    head = head.removesuffix(b"\x1a")  # the end of a text under DOS
    if head[1::2].count(0) > 0.4 * len(head) / 2 or head[::2].count(0) > 0.4 * len(head) / 2:
        return b"\x00\x00" not in head[:512]  # UTF-16 without a mark
    return _CONTROL.search(head) is None


_PACKED_NAME = re.compile(
    rb"mimetypeapplication/(epub|vnd\.oasis)|\[Content_Types\]\.xml|_rels/|docProps/|word/|ppt/|xl/"
)
"""How the name of the first file in a document's archive begins; it starts at byte 30."""

_SVG = re.compile(
    rb"\s*+(?:<\?xml[^>]*+>)?+(?>\s*+(?:<!--(?:(?!-->).)*+-->|<!DOCTYPE\s+svg[^\[>]*+"
    rb"(?:\[[^\]]*+\]\s*+)?+>))*+\s*+<(?:svg:)?svg[\s>]",
    re.DOTALL,
)
_HTML = re.compile(
    rb"(?>\s*+<!--(?:(?!-->).)*+-->)*+\s*+<(!doctype\s+html|html[\s>])", re.IGNORECASE | re.DOTALL
)
"""All quantifiers are possessive: backtracking over many comments would never end."""

_CUE = re.compile(
    rb"\s*+\d++[ \t]*+\r?\n[ \t]*+-?\d++:\d\d:-?\d\d(?:[,.:]\d++)?[ \t]*+-->[ \t]*+-?\d++:\d\d"
)
_TEXT_FORMATS = {
    ".md": "md", ".markdown": "md", ".mdown": "md",
    ".html": "html", ".htm": "html", ".xhtml": "html",
    ".srt": "srt", ".vtt": "vtt", ".ass": "ass", ".ssa": "ass", ".sbv": "sbv", ".ttml": "ttml",
    ".dfxp": "ttml", ".lrc": "lrc", ".csv": "csv", ".tsv": "csv", ".json": "json",
    ".jsonl": "json", ".ndjson": "json", ".eml": "eml",
}  # fmt: skip
_TEXT_SUFFIXES = frozenset({"", *_TEXT_FORMATS, ".txt", ".text", ".rst"})
_MAIL = re.compile(rb"(?:(?:return-path|received|delivered-to|message-id|mime-version)\s*:)", re.I)


def _unmarked(head: bytes) -> bytes:
    """Return text reduced to its ASCII: without a byte order mark and the zeros of UTF-16."""
    plain = head.replace(b"\x00", b"")
    for mark in _BOMS:
        plain = plain.removeprefix(mark)
    return plain


def _text_format(head: bytes, suffix: str) -> str:
    plain = _unmarked(head)
    if plain.startswith(b"WEBVTT"):
        return "vtt"
    if _CUE.match(plain):
        return "srt"
    if plain.lstrip().startswith(b"[Script Info]"):
        return "ass"
    if suffix == "" and _MAIL.match(plain):
        return "eml"
    if _HTML.match(plain):
        return "html"
    return _TEXT_FORMATS.get(suffix, "txt")
