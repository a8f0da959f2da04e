"""List every file format that seehear knows: those that it reads and those that it does not read.

The only such list: recognising, counting, `seehear formats` and docs/formats.md use it. The format
of a file is decided by its content. Suffixes are shown to people, and decide only for text files,
whose content does not state a format.
"""

from __future__ import annotations

import os
from dataclasses import dataclass

from seehear.media.limits import LIMITS
from seehear.types import Modality


@dataclass(frozen=True, slots=True)
class FileFormat:
    """A group of formats that are read in the same way."""

    name: str
    modality: Modality
    suffixes: tuple[str, ...]
    content: str
    """What is read from the file, in words for people."""
    limit: str


@dataclass(frozen=True, slots=True)
class UnreadFormat:
    """A group of formats that people keep beside media and that seehear does not read."""

    name: str
    suffixes: tuple[str, ...]
    reason: str


def _mib(size_bytes: int) -> str:
    return f"{size_bytes >> 30} GiB" if size_bytes >= 1 << 30 else f"{size_bytes >> 20} MiB"


_IMAGE = f"{LIMITS.image_pixels // 1_000_000} megapixels, {_mib(LIMITS.image_bytes)}"
_AUDIO = f"{LIMITS.audio_duration_s / 3600:.0f} hours"
_VIDEO = (
    f"{LIMITS.video_duration_s / 3600:.0f} hours, {LIMITS.video_pixels // 1_000_000} megapixels"
)
_TEXT = f"{_mib(LIMITS.text_bytes)}; the first {LIMITS.text_characters:,} characters"
_DOCUMENT = (
    f"{_mib(LIMITS.document_bytes)} unpacked; the first {LIMITS.text_characters:,} characters"
)


def _format(name: str, modality: Modality, suffixes: str, content: str, limit: str) -> FileFormat:
    return FileFormat(name, modality, tuple(suffixes.split()), content, limit)


FORMATS = (
    _format(
        "Photos and drawings", Modality.IMAGE,
        ".jpg .jpeg .jpe .jfif .png .apng .webp .gif .tif .tiff .bmp .dib .jp2 .j2k .jpx .jpf .j2c"
        " .pbm .pgm .ppm .pnm .pam .pfm .heic .heif .hif .avif",
        "the image; of animations and TIFF pages those that differ; of panoramas and tall images"
        " parts, too; date, camera, place, caption and keywords from EXIF, IPTC and XMP",
        _IMAGE,
    ),
    _format(
        "Camera RAW", Modality.IMAGE,
        ".dng .cr2 .cr3 .crw .nef .nrw .arw .srf .sr2 .orf .rw2 .raf .pef .srw .x3f .3fr .fff .iiq"
        " .mrw .kdc .dcr .mef .mos .erf .rwl",
        "the preview inside, or the developed image; date, camera and place", _IMAGE,
    ),
    _format("Photoshop", Modality.IMAGE, ".psd", "the flattened image, not the layers", _IMAGE),
    _format("Icons", Modality.IMAGE, ".ico", "the largest image", _IMAGE),
    _format(
        "SVG drawings", Modality.IMAGE, ".svg .svgz",
        "the drawing without its lettering; title, description and lettering as words."
        " Nothing that it links to is loaded",
        f"{_mib(LIMITS.svg_bytes)}, {LIMITS.svg_elements:,} elements",
    ),
    _format(
        "Sound", Modality.AUDIO,
        ".wav .w64 .rf64 .bwf .mp3 .mp2 .flac .ogg .oga .opus .spx .m4a .m4b .aac .aif .aiff .aifc"
        " .caf .wma .ac3 .eac3 .dts .amr .ape .wv .tta .au .snd .mka .weba .mpc .dsf",
        "windows of sound that are not silent, of a second track those that sound different;"
        " lyrics and subtitles inside it; title, artist, album and genre",
        _AUDIO,
    ),
    _format(
        "Video", Modality.VIDEO,
        ".mp4 .m4v .mov .qt .3gp .3g2 .mkv .webm .avi .mpg .mpeg .vob .ts .mts .m2ts .wmv .asf"
        " .flv .ogv .mxf",
        "shots, windows of the sound track, subtitles inside it that are text; of a second film or"
        " sound track (another camera, another language, a commentary) what differs; date, camera"
        " and place",
        _VIDEO,
    ),
    _format("Plain text", Modality.TEXT, ".txt .text .rst", "the words, in any encoding", _TEXT),
    _format(
        "Markdown", Modality.TEXT, ".md .markdown .mdown", "the words without their marks", _TEXT
    ),
    _format("Web pages", Modality.TEXT, ".html .htm .xhtml", "the visible words, the title", _TEXT),
    _format(
        "PDF", Modality.TEXT, ".pdf",
        "the words of its pages; pages without words, such as scans, as images, not their"
        " lettering; title, author and keywords",
        f"{_mib(LIMITS.pdf_bytes)}, {LIMITS.pdf_pages:,} pages",
    ),
    _format(
        "Word", Modality.TEXT, ".docx .docm .dotx",
        "the words, footnotes included; title, author and date", _DOCUMENT,
    ),
    _format(
        "PowerPoint", Modality.TEXT, ".pptx .pptm .ppsx",
        "the words of slides and speaker notes; title, author and date", _DOCUMENT,
    ),
    _format(
        "Excel", Modality.TEXT, ".xlsx .xlsm",
        "the words in cells, not the numbers; title, author and date", _DOCUMENT,
    ),
    _format(
        "OpenDocument", Modality.TEXT, ".odt .ott .odp .ods",
        "the words; title, author and date", _DOCUMENT,
    ),
    _format(
        "E-books (EPUB)", Modality.TEXT, ".epub",
        "the words in reading order; title, author and date", _DOCUMENT,
    ),
    _format("Rich text", Modality.TEXT, ".rtf", "the words", _TEXT),
    _format(
        "E-mail", Modality.TEXT, ".eml",
        "subject, sender, recipients, date and the message, not the attachments", _TEXT,
    ),
    _format("Tables", Modality.TEXT, ".csv .tsv", "the cells, row by row", _TEXT),
    _format(
        "JSON", Modality.TEXT, ".json .jsonl .ndjson", "texts with their names, not the numbers",
        _TEXT,
    ),
    _format(
        "Subtitles", Modality.TEXT, ".srt .vtt .ass .ssa .sbv .ttml .dfxp .lrc",
        "the words with their times; beside a video or sound of the same name they belong to it",
        f"{LIMITS.subtitle_cues:,} subtitles",
    ),
)  # fmt: skip

