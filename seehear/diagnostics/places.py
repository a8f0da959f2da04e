"""Check the collection and its lock, free disk space, and caches."""

from __future__ import annotations

import os
import shutil
import socket
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from urllib.parse import quote

from seehear.config import DEFAULT_MODEL, MilvusAddress, Settings, default_cache, default_collection
from seehear.diagnostics.rows import Level, Row
from seehear.libraries import how_to_get
from seehear.sources import is_remote, path_of, scheme_of
from seehear.sources.paths import libraries_of

CATALOG = "catalog.db"
MIGRATIONS = Path(__file__).resolve().parents[1] / "stores" / "catalog" / "migrations" / "versions"
LITTLE_BYTES, LEAST_BYTES = 2 << 30, 200 << 20
MOUNTS = Path("/proc/mounts")
_SHARES = {"nfs", "nfs4", "cifs", "smb3", "smbfs", "afs", "ceph", "9p", "fuse.sshfs", "fuse.rclone"}


def collection_rows(folder: Path | None, settings: Settings) -> list[Row]:
    """Check the collection: whether it exists, can be read and written, who writes, free disk."""
    folder = path_of(folder or default_collection()).expanduser().absolute()
    if is_remote(folder):
        found = f"{folder} cannot hold a collection: media may lie at a URL, a collection may not"
        return [Row("collection", Level.FAULT, found, "choose another --collection")]
    rows = [_collection_row(folder, settings)]
    if settings.database is not None:
        rows.append(_database_row(settings.database))
    if (milvus := MilvusAddress.of(settings.vectors)) is not None:
        rows.append(_milvus_row(milvus))
    if (kind := network_share(folder)) is not None:
        rows.append(
            Row(
                "share",
                Level.WARNING,
                f"the collection is on a network share ({kind}), where locks are unsafe",
                "keep it on a disk of this machine; the media may stay on the share",
            )
        )
    if settings.database is None:  # else the server has the lock
        rows += [*_library_rows(folder / CATALOG), lock_row(folder)]
    return [*rows, disk_row("disk", folder)]


def _database_row(url: str) -> Row:
    """Check that the server lets us in. Its URL is not told: it may hold a password."""
    try:
        import psycopg
    except ImportError:
        missing = "the library psycopg is not installed"
        return Row("database", Level.FAULT, missing, "pip install 'seehear[postgres]'")
    remedy = "start PostgreSQL there, or set SEEHEAR_DATABASE to another URL or to nothing"
    _, _, rest = url.partition("://")
    try:
        psycopg.connect(f"postgresql://{rest}", connect_timeout=3).close()
    except psycopg.ProgrammingError:
        return Row("database", Level.FAULT, "SEEHEAR_DATABASE is not a URL of PostgreSQL", remedy)
    except psycopg.Error as error:
        told = str(error).strip().partition("\n")[0]
        return Row("database", Level.FAULT, f"no connection to the database ({told})", remedy)
    return Row("database", Level.OK, "the catalog is on a PostgreSQL server, which answers")


def _milvus_row(address: MilvusAddress) -> Row:
    """Check that the server can be reached; who may ask it, a search tells."""
    try:
        socket.create_connection((address.host, address.port), timeout=3.0).close()
    except OSError as error:
        return Row(
            "vectors",
            Level.FAULT,
            f"nothing answers at {address}: {error.strerror or error}",
            "start Milvus there, or search by this machine's own indexes: SEEHEAR_VECTORS=local",
        )
    return Row("vectors", Level.OK, f"a server answers at {address}")


def _collection_row(folder: Path, settings: Settings) -> Row:
    catalog = folder / CATALOG
    if not folder.exists():
        return _new_row(folder)
    if not folder.is_dir():
        return Row("collection", Level.FAULT, f"{folder} is a file", "choose another --collection")
    if settings.database is not None:
        return _permission_row(folder, f"{folder} (caches and lock)")
    if catalog.is_file():
        return _catalog_row(folder, catalog)
    if any(not entry.name.startswith(".") for entry in folder.iterdir()):
        return Row(
            "collection",
            Level.FAULT,
            f"{folder} holds other files and is not a collection",
            "give the collection a folder of its own with --collection",
        )
    return _new_row(folder)


def _catalog_row(folder: Path, catalog: Path) -> Row:
    try:
        version, _ = _read(catalog)
    except sqlite3.Error as error:
        return Row(
            "collection",
            Level.FAULT,
            f"{catalog} cannot be read: {error}",
            "run `seehear verify`; if that fails, import an export or index again",
        )
    newest = newest_schema()
    if version is not None and version > newest:
        return Row(
            "collection",
            Level.FAULT,
            f"{folder} was written by a newer seehear (schema {version}, this one knows {newest})",
            "install the newest seehear",
        )
    older = "" if version == newest else f", will be upgraded to schema {newest}"
    return _permission_row(folder, f"{folder} (schema {version}{older})")


def _library_rows(catalog: Path) -> list[Row]:
    """Warn of indexed folders beyond this machine that need a library that is missing."""
    urls = []
    with suppress(sqlite3.Error), _opened(catalog) as database:
        urls = [os.fsdecode(path) for (path,) in database.execute("SELECT path FROM roots")]
    return [
        Row("folder", Level.WARNING, f"{url} needs the library {module}, which is missing", advice)
        for url in urls
        if is_remote(url)
        for module in libraries_of(scheme_of(url))
        if (advice := how_to_get(module)) is not None
    ]


