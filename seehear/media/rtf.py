"""Read the words of rich text (RTF), in one pass over its tokens.

Each token is looked at once and nothing is searched again, so a hostile file costs as much as an
ordinary one of its size.
"""

from __future__ import annotations

import codecs
import re

from seehear.errors import BrokenMediaError
from seehear.media.limits import LIMITS

_TOKEN = re.compile(
    rb"\\bin(?P<bin>\d{1,9}) ?"
    rb"|\\(?P<word>[a-zA-Z]{1,32})(?P<number>-?\d{1,9})? ?"
    rb"|\\'(?P<hex>[0-9a-fA-F]{2})"
    rb"|\\(?P<sign>[^a-zA-Z])"
    rb"|(?P<brace>[{}])"
    rb"|[\r\n]+"
    rb"|(?P<plain>[^\\{}\r\n]+)"
)
_HIDDEN = frozenset(
    b"""fonttbl colortbl stylesheet listtable listoverridetable rsidtbl generator info pict object
    objdata themedata colorschememapping latentstyles datastore xmlnstbl fldinst bkmkstart bkmkend
    header headerl headerr headerf footer footerl footerr footerf filetbl revtbl nonshppict
    mmathPr wgrffmtfilter pgdsctbl template""".split()
)
"""Groups that describe how the text looks, and repeated page headers and footers."""
_SIGNS = {
    b"par": "\n\n", b"sect": "\n\n", b"page": "\n\n", b"line": "\n", b"row": "\n", b"cell": "\n",
    b"nestcell": "\n", b"nestrow": "\n", b"tab": " ", b"emdash": "—", b"endash": "–",
    b"lquote": "‘", b"rquote": "’", b"ldblquote": "“", b"rdblquote": "”", b"bullet": "•",
    b"emspace": " ", b"enspace": " ",
}  # fmt: skip
_CODE_PAGES = {b"mac": "mac_roman", b"pc": "cp437", b"pca": "cp850"}
_ANSI_PAGES = frozenset(
    (437, 720, 737, 775, *range(850, 870), 874, 932, 936, 949, 950, 1125, *range(1250, 1259))
)
"""Code pages that Python may know; looking for one that it does not know takes long."""
_CHARSETS = {
    128: "cp932", 129: "cp949", 134: "cp936", 136: "cp950", 161: "cp1253", 162: "cp1254",
    163: "cp1258", 177: "cp1255", 178: "cp1256", 186: "cp1257", 204: "cp1251", 222: "cp874",
    238: "cp1250",
}  # fmt: skip


def from_rtf(data: bytes) -> str:
    """Return the words of a file, at most LIMITS.text_characters. Raises BrokenMediaError."""
    reader = _Reader()
    reader.read(data)
    # Letters beyond the first 65,536 are written as two surrogates.
    return "".join(reader.parts).encode("utf-16", "surrogatepass").decode("utf-16", "replace")


class _Reader:
    def __init__(self) -> None:
        self.parts: list[str] = []
        self._stack: list[tuple[bool, int, int]] = []
        self._hidden, self._spare, self._font = False, 1, 0
        self._in_fonts = False
        self._skip = 0
        """Characters left to skip: what old programs show in place of a `\\u`."""
        self._code_page, self._fonts = "cp1252", dict[int, str]()
        self._bytes = bytearray()
        self._left = LIMITS.text_characters

    def read(self, data: bytes) -> None:
        at, closed = 0, False
        while at < len(data) and self._left > 0:
            token = _TOKEN.match(data, at)
            if token is None:
                at += 1
                continue
            at = token.end()
            if token["hex"]:
                self._byte(bytes.fromhex(token["hex"].decode()))
                continue
            if token["bin"]:
                at += int(token["bin"])
            elif token["brace"] == b"{":
                self._stack.append((self._hidden, self._spare, self._font))
            elif token["brace"]:
                self._flush()
                if not self._stack:
                    break
                self._hidden, self._spare, self._font = self._stack.pop()
                self._skip = 0
                closed = not self._stack
                if closed:
                    break
            elif token["word"]:
                self._word(token["word"], token["number"])
            elif token["sign"]:
                self._sign(token["sign"])
            elif token["plain"]:
                self._plain(token["plain"])
        self._flush()
        if not closed and self._left > 0:
            raise BrokenMediaError("truncated: the rich text ends within a group")

    def _word(self, word: bytes, number: bytes | None) -> None:
        value = int(number) if number else 0
        if word in _HIDDEN:
            self._in_fonts = word == b"fonttbl"
            self._hidden = True
        elif word == b"f":
            self._flush()
            self._font = value
        elif word == b"fcharset" and self._in_fonts and value in _CHARSETS:
            self._fonts[self._font] = _CHARSETS[value]
        elif word == b"uc":
            self._spare = min(value, 8)
        elif word == b"ansicpg":
            self._code_page = "utf-8" if value == 65001 else _known(value)
        elif word in _CODE_PAGES:
            self._code_page = _CODE_PAGES[word]
        elif word == b"u":
            self._flush()
            code = value % 0x10000
            self._text(chr(code))
            self._skip = self._spare
        elif word in _SIGNS:
            self._flush()
            self._text(_SIGNS[word])

    def _sign(self, sign: bytes) -> None:
        if sign == b"*":
            self._hidden = True
        elif sign in (b"\r", b"\n"):
            self._text("\n\n")
        elif sign == b"~":
            self._text(" ")
        elif sign in (b"\\", b"{", b"}"):
            self._byte(sign)
        elif sign == b"_":
            self._text("-")

    def _plain(self, plain: bytes) -> None:
        passed = min(self._skip, len(plain))
        self._skip -= passed
        if not self._hidden:
            self._bytes += plain[passed:]

    def _byte(self, byte: bytes) -> None:
        if self._skip:
            self._skip -= 1
        elif not self._hidden:
            self._bytes += byte

    def _text(self, words: str) -> None:
        self._flush()
        if not self._hidden:
            self.parts.append(words)
            self._left -= len(words)

    def _flush(self) -> None:
        """Decode the bytes of one code page together: some letters take two."""
        if self._bytes:
            page = self._fonts.get(self._font, self._code_page)
            words = self._bytes.decode(page, "replace")
            self._bytes.clear()
            self.parts.append(words[: max(0, self._left)])
            self._left -= len(words)


def _known(page: int) -> str:
    name = f"cp{page}"
    try:
        codecs.lookup(name if page in _ANSI_PAGES else "cp1252")
    except LookupError:
        return "cp1252"
    return name if page in _ANSI_PAGES else "cp1252"
