"""The door to the terminal: everything that commands print, on standard output and error.

Names, texts and error messages come from files of strangers. What would steer a terminal, or hide
in it, leaves here as an escape such as `\\x1b`: nothing else in this package prints. Standard
output is for results alone.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console

    from seehear.indexers import IndexReport, ReadReport

INDENT = "    "
"""Before the lines that belong to a hit."""
NOTHING_INDEXED = "Nothing is indexed yet. Index a folder of media first: seehear index FOLDER"
_HIDDEN = (
    "\x00-\x1f\x7f-\x9f\xad\u061c\u115f\u1160\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f"
    "\u3164\ufeff\uffa0\ufff9-\ufffb\U000e0000-\U000e007f\ud800-\udfff"
)
_SHAPED = f"[^\x00-\x7f\u200c\u200d{_HIDDEN}]"
# Joiners shape emojis and the letters of several scripts; elsewhere they only hide.
_UNSAFE = re.compile(f"[{_HIDDEN}]|(?<!{_SHAPED})[\u200c\u200d]|[\u200c\u200d](?!{_SHAPED})")
"""Control characters, ends of lines, changes of direction, characters without width, surrogates."""


def print_json(value: Any) -> None:
    """Print one JSON document. Its escapes are JSON's own, so that it says the same when read."""
    text = json.dumps(value, indent=2, ensure_ascii=False, default=str)
    write_lines(_UNSAFE.sub(_json_escape, line) for line in text.split("\n"))


def console(*, stderr: bool = False) -> Console:
    """Return a console for Rich's own drawings, which does not interpret markup or numbers."""
    from rich.console import Console

    return Console(stderr=stderr, highlight=False, markup=False, emoji=False, soft_wrap=False)


def note(message: str) -> None:
    """Print a line for the person at the terminal, beside the results."""
    print(printable(message), file=sys.stderr)


def counted(count: int, what: str) -> str:
    """Return a number and its noun: `1 file`, `2 files`."""
    return f"{count} {what}" if count == 1 else f"{count} {what}s"


def display_path(path: Path) -> str:
    """Return the shortest spelling of a path that can be opened from here; of an item, its id."""
    if path.parts[:1] == ("items:",):
        from seehear.types import shown_name

        return f"item {shown_name(path)}"
    with contextlib.suppress(ValueError):
        path = path.relative_to(Path.cwd())
    return str(path).encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def clock(seconds: float) -> str:
    """Return a time as players show it: 1:02:03 or 2:03.4."""
    tenths = round(seconds * 10)
    minutes, rest = divmod(tenths, 600)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours}:{minutes:02d}:{rest // 10:02d}"
    return f"{minutes}:{rest // 10:02d}.{rest % 10}"


def print_line(text: str) -> None:
    """Print a line of a result."""
    write_lines([printable(text)])


def write_lines(lines: Iterable[str]) -> None:
    """Print lines of a result in which everything harmful is escaped already."""
    text = "".join(line + "\n" for line in lines)
    sys.stdout.buffer.write(text.encode("utf-8", "backslashreplace"))
    sys.stdout.flush()


def printable(text: str) -> str:
    """Return a text as one line in which what would steer a terminal or hide in it is escaped."""
    return _UNSAFE.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


def _json_escape(found: re.Match[str]) -> str:
    return json.dumps(found[0])[1:-1]


def print_paths(paths: Sequence[Path], *, end: bytes = b"\n") -> None:
    """Print paths alone, each with an end behind it: for programs exactly as they are.

    On a terminal a path that would steer it is quoted, so that a shell takes it for the same path.
    """
    if sys.stdout.isatty():
        write_lines(_quoted(str(path)) for path in paths)
        return
    sys.stdout.buffer.write(b"".join(os.fsencode(path) + end for path in paths))
    sys.stdout.flush()


def _quoted(name: str) -> str:
    """Return a name, in the form $'...' of shells if it has characters that must not be printed."""
    if not _UNSAFE.search(name):
        return name
    escaped = re.sub(r"[\\']", r"\\\g<0>", name)
    return f"$'{_UNSAFE.sub(_shell_escape, escaped)}'"


def _shell_escape(found: re.Match[str]) -> str:
    code = ord(found[0])
    if 0xDC80 <= code <= 0xDCFF:  # a byte that is not UTF-8
        return f"\\x{code - 0xDC00:02x}"
    return f"\\x{code:02x}" if code < 0x80 else f"\\U{code:08x}"


def guard_messages() -> None:
    """Send through the door what libraries write: log records, warnings, tracebacks."""
    import logging
    import traceback
    import warnings

    def safe_lines(text: str) -> str:
        return "\n".join(map(printable, text.split("\n")))

    class SafeRecord(logging.LogRecord):
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **kwargs)
            if self.exc_info and self.exc_info[0]:
                told = "".join(traceback.format_exception(*self.exc_info))
                self.exc_text = safe_lines(told.rstrip("\n"))

        def getMessage(self) -> str:  # noqa: N802 - logging's name
            return printable(super().getMessage())

    def report(kind: type[BaseException], error: BaseException, trace: Any) -> None:
        told = "".join(traceback.format_exception(kind, error, trace))
        print(safe_lines(told), end="", file=sys.stderr)

    plain = warnings.formatwarning

    def one_warning(message: Any, *args: Any, **kwargs: Any) -> str:
        return safe_lines(plain(message, *args, **kwargs))

    logging.setLogRecordFactory(SafeRecord)
    warnings.formatwarning = one_warning
    sys.excepthook = report


