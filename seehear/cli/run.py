"""Run one command: every error that seehear raises on purpose becomes one line and a status."""

from __future__ import annotations

import os
from collections.abc import Sequence
from shlex import quote

from seehear.cli import output
from seehear.cli.process import EXIT_ERROR, EXIT_INTERRUPTED, EXIT_USAGE, gc_paused
from seehear.errors import (
    MediaError,
    SeehearError,
    UnknownFolderError,
    UsageError,
    path_from_here,
)
from seehear.libraries import naming_faults


def run_command(arguments: Sequence[str]) -> int:
    """Run one command and return its exit status; an error becomes one line."""
    output.guard_messages()
    try:
        with naming_faults():
            with gc_paused():
                from seehear.cli.app import run
            return run(arguments)
    except (UsageError, MediaError) as error:  # a query file that cannot be read is wrong usage
        return _complain(error, EXIT_USAGE)
    except SeehearError as error:
        return _complain(error, EXIT_ERROR)
    except KeyboardInterrupt:
        output.note("seehear: interrupted; run the same command again to continue")
        return EXIT_INTERRUPTED


def _complain(error: SeehearError, status: int) -> int:
    """Print one line on standard error, whatever the message has in it; return the status."""
    told = str(error)
    if isinstance(error, UnknownFolderError) and os.path.exists(error.folder):  # noqa: PTH110
        name = path_from_here(error.folder)
        told = f'Nothing in "{name}" is indexed. Index it first: seehear index {quote(name)}'
    output.note(f"seehear: {' '.join(told.split())}")
    return status
