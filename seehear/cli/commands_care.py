"""Commands that look after a collection: check it, take it elsewhere."""

from __future__ import annotations

import dataclasses
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from seehear.cli import EXIT_ERROR, EXIT_INTERRUPTED, output, progress
from seehear.cli.commands_index import stop_on_interrupt
from seehear.cli.options import CollectionOption, JsonOption, open_collection
from seehear.errors import UsageError

if TYPE_CHECKING:
    from seehear.indexers import RehashReport, Verification

LISTED = 20


def verify(
    hashes: Annotated[
        bool, typer.Option("--hashes", help="Also read every file and compare it with its hash.")
    ] = False,
    collection: CollectionOption = None,
    json: JsonOption = False,
) -> None:
    """Check the catalog and the caches; repair the caches.

    With --hashes, check the files too.

    Exit status 0: all is well, or is again. 1: something that cannot be made anew is wrong.
    """
    stop = threading.Event()
    with (
        open_collection(collection) as library,
        progress.display(quiet=json or not hashes) as shown,
        stop_on_interrupt(stop),
    ):
        found = library.verify(hashes=hashes, progress=shown, stop=stop)
    if json:
        output.print_json(_as_json(found))
    else:
        _tell(found)
    if found.hashes is not None and found.hashes.interrupted:
        raise typer.Exit(EXIT_INTERRUPTED)
    if not found.good:
        raise typer.Exit(EXIT_ERROR)


def _as_json(found: Verification) -> dict[str, Any]:
    """The documented fields of `verify --json`."""
    return {
        "good": found.good,
        "assets": found.assets,
        "segments": found.segments,
        "faults": [dataclasses.asdict(fault) for fault in found.faults],
        "mended": found.mended,
        "loose_ends": [{"what": end.what, "count": end.count} for end in found.loose_ends],
        "indexes": [dataclasses.asdict(index) for index in found.indexes],
        "renewed_files": found.renewed_files,
        "removed_files": found.removed_files,
        "caches_good": found.caches_good,
        "unrepaired": found.unrepaired or None,
        "hashes": None if found.hashes is None else _hashes_as_json(found.hashes),
    }


def _hashes_as_json(report: RehashReport) -> dict[str, Any]:
    return {
        "files": report.files,
        "bytes_read": report.bytes_read,
        "offline": report.offline,
        "interrupted": report.interrupted,
        "deviations": [{"path": str(d.path), "reason": d.reason} for d in report.deviations],
    }


def _tell(found: Verification) -> None:
    for fault in found.faults:
        rows = f" ({', '.join(fault.examples)})" if fault.examples else ""
        print(f"{fault.kind}: {fault.count} {fault.what}{rows}")
    if found.mended:
        output.note("made anew: what the catalog derives from the rest")
    for index in found.indexes:
        if not index.agreed:
            print(f"cache: the {index.modality} index of {index.space} differs from the catalog")
    if found.renewed_files:
        output.note(f"made anew: {found.renewed_files} cache files that were missing or behind")
    if found.removed_files:
        output.note(f"removed: {found.removed_files} cache files of dropped generations")
    for end in found.loose_ends:
        output.note(f"{end.count} {end.what}; the next `seehear index` sees to it")
    if found.hashes is not None:
        _tell_hashes(found.hashes)
    if found.unrepaired and not found.good:
        output.note(f"nothing was repaired: {found.unrepaired}")
    if found.lost:
        output.note(
            "the catalog has lost something: import an export or bring back a copy, or index anew "
            "into another --collection"
        )
    if found.good:
        vectors = sum(index.vectors for index in found.indexes)
        output.note(
            f"good: {output.counted(found.assets, 'asset')}, "
            f"{output.counted(found.segments, 'segment')}, {output.counted(vectors, 'vector')}"
        )


def _tell_hashes(report: RehashReport) -> None:
    for deviation in report.deviations[:LISTED]:
        print(f"{deviation.reason}: {output.shown(deviation.path)}")
    if len(report.deviations) > LISTED:
        print(f"... and {len(report.deviations) - LISTED} more; --json lists them all")
    output.note(
        f"{report.files} files read ({output.size(report.bytes_read)}), "
        f"{len(report.deviations)} not as indexed, {report.offline} offline"
    )
    if any(deviation.reason == "altered" for deviation in report.deviations):
        output.note(
            "altered: other content under the same size and time, as a failing disk makes it; "
            + ("the next `seehear index` reads it again" if report.marked else "not marked")
        )


def export(
    archive: Annotated[Path, typer.Argument(metavar="FILE", help="A file that is not there yet.")],
    collection: CollectionOption = None,
    json: JsonOption = False,
) -> None:
    """Write the collection into one file, to keep or to move.

    The media themselves and the caches are not in it. Others may search and index meanwhile.
    """
    with open_collection(collection) as library:
        manifest = library.export_to(archive)
    if json:
        output.print_json(dataclasses.asdict(manifest))
    else:
        output.note(
            f"{output.counted(manifest.assets, 'asset')} of "
            f"{output.counted(len(manifest.roots), 'root')} in {output.shown(archive)} "
            f"({output.size(manifest.size_bytes)})"
        )


def import_(
    archive: Annotated[Path, typer.Argument(metavar="FILE", help="What `export` wrote.")],
    moved: Annotated[
        list[str] | None,
        typer.Option("--map", metavar="OLD=NEW", help="What lay in OLD lies in NEW; repeatable."),
    ] = None,
    collection: CollectionOption = None,
    json: JsonOption = False,
) -> None:
    """Fill an empty collection from an export. Index its folders afterwards: files that are the
    same are not encoded again."""
    from seehear.stores.archive import read_manifest

    folders = dict(_pair(line) for line in moved or ())
    read_manifest(archive)  # before a collection is made for something that is no export
    with open_collection(collection, must_exist=False) as library:
        manifest = library.import_from(archive, folders)
        roots = library.roots()
    if json:
        now = [{"path": str(root.path), "online": root.online} for root in roots]
        output.print_json({**dataclasses.asdict(manifest), "roots_now": now})
        return
    output.note(f"{output.counted(manifest.assets, 'asset')} imported")
    for root in roots:
        there = "" if root.online else " (not there: import with --map, or mount it)"
        print(f"root {output.shown(root.path)}{there}")


def _pair(line: str) -> tuple[Path, Path]:
    old, sign, new = line.partition("=")
    if not (old and sign and new):
        raise UsageError(f"--map takes OLD=NEW, not {line!r}")
    return Path(old), Path(new)


def register(app: typer.Typer) -> None:
    for command in (verify, export):
        app.command()(command)
    app.command("import")(import_)
