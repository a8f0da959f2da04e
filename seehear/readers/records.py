"""Write readings as plain values, as JSON has them, and read them back."""

from __future__ import annotations

from dataclasses import astuple
from typing import Any, cast

from seehear.processes.wire import WireError
from seehear.types import Box, Line, Reading


def pack_reading(reading: Reading) -> dict[str, Any]:
    """Return a reading as plain values."""
    return {"language": reading.language, "lines": [list(astuple(line)) for line in reading.lines]}


def unpack_reading(record: dict[str, Any]) -> Reading:
    """Return the reading of `pack_reading`. Raises WireError for anything else."""
    try:
        return Reading(tuple(_line(*values) for values in record["lines"]), record["language"])
    except (KeyError, TypeError, ValueError) as error:
        raise WireError("a malformed reading") from error


def _line(
    text: str, start_s: Any, stop_s: Any, words: Any, box: Any, confidence: Any, *rest: Any
) -> Line:
    timed = tuple((str(word), float(first), float(last)) for word, first, last in words)
    edges = None if box is None else cast(Box, tuple(float(edge) for edge in box))
    numbers = [None if one is None else float(one) for one in (start_s, stop_s, confidence)]
    return Line(str(text), numbers[0], numbers[1], timed, edges, numbers[2], *rest)
