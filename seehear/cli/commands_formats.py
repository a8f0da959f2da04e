"""The command that says which kinds of files are read, and which are not."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from seehear.cli import output
from seehear.cli.options import JsonOption

if TYPE_CHECKING:
    from rich.table import Table


def formats(json: JsonOption = False) -> None:
    """List the kinds of files that are read.

    Also list known kinds that are not read, with the reason. Files of all other kinds are
    skipped and counted by suffix.
    """
    from seehear import media

    if json:
        output.print_json(
            {
                "read": [dataclasses.asdict(item) for item in media.FORMATS],
                "not_read": [dataclasses.asdict(item) for item in media.UNREAD_FORMATS],
            }
        )
        return
    read = _table("read", "type", "suffixes", "what is read", "limit")
    for item in media.FORMATS:
        suffixes = " ".join(item.suffixes)
        read.add_row(item.name, str(item.modality), suffixes, item.content, item.limit)
    unread = _table("not read", "suffixes", "why, and what to do")
    for other in media.UNREAD_FORMATS:
        unread.add_row(other.name, " ".join(other.suffixes), other.reason)
    screen = output.console()
    screen.print(read)
    screen.print()
    screen.print(unread)


def _table(*columns: str) -> Table:
    from rich.table import Table

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for name in columns:
        table.add_column(name, overflow="fold")
    return table
