"""The application: every command registered in one place, in the order of `seehear --help`."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperOption
from typer.models import CommandInfo, TyperPath

from seehear.cli import (
    commands_doctor,
    commands_eval,
    commands_facets,
    commands_formats,
    commands_index,
    commands_maintenance,
    commands_model,
    commands_moments,
    commands_search,
    commands_serve,
    output,
)
from seehear.cli.process import EXIT_ERROR, EXIT_USAGE
from seehear.errors import UsageError

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

        output.print_line(f"seehear {__version__}")
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
    commands_moments,
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


def run(arguments: Sequence[str]) -> int:
    """Run the command that the arguments begin with, and return its exit status.

    Raises UsageError for arguments that make no sense, and what the command raises.
    """
    try:
        status = command_for(arguments).main(
            list(arguments) or ["--help"], prog_name="seehear", standalone_mode=False
        )
    except typer.Abort:
        return EXIT_ERROR
    except Exception as error:
        # The class of Typer's errors of usage is in another module in each of its versions.
        if not hasattr(error, "format_message"):
            raise
        context = getattr(error, "ctx", None)
        named = context.command_path if context is not None else "seehear"
        message = error.format_message()
        end = "" if message.endswith(("?", ".")) else "."
        raise UsageError(f"{message}{end} See `{named} --help`") from None
    if not arguments:
        return EXIT_USAGE
    return status if isinstance(status, int) else 0


def command_for(arguments: Sequence[str]) -> Any:
    """Return Typer's application with the one command that the arguments begin with, or with all.

    Typer reads the signature of every command that it has, at each start.
    """
    named = [one for one in app.registered_commands if arguments and _name(one) == arguments[0]]
    one_of_all = copy.copy(app)
    if named:
        one_of_all.registered_commands = named
        one_of_all._add_completion = False  # only the whole application is asked for completions
    command = typer.main.get_command(one_of_all)
    # Typer's own installer rewrites ~/.bashrc in place: what is printed, a person puts there.
    command.params = [option for option in command.params if option.name != "install_completion"]
    for option in command.params:
        if isinstance(option, TyperOption) and option.name == "show_completion":
            option.help = "Print a script that completes commands with the Tab key."
    return command


def _name(command: CommandInfo) -> str:
    return command.name or getattr(command.callback, "__name__", "").replace("_", "-")
