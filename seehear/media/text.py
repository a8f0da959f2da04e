"""Read text files as plain text: encodings, Markdown, HTML, tables, JSON."""

from __future__ import annotations

import csv
import html
import io
import json
import re
from collections import Counter
from collections.abc import Callable
from typing import BinaryIO

from seehear.errors import BrokenMediaError, MediaLimitError
from seehear.media.limits import LIMITS
from seehear.media.sniff import looks_like_text
from seehear.media.source import size_of

GUESS_BYTES = 256 << 10
"""Bytes read to guess an encoding; more would not change the guess, and costs seconds."""

MOST_UNCLOSED = 1_000
"""Limit of tags or comments that are never closed, after the last closed one."""

MOST_NAME_CHARACTERS = 200
"""Of a name in JSON: more is not a name."""

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
        if len(data) >= 4 * LIMITS.text_characters and error.start >= len(data) - 3:
            return data[: error.start].decode("utf-8")  # cut by our own limit, inside a letter
    if data[1::2].count(0) > 0.4 * len(data) / 2:
        return data.decode("utf-16-le", "replace")
    if data[::2].count(0) > 0.4 * len(data) / 2:
        return data.decode("utf-16-be", "replace")
    if not looks_like_text(data[:GUESS_BYTES]):
        raise BrokenMediaError("corrupt: the content is not text")
    return data.decode(_european(data[:GUESS_BYTES]) or _guessed(data[:GUESS_BYTES]), "replace")


def _guessed(data: bytes) -> str:
    from charset_normalizer import from_bytes

    best = from_bytes(data).best()
    return best.encoding if best is not None else "latin-1"


_ALPHABETS = {
    "cp1252": (
        *("äöüß", "áéíñóúü", "àâæçéèêëîïôœùûüÿ", "áâãàçéêíóôõú", "àèéìíîòóùú", "áäéèëêïíóöüú"),
        *("åäöé", "åæøéóòô", "áéíóúýþæöðø", "àçèéíïòóúü", "äöõüšž", "çë"),
    ),
    "cp1250": (
        *("ąćęłńóśźż", "áčďéěíňóřšťúůýž", "áäčďéíĺľňóôŕšťúýž", "áéíóöőúüű", "ăâîşţ", "čćđšž"),
        "äöüß",
    ),
    "cp1254": ("çğıöşüâîû",),
    "cp1257": ("ąčęėįšųūž", "āčēģīķļņšūž"),
}
"""The letters of European languages beside those of ASCII, by the encoding that has them."""
_IN_WORDS = re.compile(r"(?<=[^\W\d_])[^\x00-\x7f\w\s\xad’´·]+(?=[^\W\d_]|\b)|[^\x00-\x7f\W\d_]")
"""Letters that are not of ASCII, and signs where letters are expected."""
_POWERS = re.compile(r"\b[a-zA-Z0-9]{0,3}[¹²³ºª](?!\w)")
"""Signs that look like letters of words to the expression above: m³, Nº."""
LEAST_FITTING = 0.95
"""Share of these letters that one language must have."""


def _european(data: bytes) -> str | None:
    """Return the encoding of a text in a language of Europe; cp1252 before others that fit as well.

    None for other texts. A guess by statistics takes one for the other in most short texts.
    """
    high = sum(byte >= 0xC0 for byte in data)
    if high > sum(chr(byte).isalpha() for byte in data if byte < 0x80):
        return None  # a script of its own
    fitting = {}
    for name, alphabets in _ALPHABETS.items():
        try:
            told = "".join(_IN_WORDS.findall(_POWERS.sub("", data.decode(name)))).lower()
        except UnicodeDecodeError:
            continue
        counted = Counter(told)
        most = max(sum(counted[letter] for letter in alphabet) for alphabet in alphabets)
        fitting[name] = most / len(told) if told else 1.0
    best = max(fitting, key=lambda name: fitting[name], default="")  # cp1252, where both fit
    return best if best and fitting[best] >= LEAST_FITTING else None


