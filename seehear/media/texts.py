"""Read the passages of a text file, a document or subtitles."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import BinaryIO

from seehear.media.fingerprints import Fingerprinter
from seehear.media.limits import LIMITS
from seehear.media.media_info import OpenFile
from seehear.media.passages import passages
from seehear.media.sniff import Decoder
from seehear.types import MediaInfo, Modality, Origin, Sample, SampleSpec, Segment

SUBTITLE_FORMS = frozenset({"srt", "vtt", "ass", "sbv", "ttml", "lrc"})


def passages_of(
    item: OpenFile, info: MediaInfo, spec: SampleSpec, made: Fingerprinter | None
) -> Iterator[tuple[Segment, Sample]]:
    if info.format in SUBTITLE_FORMS:
        from seehear.media import subtitles

        cues, is_whole = subtitles.read_cues(item.file, info.format)
        if not is_whole:
            ends_s = max((cue.stop_s for cue in cues), default=0.0)
            info.mark_partial(f"cut off or damaged after {ends_s:.1f} s")
        if made is not None:
            made.text(" ".join(cue.text for cue in cues))
        origin = Origin.LYRICS if info.format == "lrc" else Origin.SUBTITLES
        yield from subtitles.passages(cues, origin, subtitles.language_of(item.path))
        return
    for page, words in _pages(item, info):
        # Lone surrogates, which some PDFs contain, cannot be stored in a database.
        clean = words.encode("utf-8", "replace").decode()
        if made is not None:
            made.text(clean)
        for passage in passages(clean, spec.passage_words):
            yield Segment(Modality.TEXT, text=passage, page=page), passage


def _pages(item: OpenFile, info: MediaInfo) -> Iterator[tuple[int | None, str]]:
    """Yield the pages of a PDF with their numbers, or all words of another document or text file.

    At most LIMITS.text_characters together.
    """
    if item.kind.reader is Decoder.PDF:
        from seehear.media import pdf

        left = LIMITS.text_characters
        with pdf.opened_pdf(item.file) as reader:
            for number, words in enumerate(pdf.text_of(reader), 1):
                yield number, words[:left]
                left -= len(words[:left])
    elif item.kind.reader is Decoder.ARCHIVE:
        from seehear.media import documents

        with documents.opened_document(item.file, "decode") as document:
            yield None, documents.text_of(document) if document is not None else ""
    else:
        yield None, _text_words(item.file, info.format)


def _text_words(file: BinaryIO, name: str) -> str:
    from seehear.media import mail, rtf, text

    plain: dict[str, Callable[[str], str]] = {
        "csv": text.from_table,
        "json": text.from_json,
        "md": text.from_markdown,
        "html": _page_words,
    }
    if name == "rtf":
        return rtf.from_rtf(file.read())
    if name == "eml":
        return mail.words_of(file.read())
    words = text.read_text(file)
    return plain[name](words) if name in plain else words


def _page_words(page: str) -> str:
    from seehear.media import text

    visible, title = text.from_html(page)
    return f"{title}\n\n{visible}" if title else visible
