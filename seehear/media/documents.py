"""Read documents that are zip archives: Word, PowerPoint, Excel, OpenDocument and EPUB.

Only the parts that hold text are unpacked, as a stream and up to a limit; the limit holds whatever
sizes the archive states. Nothing is written to disk, and no name in the archive is used as a path.
"""

from __future__ import annotations

import io
import posixpath
import re
import struct
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import BinaryIO
from urllib.parse import unquote

from seehear.errors import BrokenMediaError, MediaError, MediaLimitError
from seehear.media import text, xml_stream
from seehear.media.dates import ORIGINAL, Dated, parse_date
from seehear.media.details import MOST_CHARACTERS, Details
from seehear.media.limits import LIMITS, out_of_memory
from seehear.media.source import size_of

ENCRYPTED = "encrypted: it opens with a password only"
CHUNK_BYTES = 64 << 10
_DIRECTORY_END = b"PK\x05\x06"
_MIME = {
    "application/epub+zip": "epub",
    "application/vnd.oasis.opendocument.text": "odt",
    "application/vnd.oasis.opendocument.text-template": "odt",
    "application/vnd.oasis.opendocument.presentation": "odp",
    "application/vnd.oasis.opendocument.spreadsheet": "ods",
}
_MAIN = (
    (re.compile(r"word/document\d{0,9}\.xml"), "docx"),
    (re.compile(r"ppt/presentation\d{0,9}\.xml"), "pptx"),
    (re.compile(r"xl/workbook\d{0,9}\.xml"), "xlsx"),
)
_CONTENT = (re.compile(r"content\.xml"),)
_PARTS = {
    "docx": (re.compile(r"word/document\d{0,9}\.xml"), re.compile(r"word/(foot|end)notes\.xml")),
    "pptx": (
        re.compile(r"ppt/slides/slide\d{1,9}\.xml"),
        re.compile(r"ppt/notesSlides/notesSlide\d{1,9}\.xml"),
    ),
    "xlsx": (
        re.compile(r"xl/sharedStrings\.xml"),
        re.compile(r"xl/worksheets/sheet\d{1,9}\.xml"),
    ),
    "odt": _CONTENT,
    "odp": _CONTENT,
    "ods": _CONTENT,
}
_ABOUT = {"odt": "meta.xml", "odp": "meta.xml", "ods": "meta.xml"}


@dataclass(frozen=True, slots=True)
class _Markup:
    """Name the elements of a format that hold words; names without prefix."""

    words: frozenset[str]
    blocks: frozenset[str]
    breaks: frozenset[str]
    hidden: frozenset[str]


_OFFICE = _Markup(
    words=frozenset({"t"}),
    blocks=frozenset({"p", "si", "is"}),
    breaks=frozenset({"br", "cr", "tab"}),
    # The copy of a text box for old programs, text that was moved away, readings of Japanese.
    hidden=frozenset({"Fallback", "moveFrom", "rPh"}),
)
_OPEN = _Markup(
    words=frozenset({"p", "h"}),
    blocks=frozenset({"p", "h"}),
    breaks=frozenset({"s", "tab", "line-break"}),
    hidden=frozenset({"tracked-changes"}),
)


@dataclass(slots=True)
class Document:
    """An open archive with its directory."""

    archive: zipfile.ZipFile
    format: str
    names: dict[str, zipfile.ZipInfo] = field(default_factory=dict)
    left_bytes: int = LIMITS.document_bytes
    """How many more bytes may be unpacked."""

    def stream(self, name: str) -> Iterator[bytes]:
        """Yield the content of a file of the archive in chunks. Raises MediaError."""
        info = self.names.get(name)
        if info is None:
            raise BrokenMediaError(f"corrupt: the document has no {name}")
        if info.flag_bits & 1:
            raise BrokenMediaError(ENCRYPTED)
        if info.file_size > self.left_bytes:
            raise MediaLimitError(f"unpacks to more than {LIMITS.document_bytes >> 20} MiB of text")
        with self.archive.open(info) as file:
            while chunk := file.read(CHUNK_BYTES):
                self.left_bytes -= len(chunk)
                if self.left_bytes < 0:
                    raise MediaLimitError(
                        f"unpacks to more than {LIMITS.document_bytes >> 20} MiB of text"
                    )
                yield chunk

    def read(self, name: str, most: int = LIMITS.text_bytes) -> bytes:
        """Return the first `most` bytes of a file of the archive. Raises MediaError."""
        found = bytearray()
        for chunk in self.stream(name):
            found += chunk
            if len(found) >= most:
                break
        return bytes(found[:most])