# No expression below can look at a character more than a few times: what is repeated excludes what
# follows it or begins the next match, and `*+`, `++` give nothing back (tests/contracts).
_FRONT_MATTER = re.compile(r"\A---\n(.*?)\n(?:---|\.\.\.)\n", re.DOTALL)
_TITLE = re.compile(r"^title:(.*)$", re.M)
_HEADING = re.compile(r"^ {0,3}#{1,6}[ \t]++(.*)$", re.M)
_FIRST_HEADING = re.compile(r"\s*+#[ \t]++(.*)$", re.M)
_STARS = re.compile(r"(?<![\w*])(\*{1,3})(?=[^\s*])([^*\n]++)(?<=\S)\1(?![\w*])")
_UNDERSCORES = re.compile(r"(?<!\w)(_{1,3})(?=[^\s_])([^_\n]++)(?<=\S)\1(?!\w)")
_MARKDOWN: tuple[tuple[re.Pattern[str], str | Callable[[re.Match[str]], str]], ...] = (
    (re.compile(r"^(?:```|~~~).*$", re.M), ""),
    (re.compile(r"!\[([^\[\]\n]*+)\]\((?:[^()\n]++|\([^()\n]*+\))*+\)"), r"\1"),
    (re.compile(r"\[([^\[\]\n]*+)\]\((?:[^()\n]++|\([^()\n]*+\))*+\)"), r"\1"),
    (re.compile(r"\[([^\[\]\n]*+)\]\[[^\[\]\n]*+\]"), r"\1"),
    (re.compile(r"^[ \t]*+\[[^\]\n]++\]:\s++\S.*$", re.M), ""),
    (_HEADING, lambda found: f"\n{_without_hashes(found[1])}\n"),
    (re.compile(r"^ {0,3}>[ \t]?", re.M), ""),
    (re.compile(r"^[ \t]*+(?:[-*_][ \t]*+){3,}+$", re.M), ""),
    (re.compile(r"^[ \t]*+=++[ \t]*+$", re.M), ""),
    (re.compile(r"^([ \t]*+)[*+-][ \t]++(?:\[[ xX]\][ \t]++)?+", re.M), r"\1"),
    # Twice: marks may be inside others.
    *([(_STARS, r"\2"), (_UNDERSCORES, r"\2")] * 2),
    (re.compile(r"(?<!`)`++([^`\n]*+)`++"), r"\1"),
    (re.compile(r"</?[a-zA-Z][^<>\n]{0,200}>"), " "),
)


def from_markdown(text: str) -> str:
    """Return the words of Markdown without its marks; headings become paragraphs."""
    text = _without_comments(_FRONT_MATTER.sub("", text, count=1))
    for pattern, replacement in _MARKDOWN:
        text = pattern.sub(replacement, text)
    return text


def front_matter_title(text: str) -> str | None:
    """Return the title that Markdown's front matter or its first heading states, else None."""
    front = _FRONT_MATTER.match(text)
    if front and (title := _TITLE.search(front[1])) and (words := title[1].strip()):
        return words.removeprefix(words[0]).removesuffix(words[0]) if words[0] in "\"'" else words
    heading = _FIRST_HEADING.match(text)
    return heading and (_without_hashes(heading[1]) or None)


def _without_hashes(heading: str) -> str:
    return heading.rstrip("#").rstrip(" \t")


def _without_comments(text: str) -> str:
    parts, at = [], 0
    while (start := text.find("<!--", at)) >= 0 and (end := text.find("-->", start)) >= 0:
        parts.append(text[at:start])
        at = end + 3
    return " ".join([*parts, text[at:]])


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
    """List the texts in the order of the document, as "name: text", without recursion.

    A long list repeats its name for each text, so names are cut and the whole is limited.
    """
    found: list[str] = []
    left = LIMITS.text_characters
    pending: list[tuple[str, object]] = [("", value)]
    while pending and left > 0:
        name, item = pending.pop()
        if isinstance(item, str):
            found.append(f"{name}: {item}" if name else item)
            left -= len(found[-1])
        elif isinstance(item, dict):
            pending.extend(
                (str(key)[:MOST_NAME_CHARACTERS], inner) for key, inner in reversed(item.items())
            )
        elif isinstance(item, list):
            pending.extend((name, inner) for inner in reversed(item))
    return found


_HIDDEN = frozenset({"script", "style", "noscript", "template", "svg", "math", "head", "iframe"})
_INLINE_TAGS = """
a abbr b bdi bdo big cite code data del dfn em font i ins kbd label mark q s samp small span
strike strong sub sup time tt u var wbr
"""
_INLINE = frozenset(_INLINE_TAGS.split())


