"""Moments leave: cut hits into clips in a folder, or write them as a list for other programs."""

from __future__ import annotations

import dataclasses
import os
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seehear.clip_lists import WRITERS, ListedMoment, writer_of
from seehear.errors import MediaError, UsageError
from seehear.files import check_output, told_disk_errors, write_output
from seehear.sources import is_remote, stored_path
from seehear.suggestions import did_you_mean
from seehear.types import Hit, Modality

if TYPE_CHECKING:
    from seehear.media.stored_file import StoredFile
    from seehear.media.workers.pool import DecodePool

CLIPS = "clips"
TOLERANCE_S = 0.5
"""How much earlier than asked a clip may begin so that its packets can be copied."""
MOST_NAME = 80
"""Characters of a source's name in that of its clip: file systems take 255 bytes."""


@dataclass(frozen=True, slots=True)
class Clip:
    """A moment that was written as a file."""

    path: Path
    source: Path
    start_s: float
    """Where the clip begins in its source, with its handles; a copy may begin a little earlier."""
    stop_s: float
    copied: bool
    """True where its sound and frames are those of the source, not encoded again."""
    address: str

    def to_dict(self) -> dict[str, Any]:
        """Return the clip as plain values, ready for JSON."""
        paths = {"path": str(self.path), "source": str(self.source)}
        return dataclasses.asdict(self) | paths


@dataclass(frozen=True, slots=True)
class CutReport:
    """What became of hits that were cut."""

    clips: tuple[Clip, ...] = ()
    list_path: Path | None = None
    """The list that was written in place of clips."""
    listed: int = 0
    """Moments in that list."""
    untimed: int = 0
    """Hits without a moment: photos and texts."""
    failures: tuple[tuple[Path, str], ...] = ()
    """Files that could not be cut, and why."""


def cut(
    hits: Sequence[Hit],
    to: Path,
    find: Callable[[Hit], StoredFile],
    decoder: Callable[[], DecodePool],
    *,
    form: str | None,
    handles_s: float,
    tolerance_s: float,
    overwrite: bool,
    title: str,
) -> CutReport:
    """Write the moments of hits as clips into a folder, or as a list into a file.

    Raises UsageError for a wrong value and for what must not be written, StoreError where writing
    fails. A file that cannot be cut is in the report.
    """
    for name, value in (("handles", handles_s), ("tolerance", tolerance_s)):
        if not 0 <= value <= 600:
            raise UsageError(f"{name} must be from 0 to 600 seconds, not {value:g}")
    form = form or _form_of(to)
    moments = [one for hit in hits for one in _moments_of(hit)]
    report = CutReport(untimed=sum(not any(_moments_of(hit)) for hit in hits))
    if form != CLIPS:
        return _write_list(moments, to, find, decoder, form, handles_s, overwrite, title, report)
    if not to.is_dir():
        if to.exists() or to.is_symlink():
            raise UsageError(f"{to} is not a folder. Name the folder for the clips")
        if not to.parent.is_dir():
            raise UsageError(f"cannot make {to}: there is no folder {to.parent}. Make it first")
        if moments:
            with told_disk_errors(f"cannot make {to}"):
                to.mkdir()
    if not overwrite:
        _refuse_existing(to, moments)
    clips: list[Clip] = []
    failures: list[tuple[Path, str]] = []
    taken: set[str] = set()
    for hit, start_s, stop_s, address in moments:
        try:
            made = decoder().clip(
                source := find(hit), max(0.0, start_s - handles_s), stop_s + handles_s, tolerance_s
            )
        except MediaError as error:
            failures.append((hit.path, str(error)))
            continue
        path = to / _free_name(clip_name(source.path, start_s, stop_s), made.suffix, taken)
        _refuse_source(path, source.path)
        write_output(path, [made.data], force=overwrite)
        taken.add(path.name.casefold())
        whole = stored_path(source.path)
        clips.append(Clip(path, whole, made.start_s, made.stop_s, made.copied, address))
    return dataclasses.replace(report, clips=tuple(clips), failures=tuple(failures))


