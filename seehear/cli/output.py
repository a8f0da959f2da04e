"""How results look: tables for people, JSON for programs. Standard output is for results alone."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import math
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console

    from seehear.indexers import IndexReport, Progress
    from seehear.types import Hit, Term

BAR_CELLS = 8
NOTHING_INDEXED = "nothing is indexed yet: run `seehear index PATH` on a folder of media"


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


def shown(path: Path) -> str:
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


def moment(hit: Hit) -> str:
    """The moment of a hit, or nothing where it has no times."""
    return f"{clock(hit.moment[0])} - {clock(hit.moment[1])}" if hit.moment else ""


def hit_as_json(hit: Hit) -> dict[str, Any]:
    """The documented fields of `search --json`."""
    return {
        "rank": hit.rank,
        "score": round(hit.score, 4),
        "similarity": None if math.isnan(hit.similarity) else round(hit.similarity, 4),
        "path": str(hit.path),
        "modality": str(hit.modality),
        "matched": str(hit.matched),
        "start_s": hit.start_s,
        "stop_s": hit.stop_s,
        "snippet": hit.snippet,
        "weak": hit.weak,
        "asset_id": hit.asset_id,
        "segment_id": hit.segment_id,
        "moments": [
            {"start_s": m.start_s, "stop_s": m.stop_s, "score": round(m.score, 4)}
            for m in hit.moments
        ],
        "duplicates": [str(path) for path in hit.duplicates],
        "why": [dataclasses.asdict(term) for term in hit.why],
    }


def print_hits(hits: Sequence[Hit]) -> None:
    """The ranked table; weak hits are dim and say so, for those who see no colours."""
    from rich.table import Table

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    for name, justify in (("#", "right"), ("score", "left"), ("kind", "left"), ("file", "left")):
        table.add_column(name, justify=justify, no_wrap=name != "file")  # type: ignore[arg-type]
    if any(hit.moment for hit in hits):
        table.add_column("moment", no_wrap=True)
    timed = any(hit.moment for hit in hits)
    for hit in hits:
        filled = round(hit.score * BAR_CELLS)
        bar = "█" * filled + "░" * (BAR_CELLS - filled)
        name = shown(hit.path)
        if hit.duplicates:
            name += f" (and {len(hit.duplicates)} like it)"
        if hit.snippet:
            name += f"\n  {_shortened(hit.snippet)}"
        for term in hit.why:
            name += f"\n  {_explained(term)}"
        times = "\n".join(f"{clock(m.start_s)} - {clock(m.stop_s)}" for m in hit.moments)
        score = f"{hit.score:.2f} {bar}{' weak' if hit.weak else ''}"
        row = [str(hit.rank), score, _kind(hit), name]
        table.add_row(
            *row, *([times or moment(hit)] if timed else []), style="dim" if hit.weak else ""
        )
    out = console()
    if not out.is_terminal:
        out.width = 160  # a pipe has no width; wide enough that paths do not wrap
    out.print(table)
    if all(hit.weak for hit in hits):
        note("no hit stands out: the collection may hold nothing like this")


def _explained(term: Term) -> str:
    """One part's share in a score, in words."""
    told = [f"{'not ' if term.exclude else ''}{term.part!r}: {term.score:.2f}"]
    if term.similarity is not None and term.expected is not None and term.spread is not None:
        told.append(
            f"{term.route} in {term.space.partition('@')[0]}: cosine {term.similarity:.3f}, "
            f"unrelated {term.expected:.3f} ± {term.spread:.3f}"
        )
    if term.crowd >= 0.005:  # else it would read as +0.00
        told.append(f"others as good: +{term.crowd:.2f}")
    if term.words:
        told.append(f"words: {term.words}")
    return "; ".join(told)


def _kind(hit: Hit) -> str:
    return str(hit.modality) if hit.matched == hit.modality else f"{hit.modality} ({hit.matched})"


