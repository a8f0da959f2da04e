"""Read XML as a stream of elements: nothing is kept in memory, no other file is opened.

Directly on expat, with the guards that defusedxml adds: no external entity is ever read, and a
document that declares entities is refused (`flat_entities` accepts those with a short text as
value, which drawing programs declare). An entity of entities, which is small in the file and grows
in memory, must be declared first, and is refused there.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol
from xml.parsers import expat

from seehear.errors import BrokenMediaError, MediaError

MOST_ENTITIES = 200
MOST_ENTITY_CHARACTERS = 500
DEEPEST = 500
"""Elements within elements. Tables within tables of a long document reach 50."""


class Handler(Protocol):
    """Receive the elements of a document; names are local: `w:t` is "t"."""

    def start(self, name: str, attributes: dict[str, str]) -> None: ...
    def end(self, name: str) -> None: ...
    def data(self, text: str) -> None: ...


class Done(Exception):  # noqa: N818 - not an error: a handler raises it when it has enough
    """Raised by a handler that needs no more input."""


def local(name: str) -> str:
    """Return a name without its prefix."""
    return name.rpartition(":")[2]


def read(
    chunks: Iterable[bytes],
    handler: Handler,
    *,
    flat_entities: bool = False,
    full_names: bool = False,
    namespaces: bool = False,
) -> None:
    """Call `handler` for every element of a document.

    `full_names` keeps prefixes; `namespaces` gives names as "uri}name". Raises BrokenMediaError for
    XML that is invalid or unsafe.
    """
    parser = expat.ParserCreate(namespace_separator="}" if namespaces else None)
    full_names = full_names or namespaces
    parser.buffer_text = True
    depth = entities = 0

    def start(name: str, attributes: dict[str, str]) -> None:
        nonlocal depth
        depth += 1
        if depth > DEEPEST:
            raise BrokenMediaError(f"unsafe: its XML is nested more than {DEEPEST} deep")
        handler.start(name if full_names else local(name), attributes)

    def end(name: str) -> None:
        nonlocal depth
        depth -= 1
        handler.end(name if full_names else local(name))

    def entity(_name: str, is_parameter: bool, value: str | None, *_: object) -> None:
        nonlocal entities
        entities += 1
        flat = value is not None and not is_parameter and not {"&", "%"} & set(value)
        short = entities <= MOST_ENTITIES and len(value or "") <= MOST_ENTITY_CHARACTERS
        if not (flat_entities and flat and short):
            raise BrokenMediaError("unsafe: its XML declares entities of its own")

    parser.StartElementHandler = start
    parser.EndElementHandler = end
    parser.CharacterDataHandler = handler.data
    parser.EntityDeclHandler = entity
    parser.ExternalEntityRefHandler = lambda *_: 1  # a DOCTYPE that names a file: not read
    parser.SetParamEntityParsing(expat.XML_PARAM_ENTITY_PARSING_NEVER)
    given, held = 0, bytearray()
    try:
        for chunk in chunks:
            held += chunk
            # expat reads a tag whose end has not come again with each piece; so each time it gets
            # as much more as it has left.
            if len(held) >= given - parser.CurrentByteIndex:
                parser.Parse(bytes(held), False)
                given += len(held)
                held.clear()
        parser.Parse(bytes(held), True)
    except Done:
        return
    except MediaError:
        raise
    except (expat.ExpatError, ValueError, LookupError) as error:
        raise BrokenMediaError(f"corrupt: its XML cannot be read ({error})") from None
