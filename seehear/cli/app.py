"""The application: every command registered in one place, in the order of `seehear --help`."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Annotated, Any

import typer
from typer.core import TyperCommand
from typer.models import CommandInfo, TyperPath

from seehear.cli import (
    commands_doctor,
    commands_eval,
    commands_facets,
    commands_formats,
    commands_index,
    commands_maintenance,
    commands_model,
    commands_search,
    commands_serve,
)

app = typer.Typer(
    name="seehear",
    help="Find photos, sounds, moments of videos and passages of text in your folders.",
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


def _print_version(wanted: bool) -> None:
    if wanted:
        from seehear import __version__

        print(f"seehear {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version."),
    ] = False,
) -> None:
    """Find photos, sounds, moments of videos and passages of text in your folders."""


class _Path(TyperPath):
    """A path that is not empty: Python takes an empty one for the current folder."""

    def convert(self, value: Any, param: Any, ctx: Any) -> Any:
        if value == "":
            self.fail("the path is empty. Is a variable of your shell not set?", param, ctx)
        return super().convert(value, param, ctx)


class _Command(TyperCommand):
    """A command that refuses an empty path wherever it takes a path."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for parameter in self.params:
            if isinstance(parameter.type, TyperPath):
                parameter.type = _Path()


for room in (
    commands_index,
    commands_formats,
    commands_search,
    commands_facets,
    commands_eval,
    commands_maintenance,
    commands_doctor,
    commands_serve,
    commands_model,
):
    room.register(app)
for _registered in app.registered_commands:
    _registered.cls = _Command


def app_for(arguments: Sequence[str]) -> typer.Typer:
    """The application with the command alone that the arguments begin with; with all of them where
    they begin with none. Typer reads the signature of every command that it has, at each start."""
    named = [one for one in app.registered_commands if arguments and _name(one) == arguments[0]]
    if not named:
        return app
    alone = copy.copy(app)
    alone.registered_commands = named
    alone._add_completion = False  # only the whole application is asked for completions
    return alone


def _name(command: CommandInfo) -> str:
    return command.name or getattr(command.callback, "__name__", "").replace("_", "-")