def _shortened(text: str, most: int = 100) -> str:
    text = " ".join(text.split())
    return text if len(text) <= most else text[: most - 1].rsplit(" ", 1)[0] + " …"


def report_as_json(report: IndexReport) -> dict[str, Any]:
    """The documented fields of `index --json`."""
    return {
        "added": report.added,
        "updated": report.updated,
        "moved": report.moved,
        "removed": report.removed,
        "unchanged": report.unchanged,
        "skipped": report.skipped,
        "unsupported": dict(report.unsupported),
        "failed": report.failed,
        "offline": [str(root.path) for root in report.offline],
        "interrupted": report.interrupted,
        "seconds": round(report.seconds, 3),
        "failures": [
            {"path": str(f.path), "stage": f.stage, "reason": f.reason} for f in report.failures
        ],
    }


def print_report(report: IndexReport) -> None:
    """The summary after an index run, on standard error: it is not a result."""
    counts = ("added", "updated", "moved", "removed", "unchanged", "failed")
    note(", ".join(f"{getattr(report, name)} {name}" for name in counts))
    if report.skipped:
        note(skipped(report.skipped, report.unsupported))
    for root in report.offline:
        note(f"offline: {shown(root.path)}: {root.reason}; what was indexed there is kept")
    for remark in report.notes:
        note(f"note: {remark}")
    for failure in report.failures[:5]:
        note(f"failed: {shown(failure.path)} ({failure.stage}): {failure.reason}")
    if report.failed > 5:
        note(f"... and {report.failed - 5} more: see `seehear failures`")
    if report.interrupted:
        note("stopped early; what was done is kept: run the same command to go on")


NAMED = 8
"""Suffixes in one line; `status --json` has them all."""


def skipped(total: int, unsupported: Mapping[str, int]) -> str:
    """`9 skipped: 4 .docx, 3 .psd, 2 .svg; see `seehear formats``."""
    special = total - sum(unsupported.values())
    parts = [f"{special} broken links or special files"] if special else []
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


class ProgressLines:
    """Plain progress lines for logs and pipes, at most one every few seconds."""

    def __init__(self, every_s: float = 5.0) -> None:
        import time

        self._every_s = every_s
        self._last_s = time.monotonic()  # a run that is over at once prints none

    def __enter__(self) -> ProgressLines:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def __call__(self, progress: Progress) -> None:
        import time

        now_s = time.monotonic()
        if now_s - self._last_s >= self._every_s:
            self._last_s = now_s
            if progress.files_total is None:
                note("scanning")
            else:
                note(f"{progress.files_done}/{progress.files_total} files, {_rate(progress)}")


class ProgressBar:
    """A live bar on standard error: files, rate and time left."""

    def __init__(self) -> None:
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
        from rich.progress import Progress as RichProgress

        self._bar = RichProgress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[rate]}"),
            TimeRemainingColumn(),
            console=console(stderr=True),
            transient=True,
        )
        self._task = self._bar.add_task("scanning", total=None, rate="")

    def __enter__(self) -> ProgressBar:
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def __call__(self, progress: Progress) -> None:
        self._bar.update(
            self._task,
            description=progress.stage,
            completed=progress.files_done,
            total=progress.files_total or None,
            rate=_rate(progress),
        )


def _rate(progress: Progress) -> str:
    return f"{progress.files_per_s:.1f} files/s"


def progress_display(*, quiet: bool) -> ProgressBar | ProgressLines:
    """A bar on a terminal, plain lines elsewhere."""
    if quiet or not sys.stderr.isatty():
        return ProgressLines(every_s=math.inf if quiet else 5.0)
    return ProgressBar()


def size(size_bytes: float) -> str:
    """1.5 MB, in powers of 1,000 as disks are sold."""
    for unit in ("B", "kB", "MB", "GB"):
        if size_bytes < 1000:
            return f"{size_bytes:.0f} {unit}" if unit == "B" else f"{size_bytes:.1f} {unit}"
        size_bytes /= 1000
    return f"{size_bytes:.1f} TB"
