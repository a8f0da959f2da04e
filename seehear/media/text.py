"""Read text files as plain text: encodings, Markdown, HTML, tables, JSON."""

from __future__ import annotations

import csv
import io
import json
import re
from html.parser import HTMLParser
from typing import BinaryIO

from seehear.errors import BrokenMediaError, MediaLimitError
from seehear.media.limits import LIMITS
from seehear.media.sniff import looks_like_text
from seehear.media.source import size_of

GUESS_BYTES = 256 << 10
"""Bytes read to guess an encoding; more would not change the guess, and costs seconds."""

MOST_UNCLOSED = 1_000
"""Limit of tags or comments that are never closed, after the last closed one."""

SNIFFED_CHARACTERS = 4 << 10
"""Enough rows to tell which character separates the cells of a table."""

_MARKS = (
    (b"\xef\xbb\xbf", "utf-8-sig"),
    (b"\xff\xfe\x00\x00", "utf-32"),
    (b"\x00\x00\xfe\xff", "utf-32"),
    (b"\xff\xfe", "utf-16"),
    (b"\xfe\xff", "utf-16"),
)


def read_text(file: BinaryIO) -> str:
    """Return the text of a file in any encoding, at most LIMITS.text_characters.

    Raises MediaLimitError for a file beyond LIMITS.text_bytes, BrokenMediaError for bytes that
    are not text in any encoding.
    """
    size = size_of(file)
    if size > LIMITS.text_bytes:
        raise MediaLimitError(
            f"{size / 2**20:,.0f} MiB of text; the limit is {LIMITS.text_bytes >> 20} MiB"
        )
    file.seek(0)
    data = file.read(4 * LIMITS.text_characters)
    text = decode(data)[: LIMITS.text_characters]
    return text.replace("\r\n", "\n").replace("\r", "\n").replace("\x00", "")


def decode(data: bytes) -> str:
    """Decode bytes by a byte order mark, as UTF-8, or by the best guess.

    Raises BrokenMediaError for bytes that are not text.
    """
    for mark, encoding in _MARKS:
        if data.startswith(mark):
            return data.decode(encoding, "replace")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        if error.start >= len(data) - 3 and error.start > 0:
            return data[: error.start].decode("utf-8")  # cut by our own limit, inside a letter
    if data[1::2].count(0) > 0.4 * len(data) / 2:
        return data.decode("utf-16-le", "replace")
    if data[::2].count(0) > 0.4 * len(data) / 2:
        return data.decode("utf-16-be", "replace")
    if not looks_like_text(data[:GUESS_BYTES]):
        raise BrokenMediaError("corrupt: the content is not text")
    from charset_normalizer import from_bytes

    best = from_bytes(data[:GUESS_BYTES]).best()
    return data.decode(best.encoding if best is not None else "latin-1", "replace")


_FRONT_MATTER = re.compile(r"\A---\n(.*?)\n(?:---|\.\.\.)\n", re.DOTALL)
_MARKDOWN = (
    (re.compile(r"^(```|~~~).*$", re.M), ""),
    (re.compile(r"<!--.*?-->", re.S), " "),
    (re.compile(r"!\[([^\]\n]*)\]\([^)\n]*\)"), r"\1"),
    (re.compile(r"\[([^\]\n]*)\]\([^)\n]*\)"), r"\1"),
    (re.compile(r"\[([^\]\n]*)\]\[[^\]\n]*\]"), r"\1"),
    (re.compile(r"^\s*\[[^\]\n]+\]:\s+\S+.*$", re.M), ""),
    (re.compile(r"^\s{0,3}#{1,6}[ \t]+(.*?)[ \t]*#*$", re.M), r"\n\1\n"),
    (re.compile(r"^\s{0,3}>[ \t]?", re.M), ""),
    (re.compile(r"^\s*([-*_][ \t]*){3,}$", re.M), ""),
    (re.compile(r"^\s*=+\s*$", re.M), ""),
    (re.compile(r"^(\s*)[*+-][ \t]+(\[[ xX]\][ \t]+)?", re.M), r"\1"),
    (re.compile(r"(?<![\w*])(\*{1,3})(?=\S)(.+?)(?<=\S)\1(?![\w*])"), r"\2"),
    (re.compile(r"(?<!\w)(_{1,3})(?=\S)(.+?)(?<=\S)\1(?!\w)"), r"\2"),
    (re.compile(r"`+([^`\n]*)`+"), r"\1"),
    (re.compile(r"</?[a-zA-Z][^<>\n]{0,200}>"), " "),
)


