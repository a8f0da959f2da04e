"""Write the pages that are made from the code: `python docs/generate.py`.

docs/commands.md from the command line, docs/formats.md from the list of formats.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import typer

from seehear import media
from seehear.cli.app import app

HEADER = """# Commands

Written by `python docs/generate.py` from the commands' own help; a test keeps it current.
Exit status: 0 done, 1 an error (one line on standard error), 2 wrong usage, 3 files failed under
`index --strict`, 130 interrupted. Results go to standard output, everything else to standard error.
The environment: `SEEHEAR_COLLECTION`, `SEEHEAR_MODEL`, `SEEHEAR_DEVICE`, `SEEHEAR_BATCH_SIZE`,
`SEEHEAR_WORKERS`, `SEEHEAR_DATABASE`, `SEEHEAR_CACHE`.
"""


def command_page() -> str:
    """The whole page as Markdown."""
    commands = typer.main.get_group(app).commands
    return "\n".join([HEADER, *(_section(name, commands[name]) for name in commands)])


def _section(name: str, command: Any) -> str:
    usage = ["seehear", name]
    rows = []
    for parameter in command.params:
        if parameter.name == "help" or getattr(parameter, "hidden", False):
            continue
        if parameter.param_type_name == "argument":
            shown = parameter.metavar or parameter.name.upper()
            usage.append(shown if parameter.required else f"[{shown}]")
        else:
            value = "" if parameter.is_flag else f" {parameter.metavar or 'VALUE'}"
            shown = ", ".join(parameter.opts) + value
        rows.append(f"| `{shown}` | {parameter.help or ''} |")
    table = "\n".join(["| option | meaning |", "| --- | --- |", *rows])
    return f"## seehear {name}\n\n{command.help}\n\n    {' '.join(usage)} [OPTIONS]\n\n{table}\n"


FORMATS_HEADER = """# Formats

Written by `python docs/generate.py` from the list that `seehear formats` prints; a test keeps it
current. What a file is, its content decides: a photo without a suffix is read, and a text that is
named .jpg is reported as broken. Files of other kinds are skipped and counted by suffix in the
summary of `seehear index`, in `seehear status` and in `seehear failures`.

## Read

| kind | type | suffixes | what is read | limit |
| --- | --- | --- | --- | --- |
"""
NOT_READ_HEADER = """
## Not read

| kind | suffixes | why, and what to do |
| --- | --- | --- |
"""


def format_page() -> str:
    """The page of formats as Markdown."""
    read = "".join(
        f"| {item.name} | {item.modality} | {_listed(item.suffixes)} | {item.content} "
        f"| {item.limit} |\n"
        for item in media.FORMATS
    )
    unread = "".join(
        f"| {item.name} | {_listed(item.suffixes)} | {item.reason} |\n"
        for item in media.UNREAD_FORMATS
    )
    return FORMATS_HEADER + read + NOT_READ_HEADER + unread


def _listed(suffixes: tuple[str, ...]) -> str:
    return " ".join(f"`{suffix}`" for suffix in suffixes)


PAGES = {"commands.md": command_page, "formats.md": format_page}


if __name__ == "__main__":
    for name, page in PAGES.items():
        (Path(__file__).parent / name).write_text(page(), encoding="utf-8")
