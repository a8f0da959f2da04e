"""Small documents of every form, written by hand: packed ones, rich text, mail, subtitles."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable, Mapping, Sequence
from html import escape

WORD = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"
SLIDE = "http://schemas.openxmlformats.org/drawingml/2006/main"
SHEET = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
CORE = (
    '<cp:coreProperties xmlns:cp="http://schemas.openxmlformats.org/package/2006/metadata/'
    'core-properties" xmlns:dc="http://purl.org/dc/elements/1.1/" '
    'xmlns:dcterms="http://purl.org/dc/terms/"><dc:title>The keeper</dc:title>'
    "<dc:creator>Ada Stone</dc:creator><dcterms:created>2024-06-01T12:34:56Z</dcterms:created>"
    "</cp:coreProperties>"
)
OPEN = (
    'xmlns:office="urn:oasis:names:tc:opendocument:xmlns:office:1.0" '
    'xmlns:text="urn:oasis:names:tc:opendocument:xmlns:text:1.0" '
    'xmlns:dc="http://purl.org/dc/elements/1.1/" '
    'xmlns:meta="urn:oasis:names:tc:opendocument:xmlns:meta:1.0"'
)


def packed(files: Mapping[str, str | bytes], *, stored: Sequence[str] = ()) -> bytes:
    """A zip archive of files by name."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            kind = zipfile.ZIP_STORED if name in stored else zipfile.ZIP_DEFLATED
            archive.writestr(zipfile.ZipInfo(name), content, compress_type=kind)
    return buffer.getvalue()


def docx(paragraphs: Sequence[str], body: str = "") -> bytes:
    """Word; `body` is further XML of the body."""
    # A word may be parted anywhere: "The li" + "ghthouse".
    runs = "".join(
        f"<w:p><w:r><w:t>{escape(p[:6])}</w:t></w:r><w:r><w:t>{escape(p[6:])}</w:t></w:r></w:p>"
        for p in paragraphs
    )
    return packed(
        {
            "[Content_Types].xml": "<Types/>",
            "docProps/core.xml": CORE,
            "word/document.xml": f'<?xml version="1.0" encoding="UTF-8"?><w:document '
            f'xmlns:w="{WORD}"><w:body>{runs}{body}</w:body></w:document>',
        }
    )


def pptx(slides: Sequence[str], notes: str = "") -> bytes:
    files = {"[Content_Types].xml": "<Types/>", "ppt/presentation.xml": "<p/>"}
    for number, words in enumerate(slides, 1):
        files[f"ppt/slides/slide{number}.xml"] = (
            f'<sld xmlns:a="{SLIDE}"><a:p><a:r><a:t>{escape(words)}</a:t></a:r></a:p></sld>'
        )
    if notes:
        files["ppt/notesSlides/notesSlide1.xml"] = (
            f'<notes xmlns:a="{SLIDE}"><a:p><a:r><a:t>{escape(notes)}</a:t></a:r></a:p></notes>'
        )
    return packed({**files, "docProps/core.xml": CORE})


def xlsx(cells: Sequence[str]) -> bytes:
    shared = "".join(f"<si><t>{escape(cell)}</t></si>" for cell in cells)
    return packed(
        {
            "[Content_Types].xml": "<Types/>",
            "xl/workbook.xml": "<workbook/>",
            "xl/sharedStrings.xml": f'<sst xmlns="{SHEET}">{shared}</sst>',
            "xl/worksheets/sheet1.xml": f'<worksheet xmlns="{SHEET}"><c><v>42</v></c></worksheet>',
            "docProps/core.xml": CORE,
        }
    )


def odt(paragraphs: Sequence[str], kind: str = "text") -> bytes:
    words = "".join(f"<text:p>{escape(p)}</text:p>" for p in paragraphs)
    return packed(
        {
            "mimetype": f"application/vnd.oasis.opendocument.{kind}",
            "content.xml": f"<office:document-content {OPEN}><office:body><office:text>{words}"
            "</office:text></office:body></office:document-content>",
            "meta.xml": f"<office:document-meta {OPEN}><office:meta><dc:title>The keeper"
            "</dc:title><dc:creator>Ada Stone</dc:creator><meta:creation-date>2024-06-01T12:34:56"
            "</meta:creation-date></office:meta></office:document-meta>",
        },
        stored=["mimetype"],
    )


def epub(chapters: Sequence[str], extra: Mapping[str, str] | None = None) -> bytes:
    """An e-book whose chapters lie in the archive in the opposite of their reading order."""
    items = "".join(
        f'<item id="c{at}" href="text/chapter%20{at}.xhtml"/>' for at in range(len(chapters))
    )
    order = "".join(f'<itemref idref="c{at}"/>' for at in range(len(chapters)))
    files = {
        "mimetype": "application/epub+zip",
        "META-INF/container.xml": '<container><rootfiles><rootfile full-path="OEBPS/book.opf"/>'
        "</rootfiles></container>",
        "OEBPS/book.opf": '<package xmlns:dc="http://purl.org/dc/elements/1.1/"><metadata>'
        "<dc:title>The keeper</dc:title><dc:creator>Ada Stone</dc:creator><dc:date>2024-06-01"
        f"</dc:date></metadata><manifest>{items}</manifest><spine>{order}</spine></package>",
    }
    for at in reversed(range(len(chapters))):
        files[f"OEBPS/text/chapter {at}.xhtml"] = (
            "<!DOCTYPE html><html><head><title>x</title><style>p{}</style></head><body>"
            f"<p>{escape(chapters[at])}</p></body></html>"
        )
    return packed({**files, **(extra or {})}, stored=["mimetype"])


