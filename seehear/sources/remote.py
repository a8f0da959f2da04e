"""List and read what lies beyond this machine, by fsspec, the same way for every protocol.

    states    RemoteState: size, time, and a mark in place of an inode, from etag, version or time
    listing   one folder at a time, as pages come: what is not listed is not known to be gone
    reading   whole (`fetch`), or in ranges through `open_file`

Every wait is bounded, and every error of a library becomes a SourceError.
"""

from __future__ import annotations

import hashlib
import io
import os
import shutil
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import lru_cache
from itertools import islice
from typing import Any, BinaryIO
from urllib.parse import quote, unquote

from seehear.errors import ContentChangedError, EnvironmentFaultError
from seehear.libraries import how_to_get, naming_faults
from seehear.sources.errors import SourceError, source_error
from seehear.sources.paths import libraries_of

CONNECT_S, READ_S = 5.0, 20.0
"""How long a connection, and the next bytes, are waited for; each is tried twice."""
BLOCK_BYTES, BLOCKS = 2 << 20, 16
"""Of a file that is read in ranges, the block of one request, and how many are held."""
STREAM_BYTES = 16 << 20
"""Of a file that is read from start to end, what one request brings."""
ASKED_AT_ONCE = 16
"""Requests for the state of files, where a listing does not tell it."""
SCRATCH_BYTES = 4 << 30
"""The largest file that is held on this machine because its server gives no ranges."""
NO_MARK = 0
"""The mark of a file whose server tells neither etag nor time: it is read again by each run."""
RACY_NS = 2_000_000_000
"""A time that is so near may be that of two contents, on servers that give no etag."""

_ETAGS = ("ETag", "etag", "md5Hash", "generation", "version_id", "Content-MD5", "Digest")
_TIMES = ("LastModified", "last_modified", "Last-Modified", "mtime", "updated", "modified",
          "last_write_time", "created")  # fmt: skip


@dataclass(frozen=True, slots=True)
class RemoteState:
    """What a listing tells of a file, and how an index run sees whether it has changed."""

    size_bytes: int
    modified_ns: int
    mark: int
    """63 bits of its etag or version, or of its time; NO_MARK where there is nothing to go by."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A name in a folder, with its state; a folder has none."""

    name: str
    state: RemoteState | None


class _Source:
    """The file system of a URL, and how it calls what lies at one."""

    def __init__(self, url: str) -> None:
        scheme, _, rest = url.partition("://")
        self.url, self.scheme = url, scheme
        host = rest.partition("/")[0] if scheme in {"sftp", "smb"} else ""
        self.files: Any = _file_system(scheme, host)
        if scheme.startswith("http"):
            self.path = f"{scheme}://{quote(rest, safe='/:@')}"
        elif host:
            self.path = "/" + rest.partition("/")[2]
        else:
            self.path = ("/" if scheme == "memory" else "") + rest.rstrip("/")


@lru_cache(maxsize=64)
def _file_system(scheme: str, host: str) -> Any:
    for module in libraries_of(scheme):
        if (advice := how_to_get(module)) is not None:
            told = f"{scheme}:// needs the library {module}, which is not installed; {advice}"
            raise EnvironmentFaultError(told, module)
    with naming_faults():
        import fsspec

        common: dict[str, Any] = {"use_listings_cache": False}
        if scheme == "s3":
            import s3fs

            files = s3fs.S3FileSystem(
                config_kwargs={
                    "connect_timeout": CONNECT_S,
                    "read_timeout": READ_S,
                    "max_pool_connections": 2 * ASKED_AT_ONCE,
                    "retries": {"max_attempts": 1},
                },
                **common,
            )
            files.retries = 2
            return files
        if scheme.startswith("http"):
            import aiohttp

            timeout = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_S, sock_read=READ_S)
            return fsspec.filesystem(
                "http",
                encoded=True,
                client_kwargs={"timeout": timeout, "trust_env": True},
                **common,
            )
        if host:
            kind = fsspec.get_filesystem_class(scheme)
            return kind(**kind._get_kwargs_from_urls(f"{scheme}://{host}/"), **common)
        return fsspec.filesystem(scheme, **common)


