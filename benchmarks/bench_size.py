"""Measure the disk space of this environment by requirement of seehear: its own size, and that of
the packages that only it needs.

    python benchmarks/bench_size.py [--extra server ...]

Prints a table in MB (10^6 bytes). A package that two requirements bring counts for "shared".
"""

from __future__ import annotations

import argparse
from collections import Counter
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

MB = 1_000_000
PROJECT = "seehear"


def size_bytes(name: str) -> int:
    """What the files of an installed distribution take, links counted once."""
    files = distribution(name).files or []
    paths = {Path(str(file.locate())) for file in files}
    return sum(path.stat().st_size for path in paths if path.is_file())


def requirements(name: str, extras: frozenset[str] = frozenset()) -> set[str]:
    """The installed distributions that one asks for here, by its markers and extras."""
    found = set()
    for line in distribution(name).requires or ():
        requirement = Requirement(line)
        marker = requirement.marker
        if marker is None or any(marker.evaluate({"extra": extra}) for extra in extras | {""}):
            found.add(canonicalize_name(requirement.name))
    return {one for one in found if is_installed(one)}


def is_installed(name: str) -> bool:
    try:
        distribution(name)
    except PackageNotFoundError:
        return False
    return True


def closure(name: str, until: set[str]) -> set[str]:
    """A distribution and all that it brings, but for what is asked for by itself."""
    met: set[str] = set()
    todo = [name]
    while todo:
        one = todo.pop()
        if one not in met:
            met.add(one)
            todo += requirements(one) - until
    return met


def table(extras: frozenset[str]) -> list[tuple[str, float, float]]:
    """Rows of (requirement, its own MB, MB with what it alone brings), largest first."""
    asked = requirements(PROJECT, extras)
    brought = {name: closure(name, asked) for name in asked}
    bringers = Counter(one for packages in brought.values() for one in packages)
    sizes = {one: size_bytes(one) / MB for one in bringers}
    rows = [
        (name, sizes[name], sum(sizes[one] for one in packages if bringers[one] == 1))
        for name, packages in brought.items()
    ]
    shared = sum(size for one, size in sizes.items() if bringers[one] > 1)
    rows.append((f"{PROJECT} itself", own := own_bytes() / MB, own))
    rows.append(("shared by several", shared, shared))
    return sorted(rows, key=lambda row: -row[2])


def own_bytes() -> int:
    """The package, wherever it lies."""
    import seehear

    package = Path(seehear.__file__).parent
    files = (path for path in package.rglob("*") if "__pycache__" not in path.parts)
    return sum(path.stat().st_size for path in files if path.is_file())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--extra", action="append", default=[], help="count an extra, too")
    rows = table(frozenset(parser.parse_args().extra))
    whole = sum(row[2] for row in rows)
    print(f"| requirement | own MB | with what it alone brings | share |\n|{' --- |' * 4}")
    for name, own, alone in rows:
        print(f"| {name} | {own:.0f} | {alone:.0f} | {alone / whole:.1%} |")
    print(f"| all | | {whole:.0f} | |")


if __name__ == "__main__":
    main()
