"""Check Python and the installed packages against the lock and the requirements."""

from __future__ import annotations

import importlib
import platform
import re
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

from seehear.diagnostics.rows import Level, Row
from seehear.libraries import FAISS_PACKAGES, LIBRARIES

OLDEST, NEWEST = (3, 11), (3, 13)
LOCK = Path(__file__).resolve().parents[2] / "requirements.lock"
"""Beside the package in a checkout; an installed wheel does not have it."""
_NAMED = 3
"""Packages that a row names; the others are counted."""


def python_row() -> Row:
    """Check whether seehear runs on this Python."""
    found = f"{platform.python_version()} ({platform.system()} {platform.machine()})"
    if OLDEST <= sys.version_info[:2] <= NEWEST:
        return Row("Python", Level.OK, found)
    wanted = f"{OLDEST[0]}.{OLDEST[1]} to {NEWEST[0]}.{NEWEST[1]}"
    return Row("Python", Level.FAULT, found, f"install seehear with Python {wanted}")


def faiss_row() -> Row:
    """Check that exactly one of the FAISS packages is installed: they overwrite each other."""
    found = [name for name in FAISS_PACKAGES if _version(name) is not None]
    wanted = next(one.package for one in LIBRARIES if one.module == "faiss")
    if len(found) == 1:
        return Row("FAISS", Level.OK, f"{found[0]} {_version(found[0])}")
    if not found:
        return Row("FAISS", Level.FAULT, "not installed", f"pip install {wanted}")
    return Row(
        "FAISS",
        Level.FAULT,
        f"{' and '.join(found)} are installed together and overwrite each other",
        f"pip uninstall -y {' '.join(found)}, then pip install {wanted}",
    )


def package_rows() -> list[Row]:
    """Compare installed versions with seehear's requirements, and with the lock of a checkout."""
    rows = [_required_row()]
    if LOCK.is_file():
        rows.append(_lock_row(LOCK))
    return rows


def _required_row() -> Row:
    try:
        lines = metadata.requires("seehear") or []
    except metadata.PackageNotFoundError:
        return Row(
            "packages",
            Level.WARNING,
            "seehear is not installed here, so its requirements are not known",
            "pip install . in the checkout",
        )
    requirement = _requirement_class()
    if requirement is None:
        return Row(
            "packages",
            Level.WARNING,
            "versions are not compared: the package packaging is missing",
            "pip install packaging",
        )
    wrong: list[str] = []
    wanted: list[str] = []
    count = 0
    for line in lines:
        need = requirement(line)
        applies = need.marker is None or need.marker.evaluate({"extra": ""})
        extra = not applies and "extra" in line
        version = _version(need.name)
        if applies and version is None and need.name in FAISS_PACKAGES:
            # An environment without a GPU has the other one, which gives the same module.
            version = next(filter(None, map(_version, FAISS_PACKAGES)), None)
        if (not applies and not extra) or (extra and version is None):
            continue  # for another platform, or from an extra that is not installed
        count += 1
        if version is None or not need.specifier.contains(version, prereleases=True):
            wrong.append(f"{need.name} {version or 'missing'} (needs {need.specifier})")
            wanted.append(f"'{need.name}{need.specifier}'")
    if wrong:
        return Row("packages", Level.FAULT, _some(wrong), f"pip install {' '.join(wanted)}")
    return Row("packages", Level.OK, f"{count} versions are as seehear requires them")


def _lock_row(lock: Path) -> Row:
    locked = read_lock(lock)
    wrong = []
    count = 0
    for name, versions in locked.items():
        version = _version(name)
        if version is None:
            continue  # for another platform, Python, extra or group
        count += 1
        if version not in versions and version.partition("+")[0] not in versions:
            wrong.append(f"{name} {version} (locked {' or '.join(versions)})")
    if wrong:
        return Row(
            "lock",
            Level.WARNING,
            f"{len(wrong)} of {count} differ from {lock.name}: {_some(wrong)}",
            f"pip install --require-hashes -r {lock.name} in the checkout",
        )
    return Row("lock", Level.OK, f"{count} packages are as in {lock.name}")


def read_lock(lock: Path) -> dict[str, list[str]]:
    """Read the versions of each package from lines `name==version ; marker \\`, by platform."""
    found: dict[str, list[str]] = {}
    for line in lock.read_text(encoding="utf-8").splitlines():
        if pinned := re.match(r"([A-Za-z0-9][\w.-]*)(?:\[[^]]*\])?\s*==\s*([^\s;\\]+)", line):
            found.setdefault(pinned[1], []).append(pinned[2])
    return found


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _requirement_class() -> Any:
    """Return the parser of requirements, from its own package or from the copy inside pip."""
    for module in ("packaging.requirements", "pip._vendor.packaging.requirements"):
        try:
            return importlib.import_module(module).Requirement
        except Exception:  # broken in any way: try the next one
            continue
    return None


def _some(items: list[str]) -> str:
    more = f" and {len(items) - _NAMED} more" if len(items) > _NAMED else ""
    return ", ".join(items[:_NAMED]) + more