@contextmanager
def opened_document(file: BinaryIO, stage: str) -> Iterator[Document | None]:
    """Open the document; None for an archive that is not a document. Raises MediaError."""
    with _as_media_errors(stage):
        file = _check_entries(file)
        file.seek(0)
        with zipfile.ZipFile(file) as archive:
            names = {info.filename: info for info in archive.infolist()}
            found = Document(archive, "", names)
            found.format = _format_of(found)
            yield found if found.format else None


def _check_entries(file: BinaryIO) -> BinaryIO:
    """Return the archive without the data of other programs behind it.

    Raises MediaLimitError for a directory of too many files, before it is read as a whole.
    """
    start = max(0, size_of(file) - (64 << 10) - 22)
    file.seek(start)
    tail = file.read()
    at = tail.rfind(_DIRECTORY_END)
    if at < 0 and start:  # where `zipfile` does not look
        file.seek(0)
        tail = file.read()
        at = tail.rfind(_DIRECTORY_END)
        file = io.BytesIO(tail[: at + 22])
    if at < 0 or at + 22 > len(tail):
        raise BrokenMediaError("truncated: its directory is missing")
    (entries,) = struct.unpack_from("<H", tail, at + 10)
    if entries > LIMITS.document_entries:
        raise MediaLimitError(f"a document of more than {LIMITS.document_entries:,} files")
    return file


def _format_of(document: Document) -> str:
    for pattern, kind in _MAIN:
        if any(pattern.fullmatch(name) for name in document.names):
            return kind
    if "mimetype" in document.names:
        mime = document.read("mimetype")[:200].decode("ascii", "replace").strip()
        return _MIME.get(mime, "")
    return "epub" if "META-INF/container.xml" in document.names else ""


def text_of(document: Document) -> str:
    """Return the words, at most LIMITS.text_characters. Raises MediaError."""
    if document.format == "epub":
        return "\n\n".join(_chapters(document))[: LIMITS.text_characters]
    collector = _Words(_OPEN if document.format in _ABOUT else _OFFICE)
    if document.format in _ABOUT and b"encryption-data" in _optional(
        document, "META-INF/manifest.xml"
    ):
        raise BrokenMediaError(ENCRYPTED)
    for pattern in _PARTS[document.format]:
        for name in sorted(filter(pattern.fullmatch, document.names), key=_number):
            if collector.left <= 0:
                break
            xml_stream.read(document.stream(name), collector)
            collector.parts.append("\n\n")
    return "".join(collector.parts)[: LIMITS.text_characters]


def details_of(document: Document) -> tuple[list[Dated], Details]:
    """Return dates, and title and author where the document states them."""
    about = _About()
    try:
        name = _ABOUT.get(document.format, "docProps/core.xml")
        if document.format == "epub":
            name = _package_name(document)
        if name in document.names:
            xml_stream.read(document.stream(name), about)
    except MediaError:
        pass  # optional data; if it is broken the text may still be complete
    details: Details = {}
    for field_name, element in (("title", "title"), ("artist", "creator"), ("caption", "subject")):
        if words := " ".join(about.found.get(element, "").split())[:MOST_CHARACTERS]:
            details[field_name] = words
    dates = (about.found.get(key, "") for key in ("created", "creation-date", "date"))
    return [(ORIGINAL, "document", made) for text_ in dates if (made := parse_date(text_))], details


def _optional(document: Document, name: str) -> bytes:
    return document.read(name) if name in document.names else b""


def _number(name: str) -> tuple[int, str]:
    """Sort slide 10 after slide 9."""
    digits = re.search(r"(\d{1,9})\.xml$", name)
    return (int(digits[1][:9]) if digits else 0, name)


