"""The command line: the only place that prints, exits and reads the environment.

`main` turns every error that seehear raises on purpose into one line and an exit status:
0 done, 1 an error, 2 wrong usage, 3 files failed under --strict, 130 interrupted.
"""

from __future__ import annotations

import os
import sys
from shlex import quote

from seehear.cli import gc_pause
from seehear.cli.exit_codes import EXIT_ERROR, EXIT_INTERRUPTED, EXIT_USAGE
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
    try:
        with naming_faults():
            with gc_pause.gc_paused():
                from seehear.cli.app import app_for

                app = app_for(sys.argv[1:])
            app(prog_name="seehear")  # shows wrong usage itself, with status 2
    except (UsageError, MediaError) as error:  # a query file that cannot be read is wrong usage
        _complain(error)
        sys.exit(EXIT_USAGE)
    except SeehearError as error:
        _complain(error)
        sys.exit(EXIT_ERROR)
    except KeyboardInterrupt:
        print("seehear: interrupted; run the same command again to continue", file=sys.stderr)
        sys.exit(EXIT_INTERRUPTED)


def _complain(error: SeehearError) -> None:
    """Print an error on standard error, on one line whatever its message contains."""
    told = str(error)
    if isinstance(error, UnknownFolderError) and os.path.exists(error.folder):  # noqa: PTH110
        name = path_from_here(error.folder)
        told = f'Nothing in "{name}" is indexed. Index it first: seehear index {quote(name)}'
    message = " ".join(told.split())
    print(f"seehear: {message}", file=sys.stderr)
