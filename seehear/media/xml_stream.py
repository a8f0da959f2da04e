"""XML as a stream of elements: nothing is kept, nothing outside of the file is asked for.

Straight on expat, with the guards that defusedxml puts on it: no external entity is ever read, and
a document that declares entities is refused (`flat_entities` lets those through whose value is a
short text, which drawing programs declare). What may stay small in the file and grow in memory, an
entity of entities, is declared first, and so is refused first.
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
    """What is told of a document; names are local, `w:t` is "t"."""

    def start(self, name: str, attributes: dict[str, str]) -> None: ...
    def end(self, name: str) -> None: ...
    def data(self, text: str) -> None: ...


class Done(Exception):  # noqa: N818 - not an error: a handler raises it when it has enough
    """Raised by a handler that needs no more."""


def local(name: str) -> str:
    """A name without its prefix."""
    return name.rpartition(":")[2]


def read(
    chunks: Iterable[bytes],
    handler: Handler,
    *,
    flat_entities: bool = False,
    full_names: bool = False,
) -> None:
    """Tell `handler` of every element of a document. Raises BrokenMediaError for what is no XML,
    or unsafe. `full_names` keeps prefixes."""
    parser = expat.ParserCreate()
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
    try:
        for chunk in chunks:
            parser.Parse(chunk, False)
        parser.Parse(b"", True)
    except Done:
        return
    except MediaError:
        raise
    except (expat.ExpatError, ValueError, LookupError) as error:
        raise BrokenMediaError(f"corrupt: its XML cannot be read ({error})") from None