@contextmanager
def _told(url: str, *, is_root: bool = False) -> Iterator[None]:
    """Turn what a library raises into a SourceError."""
    try:
        yield
    except (SourceError, EnvironmentFaultError, ContentChangedError):
        raise
    except Exception as error:  # each library has a tree of its own
        raise source_error(error, url, is_root=is_root) from None


def state_of(url: str | os.PathLike[str]) -> RemoteState:
    """Return the state of a file. Raises SourceError, of the kind MISSING where there is none."""
    url = os.fspath(url)
    with _told(url):
        source = _Source(url)
        return _state(source.files.info(source.path))


def find_root(url: str | os.PathLike[str]) -> Entry:
    """Return what lies at a URL, a file or a folder.

    Raises SourceError where nothing does or it cannot be reached, EnvironmentFaultError where the
    library of its protocol is missing.
    """
    url = os.fspath(url)
    with _told(url, is_root=True):
        source = _Source(url)
        info = source.files.info(source.path)
        # What a server of HTTP has at a folder is a page that lists it.
        is_page = source.scheme.startswith("http") and info.get("mimetype") in {"text/html", None}
        is_folder = is_page or info["type"] == "directory"
        return Entry(url.rpartition("/")[2], None if is_folder else _state(info))


def list_folder(url: str | os.PathLike[str]) -> Iterator[Entry]:
    """Yield what a folder holds, files and folders, in any order.

    Names that are not one step of a path (empty, `..`) are left out. Raises SourceError, also
    halfway: what was yielded by then is there, and of the rest nothing is known.
    """
    url = os.fspath(url)
    with _told(url):
        source = _Source(url)
        rows = _pages_of_s3(source) if source.scheme == "s3" else _rows(source)
        for row in rows:
            full, is_folder = str(row["name"]), row["type"] == "directory"
            if not is_folder and full.endswith("/"):
                continue  # S3 has such an object for a folder itself
            name = full.rstrip("/")
            if name == source.path.rstrip("/"):
                continue
            name = name.rpartition("/")[2]
            if source.scheme.startswith("http"):
                name = unquote(name)
            if name not in {"", ".", ".."} and "/" not in name and "\0" not in name:
                yield Entry(name, None if is_folder else _state(row))


def _pages_of_s3(source: _Source) -> Iterator[dict[str, Any]]:
    """Yield the names in a folder of S3 as pages of a thousand come, which takes little memory."""
    bucket, _, key = source.path.partition("/")
    asked = {"Bucket": bucket, "Prefix": f"{key}/" if key else "", "Delimiter": "/"}
    while True:
        page = source.files.call_s3("list_objects_v2", **asked)
        for one in page.get("CommonPrefixes", ()):
            yield {"name": one["Prefix"], "type": "directory"}
        for one in page.get("Contents", ()):
            yield one | {"name": one["Key"], "size": one["Size"], "type": "file"}
        if not page.get("IsTruncated"):
            return
        asked["ContinuationToken"] = page["NextContinuationToken"]


def _rows(source: _Source) -> Iterator[dict[str, Any]]:
    is_web = source.scheme.startswith("http")
    listed = source.files.ls(source.path.rstrip("/") + "/" if is_web else source.path, detail=True)
    if not is_web:
        yield from listed
        return
    here = source.path.rstrip("/") + "/"
    rows = [row for row in listed if row["name"].startswith(here) and "?" not in row["name"]]
    with ThreadPoolExecutor(ASKED_AT_ONCE, "seehear-ask") as pool:
        inside = iter([row for row in rows if "/" not in row["name"][len(here) :].rstrip("/")])
        while chunk := list(islice(inside, 4 * ASKED_AT_ONCE)):
            yield from pool.map(lambda row: _asked(source, row), chunk)


def _asked(source: _Source, row: dict[str, Any]) -> dict[str, Any]:
    """Ask for the state of a file that a page of HTTP names."""
    if row["type"] == "directory":
        return row
    return {**source.files.info(row["name"]), "name": row["name"], "type": "file"}


