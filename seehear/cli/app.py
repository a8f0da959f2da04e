"""The application: every command registered in one place, in the order of `seehear --help`."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from copy import copy
from functools import cache
from importlib import import_module
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperOption
from typer.models import TyperPath

from seehear.cli import output
from seehear.cli.process import EXIT_ERROR, EXIT_USAGE, limit_threads
from seehear.errors import UsageError

COMMANDS = {
    "index": "commands_index",
    "watch": "commands_index",
    "status": "commands_index",
    "files": "commands_index",
    "failures": "commands_index",
    "forget": "commands_index",
    "upgrade": "commands_index",
    "generations": "commands_index",
    "formats": "commands_formats",
    "search": "commands_search",
    "similar": "commands_search",
    "duplicates": "commands_search",
    "show": "commands_moments",
    "cut": "commands_moments",
    "unusual": "commands_moments",
    "typical": "commands_moments",
    "facets": "commands_facets",
    "eval": "commands_eval",
    "verify": "commands_maintenance",
    "export": "commands_maintenance",
    "export-vectors": "commands_maintenance",
    "import": "commands_maintenance",
    "import-vectors": "commands_maintenance",
    "doctor": "commands_doctor",
    "serve": "commands_serve",
    "mcp": "commands_serve",
    "models": "commands_model",
    "train": "commands_model",
}
"""The module of each command, in the order of `seehear --help`; a run imports those it needs."""
_FUNCTIONS = {
    "eval": "evaluate",
    "export-vectors": "export_vectors",
    "import": "import_",
    "import-vectors": "import_vectors",
}
"""Functions that cannot have the name of their command."""


def _print_version(wanted: bool) -> None:
    if wanted:
        from seehear import __version__

        output.print_line(f"seehear {__version__}")
        raise typer.Exit


def _options(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version."),
    ] = False,
) -> None:
    """Find photos, sounds, moments of videos and passages of text in your folders."""


_NUMBERS = {
    **dict.fromkeys(("int", "int range"), "whole number"),
    **dict.fromkeys(("float", "float range"), "number"),
}
"""What messages call the types of options, in place of the words of programmers."""


class _Path(TyperPath):
    """A path that is not empty: Python takes an empty one for the current folder."""

    def convert(self, value: Any, param: Any, ctx: Any) -> Any:
        if value == "":
            self.fail("the path is empty. Is a variable of your shell not set?", param, ctx)
        return super().convert(value, param, ctx)


class _Command(TyperCommand):
    """A command that refuses an empty path, and an option with one value that is given twice."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for parameter in self.params:
            if isinstance(parameter.type, TyperPath):
                parameter.type = _Path()
            elif parameter.type.name in _NUMBERS:
                parameter.type = copy(parameter.type)
                parameter.type.name = _NUMBERS[parameter.type.name]

    def make_parser(self, ctx: Any) -> Any:
        parser: Any = super().make_parser(ctx)
        parse_args = parser.parse_args

        def parse_each_once(args: list[str]) -> Any:
            values, rest, order = parse_args(args)
            for option in order:
                if order.count(option) > 1 and _has_one_value(option):
                    ctx.fail(f"{' or '.join(option.opts)} is given twice. Give it once")
            return values, rest, order

        parser.parse_args = parse_each_once
        return parser


def _has_one_value(option: Any) -> bool:
    """Return whether a second one would contradict the first: not of a flag, or of a list."""
    if not isinstance(option, TyperOption) or option.multiple or option.count:
        return False
    return not option.is_flag or bool(option.secondary_opts)


def make_app(names: Iterable[str] = COMMANDS, *, listed: bool = False) -> typer.Typer:
    """Return Typer's application with these commands.

    Typer reads the signature of each command that it has, which takes longer than to run some:
    with `listed`, commands have their help and no options, as a list of them needs.
    """
    app = typer.Typer(
        name="seehear",
        help="Find photos, sounds, moments of videos and passages of text in your folders.",
        no_args_is_help=True,
        context_settings={"help_option_names": ["-h", "--help"]},
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
    )
    app.callback()(_options)
    for name in names:
        room = import_module(f"seehear.cli.{COMMANDS[name]}")
        command: Callable[..., Any] = getattr(room, _FUNCTIONS.get(name, name))
        app.command(name, cls=_Command)(_described(command) if listed else command)
    return app


def _described(command: Callable[..., Any]) -> Callable[[], None]:
    """Return a function with the help of a command and without its options."""

    def described() -> None: ...

    described.__doc__ = command.__doc__
    return described


def run(arguments: Sequence[str]) -> int:
    """Run the command that the arguments begin with, and return its exit status.

    Raises UsageError for arguments that make no sense, and what the command raises.
    """
    limit_threads()
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

    A word that is no command gets all of them, to be told the nearest.
    """
    completing = "_SEEHEAR_COMPLETE" in os.environ  # a shell asks for the options of any command
    named = arguments[0] if arguments and arguments[0] in COMMANDS else None
    return _command(named, listed=named is None and not completing)


@cache  # for a process that answers several
def _command(named: str | None, *, listed: bool) -> Any:
    app = make_app(COMMANDS if named is None else [named], listed=listed)
    app._add_completion = named is None  # only the whole application is asked for completions
    command = typer.main.get_command(app)
    # Typer's own installer rewrites ~/.bashrc in place: what is printed, a person puts there.
    command.params = [option for option in command.params if option.name != "install_completion"]
    for option in command.params:
        if isinstance(option, TyperOption) and option.name == "show_completion":
            option.help = "Print a script that completes commands with the Tab key."
    return command
