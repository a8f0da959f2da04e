"""Write docs/commands.md from the command line itself: `python docs/generate.py`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import typer

from seehear.cli.app import app

HEADER = """# Commands

Written by `python docs/generate.py` from the commands' own help; a test keeps it current.
Exit status: 0 done, 1 an error (one line on standard error), 2 wrong usage, 3 files failed under
`index --strict`, 130 interrupted. Results go to standard output, everything else to standard error.
The environment: `SEEHEAR_COLLECTION`, `SEEHEAR_MODEL`, `SEEHEAR_DEVICE`, `SEEHEAR_BATCH_SIZE`,
`SEEHEAR_WORKERS`, `SEEHEAR_DATABASE`, `SEEHEAR_CACHE`, `SEEHEAR_PREVIEW`.
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


if __name__ == "__main__":
    (Path(__file__).parent / "commands.md").write_text(command_page(), encoding="utf-8")