_OLD_OFFICE = "an old binary form; save it as .docx, .xlsx, .pptx or .odt"
_APPLE = "Apple's own form, which has no description; export it as PDF or .docx"
_ARCHIVE = "an archive; unpack it"
_PROJECT = "a project of a program; export an image, a sound or a video"

UNREAD_FORMATS = (
    UnreadFormat("Old Microsoft Office", (".doc", ".dot", ".xls", ".ppt", ".pps"), _OLD_OFFICE),
    UnreadFormat("Apple iWork", (".pages", ".numbers", ".key"), _APPLE),
    UnreadFormat(
        "JPEG XL", (".jxl",),
        "no decoder with a free licence and builds for every supported system; save it as PNG",
    ),
    UnreadFormat("Large Photoshop", (".psb",), "no decoder at hand; save it as .psd or TIFF"),
    UnreadFormat(
        "Other images", (".tga", ".dds", ".exr", ".hdr", ".icns", ".pcx", ".xcf", ".kra", ".cur"),
        "rare beside media, and each needs a decoder of its own; save it as PNG",
    ),
    UnreadFormat(
        "Vector graphics", (".ai", ".eps", ".ps", ".cdr", ".wmf", ".emf", ".dxf", ".dwg"),
        "programs rather than images; export as SVG, PDF or PNG",
    ),
    UnreadFormat("MIDI and scores", (".mid", ".midi", ".mscz", ".musicxml"),
                 "notes, not sound; render it as an audio file"),
    UnreadFormat("Subtitle images", (".sub", ".idx", ".sup"),
                 "images of text or times in frames; convert it to .srt"),
    UnreadFormat("Kindle books", (".mobi", ".azw", ".azw3", ".kfx"),
                 "closed forms; convert it to .epub"),
    UnreadFormat("Other mail and messages", (".msg", ".mbox", ".pst"),
                 "many messages in one file, or a closed form; export as .eml"),
    UnreadFormat("Data", (".xml", ".yaml", ".yml", ".db", ".sqlite", ".log", ".ini", ".toml"),
                 "made by programs for programs; rename it to .txt to have it read as text"),
    UnreadFormat("Archives", (".zip", ".rar", ".7z", ".tar", ".gz", ".bz2", ".xz", ".cbz", ".cbr",
                              ".iso", ".dmg"), _ARCHIVE),
    UnreadFormat("Projects", (".lrcat", ".aup3", ".als", ".flp", ".logicx", ".prproj", ".aep",
                              ".blend", ".indd", ".sketch", ".fig"), _PROJECT),
    UnreadFormat("Notes that programs leave", (".xmp", ".aae", ".thm", ".lrv", ".pp3", ".nfo"),
                 "belongs to another file and repeats or edits it; .xmp is read with its photo"),
)  # fmt: skip


def _suffixes(*names: str) -> frozenset[str]:
    return frozenset(suffix for item in FORMATS if item.name in names for suffix in item.suffixes)


RAW_SUFFIXES = _suffixes("Camera RAW")
SIDECAR_SUFFIXES = _suffixes("Subtitles")
PACKED_SUFFIXES = _suffixes("Word", "PowerPoint", "Excel", "OpenDocument", "E-books (EPUB)")
"""Documents that are zip archives."""

SUFFIXES: dict[Modality, frozenset[str]] = {
    modality: frozenset(s for f in FORMATS if f.modality is modality for s in f.suffixes)
    for modality in Modality
}
"""Suffixes by modality: a hint for people. The content decides what a file is."""

NO_SUFFIX = "no suffix"
LONGEST_SUFFIX = 12
"""A longer suffix is usually text after a dot, and a folder may have as many of these as files."""


def suffix_label(path: str) -> str:
    """Return the label under which a file that is not read is counted.

    Its suffix in lower case, or NO_SUFFIX.
    """
    suffix = os.path.splitext(path)[1].lower()  # noqa: PTH122 - a hundred thousand of them
    return suffix if 1 < len(suffix) <= LONGEST_SUFFIX and suffix.isprintable() else NO_SUFFIX