def rtf(paragraphs: Sequence[str]) -> bytes:
    words = "".join(
        "".join(c if ord(c) < 128 else f"\\u{ord(c)}?" for c in p) + "\\par\n" for p in paragraphs
    )
    return (
        "{\\rtf1\\ansi\\ansicpg1252{\\fonttbl{\\f0\\fswiss Helvetica;}}{\\info{\\title Hidden}}"
        f"{{\\*\\generator Hand}}\\f0\\fs24 {words}}}"
    ).encode("ascii")


def eml(words: str, html: bool = False) -> bytes:
    kind = "html" if html else "plain"
    return (
        "Return-Path: <ada@example.org>\r\nFrom: Ada Stone <ada@example.org>\r\n"
        "To: keeper@example.org\r\nSubject: =?utf-8?q?The_keeper?=\r\n"
        "Date: Sat, 01 Jun 2024 14:34:56 +0200\r\nMIME-Version: 1.0\r\n"
        'Content-Type: multipart/mixed; boundary="b"\r\n\r\n--b\r\n'
        f"Content-Type: text/{kind}; charset=utf-8\r\n\r\n{words}\r\n--b\r\n"
        "Content-Type: application/octet-stream\r\nContent-Disposition: attachment; "
        'filename="x.bin"\r\nContent-Transfer-Encoding: base64\r\n\r\nSGlkZGVu\r\n--b--\r\n'
    ).encode()


def svg(width: int = 320, height: int = 240, inside: str = "", doctype: str = "") -> bytes:
    """A red drawing with a light mark in its upper left quarter."""
    return (
        f'<?xml version="1.0"?><!-- by hand -->{doctype}<svg xmlns="http://www.w3.org/2000/svg" '
        f'xmlns:xlink="http://www.w3.org/1999/xlink" width="{width}" height="{height}">'
        f'<title>The keeper</title><rect width="{width}" height="{height}" fill="#c82828"/>'
        f'<rect width="{width // 4}" height="{height // 4}" fill="#fafafa"/>{inside}</svg>'
    ).encode()


def psd(width: int, height: int, pixels: bytes) -> bytes:
    """A flat Photoshop file of three planes, one after the other."""
    sizes = b"".join(n.to_bytes(size, "big") for n, size in ((3, 2), (height, 4), (width, 4)))
    return b"8BPS\x00\x01" + bytes(6) + sizes + b"\x00\x08\x00\x03" + bytes(12) + b"\0\0" + pixels


Cues = Sequence[tuple[float, float, str]]


def subtitles(form: str, cues: Cues) -> str:
    """The cues in one of the forms that are not SubRip or WebVTT."""
    return {"ass": _ass, "sbv": _sbv, "ttml": _ttml, "lrc": _lrc}[form](cues)


def _ass(cues: Cues) -> str:
    lines = [
        f"Dialogue: 0,{_clock(start, 2)},{_clock(stop, 2)},Default,,0,0,0,,{{\\i1}}"
        + words.replace(", ", ",\\N", 1)
        for start, stop, words in cues
    ]
    return "\n".join(
        ["[Script Info]", "Title: x", "[V4+ Styles]", "Format: Name, Fontname", "[Events]",
         "Format: Layer, Start, End, Style, Name, MarginL, MarginR, MarginV, Effect, Text",
         "Comment: 0,0:00:00.00,0:00:01.00,Default,,0,0,0,,hidden", *lines]
    )  # fmt: skip


def _sbv(cues: Cues) -> str:
    return "\n\n".join(
        f"{_clock(start, 3)},{_clock(stop, 3)}\n{words}" for start, stop, words in cues
    )


def _ttml(cues: Cues) -> str:
    lines = "".join(
        f'<p begin="0{_clock(start, 3)}" end="{stop}s">{escape(words)}</p>'
        for start, stop, words in cues
    )
    return f'<?xml version="1.0"?><tt xmlns="http://www.w3.org/ns/ttml"><body>{lines}</body></tt>'


def _lrc(cues: Cues) -> str:
    lines = [f"[{int(s) // 60:02}:{s % 60:05.2f}]{words}" for s, _, words in cues]
    return "\n".join(["[ar:Ada Stone]", "[ti:The keeper]", *lines])


def _clock(seconds: float, digits: int) -> str:
    rest = f"{seconds % 60:0{3 + digits}.{digits}f}"
    return f"{int(seconds) // 3600}:{int(seconds) // 60 % 60:02}:{rest}"


def document(name: str, paragraphs: Sequence[str]) -> bytes:
    """A document of a form, with these paragraphs in their order."""
    text = "\n\n".join(paragraphs)
    rows = "\n".join(f'{at};"{p}"' for at, p in enumerate(paragraphs))
    made: dict[str, Callable[[], bytes]] = {
        "docx": lambda: docx(paragraphs),
        "pptx": lambda: pptx(paragraphs),
        "xlsx": lambda: xlsx(paragraphs),
        "odt": lambda: odt(paragraphs),
        "epub": lambda: epub(paragraphs),
        "rtf": lambda: rtf(paragraphs),
        "eml": lambda: eml(text),
        "csv": f"number;words\n{rows}\n".encode,
        "json": lambda: json.dumps(
            {"size": 3, "pages": [{"words": p} for p in paragraphs]}
        ).encode(),
    }
    return made[name]()


DOCUMENTS = ("docx", "pptx", "xlsx", "odt", "epub", "rtf", "eml", "csv", "json")
SUBTITLES = ("ass", "sbv", "ttml", "lrc")
