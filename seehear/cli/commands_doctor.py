"""The command that looks at the installation, the machine and the collection."""

from __future__ import annotations

import dataclasses
import shutil
import sys
import textwrap
from collections import Counter
from typing import TYPE_CHECKING

import typer

from seehear.cli import output
from seehear.cli.exit_codes import EXIT_ERROR
from seehear.cli.options import CollectionOption, DeviceOption, JsonOption

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
    from seehear.config import Settings
    from seehear.diagnostics import Level, examine

    settings = Settings.from_environment()
    if device is not None:
        settings = dataclasses.replace(settings, device=device)
    rows = []
    for row in examine(collection, settings):
        rows.append(row)
        if not json:
            print("\n".join(_lines(row)), flush=True)
    count = Counter(row.level for row in rows)
    if json:
        output.print_json([dataclasses.asdict(row) for row in rows])
    else:
        print(_summary(count[Level.FAULT], count[Level.WARNING]))
    if count[Level.FAULT]:
        raise typer.Exit(EXIT_ERROR)


def _lines(row: Row) -> list[str]:
    """A row of the table, wrapped to the terminal; rich is not used, for it may be broken."""
    width = min(_WIDEST, shutil.get_terminal_size().columns)
    indent = " " * (_LEVEL_CELLS + _TOPIC_CELLS)
    cells = max(20, width - len(indent))
    told = textwrap.wrap(row.found, cells) or [""]
    if row.remedy:
        told += textwrap.wrap(f"-> {row.remedy}", cells, subsequent_indent="   ")
    first = f"{row.level:<{_LEVEL_CELLS}}{row.topic:<{_TOPIC_CELLS}}"
    lines = [first + told[0], *(indent + line for line in told[1:])]
    encoding = sys.stdout.encoding or "utf-8"
    return [line.encode(encoding, "backslashreplace").decode(encoding) for line in lines]


def _summary(faults: int, warnings: int) -> str:
    if not faults and not warnings:
        return "Everything is OK."
    return f"{output.counted(faults, 'fault')}, {output.counted(warnings, 'warning')}."


def register(app: typer.Typer) -> None:
    app.command()(doctor)
