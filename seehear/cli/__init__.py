"""The command line: the only place that prints, exits and reads the environment.

`main` turns every error that seehear raises on purpose into one line and an exit status:
0 done, 1 an error, 2 wrong usage, 3 files failed under --strict, 130 interrupted.
"""

from __future__ import annotations

import os
import sys
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


def main() -> None:
    """Run one command and leave with its exit status."""
    output.guard_messages()
    try:
        with naming_faults():
            with gc_paused():
                from seehear.cli.app import run
            status = run(sys.argv[1:])
    except (UsageError, MediaError) as error:  # a query file that cannot be read is wrong usage
        status = _complain(error, EXIT_USAGE)
    except SeehearError as error:
        status = _complain(error, EXIT_ERROR)
    except KeyboardInterrupt:
        output.note("seehear: interrupted; run the same command again to continue")
        status = EXIT_INTERRUPTED
    if status:
        sys.exit(status)


def _complain(error: SeehearError, status: int) -> int:
    """Print one line on standard error, whatever the message has in it; return the status."""
    told = str(error)
    if isinstance(error, UnknownFolderError) and os.path.exists(error.folder):  # noqa: PTH110
        name = path_from_here(error.folder)
        told = f'Nothing in "{name}" is indexed. Index it first: seehear index {quote(name)}'
    output.note(f"seehear: {' '.join(told.split())}")
    return status
