"""Run the checks of `seehear doctor`: the installation, the machine, the collection.

Every check returns rows and prints nothing. This package imports only the standard library, because
it must work where any other library is broken; a check that needs one runs in its own process.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from seehear.config import Settings
from seehear.diagnostics import installation, machine, places
from seehear.diagnostics.rows import Level, Row
from seehear.errors import UsageError
from seehear.libraries import Child

__all__ = ["Level", "Row", "examine", "settings_of"]


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
            yield from _guarded(
                "model",
                lambda: [machine.model_row(*places.model_of(collection, settings), child)],
            )
    yield from _guarded("cache", places.cache_rows)


def settings_of(environment: Mapping[str, str]) -> tuple[Settings, list[Row]]:
    """Read the settings, without the variables that cannot be read: each of them becomes a row."""
    named = sorted(name for name in environment if name.startswith("SEEHEAR_"))
    read = {name: value for name, value in environment.items() if name not in named}
    settings, rows = Settings.from_environment(read), []
    for name in named:  # SEEHEAR_VECTORS after SEEHEAR_DATABASE, which it may need
        try:
            settings = Settings.from_environment(read | {name: environment[name]})
        except UsageError as error:
            advice = f"set {name} to another value, or unset it"
            rows.append(Row("settings", Level.FAULT, str(error), advice))
        else:
            read[name] = environment[name]
    return settings, rows


def _guarded(topic: str, check: Callable[[], list[Row]]) -> list[Row]:
    """Return the rows of a check; a check that raises becomes one row with its error."""
    try:
        return check()
    except Exception as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        return [Row(topic, Level.FAULT, f"could not be checked: {reason}")]