def from_markdown(text: str) -> str:
    """Return the words of Markdown without its marks; headings become paragraphs."""
    text = _FRONT_MATTER.sub("", text, count=1)
    for pattern, replacement in _MARKDOWN:
        text = pattern.sub(replacement, text)
    return text


def front_matter_title(text: str) -> str | None:
    """Return the title that Markdown's front matter or its first heading states, else None."""
    front = _FRONT_MATTER.match(text)
    if front:
        title = re.search(r"^title:[ \t]*[\"']?(.+?)[\"']?[ \t]*$", front[1], re.M)
        if title:
            return title[1]
    heading = re.match(r"\s*#[ \t]+(.+?)[ \t]*#*$", text, re.M)
    return heading[1] if heading else None


def from_table(text: str) -> str:
    """Return the cells of a table, one row per line; finds the separator among the usual ones."""
    delimiter = max("\t;,|", key=text[:SNIFFED_CHARACTERS].count)
    try:
        rows = list(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter))
    except csv.Error:  # a cell without an end: return the text as it is
        return text
    return "\n".join(", ".join(cell.strip() for cell in row if cell.strip()) for row in rows)


def from_json(text: str) -> str:
    """Return the texts in JSON, each with its name; lines of JSON one after the other.

    Text that does not parse (with comments, cut off by our limit) is returned as it is.
    """
    try:
        return "\n".join(_json_texts(json.loads(text)))
    except (ValueError, RecursionError):
        pass
    try:
        lines = [json.loads(line) for line in text.splitlines() if line.strip()]
    except (ValueError, RecursionError):
        return text
    return "\n\n".join("\n".join(_json_texts(line)) for line in lines)


def _json_texts(value: object) -> list[str]:
    """List the texts in the order of the document, as "name: text", without recursion."""
    found: list[str] = []
    pending: list[tuple[str, object]] = [("", value)]
    while pending:
        name, item = pending.pop()
        if isinstance(item, str):
            found.append(f"{name}: {item}" if name else item)
        elif isinstance(item, dict):
            pending.extend((str(key), inner) for key, inner in reversed(item.items()))
        elif isinstance(item, list):
            pending.extend((name, inner) for inner in reversed(item))
    return found


_HIDDEN = frozenset({"script", "style", "noscript", "template", "svg", "math", "head", "iframe"})
_INLINE_TAGS = """
a abbr b bdi bdo big cite code data del dfn em font i ins kbd label mark q s samp small span
strike strong sub sup time tt u var wbr
"""
_INLINE = frozenset(_INLINE_TAGS.split())


def from_html(text: str) -> tuple[str, str | None]:
    """Return a page's visible words, blocks as paragraphs, and title. Raises BrokenMediaError."""
    for opening, closing in (("<", ">"), ("<!--", "-->")):
        # Python's parser searches for each end again, up to the end of the page.
        if text.count(opening, max(0, text.rfind(closing))) > MOST_UNCLOSED:
            raise BrokenMediaError(f"corrupt: a page in which {opening} never ends")
    page = _Page()
    page.feed(text)
    page.close()
    return "".join(page.parts), " ".join("".join(page.title).split()) or None


class _Page(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.parts: list[str] = []
        self.title: list[str] = []
        self._hidden: list[str] = []
        self._in_title = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "body":
            self._hidden.clear()  # an unclosed head ends here
        elif tag in _HIDDEN:
            self._hidden.append(tag)
        elif tag == "title":
            self._in_title = not self.title
        elif tag == "img" and not self._hidden:
            alt = dict(attrs).get("alt")
            self.parts.append(f" {alt} " if alt else " ")
        if tag not in _INLINE:
            self.parts.append("\n\n" if tag not in {"br", "td", "th", "li"} else "\n")

    def handle_endtag(self, tag: str) -> None:
        if tag in self._hidden:
            while self._hidden and self._hidden.pop() != tag:
                pass
        if tag == "title":
            self._in_title = False
        elif tag not in _INLINE:
            self.parts.append("\n\n" if tag not in {"td", "th", "li"} else "\n")

    def handle_data(self, data: str) -> None:
        if self._in_title:
            self.title.append(data)
        elif not self._hidden:
            self.parts.append(data)