class _Words:
    """Collect the words of a part."""

    def __init__(self, markup: _Markup) -> None:
        self._markup = markup
        self._inside = self._hidden = 0
        self.parts: list[str] = []
        self.left = LIMITS.text_characters

    def start(self, name: str, attributes: dict[str, str]) -> None:
        if name in self._markup.hidden:
            self._hidden += 1
        if name in self._markup.words:
            self._inside += 1
        elif name in self._markup.breaks:
            self.parts.append(" ")

    def end(self, name: str) -> None:
        if name in self._markup.hidden:
            self._hidden -= 1
        if name in self._markup.words:
            self._inside -= 1
        if name in self._markup.blocks:
            self.parts.append("\n\n")

    def data(self, text_: str) -> None:
        if self._inside and not self._hidden:
            self.parts.append(text_)
            self.left -= len(text_)
            if self.left <= 0:
                raise xml_stream.Done


class _About:
    """Keep the first text of each metadata element, by the element's name."""

    def __init__(self) -> None:
        self.found: dict[str, str] = {}
        self._name = ""

    def start(self, name: str, attributes: dict[str, str]) -> None:
        self._name = "" if name in self.found else name

    def end(self, name: str) -> None:
        self._name = ""

    def data(self, text_: str) -> None:
        if self._name and len(known := self.found.get(self._name, "")) < MOST_CHARACTERS:
            self.found[self._name] = known + text_[:MOST_CHARACTERS]


class _Elements:
    """Collect the attributes of the named elements, in order."""

    def __init__(self, *names: str) -> None:
        self.found: dict[str, list[dict[str, str]]] = {name: [] for name in names}

    def start(self, name: str, attributes: dict[str, str]) -> None:
        if name in self.found:
            self.found[name].append(attributes)

    def end(self, name: str) -> None: ...
    def data(self, text_: str) -> None: ...


def _package_name(document: Document) -> str:
    """Return the name of the file that lists an e-book's chapters. Raises BrokenMediaError."""
    container = _Elements("rootfile")
    xml_stream.read(document.stream("META-INF/container.xml"), container)
    for attributes in container.found["rootfile"]:
        if path := attributes.get("full-path"):
            return path
    raise BrokenMediaError("corrupt: the e-book does not say where its chapters are")


def _chapters(document: Document) -> Iterator[str]:
    """Yield the words of an e-book's chapters in reading order."""
    package = _package_name(document)
    listing = _Elements("item", "itemref")
    xml_stream.read(document.stream(package), listing)
    items = {item.get("id", ""): item.get("href", "") for item in listing.found["item"]}
    locked = _Elements("CipherReference")
    if encryption := _optional(document, "META-INF/encryption.xml"):
        xml_stream.read([encryption], locked)
    closed = {unquote(one.get("URI", "")) for one in locked.found["CipherReference"]}
    left = LIMITS.text_characters
    order = dict.fromkeys(ref.get("idref", "") for ref in listing.found["itemref"])
    for reference in order:
        path = items.get(reference, "").partition("#")[0]
        name = posixpath.normpath(posixpath.join(posixpath.dirname(package), unquote(path)))
        if name in closed:
            raise BrokenMediaError("encrypted: the e-book opens in its shop's reader only")
        if not path or name not in document.names:
            continue  # a missing chapter is left out; the other chapters are read
        words, _ = text.from_html(text.decode(document.read(name, 4 * left)))
        yield words
        left -= len(words)
        if left <= 0:
            return


@contextmanager
def _as_media_errors(stage: str) -> Iterator[None]:
    try:
        yield
    except MediaError as error:
        error.stage = stage
        raise
    except MemoryError:
        raise out_of_memory(stage) from None
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
        if "encrypted" in str(error) or "password" in str(error):
            raise BrokenMediaError(ENCRYPTED, stage=stage) from None
        words = " ".join(str(error).split())[:120]
        raise BrokenMediaError(
            f"corrupt: the document cannot be unpacked ({words})", stage=stage
        ) from None
    except (ValueError, LookupError, OSError, ArithmeticError, struct.error) as error:
        words = " ".join(str(error).split())[:120]
        raise BrokenMediaError(
            f"corrupt: the document cannot be read ({words})", stage=stage
        ) from None