_NAME = re.compile(r"<(/?)([a-zA-Z][^\s/>]*+)")
_REST = re.compile(r"((?:[^>=]++|=\s*+(?:\"[^\"]*+\"|'[^']*+')?+)*+)>")
"""The attributes of a tag and its end. A value in quotation marks may contain ">"."""
_REST_UNQUOTED = re.compile(r"([^>]*+)>")
_ATTRIBUTE = re.compile(r"([^\s=\"'/>]++)(?:\s*+=\s*+(?:\"([^\"]*+)\"|'([^']*+)'|([^\s\"'>]++)))?+")
_RAW_END = {name: re.compile(rf"</{name}(?=[\s/>])", re.I) for name in ("script", "style")}
_LONG_NUMBER = re.compile(r"&#\d{20,};?")


def unescape(text: str) -> str:
    """Replace the entities of HTML; a number of too many digits, which Python refuses, is lost."""
    return html.unescape(_LONG_NUMBER.sub("\ufffd", text)) if "&" in text else text


def from_html(text: str) -> tuple[str, str | None]:
    """Return a page's visible words, blocks as paragraphs, and title. Raises BrokenMediaError."""
    for opening, closing in (("<", ">"), ("<!--", "-->")):
        if text.count(opening, max(0, text.rfind(closing))) > MOST_UNCLOSED:
            raise BrokenMediaError(f"corrupt: a page in which {opening} never ends")
    page, at = _Page(text), 0
    while (start := text.find("<", at)) >= 0:
        page.data(text[at:start])
        at = page.markup(start)
    page.data(text[at:])
    return "".join(page.parts), " ".join("".join(page.title).split()) or None


class _Page:
    """Collect the words of a page. Python's own parser looks for the same end again and again."""

    def __init__(self, text: str) -> None:
        self.parts: list[str] = []
        self.title: list[str] = []
        self._text = text
        self._rest = _REST
        self._hidden: list[str] = []
        self._hidden_count: Counter[str] = Counter()
        self._in_title = False

    def markup(self, start: int) -> int:
        """Read what begins with "<"; return the position after it."""
        text = self._text
        if text.startswith("<!--", start):
            return self._after("-->", start + 2)
        name = _NAME.match(text, start)
        if name is None:
            if text.startswith(("<!", "<?", "</"), start):
                return self._after(">", start)
            self.data("<")
            return start + 1
        rest = self._rest.match(text, name.end())
        if rest is None:
            # To the end of the page, an open quotation mark hides each ">". Searching so for every
            # tag would take for ever: from here on, the next ">" ends a tag.
            self._rest = _REST_UNQUOTED
            rest = self._rest.match(text, name.end())
        if rest is None:
            self.data(text[start:])
            return len(text)
        tag, closes_itself = name[2].lower(), rest[1].endswith("/")
        if not name[1]:
            self._start(tag, rest[1])
        if name[1] or closes_itself:
            self._end(tag)
        elif tag in _RAW_END:
            raw_end = _RAW_END[tag].search(text, rest.end())
            return raw_end.start() if raw_end else len(text)
        return rest.end()

    def data(self, words: str) -> None:
        if self._in_title:
            self.title.append(unescape(words))
        elif not self._hidden:
            self.parts.append(unescape(words))

    def _after(self, closing: str, start: int) -> int:
        end = self._text.find(closing, start)
        return end + len(closing) if end >= 0 else len(self._text)

    def _start(self, tag: str, attributes: str) -> None:
        if tag == "body":
            self._hidden.clear()  # an unclosed head ends here
            self._hidden_count.clear()
        elif tag in _HIDDEN:
            self._hidden.append(tag)
            self._hidden_count[tag] += 1
        elif tag == "title":
            self._in_title = not self.title
        elif tag == "img" and not self._hidden:
            found = (one for one in _ATTRIBUTE.finditer(attributes) if one[1].lower() == "alt")
            alt = next((one[2] or one[3] or one[4] for one in found), None)
            self.parts.append(f" {unescape(alt)} " if alt else " ")
        if tag not in _INLINE:
            self.parts.append("\n\n" if tag not in {"br", "td", "th", "li"} else "\n")

    def _end(self, tag: str) -> None:
        if self._hidden_count[tag]:
            while (closed := self._hidden.pop()) != tag:
                self._hidden_count[closed] -= 1
            self._hidden_count[tag] -= 1
        if tag == "title":
            self._in_title = False
        elif tag not in _INLINE:
            self.parts.append("\n\n" if tag not in {"td", "th", "li"} else "\n")
