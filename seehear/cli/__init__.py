"""The command line: the only place that prints, exits and reads the environment.

`main` turns every error that seehear raises on purpose into one line and an exit status:
0 done, 1 an error, 2 wrong usage, 3 files failed under --strict, 130 interrupted.
"""

from __future__ import annotations

import sys

from seehear import __version__
from seehear.cli.command_client import INTERRUPTED, run_in_service


def main() -> None:
    """Run one command and leave with its exit status."""
    try:
        status = run_in_service(sys.argv[1:], __version__)
        if status is None:
            from seehear.cli.run import run_command

            status = run_command(sys.argv[1:])
    except KeyboardInterrupt:  # while a command was being loaded, or left to a service
        status = INTERRUPTED
    if status:
        sys.exit(status)
