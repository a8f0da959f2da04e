"""Run the checks of `seehear doctor`: the installation, the machine, the collection.

Every check returns rows and prints nothing. This package imports only the standard library, because
it must work where any other library is broken; a check that needs one runs in its own process.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from seehear.config import Settings
from seehear.diagnostics import installation, machine, places
from seehear.diagnostics.rows import Level, Row
from seehear.libraries import Child

__all__ = ["Level", "Row", "examine"]


def examine(collection: Path | None, settings: Settings) -> Iterator[Row]:
    """Check everything, and yield each row as soon as it is known.

    `collection` is the folder to check; None means the default one.
    """
    yield from _guarded("Python", lambda: [installation.python_row()])
    yield from _guarded("packages", installation.package_rows)
    yield from _guarded("FAISS", lambda: [installation.faiss_row()])
    with Child() as child:  # the same one for all: torch takes seconds to load
        no_child = machine.process_rows(child)
        yield from no_child
        if not no_child:
            yield from machine.library_rows(child)
            yield from _guarded("GPU", lambda: [machine.gpu_row(child)])
            yield from _guarded("decoding", lambda: [machine.decoding_row(child)])
            yield from _guarded("sandbox", lambda: [machine.sandbox_row(child)])
        yield from _guarded("model tiny", lambda: [machine.bundled_model_row()])
        yield from _guarded("collection", lambda: places.collection_rows(collection, settings))
        if not no_child:
            name, device = places.model_of(collection, settings)
            yield from _guarded("model", lambda: [machine.model_row(name, device, child)])
    yield from _guarded("cache", places.cache_rows)


def _guarded(topic: str, check: Callable[[], list[Row]]) -> list[Row]:
    """Return the rows of a check; a check that raises becomes one row with its error."""
    try:
        return check()
    except Exception as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        return [Row(topic, Level.FAULT, f"could not be checked: {reason}")]
