"""Ask a collection thirty everyday words and print what came first, and how it was marked.

    python -m benchmarks.everyday FOLDER [--collection DIR] > page.md

FOLDER is indexed into the collection first (a temporary one unless --collection names it).
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import seehear

QUERIES = """
dog|cat|car|child|people|a man on a horse|rocket|bird|flowers|coffee|food|sea|snow|sunset
mountains|city at night|music|piano|siren|rain|a cat meowing|somebody talking|motorcycle|moon
a poem|elephant|spaceship|submarine|pizza|a violin
"""
SHOWN = 3


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("folder", type=Path, metavar="FOLDER")
    parser.add_argument("--collection", type=Path, metavar="DIR")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as scratch:
        path = options.collection or Path(scratch) / "collection"
        with seehear.open(path) as library:
            library.index(options.folder)
            files = library.status().assets
            print(f"{files} files, {library.model().name}. Bold is strong, the rest is weak.\n")
            print("| asked | " + " | ".join(f"{n}." for n in range(1, SHOWN + 1)) + " |")
            print("|" + " --- |" * (SHOWN + 1))
            for words in QUERIES.replace("\n", "|").strip("|").split("|"):
                cells = []
                for hit in library.search(words, k=SHOWN):
                    told = f"{hit.path.name} {hit.score:.2f}"
                    cells.append(told if hit.weak else f"**{told}**")
                print(f"| {words} | " + " | ".join(cells) + " |")
    return 0


if __name__ == "__main__":
    sys.exit(main())
