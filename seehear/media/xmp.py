"""Read an XMP packet, of an image or of a file beside one: captions, dates, coordinates, people."""

from __future__ import annotations

from collections.abc import Iterator
from xml.etree import ElementTree as ET

from seehear.errors import MediaError
from seehear.media import xml_stream
from seehear.media.coordinates import xmp_coordinates
from seehear.media.dates import DIGITIZED, ORIGINAL, Dated, parse_date
from seehear.media.details import Details, join_words, put
from seehear.media.limits import LIMITS

_RDF = "{http://www.w3.org/1999/02/22-rdf-syntax-ns#}"
_DC = "{http://purl.org/dc/elements/1.1/}"
_XMP = "{http://ns.adobe.com/xap/1.0/}"
_PHOTOSHOP = "{http://ns.adobe.com/photoshop/1.0/}"
_EXIF = "{http://ns.adobe.com/exif/1.0/}"
_IPTC = "{http://iptc.org/std/Iptc4xmpExt/2008-02-29/}"
_REGIONS = "{http://www.metadataworkinggroup.com/schemas/regions/}"
_WINDOWS_REGION = "{http://ns.microsoft.com/photo/1.2/t/Region#}"

_FIELDS = {
    f"{_DC}title": "title",
    f"{_DC}description": "caption",
    f"{_DC}subject": "keywords",
    f"{_DC}creator": "artist",
    f"{_XMP}Rating": "rating",
    f"{_PHOTOSHOP}City": "city",
    f"{_PHOTOSHOP}Country": "country",
}
_DATES = {
    f"{_EXIF}DateTimeOriginal": ORIGINAL,
    f"{_PHOTOSHOP}DateCreated": ORIGINAL,
    f"{_EXIF}DateTimeDigitized": DIGITIZED,
    f"{_XMP}CreateDate": DIGITIZED,
}
_LATITUDE, _LONGITUDE = f"{_EXIF}GPSLatitude", f"{_EXIF}GPSLongitude"


class _Tree:
    """Build a tree of elements from a stream of names such as "uri}name"."""

    def __init__(self) -> None:
        self._builder = ET.TreeBuilder()

    def start(self, name: str, attributes: dict[str, str]) -> None:
        self._builder.start(_full(name), {_full(key): text for key, text in attributes.items()})

    def end(self, name: str) -> None:
        self._builder.end(_full(name))

    def data(self, text: str) -> None:
        self._builder.data(text)

    def root(self) -> ET.Element:
        return self._builder.close()


def read_xmp(packet: bytes | str | None) -> tuple[list[Dated], Details]:
    """Return the dates of an XMP packet and its details; nothing for a packet that is broken."""
    details: Details = {}
    if not packet or len(packet) > LIMITS.metadata_bytes:
        return [], details
    data = packet.encode() if isinstance(packet, str) else packet
    if not data.startswith((b"\xff\xfe", b"\xfe\xff")):
        data = data[data.find(b"<") : data.rfind(b">") + 1]
    tree = _Tree()
    try:
        xml_stream.read([data], tree, namespaces=True)
        root = tree.root()
    except (MediaError, AssertionError):  # TreeBuilder asserts that all elements have ended
        return [], details
    simple: dict[str, str] = {}
    for description in root.iter(f"{_RDF}Description"):
        for key, value in description.items():
            simple.setdefault(key, value)
        for element in description:
            simple.setdefault(element.tag, element.text or "")
            if field := _FIELDS.get(element.tag):
                items = _items(element) or [element.text or ""]
                if field in {"title", "caption"}:
                    items = items[:1]  # the first of the languages, which is the default
                put(details, field, join_words(items))
    for key, field in _FIELDS.items():
        if field not in details:
            put(details, field, simple.get(key))
    if "rating" in details:
        try:
            details["rating"] = int(float(details["rating"]))
        except (ValueError, OverflowError):
            del details["rating"]
    details |= xmp_coordinates(simple.get(_LATITUDE, ""), simple.get(_LONGITUDE, ""))
    put(details, "people", join_words(_people(root)))
    dates: list[Dated] = [
        (tier, "xmp", made)
        for key, tier in _DATES.items()
        if (made := parse_date(simple.get(key, ""))) is not None
    ]
    return dates, details


def _full(name: str) -> str:
    return f"{{{name}" if "}" in name else name


def _items(element: ET.Element) -> list[str]:
    """Return the items of an element's own list.

    Elements inside elements would be read again for each element around them.
    """
    return [item.text or "" for item in element.findall(f"*/{_RDF}li")]


def _people(root: ET.Element) -> Iterator[str]:
    """Yield the names of the people shown: as IPTC lists them, and of the faces that are framed."""
    for element in root.iter():
        if element.tag in (f"{_IPTC}PersonInImage", f"{_IPTC}PersonName"):
            yield from _items(element) or [element.text or ""]
        kind = _value(element, f"{_REGIONS}Type")
        if kind in ("", "Face"):
            yield _value(element, f"{_REGIONS}Name")
        yield _value(element, f"{_WINDOWS_REGION}PersonDisplayName")


def _value(element: ET.Element, name: str) -> str:
    """Return a value that is an attribute or an element of its own."""
    return element.get(name) or element.findtext(name) or ""