def print_report(report: IndexReport) -> None:
    """Print the summary after an index run, on standard error: it is not a result."""
    counts = ("added", "updated", "moved", "removed", "unchanged", "failed")
    told = [f"{getattr(report, name)} {name}" for name in counts]
    more = {"partial": report.partial, "without_content": report.without_content}
    states = [name for name, count in more.items() if count]
    told += [f"{more[name]} {name.replace('_', ' ')}" for name in states]
    note(", ".join(told))
    if report.skipped:
        note(skipped(report.skipped, report.unsupported))
    if states:
        note(f"See `seehear files --state {','.join(states)}` for the reason")
    for root in report.offline:
        note(
            f"offline: {display_path(root.path)} ({root.reason}). Its files stay in the collection."
        )
    if report.read is not None:
        _print_read(report.read)
    for remark in report.notes:
        note(f"note: {remark}")
    for failure in report.failures[:5]:
        note(f"failed: {display_path(failure.path)} ({failure.stage}): {failure.reason}")
    if report.failed > 5:
        note(f"... and {report.failed - 5} more: see `seehear failures`")
    if report.interrupted:
        note("Stopped early. Run the same command again to continue.")


def _print_read(report: ReadReport) -> None:
    for name, one in report.readers.items():
        if not one.files and not one.left:
            continue
        told = f"{name}: {counted(one.files, 'file')} read"
        if one.heard_s:
            told += f" ({length(one.heard_s)} of sound)"
        told += f", something found in {one.found}"
        told += f", {one.failed} failed" if one.failed else ""
        note(f"{told}, {one.left} left" if one.left else told)
    for failure in report.failures[:5]:
        note(f"not read: {display_path(failure.path)} ({failure.stage}): {failure.reason}")
    if report.out_of_time:
        note(f"The time for reading is over; the rest takes about {length(report.left_s)}.")


def told_reading(name: str, found: Mapping[str, Any]) -> str:
    """Return how far a reader has come, as one value of `seehear status`."""
    told = f"{found['read']} of {counted(found['files'], 'file')} read, "
    told += counted(found["passages"], "passage")
    if found["speech_s"]:
        told += f", {length(found['speech_s'])} of speech"
    if found["failed"]:
        told += f", {found['failed']} failed (see `seehear failures`)"
    told += "".join(f"; {engine}" for engine in found["engines"])
    return told if found["on"] else f"{told}; off (see `seehear index --read {name}`)"


def length(seconds: float) -> str:
    """Return a length of time: 12 s, 25 min, 3 h 12 min."""
    if seconds < 90:
        return f"{round(seconds)} s"
    hours, minutes = divmod(round(seconds / 60), 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min"


NAMED = 8
"""Suffixes in one line; `status --json` has them all."""


def skipped(total: int, unsupported: Mapping[str, int]) -> str:
    """Return what was skipped: `9 skipped: 4 .docx, 3 .psd, 2 .svg; see `seehear formats``."""
    special = total - sum(unsupported.values())
    named = "link or special file" if special == 1 else "links or special files"
    parts = [f"{special} {named}"] if special else []
    if unsupported:
        parts.insert(0, unread(unsupported))
    return f"{total} skipped: {'; '.join(reversed(parts))}"


def unread(unsupported: Mapping[str, int]) -> str:
    """Return counts by suffix, `4 .docx, 3 .psd; see `seehear formats``, the rarer ones summed."""
    listed = list(unsupported.items())
    parts = [f"{count} {name}" for name, count in listed[:NAMED]]
    if rest := sum(count for _, count in listed[NAMED:]):
        parts.append(f"{rest} others")
    return f"{', '.join(parts)}; see `seehear formats`"


def size(size_bytes: float) -> str:
    """Return a size such as 1.5 MB, in powers of 1,000."""
    for unit in ("B", "kB", "MB", "GB"):
        if size_bytes < 1000:
            return f"{size_bytes:.0f} {unit}" if unit == "B" else f"{size_bytes:.1f} {unit}"
        size_bytes /= 1000
    return f"{size_bytes:.1f} TB"
