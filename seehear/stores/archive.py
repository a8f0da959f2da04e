"""Export a collection as one archive file, and fill a catalog from such a file.

    an archive     a tar file, uncompressed, of two members in this order:
                   manifest.json    schema, size and BLAKE2b-256 of the catalog, and a summary
                   catalog.db       the catalog, as of one instant

Caches are not included; they are rebuilt. An archive comes from elsewhere: members are read by name
and never unpacked to a path that they name, the digest is compared before anything is opened, and
`archive_check` compares the manifest, the schema and every value with what seehear writes.
"""

from __future__ import annotations

import errno
import hashlib
import io
import json
import os
import sqlite3
import tarfile
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

from seehear.errors import SchemaVersionError, StorageFullError, StoreError, UsageError
from seehear.files import make_private, scratch_folder
from seehear.stores import archive_check
from seehear.stores.catalog.catalog import Catalog
from seehear.stores.catalog.database import FILE_NAME, HEAD
from seehear.stores.catalog.integrity import Severity

MAGIC = "seehear-collection"
LAYOUT = 1
MANIFEST = "manifest.json"
MANIFEST_BYTES = 1 << 20
BLOCK_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Manifest:
    """What an archive states about itself."""

    magic: str
    layout: int
    schema: str
    size_bytes: int
    digest: str
    """BLAKE2b-256 of the catalog, hex."""
    model: str | None
    assets: int
    roots: tuple[str, ...]
    exported_at: str


def export(catalog: Catalog, target: Path) -> Manifest:
    """Write a catalog, as it is at one instant, into a new file, completely or not at all.

    Other processes may go on reading and writing. Raises UsageError where the file exists already,
    StoreError where it cannot be written, StorageFullError where the disk is full.
    """
    if target.exists():
        raise UsageError(f"{target} already exists; choose another name")
    with _disk(f"cannot write {target}"), scratch_folder(target.parent) as scratch:
        copy = scratch / FILE_NAME
        catalog.copy_to(copy)
        with closing(Catalog.open(scratch, read_only=True)) as copied:
            if _is_damaged(copied):
                raise StoreError(
                    f"the collection in {catalog.folder} is damaged and was not exported; "
                    "run `seehear verify`, which says what to do"
                )
        archive_check.check_values(scratch, f"the collection in {catalog.folder} was not exported")
        with copy.open("rb") as file:
            digest, size = _digest(file)
        with closing(_opened(copy)) as snapshot:
            manifest = _described(snapshot, digest, size)
        packed = scratch / "archive"
        make_private(packed)
        with packed.open("wb") as file:
            with tarfile.open(fileobj=file, mode="w", format=tarfile.PAX_FORMAT) as tar:
                told = json.dumps(asdict(manifest), indent=2).encode("ascii")
                tar.addfile(_member(MANIFEST, len(told)), io.BytesIO(told))
                with copy.open("rb") as source:
                    tar.addfile(_member(FILE_NAME, size), source)
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(packed, target)  # unlike a rename, never replaces a file
        except FileExistsError:
            raise UsageError(f"{target} already exists; choose another name") from None
        except OSError:  # the file system has no links
            packed.replace(target)
    return manifest


def restore(archive: Path, catalog: Catalog, mapping: Mapping[Path, Path]) -> Manifest:
    """Fill an empty catalog from an archive, its paths mapped from old to new folders.

    The catalog is filled completely or not at all. Raises UsageError for a catalog that is not
    empty, a mapping that matches no path, and a file that is not an archive; StoreError for an
    archive that is truncated, altered or unsafe; SchemaVersionError for one of a newer version.
    """
    with catalog.write_lock(), _disk(f"cannot import {archive}"):
        if catalog.locations.roots() or catalog.generations.all() or catalog.counts().assets:
            raise UsageError(
                f"the collection in {catalog.folder} is not empty; import into another --collection"
            )
        with scratch_folder(catalog.folder) as scratch:
            copy = scratch / FILE_NAME
            manifest = _unpack(archive, copy)
            _check_schema(copy, archive, manifest.schema)
            _prepare(scratch, archive, mapping)
            catalog.fill_from(copy)
    return manifest


def _prepare(folder: Path, archive: Path, mapping: Mapping[Path, Path]) -> None:
    """Migrate the unpacked catalog to the newest schema, check it and map its paths."""
    try:
        Catalog.open(folder).close()
    except StorageFullError:
        raise
    except (StoreError, ValueError, TypeError, AttributeError, RecursionError) as error:
        raise StoreError(
            f"{archive} was not imported: its catalog cannot be read; export it again"
        ) from error
    archive_check.check_values(folder, f"{archive} was not imported")
    with closing(Catalog.open(folder)) as moved:
        moved.generations.clear_blobs()  # the next index run computes them anew
        moved.locations.relocate(mapping)
        if _is_damaged(moved):
            raise StoreError(f"{archive} contains a damaged catalog; export it again")
        moved.changes.renew_identity()


def _is_damaged(catalog: Catalog) -> bool:
    """Tell whether anything in a catalog is wrong that cannot be derived from the rest."""
    faults = catalog.integrity_issues()
    return any(fault.kind is not Severity.DERIVED for fault in faults) or bool(
        catalog.damaged_encodings()
    )


def read_manifest(archive: Path) -> Manifest:
    """Read what an archive states about itself, without unpacking it.

    Raises UsageError where the file is missing or is not an archive.
    """
    if not archive.is_file():
        raise UsageError(f"no such file: {archive}")
    try:
        with archive.open("rb") as file, tarfile.open(fileobj=file, mode="r:") as tar:
            return _told(tar, archive)
    except (tarfile.TarError, EOFError) as error:
        raise _no_archive(archive) from error


