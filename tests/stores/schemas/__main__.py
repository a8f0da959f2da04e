"""Print a collection's catalog as a script; see the package's docstring."""

import sys
from pathlib import Path

from tests.stores.schemas import script

sys.stdout.writelines(f"{line}\n" for line in script(Path(sys.argv[1]) / "catalog.db"))
