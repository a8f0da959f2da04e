"""The command that looks at the installation, the machine and the collection."""

from __future__ import annotations

import dataclasses
import os
import shutil
import textwrap
from collections import Counter
from itertools import chain
from typing import TYPE_CHECKING

import typer

from seehear.cli import output
from seehear.cli.options import CollectionOption, DeviceOption, JsonOption
from seehear.cli.process import EXIT_ERROR

if TYPE_CHECKING:
    from seehear.diagnostics import Row

_LEVEL_CELLS, _TOPIC_CELLS = 8, 20
_WIDEST = 100


def doctor(
    collection: CollectionOption = None,
    device: DeviceOption = None,
    json: JsonOption = False,
) -> None:
    """Check the installation, the machine and the collection.

    Each line is ok, a warning or a fault, with what to do about it. Exits with
    status 1 if there is a fault.
    """
    from seehear.diagnostics import Level, examine, settings_of

    settings, wrong = settings_of(os.environ)
    if device is not None:
        settings = dataclasses.replace(settings, device=device)
    rows = []
    for row in chain(wrong, examine(collection, settings)):
        rows.append(row)
        if not json:
            for line in _lines(row):
                output.print_line(line)
    count = Counter(row.level for row in rows)
    if json:
        output.print_json([dataclasses.asdict(row) for row in rows])
    else:
        output.print_line(_summary(count[Level.FAULT], count[Level.WARNING]))
    if count[Level.FAULT]:
        raise typer.Exit(EXIT_ERROR)


def _lines(row: Row) -> list[str]:
    """Return a row of the table, wrapped to the terminal, without Rich, which may be broken."""
    width = min(_WIDEST, shutil.get_terminal_size().columns)
    indent = " " * (_LEVEL_CELLS + _TOPIC_CELLS)
    cells = max(20, width - len(indent))
    told = textwrap.wrap(row.found, cells) or [""]
    if row.remedy:
        told += textwrap.wrap(f"-> {row.remedy}", cells, subsequent_indent="   ")
    first = f"{row.level:<{_LEVEL_CELLS}}{row.topic:<{_TOPIC_CELLS}}"
    return [first + told[0], *(indent + line for line in told[1:])]


def _summary(faults: int, warnings: int) -> str:
    if not faults and not warnings:
        return "Everything is OK."
    return f"{output.counted(faults, 'fault')}, {output.counted(warnings, 'warning')}."
