"""Commands as they are typed in a shell."""

from __future__ import annotations

import shlex
import shutil
import sys
from pathlib import Path


def shown(path: Path) -> str:
    """A path as short as it can be and still be typed from here; never taken for an option."""
    here = Path.cwd()
    text = str(path.relative_to(here)) if path.is_relative_to(here) else str(path)
    return f"./{text}" if text.startswith("-") else text


def command(*words: str) -> None:
    """Print a command as it is typed."""
    print(f"\n$ {shlex.join(words)}", flush=True)


def set_up_shell(collection: Path) -> None:
    """Print what a shell needs before the other commands: the program, and the collection."""
    programs = Path(sys.executable).parent
    found = shutil.which("seehear")
    if found is None or Path(found).parent != programs:
        activate = programs / "activate"
        if activate.is_file():
            command("source", shown(activate))
        else:
            print(f'\n$ export PATH={shlex.quote(str(programs))}:"$PATH"')
    print(f"$ export SEEHEAR_COLLECTION={shlex.quote(str(collection))}", flush=True)
