"""Write and read the address of a moment: what the page, the command line and assistants open.

    seehear://4d0f8c21a97be356/123#t=12.5,19      seconds 12.5 to 19 of a sound or a video
    seehear://4d0f8c21a97be356/123#page=3         a page
    seehear://4d0f8c21a97be356/123                the whole file

The first number names the collection, the second one the content, wherever its file lies now. What
follows the `#` is a media fragment (https://www.w3.org/TR/media-frags/): `t=12.5`, `t=,19`,
`t=npt:12.5,19` and `t=0:01:12.5` are read, too. On the page of a service the same moment is
`/moment/123#t=12.5,19`.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from urllib.parse import parse_qs

from seehear.errors import UsageError

_FORM = re.compile(r"seehear:/{1,2}([0-9a-f]{1,16})/([0-9]{1,18})(?:#(.*))?", re.IGNORECASE)
# One slash: what `pathlib` makes of two.
_CLOCK = re.compile(r"(?:(?:([0-9]{1,4}):)?([0-5]?[0-9]):)?([0-9]{1,8}(?:\.[0-9]{0,9})?)s?")
_EXAMPLE = "seehear://COLLECTION/NUMBER#t=12.5,19"


@dataclass(frozen=True, slots=True)
class Address:
    """A moment, a page or the whole of one content of one collection."""

    collection: str
    asset_id: int
    start_s: float | None = None
    stop_s: float | None = None
    """None with a start: up to the end."""
    page: int | None = None

    def __str__(self) -> str:
        fragment = moment_fragment(self.start_s, self.stop_s, self.page)
        return f"seehear://{self.collection}/{self.asset_id}{fragment}"


def collection_name(identity: int) -> str:
    """Return how addresses name a collection, from the identity of its catalog."""
    return f"{identity:016x}"


def moment_fragment(start_s: float | None, stop_s: float | None, page: int | None = None) -> str:
    """Return the end of an address, such as "#t=12.5,19" or "#page=3"; "" for the whole file."""
    if start_s is not None:
        stop = "" if stop_s is None else f",{_seconds(stop_s)}"
        return f"#t={_seconds(start_s)}{stop}"
    return "" if page is None else f"#page={page}"


def is_address(text: object) -> bool:
    """Return whether a text is spelled like an address; `parse_address` says if it is one."""
    return str(text)[:9].casefold().startswith("seehear:/")


def parse_address(text: str) -> Address:
    """Read an address. Raises UsageError, one line, for anything else."""
    found = _FORM.fullmatch(text.strip())
    if found is None:
        # A path has one slash where two were given.
        told = re.sub(r"^(seehear:)/(?!/)", r"\1//", text, flags=re.IGNORECASE)
        raise UsageError(f"{told!r} is not the address of a moment, such as {_EXAMPLE}")
    collection, asset, fragment = found.groups()
    fields = parse_qs(fragment or "")  # media fragments are spelled like queries of the web
    start_s = stop_s = page = None
    if "t" in fields:
        start_s, stop_s = _interval(fields["t"][-1], text)
    elif "page" in fields:
        if not re.fullmatch(r"[1-9][0-9]{0,5}", fields["page"][-1]):
            raise UsageError(f"{text!r} names no page. Write #page=3 for the third one")
        page = int(fields["page"][-1])
    elif fragment:
        raise UsageError(f"{text!r} ends with neither a time (#t=12.5,19) nor a page (#page=3)")
    return Address(collection.lower().rjust(16, "0"), int(asset), start_s, stop_s, page)


def _interval(value: str, text: str) -> tuple[float, float | None]:
    start, comma, stop = value.removeprefix("npt:").partition(",")
    start_s = _parsed(start) if start else 0.0
    stop_s = _parsed(stop) if comma and stop else None
    if start_s is None or (stop and stop_s is None) or not (start or stop):
        raise UsageError(f"{text!r} names no time. Write #t=12.5,19 for seconds 12.5 to 19")
    if stop_s is not None and stop_s <= start_s:
        raise UsageError(f"{text!r} ends before it starts. Write the earlier time first")
    return start_s, stop_s


def _parsed(clock: str) -> float | None:
    found = _CLOCK.fullmatch(clock)
    if found is None:
        return None
    hours, minutes, seconds = found.groups()
    return int(hours or 0) * 3600 + int(minutes or 0) * 60 + float(seconds)


def _seconds(value: float) -> str:
    """Return seconds to the millisecond, as briefly as they can be written."""
    if not math.isfinite(value):
        raise UsageError(f"{value} is not a time")
    return f"{value:.3f}".rstrip("0").rstrip(".")
