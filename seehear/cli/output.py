"""How results look: tables for people, JSON for programs. Standard output is for results alone."""

from __future__ import annotations

import contextlib
import json
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console

    from seehear.indexers import IndexReport

NOTHING_INDEXED = "Nothing is indexed yet. Index a folder of media first: seehear index FOLDER"
_TURNING = "\u2028\u2029\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
"""Ends of lines and changes of direction that Unicode knows beside the control characters."""


def print_json(value: Any) -> None:
    """One JSON document; names that are not UTF-8 are escaped rather than refused."""
    text = json.dumps(value, indent=2, ensure_ascii=False, default=str)
    sys.stdout.buffer.write(text.encode("utf-8", "backslashreplace") + b"\n")
    sys.stdout.flush()


def console(*, stderr: bool = False) -> Console:
    """A console that prints what it is given, without guessing at markup or numbers."""
    from rich.console import Console

    return Console(stderr=stderr, highlight=False, markup=False, emoji=False, soft_wrap=False)


def note(message: str) -> None:
    """A line for the person at the terminal, beside the results."""
    print(message, file=sys.stderr)


def counted(count: int, what: str) -> str:
    """`1 file`, `2 files`."""
    return f"{count} {what}" if count == 1 else f"{count} {what}s"


def display_path(path: Path) -> str:
    """A path as short as it can be and still be opened from here."""
    with contextlib.suppress(ValueError):
        path = path.relative_to(Path.cwd())
    return str(path).encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def clock(seconds: float) -> str:
    """1:02:03 or 2:03.4, as players show it."""
    tenths = round(seconds * 10)
    minutes, rest = divmod(tenths, 600)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours}:{minutes:02d}:{rest // 10:02d}"
    return f"{minutes}:{rest // 10:02d}.{rest % 10}"


def print_line(text: str) -> None:
    """Print a line of a result; what is not UTF-8, or would steer the terminal, is escaped."""
    line = printable(text).encode("utf-8", "backslashreplace")
    sys.stdout.buffer.write(line + b"\n")
    sys.stdout.flush()


def printable(text: str) -> str:
    """Return a text without characters that would steer the terminal or turn its direction."""
    return "".join(
        char.encode("unicode_escape").decode() if _steers(char) else char for char in text
    )


def _steers(char: str) -> bool:
    return ord(char) < 32 or 127 <= ord(char) < 160 or char in _TURNING


def print_paths(paths: Sequence[Path], *, end: bytes = b"\n") -> None:
    """Print paths alone, as the file system spells them, each with an end behind it."""
    sys.stdout.buffer.write(b"".join(os.fsencode(path) + end for path in paths))
    sys.stdout.flush()


def print_report(report: IndexReport) -> None:
    """The summary after an index run, on standard error: it is not a result."""
    counts = ("added", "updated", "moved", "removed", "unchanged", "failed")
    note(", ".join(f"{getattr(report, name)} {name}" for name in counts))
    if report.skipped:
        note(skipped(report.skipped, report.unsupported))
    for root in report.offline:
        note(
            f"offline: {display_path(root.path)} ({root.reason}). Its files stay in the collection."
        )
    for remark in report.notes:
        note(f"note: {remark}")
    for failure in report.failures[:5]:
        note(f"failed: {display_path(failure.path)} ({failure.stage}): {failure.reason}")
    if report.failed > 5:
        note(f"... and {report.failed - 5} more: see `seehear failures`")
    if report.interrupted:
        note("Stopped early. Run the same command again to continue.")


NAMED = 8
"""Suffixes in one line; `status --json` has them all."""


def skipped(total: int, unsupported: Mapping[str, int]) -> str:
    """`9 skipped: 4 .docx, 3 .psd, 2 .svg; see `seehear formats``."""
    special = total - sum(unsupported.values())
    named = "broken link or special file" if special == 1 else "broken links or special files"
    parts = [f"{special} {named}"] if special else []
    if unsupported:
        parts.insert(0, unread(unsupported))
    return f"{total} skipped: {'; '.join(reversed(parts))}"


def unread(unsupported: Mapping[str, int]) -> str:
    """`4 .docx, 3 .psd, 2 .svg; see `seehear formats``, with the rarer ones summed."""
    listed = list(unsupported.items())
    parts = [f"{count} {name}" for name, count in listed[:NAMED]]
    if rest := sum(count for _, count in listed[NAMED:]):
        parts.append(f"{rest} others")
    return f"{', '.join(parts)}; see `seehear formats`"


def size(size_bytes: float) -> str:
    """1.5 MB, in powers of 1,000 as disks are sold."""
    for unit in ("B", "kB", "MB", "GB"):
        if size_bytes < 1000:
            return f"{size_bytes:.0f} {unit}" if unit == "B" else f"{size_bytes:.1f} {unit}"
        size_bytes /= 1000
    return f"{size_bytes:.1f} TB"