def _form_of(to: Path) -> str:
    """Return the form that a name asks for. Raises UsageError for a suffix that is mistyped."""
    suffix = to.suffix[1:].lower()
    if suffix in WRITERS or not suffix or to.exists():
        return suffix if suffix in WRITERS else CLIPS
    if hint := did_you_mean(suffix, WRITERS):
        raise UsageError(f'No list "{suffix}".{hint} For a folder of that name give --format clips')
    return CLIPS


def _write_list(
    moments: Sequence[tuple[Hit, float, float, str]],
    to: Path,
    find: Callable[[Hit], StoredFile],
    decoder: Callable[[], DecodePool],
    form: str,
    handles_s: float,
    overwrite: bool,
    title: str,
    report: CutReport,
) -> CutReport:
    write = writer_of(form)
    path = to / f"moments.{form}" if to.is_dir() else to
    check_output(path, force=overwrite)
    listed: list[ListedMoment] = []
    failures: list[tuple[Path, str]] = []
    for hit, start_s, stop_s, address in moments:
        try:
            source = find(hit)
            timing = decoder().timing(source)
        except MediaError as error:
            failures.append((hit.path, str(error)))
            continue
        _refuse_source(path, source.path)
        stop_s = min(stop_s + handles_s, timing.duration_s or stop_s + handles_s)  # noqa: PLW2901
        start_s = max(0.0, start_s - handles_s)  # noqa: PLW2901
        listed.append(ListedMoment(hit, stored_path(source.path), start_s, stop_s, timing, address))
    if listed:
        write_output(path, [write(listed, title)], force=overwrite)
    return dataclasses.replace(
        report,
        list_path=path if listed else None,
        listed=len(listed),
        failures=tuple(failures),
    )


def _moments_of(hit: Hit) -> Iterator[tuple[Hit, float, float, str]]:
    """Yield the moments of a sound or a video; of other files there is nothing to cut."""
    if hit.modality not in {Modality.AUDIO, Modality.VIDEO}:
        return
    if hit.moments:
        for one in hit.moments:
            yield hit, one.start_s, one.stop_s, one.address
    elif hit.start_s is not None and hit.stop_s is not None:
        yield hit, hit.start_s, hit.stop_s, hit.address


def clip_name(source: str, start_s: float, stop_s: float) -> str:
    """Return the name of a clip without its suffix: `morning 00.00.06.0-00.00.12.0`.

    Characters that some file system does not take are left out.
    """
    stem = os.fsencode(Path(source).stem).decode("utf-8", "replace")
    stem = re.sub(r'[\x00-\x1f\x7f<>:"/\\|?*\ufffd]+', "_", stem).strip(". ")
    return f"{stem[:MOST_NAME] or 'clip'} {_clock(start_s)}-{_clock(stop_s)}"


def _clock(seconds: float) -> str:
    tenths = round(seconds * 10)
    minutes, rest = divmod(tenths, 600)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:02}.{minutes:02}.{rest // 10:02}.{rest % 10}"


def _free_name(name: str, suffix: str, taken: set[str]) -> str:
    """Return a name that no clip of this run has: two files may be called the same."""
    number, found = 1, name + suffix
    while found.casefold() in taken:
        number += 1
        found = f"{name} ({number}){suffix}"
    return found


def _refuse_existing(to: Path, moments: Sequence[tuple[Hit, float, float, str]]) -> None:
    """Raise UsageError, before anything is cut, where a clip is there already."""
    known = {path.stem.casefold(): path for path in to.iterdir()} if to.is_dir() else {}
    for hit, start_s, stop_s, _ in moments:
        if path := known.get(clip_name(str(hit.path), start_s, stop_s).casefold()):
            check_output(path)


def _refuse_source(path: Path, source: str) -> None:
    """Raise UsageError if an output is the file that it is made of."""
    if not is_remote(source) and path.exists() and path.samefile(source):
        raise UsageError(f"{path} is the source itself. Choose another folder")