def _new_row(folder: Path) -> Row:
    parent = _existing(folder)
    if not os.access(parent, os.W_OK):
        return Row(
            "collection",
            Level.FAULT,
            f"{folder} does not exist, and {parent} cannot be written",
            "choose another --collection, or make that folder writable",
        )
    return Row(
        "collection", Level.OK, f"none in {folder} yet. Make one with `seehear index FOLDER`"
    )


def _permission_row(folder: Path, found: str) -> Row:
    if not os.access(folder, os.R_OK | os.X_OK):
        return Row("collection", Level.FAULT, f"{folder} cannot be read", "make it readable")
    files = [folder, *(path for path in (folder / CATALOG,) if path.exists())]
    if not all(os.access(path, os.W_OK) for path in files):
        return Row(
            "collection",
            Level.WARNING,
            f"{found} is read-only: it can be searched, not indexed",
            "make it writable to index",
        )
    return Row("collection", Level.OK, found)


def model_of(folder: Path | None, settings: Settings) -> tuple[str, str]:
    """Return the model of a collection, else that of the settings, and the device."""
    folder = (folder.expanduser() if folder is not None else default_collection()).absolute()
    name = None
    with suppress(sqlite3.Error):
        if settings.database is None and (folder / CATALOG).is_file():
            _, name = _read(folder / CATALOG)
    return name or settings.model or DEFAULT_MODEL, settings.device


@contextmanager
def _opened(catalog: Path) -> Iterator[sqlite3.Connection]:
    """Open a catalog to read it. Raises sqlite3.Error."""
    # A folder that cannot be written cannot be opened with its log; then nobody writes it either.
    mode = "ro" if os.access(catalog.parent, os.W_OK) else "ro&immutable=1"
    target = f"file:{quote(os.fsencode(catalog))}?mode={mode}"
    with closing(sqlite3.connect(target, uri=True, timeout=5.0)) as database:
        yield database


def _read(catalog: Path) -> tuple[str | None, str | None]:
    """Return schema version and serving model of a catalog. Raises sqlite3.Error."""
    with _opened(catalog) as database:
        version = database.execute("SELECT version_num FROM alembic_version").fetchone()
        serving = database.execute(
            "SELECT model FROM generations WHERE state = 'serving'"
        ).fetchone()
    return (version[0] if version else None), (serving[0] if serving else None)


def newest_schema() -> str:
    """Return the newest schema that this seehear knows, from the names of its migrations."""
    return max(path.name[1:5] for path in MIGRATIONS.glob("v[0-9][0-9][0-9][0-9]_*.py"))


def lock_row(folder: Path) -> Row:
    """Report who holds the collection for writing."""
    lock = folder / "write.lock"
    if not _is_locked(lock):
        return Row("lock", Level.OK, "nobody is writing to the collection")
    holder = "another process"
    with suppress(OSError, ValueError):
        holder = f"process {int((folder / 'write.pid').read_text(encoding='ascii'))}"
    return Row(
        "lock",
        Level.WARNING,
        f"{holder} is writing to the collection",
        "searches work; to index, wait for it to end or stop it",
    )


def _is_locked(lock: Path) -> bool:
    try:
        import fcntl
    except ImportError:  # Windows: a locked file cannot be opened for writing
        return lock.is_file() and not os.access(lock, os.W_OK)
    try:
        with lock.open("rb") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return True
            fcntl.flock(file, fcntl.LOCK_UN)
    except OSError:
        return False
    return False


def disk_row(topic: str, folder: Path) -> Row:
    """Check the free space on the disk of a folder, or of its nearest existing parent."""
    free = shutil.disk_usage(_existing(folder)).free
    found = f"{free / 1e9:.1f} GB free for {folder}"
    if free < LEAST_BYTES:
        return Row(topic, Level.FAULT, found, "make room on that disk")
    if free < LITTLE_BYTES:
        return Row(topic, Level.WARNING, found, "make room soon")
    return Row(topic, Level.OK, found)


def cache_rows() -> list[Row]:
    """Check the size of the cache folder, and whether it can be written."""
    folder = default_cache().absolute()
    if not folder.exists():
        parent = _existing(folder)
        writable = os.access(parent, os.W_OK)
        found = f"none in {folder} yet"
    else:
        writable = os.access(folder, os.W_OK)
        found = f"{folder}, {_size(folder) / 1e6:.1f} MB"
    if not writable:
        return [
            Row(
                "cache",
                Level.WARNING,
                f"{folder} cannot be written: what would be kept there is computed each time",
                "make it writable, or set SEEHEAR_CACHE to another folder",
            )
        ]
    return [Row("cache", Level.OK, found)]


def network_share(folder: Path) -> str | None:
    """Return the type of the network share of a folder; None on a disk or where unknown."""
    try:
        lines = MOUNTS.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    except OSError:
        return None  # the system has no such list
    here, best, kind = _existing(folder).resolve(), -1, ""
    for line in lines:
        fields = line.split(" ")
        if len(fields) < 3:
            continue
        point = Path(fields[1].replace("\\040", " ").replace("\\011", "\t"))
        if here.is_relative_to(point) and len(point.parts) >= best:
            best, kind = len(point.parts), fields[2]
    return kind if kind in _SHARES else None


def _existing(folder: Path) -> Path:
    """Return the folder itself, or the nearest existing one above it."""
    return next(path for path in (folder, *folder.parents) if path.is_dir())


def _size(folder: Path) -> int:
    total = 0
    for path in folder.rglob("*"):
        with suppress(OSError):
            total += path.lstat().st_size
    return total