def _told(tar: tarfile.TarFile, archive: Path) -> Manifest:
    told = _read_member(tar, MANIFEST, archive)
    if told.size > MANIFEST_BYTES:
        raise _no_archive(archive)
    return _manifest(_content(tar, told).read(), archive)


def _unpack(archive: Path, target: Path) -> Manifest:
    """Copy the catalog of an archive to a file, and compare its digest while copying."""
    if not archive.is_file():
        raise UsageError(f"no such file: {archive}")
    cut = StoreError(f"{archive} is incomplete or damaged; export it again")
    try:
        with archive.open("rb") as file, tarfile.open(fileobj=file, mode="r:") as tar:
            manifest = _told(tar, archive)
            held = _read_member(tar, FILE_NAME, archive)
            if held.size != manifest.size_bytes:
                raise cut
            digest, size = _digest(_content(tar, held), target)
            if (digest, size) != (manifest.digest, manifest.size_bytes):
                raise cut
            if tar.next() is not None:
                raise StoreError(f"{archive} contains more than a collection; not imported")
    except (tarfile.TarError, EOFError) as error:
        # A file that does not begin as an archive is not one; a later error means a truncated
        # archive.
        raise (_no_archive(archive) if not target.exists() else cut) from error
    return manifest


def _read_member(tar: tarfile.TarFile, name: str, archive: Path) -> tarfile.TarInfo:
    """Return the next member, which must be a plain file of that name."""
    member = tar.next()
    if member is None:
        raise StoreError(f"{archive} is incomplete or damaged; export it again")
    if member.name != name or not member.isreg() or member.issparse():
        raise _no_archive(archive)
    return member


def _content(tar: tarfile.TarFile, member: tarfile.TarInfo) -> BinaryIO:
    content = tar.extractfile(member)
    assert content is not None  # it is a plain file
    return content  # type: ignore[return-value]


def _no_archive(archive: Path) -> UsageError:
    return UsageError(
        f"{archive} is not an export of a collection; make one with `seehear export FILE`"
    )


def _manifest(told: bytes, archive: Path) -> Manifest:
    try:
        values = json.loads(told)
    except (ValueError, RecursionError):
        raise _no_archive(archive) from None
    if isinstance(values, dict) and values.get("magic") == MAGIC:
        layout, schema = values.get("layout"), values.get("schema")
        if layout != LAYOUT or (isinstance(schema, str) and schema > HEAD):
            raise _too_new(archive)
        if (fault := archive_check.manifest_fault(values)) is not None:
            raise StoreError(f"{archive} was not imported: in its manifest, {fault}")
        return Manifest(**{**values, "roots": tuple(values["roots"])})
    raise _no_archive(archive)


def _too_new(archive: Path) -> SchemaVersionError:
    return SchemaVersionError(
        f"{archive} was written by a newer seehear (this one knows schema {HEAD}); update seehear"
    )


def _check_schema(path: Path, archive: Path, version: str) -> None:
    """Refuse a database that is not a catalog of the schema that its manifest states."""
    try:
        archive_check.check_schema(path, archive, version)
        with closing(_opened(path)) as database:
            stated = database.execute("SELECT version_num FROM alembic_version").fetchall()
    except sqlite3.Error as error:
        raise StoreError(f"{archive} contains no catalog that can be read") from error
    if any(isinstance(number, str) and number > HEAD for (number,) in stated):
        raise _too_new(archive)
    if stated != [(version,)]:
        raise StoreError(f"{archive} was not imported: its catalog states another schema")


def _opened(path: Path) -> sqlite3.Connection:
    database = sqlite3.connect(path)
    database.execute("PRAGMA trusted_schema=OFF")
    database.execute("PRAGMA cell_size_check=ON")
    return database


def _described(snapshot: sqlite3.Connection, digest: str, size: int) -> Manifest:
    def one(query: str) -> str | None:
        row = snapshot.execute(query).fetchone()
        return None if row is None else row[0]

    roots = snapshot.execute("SELECT path FROM roots ORDER BY id").fetchall()
    return Manifest(
        magic=MAGIC,
        layout=LAYOUT,
        schema=str(one("SELECT version_num FROM alembic_version")),
        size_bytes=size,
        digest=digest,
        model=one("SELECT model FROM generations WHERE state = 'serving'"),
        assets=int(one("SELECT count(*) FROM assets") or 0),
        roots=tuple(
            "".join(char if char.isprintable() else ascii(char)[1:-1] for char in os.fsdecode(path))
            for (path,) in roots
        ),
        exported_at=datetime.now(UTC).isoformat(timespec="seconds"),
    )


def _member(name: str, size: int) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.size, member.mode, member.mtime = size, 0o600, int(time.time())
    return member


def _digest(source: BinaryIO, target: Path | None = None) -> tuple[str, int]:
    """Return BLAKE2b-256 in hex and size of what is read; copy it to a file at the same time."""
    digest, size = hashlib.blake2b(digest_size=32), 0
    with open(os.devnull if target is None else target, "wb") as file:  # noqa: PTH123
        while block := source.read(BLOCK_BYTES):
            digest.update(block)
            file.write(block)
            size += len(block)
    return digest.hexdigest(), size


@contextmanager
def _disk(action: str) -> Iterator[None]:
    """Turn disk errors into StoreError, or StorageFullError where the disk is full."""
    try:
        yield
    except OSError as error:
        if error.errno in {errno.ENOSPC, errno.EDQUOT}:
            raise StorageFullError(f"{action}: the disk is full; make room and try again") from None
        raise StoreError(f"{action}: {error.strerror or error}") from None
