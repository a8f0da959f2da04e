"""What reads content takes time in proportion to its size, whatever is in it.

Each reader gets content made to waste time, once and four times as long. Ten times the time for
four times the content is allowed: what fills a large table needs seven, as the processor's caches
no longer hold it, and what looks at everything again for each character needs sixteen.
"""

from __future__ import annotations

import contextlib
import gc
import io
import json
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest

from seehear.errors import MediaError
from seehear.media import (
    dates,
    details,
    documents,
    mail,
    metadata,
    passages,
    rtf,
    subtitle_forms,
    subtitles,
    svg,
    text,
    truncation,
    xml_stream,
    xmp,
)
from seehear.media.sniff import Decoder, SniffedFormat, sniff

SHORT_S = 0.0125
"""Times below this are not compared: they say more of the machine than of the reader."""
MOST_GROWTH = 10.0
MOST_S = 10.0


ENDS = (("", ""), ("", ' x=">">'))


def markup(*pieces: str, around: Iterable[tuple[str, str]] = ENDS) -> list[Callable[[int], str]]:
    """Content of one piece again and again, plain and with an end that closes something."""
    return [
        (lambda n, piece=piece, end=end, lead=lead: lead + piece * (n // len(piece)) + end)  # type: ignore[misc]
        for piece in pieces
        for lead, end in around
    ]


MARKDOWN = markup(
    "<!--", "![", "[", "[](", "[a](", "[a][", "![](", "\n", " ", "#", "# #", "\n#", "- ", "-\t",
    "=", "\n=", "*a ", "**a *", "***", "_a ", "__a _", "`", "`a", "<a", "> ", "\n>", "[a]:\n",
    "[a]: ", "* ", "- [ ] ", "~~~", "---\n", "a*", "((", "[](()", "\n \n",
    around=[*ENDS, ("# x", "y"), ("---\ntitle: x", "y\n---\n")],
)  # fmt: skip
HTML = markup(
    "<", "<a", "<a ", "<a b='", '<a b="', "<a b=", "<a b='\">", "</a", "<!", "<!--", "<!-", "<?",
    "<!--><!--", "<script>", "<script></scrip", "<style><", "<template>", "<template></x>",
    "<math>", "<math></title>", "<img alt='", "<img alt=a alt", "<img a=a =", "&", "&#", "&#1",
    "&amp", "&#x1", "<title>", "<body>", "<head><body>", "<br/>", "<a/", "<a =", "<a\n",
    "<![CDATA[", "<a \" '",
)  # fmt: skip
SRT = [
    lambda n: "00:00:01,000 --> " * (n // 17),
    lambda n: "1:" * (n // 2),
    lambda n: "00:00:01,000 --> 00:00:02,000\n" + "\n " * (n // 2),
    lambda n: "00:00:01,000 --> 00:00:02,000\na\n" * (n // 32),
    lambda n: "00:00:01,000 --> 00:00:02,000\n" + "<" * n,
    lambda n: "00:00:01,000 --> 00:00:02,000\n" + "{\\" * (n // 2),
    lambda n: "00:00:01,000 --> 00:00:02,000\n" + "&#1" * (n // 3),
    lambda n: "00:00:01,000 --> 00:00:02,000\n&#" + "1" * n,
    lambda n: "9" * n + ":00:01,000 --> ",
]
ASS = [
    lambda n: "Format: " + "text," * (n // 10) + "\n" + "Dialogue:a\n" * (n // 22),
    lambda n: "Dialogue: 0,0:0:0.0,0:0:0.0,,,,,,,{" + "{\\" * (n // 2),
    lambda n: "Dialogue: 0,0:0:0.0,0:0:0.0,,,,,,," + "\\p" * (n // 2),
]
LRC = [lambda n: "[0:1]" * (n // 5), lambda n: "[offset:" * (n // 8), lambda n: "\n[" * (n // 2)]
SBV = [lambda n: "0:00:01.000," * (n // 12), lambda n: "0:0:1.0,0:0:2.0" + " " * n]
JSON = [
    lambda n: "[" * n,
    lambda n: json.dumps({"x" * (n // 2): ["a"] * (n // 10)}),
    lambda n: "9" * n,
    lambda n: '{"a":' * (n // 5),
]
TABLE = [lambda n: ',"' * (n // 2), lambda n: '"' * n, lambda n: "\n," * (n // 2)]
MAIL = [
    lambda n: "Subject: " + "=?utf-8?q?" * (n // 10) + "\n\n",
    lambda n: "From: " + "(" * n + "\n\n",
    lambda n: "From: " + "a@b," * (n // 4) + "\n\n",
    lambda n: "From: " + "<@a" * (n // 3) + "\n\n",
    lambda n: 'Subject: x\nContent-Type: text/plain; a="' + ";" * n + "\n\nx",
    lambda n: "Content-Type: multipart/mixed; boundary=a\n\n" + "--a\n" * (n // 4),
    lambda n: "Content-Type: multipart/mixed; boundary=a\n\n" + "--" * (n // 2),
    lambda n: "Subject: x\n" + "Received: x\n" * (n // 12) + "\nx",
    lambda n: "Subject: x\nContent-Type: text/html\n\n" + "<a <" * (n // 4),
    lambda n: "Subject: " + "\n " * (n // 2) + "\n\nx",
]
RTF = [
    lambda n: "{\\rtf1" + "{" * n,
    lambda n: "{\\rtf1" + "".join(f"\\ansicpg{at}" for at in range(n // 13)),
    lambda n: "{\\rtf1" + "\\'e4" * (n // 4),
    lambda n: "{\\rtf1" + "\\u-1" * (n // 4),
    lambda n: "{\\rtf1" + "a\\f1" * (n // 4) + "}",
]
XML = [
    lambda n: "<a>" * (n // 3),
    lambda n: "<a " + "".join(f"b{at}='' " for at in range(n // 8)) + "/>",
    lambda n: "<a><!--" + "-" * n,
    lambda n: "<a b='" + "x" * n,
]
SVG = [
    lambda n: "<svg><g id='a'>" + "<use href='#b'/>" * (n // 32) + "</g>"
    + "<use href='#a'/>" * (n // 32) + "</svg>",
    lambda n: "<svg>" + "<g id='a'>" * (n // 10),
    lambda n: "<svg width='1" + " " * n + "!'/>",
    lambda n: "<svg><g fill='" + "url( " * (n // 5) + "'/></svg>",
    lambda n: "<svg viewBox='" + "1 " * (n // 2) + "'/>",
    lambda n: "<svg>"
    + "".join(f"<g id='a{at}'><use href='#a{at + 1}'/></g>" for at in range(n // 40)) + "</svg>",
]  # fmt: skip
XMP = [
    lambda n: f'<r xmlns:r="{xmp._RDF[1:-1]}" xmlns:d="http://purl.org/dc/elements/1.1/">'
    + "<r:Description><d:subject>" * (n // 56)
    + "</d:subject></r:Description>" * (n // 56) + "</r>",
]  # fmt: skip
HEADS = markup(
    "<!--", "<!-->", "<!-- --> ", "<?xml ", "<!DOCTYPE svg ", " ", "\n1", "1", "[", "<svg"
)
PLAIN = [lambda n: " " * n, lambda n: "\n" * n, lambda n: "a" * n, lambda n: "." * n,
         lambda n: '."' * (n // 2), lambda n: "灯" * n, lambda n: "a\n \n" * (n // 4)]  # fmt: skip
CAF = [lambda n: "caff\0\1\0\0" + "\0" * n]


def read_table(words: str, suffix: str = "") -> object:
    return subtitles.read_cues(io.BytesIO(words.encode()), suffix)[0]


def read_xml(words: str) -> None:
    data, size = words.encode(), documents.CHUNK_BYTES
    pieces = (data[at : at + size] for at in range(0, len(data), size))
    xml_stream.read(pieces, documents._Words(documents._OFFICE))


def read_about(words: str) -> None:
    xml = f"<a><title>{'b<!-- -->' * (len(words) // 9)}</title></a>"
    xml_stream.read([xml.encode()], documents._About())


def read_tiff(words: str) -> None:
    """Every entry of the directory points to the same long list."""
    count = len(words) // 100
    entry = (273).to_bytes(2, "little") + b"\4\0" + (count * 3).to_bytes(4, "little") + b"\0\1\0\0"
    data = b"II*\0\x08\0\0\0" + count.to_bytes(2, "little") + entry * count
    data = data.ljust(256 + 12 * count, b"\0")
    truncation.missing_bytes(io.BytesIO(data), SniffedFormat("tiff", Decoder.PILLOW, "TIFF"))


READERS: dict[str, tuple[Callable[[str], object], list[Callable[[int], str]], int]] = {
    "markdown": (text.from_markdown, MARKDOWN, 20_000),
    "title": (text.front_matter_title, MARKDOWN, 20_000),
    "html": (text.from_html, HTML, 20_000),
    "table": (text.from_table, TABLE, 100_000),
    "json": (text.from_json, JSON, 100_000),
    "bytes": (lambda words: text.decode(words.encode("utf-16-le")), PLAIN, 20_000),
    "srt": (lambda words: read_table(words, "srt"), SRT, 50_000),
    "ass": (lambda words: read_table(words, "ass"), ASS, 20_000),
    "lrc": (lambda words: read_table(words, "lrc"), LRC, 50_000),
    "sbv": (lambda words: read_table(words, "sbv"), SBV, 50_000),
    "ttml": (lambda words: subtitle_forms.from_ttml(words.encode()), XML, 100_000),
    "mail": (lambda words: mail.words_of(words.encode()), MAIL, 20_000),
    "mail details": (lambda words: mail.details_of(words.encode()), MAIL, 20_000),
    "rtf": (lambda words: rtf.from_rtf(words.encode()), RTF, 50_000),
    "xml": (read_xml, XML, 200_000),
    "svg": (lambda words: svg.read(io.BytesIO(words.encode())), SVG, 100_000),
    "xmp": (xmp.read_xmp, XMP, 100_000),
    "tags": (lambda words: metadata.of_tags({"location": "+1." + words, "date": words}),
             [lambda n: "1" * n, lambda n: " " * n], 100_000),
    "dates": (lambda words: (dates.parse_date(words), dates.name_date(words)),
              [*PLAIN, lambda n: "1" * n, lambda n: "_BURST" * (n // 6)], 100_000),
    "caption": (lambda words: details.put({}, "caption", words), PLAIN, 50_000),
    "passages": (lambda words: list(passages.passages(words, 40)), PLAIN, 50_000),
    "sniff": (lambda words: [sniff(words.encode()[: 64 << 10], s) for s in ("", ".svg", ".txt")],
              HEADS, 16_000),
    "document": (read_about, PLAIN[2:3], 200_000),
    "tiff": (read_tiff, PLAIN[2:3], 100_000),
    "caf": (lambda words: truncation._caf(io.BytesIO(words.encode()), len(words)), CAF, 50_000),
}  # fmt: skip


def seconds(reader: Callable[[str], Any], words: str) -> float:
    """The processor time of a reader for some content.

    A refusal of the content is an answer, too. Objects of other tests are not looked through for
    garbage meanwhile, which takes longer than most readers.
    """
    gc.disable()
    try:
        began = time.thread_time()
        with contextlib.suppress(MediaError):
            reader(words)
        return time.thread_time() - began
    finally:
        gc.enable()


def growth(reader: Callable[[str], Any], make: Callable[[int], str], length: int) -> float:
    """The time for four times the content, as a share of what is allowed for it.

    The least of some tries counts. What takes little is not compared.
    """
    long = make(4 * length)
    took = seconds(reader, long)
    limit = MOST_GROWTH * SHORT_S
    if took >= limit:
        short = make(length)
        least = min(seconds(reader, short) for _ in range(3))
        assert least < MOST_S, make(60)
        limit = MOST_GROWTH * max(least, SHORT_S)
    for _ in range(4):
        if took < limit:
            break
        took = min(took, seconds(reader, long))
    return took / limit


@pytest.mark.parametrize("name", READERS)
def test_time_grows_with_the_content(name: str) -> None:
    reader, makes, length = READERS[name]
    for make in makes:
        share = growth(reader, make, length)
        assert share < 1, (make(60), round(share, 2))


def test_a_quadratic_reader_is_found() -> None:
    def reader(words: str) -> None:
        for at in range(0, len(words), 8):
            words.count("b", at)

    assert growth(reader, lambda n: "a" * n, 25_000) > 1


@pytest.mark.parametrize("name", ["x.md", "x.html", "x.srt", "x.eml", "x.rtf", "x"])
def test_numbers_beyond_counting_are_text(name: str, tmp_path: Path) -> None:
    """Python refuses to read numbers of thousands of digits, which must not end a worker."""
    from seehear import media
    from seehear.types import SampleSpec

    heads = {"x.srt": "00:00:01,000 --> 00:00:02,000\n", "x.eml": "Subject: &\n\n"}
    words = (
        heads.get(name, "{\\rtf1 " if name == "x.rtf" else "") + "after &#" + "1" * 9_000 + "; end}"
    )
    (tmp_path / name).write_text(words)
    found = [sample for _, sample in media.samples(tmp_path / name, None, SampleSpec())]
    assert "after" in str(found[0])