def _state(info: dict[str, Any]) -> RemoteState:
    modified_ns = next((_time_ns(info[name]) for name in _TIMES if info.get(name)), 0)
    etag = next((str(info[name]) for name in _ETAGS if info.get(name)), "")
    mark = NO_MARK
    if etag or (modified_ns and abs(time.time_ns() - modified_ns) > RACY_NS):
        digest = hashlib.blake2b((etag or str(modified_ns)).encode(), digest_size=8).digest()
        mark = int.from_bytes(digest) >> 1 or 1
    return RemoteState(int(info.get("size") or 0), modified_ns, mark)


def _time_ns(value: Any) -> int:
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value)
        except ValueError:
            try:
                value = parsedate_to_datetime(value)
            except ValueError:
                return 0
    if isinstance(value, datetime):
        value = (value if value.tzinfo else value.replace(tzinfo=UTC)).timestamp()
    return int(value * 1e9) if isinstance(value, int | float) else 0


def fetch(url: str | os.PathLike[str]) -> bytes:
    """Return the whole content of a file. Raises SourceError."""
    url = os.fspath(url)
    with _told(url):
        source = _Source(url)
        content: bytes = source.files.cat_file(source.path)
        return content


def fetch_into(url: str | os.PathLike[str], file: BinaryIO) -> None:
    """Write the whole content of a file to an open one. Raises SourceError, OSError."""
    url = os.fspath(url)
    with _told(url):
        source = _Source(url)
        content = source.files.open(
            source.path, "rb", block_size=STREAM_BYTES, cache_type="readahead"
        )
    with content:
        while True:
            with _told(url):
                part = content.read(STREAM_BYTES)
            if not part:
                break
            file.write(part)  # whose errors are those of this machine


class SourceFile(io.RawIOBase):
    """A file beyond this machine, open for reading anywhere in it. Reading raises SourceError."""

    def __init__(self, source: _Source, size: int, inner: Any) -> None:
        self.name, self.size_bytes = source.url, size
        self._source, self._inner = source, inner
        self._lock = threading.Lock()

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        if whence == os.SEEK_END:
            offset += self.size_bytes
        elif whence == os.SEEK_CUR:
            offset += self._inner.tell()
        self._inner.seek(max(0, offset))
        return max(0, offset)

    def tell(self) -> int:
        return int(self._inner.tell())

    def readinto(self, buffer: Any) -> int:
        count = min(len(buffer), self.size_bytes - self.tell())
        data = self._read(max(0, count))
        buffer[: len(data)] = data
        return len(data)

    def close(self) -> None:
        self._inner.close()
        super().close()

    def _read(self, count: int) -> bytes:
        at = self.tell()
        with self._lock, _told(self.name):
            try:
                data: bytes = self._inner.read(count)
            except ValueError:  # a server of HTTP without ranges
                self._inner = _held(self._source, self.size_bytes)
                self._inner.seek(at)
                data = self._inner.read(count)
        return data


def open_file(url: str | os.PathLike[str], state: RemoteState | None = None) -> BinaryIO:
    """Open a file for reading in ranges.

    Raises SourceError where it cannot be read, ContentChangedError where it is not in the `state`
    that is given.
    """
    url = os.fspath(url)
    with _told(url):
        source = _Source(url)
        now = state_of(url)
        if state is not None and (now.size_bytes, now.mark) != (state.size_bytes, state.mark):
            raise ContentChangedError(
                "the file has changed since it was indexed; index its folder again", stage="open"
            )
        inner = source.files.open(
            source.path, "rb", block_size=BLOCK_BYTES,
            cache_type="blockcache", cache_options={"maxblocks": BLOCKS},
        )  # fmt: skip
        if not inner.seekable():
            inner = _held(source, now.size_bytes)
        return io.BufferedReader(SourceFile(source, now.size_bytes, inner))


def _held(source: _Source, size: int) -> BinaryIO:
    """Fetch a file as a whole, because its server gives no ranges."""
    if size > SCRATCH_BYTES:
        raise SourceError(f"its server gives no ranges, and it has over {SCRATCH_BYTES >> 30} GiB")
    file = tempfile.TemporaryFile()  # noqa: SIM115 - closed by its reader
    with source.files.open(source.path, "rb", block_size=0) as content:
        shutil.copyfileobj(content, file)
    file.seek(0)
    return file
