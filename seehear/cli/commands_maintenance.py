"""Commands that look after a collection: check it, back it up, move it."""

from __future__ import annotations

import dataclasses
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from seehear.cli import output, progress
from seehear.cli.commands_index import stop_on_interrupt
from seehear.cli.options import (
    CollectionOption,
    ForceOption,
    JsonOption,
    UnderOption,
    open_collection,
)
from seehear.cli.process import EXIT_ERROR, EXIT_INTERRUPTED
from seehear.cli.query_options import KindsOption, WhereOption
from seehear.errors import UsageError

if TYPE_CHECKING:
    from seehear.indexers import RehashReport, Verification

LISTED = 20


def verify(
    hashes: Annotated[
        bool, typer.Option("--hashes", help="Also read every file and check that it is unchanged.")
    ] = False,
    collection: CollectionOption = None,
    json: JsonOption = False,
) -> None:
    """Check the collection and repair its caches.

    Exit status: 0 if it is OK (also after a repair), 1 if damage is left that cannot be repaired.
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
    """Return the documented fields of `verify --json`."""
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
        examples = [output.display_path(Path(example)) for example in fault.examples]
        rows = f" ({', '.join(examples)})" if examples else ""
        output.print_line(f"{fault.kind}: {fault.count} {fault.what}{rows}")
    if found.mended:
        output.note("Repaired: what the catalog derives from its data, such as its indexes")
    for index in found.indexes:
        if not index.agreed:
            output.print_line(
                f"cache: the {index.modality} index of {index.space} does not match the catalog"
            )
    if found.renewed_files:
        files = output.counted(found.renewed_files, "cache file")
        output.note(f"Repaired: {files} missing or out of date")
    if found.removed_files:
        files = output.counted(found.removed_files, "cache file")
        output.note(f"Removed: {files} of models that were dropped")
    for end in found.loose_ends:
        output.note(f"{end.count} {end.what}; the next `seehear index` cleans up")
    if found.hashes is not None:
        _tell_hashes(found.hashes)
    if found.unrepaired and not found.good:
        output.note(f"Nothing was repaired: {found.unrepaired}")
    if found.lost:
        output.note(
            "The catalog has lost data. Import an export, restore a backup, or index again into "
            "another --collection."
        )
    if found.damaged:
        output.note(
            "Run `seehear index` on their folders: it encodes again what is damaged or missing"
        )
    if found.good:
        repaired = found.mended or found.renewed_files
        vectors = sum(index.vectors for index in found.indexes)
        output.note(
            f"{'OK (repaired)' if repaired else 'OK'}: {output.counted(found.assets, 'asset')}, "
            f"{output.counted(found.segments, 'segment')}, {output.counted(vectors, 'vector')}"
        )


def _tell_hashes(report: RehashReport) -> None:
    for deviation in report.deviations[:LISTED]:
        output.print_line(f"{deviation.reason}: {output.display_path(deviation.path)}")
    if len(report.deviations) > LISTED:
        output.print_line(f"... and {len(report.deviations) - LISTED} more; --json lists them all")
    output.note(
        f"Read {output.counted(report.files, 'file')} ({output.size(report.bytes_read)}): "
        f"{len(report.deviations)} changed, altered or missing; {report.offline} offline"
    )
    if any(deviation.reason == "altered" for deviation in report.deviations):
        output.note(
            "altered: the content changed but size and date did not, as on a failing disk. "
            + (
                "The next `seehear index` reads these files again."
                if report.marked
                else "The collection could not be written, so `seehear index` will not notice."
            )
        )


def export(
    archive: Annotated[Path, typer.Argument(metavar="FILE", help="File to write.")],
    force: ForceOption = False,
    collection: CollectionOption = None,
    json: JsonOption = False,
) -> None:
    """Save the collection to one file, to keep or to move.

    Your media files and the caches are not in it. Searching and indexing can go on meanwhile.
    """
    with open_collection(collection) as library:
        manifest = library.export(archive, force=force)
    if json:
        output.print_json(dataclasses.asdict(manifest))
    else:
        output.note(
            f"Saved {output.counted(manifest.assets, 'asset')} of "
            f"{output.counted(len(manifest.roots), 'folder')} to {output.display_path(archive)} "
            f"({output.size(manifest.size_bytes)})"
        )


def export_vectors(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="FILE.npy, .parquet or .lance.")],
    kinds: KindsOption = None,
    under: UnderOption = None,
    where: WhereOption = "",
    space: Annotated[
        str | None,
        typer.Option("--space", metavar="NAME", help="Space of the model (default: the first)."),
    ] = None,
    force: ForceOption = False,
    collection: CollectionOption = None,
    json: JsonOption = False,
) -> None:
    """Write vectors with ids, paths, times and fields to a file.

    FILE.npy has the vectors, float32 (n, dim), and FILE.jsonl beside it a line for each.
    FILE.parquet and FILE.lance have both (the extras arrow and lance).
    """
    from seehear.arguments import parse_modalities

    with open_collection(collection) as library:
        count = library.export_vectors(
            file,
            modalities=parse_modalities(kinds),
            under=under,
            where=where,
            space=space,
            force=force,
        )
    if json:
        output.print_json({"vectors": count, "file": str(file)})
    else:
        output.note(f"Wrote {output.counted(count, 'vector')} to {output.display_path(file)}")


def import_vectors(
    path: Annotated[Path, typer.Argument(metavar="PATH", help="A file, or a folder of files.")],
    kind: Annotated[
        str | None,
        typer.Option("--in", metavar="KIND", help="What the vectors are of, if PATH does not say."),
    ] = None,
    space: Annotated[
        str | None,
        typer.Option("--space", metavar="NAME", help="Their space, if PATH does not say it."),
    ] = None,
    metadata: Annotated[
        Path | None,
        typer.Option("--metadata", metavar="PATH", help="What the vectors of .npy files are of."),
    ] = None,
    column: Annotated[
        str | None,
        typer.Option("--column", metavar="NAME", help="The column of the vectors."),
    ] = None,
    fields: Annotated[
        str | None,
        typer.Option("--fields", metavar="NAMES", help="Columns to keep as fields (default: all)."),
    ] = None,
    replace: Annotated[
        bool, typer.Option("--replace", help="Replace items whose id is in use.")
    ] = False,
    collection: CollectionOption = None,
    json: JsonOption = False,
) -> None:
    """Add items by vectors that were made elsewhere.

    PATH is what export-vectors writes, files of Parquet, Lance or numpy, or a folder of
    clip-retrieval or embedding-reader. All of it is added, or nothing.
    """
    from seehear.arguments import as_names, modality

    with open_collection(collection, must_exist=False) as library:
        count = library.import_vectors(
            path,
            modality=None if kind is None else modality(kind),
            space=space,
            metadata=metadata,
            column=column,
            fields=as_names(fields),
            replace=replace,
        )
    if json:
        output.print_json({"items": count})
    else:
        output.note(f"Added {output.counted(count, 'item')}.")


def import_(
    archive: Annotated[Path, typer.Argument(metavar="FILE", help="File made by `seehear export`.")],
    moved: Annotated[
        list[str] | None,
        typer.Option("--map", metavar="OLD=NEW", help="Old folder=new folder; repeatable."),
    ] = None,
    collection: CollectionOption = None,
    json: JsonOption = False,
) -> None:
    """Load an export into an empty collection.

    Index its folders afterwards: files that have not changed are not encoded again.
    """
    from seehear.stores.archive import read_manifest

    folders = dict(_pair(line) for line in moved or ())
    read_manifest(archive)  # before a collection is made for another kind of file
    with open_collection(collection, must_exist=False) as library:
        manifest = library.import_archive(archive, folders)
        roots = library.roots()
    if json:
        now = [{"path": str(root.path), "online": root.online} for root in roots]
        output.print_json({**dataclasses.asdict(manifest), "roots_now": now})
        return
    output.note(f"Imported {output.counted(manifest.assets, 'asset')}.")
    for root in roots:
        there = "" if root.online else " (not found: connect its drive, or import again with --map)"
        output.print_line(f"folder {output.display_path(root.path)}{there}")


def _pair(line: str) -> tuple[Path, Path]:
    old, sign, new = line.partition("=")
    if not (old and sign and new):
        raise UsageError(f"--map takes OLD=NEW, not {line!r}")
    return Path(old), Path(new)
