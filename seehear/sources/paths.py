"""Spell the paths of files that lie beyond this machine: `s3://bucket/photos/a.jpg`.

pathlib takes two slashes for one. A `RemotePath` writes both, so that what is shown, stored and
compared is the URL, while name, suffix, parent and `/` work as those of any path.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

from seehear.errors import UsageError

if TYPE_CHECKING:
    _LocalPath = Path
else:
    _LocalPath = type(Path())  # until Python 3.12 a class of its own for each system

CREDENTIALS = {
    "s3": "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, in ~/.aws or in a role of the machine",
    "gs": "GOOGLE_APPLICATION_CREDENTIALS or in `gcloud auth application-default login`",
    "az": "AZURE_STORAGE_ACCOUNT_NAME and AZURE_STORAGE_ACCOUNT_KEY",
    "sftp": "the SSH agent or in ~/.ssh",
    "smb": "FSSPEC_SMB_USERNAME and FSSPEC_SMB_PASSWORD",
    "http": "~/.netrc",
    "https": "~/.netrc",
    "memory": "no place at all",
}
"""Where the libraries look for what a person may not write into a URL."""

_LIBRARIES = {"s3": "s3fs", "gs": "gcsfs", "az": "adlfs", "sftp": "paramiko", "smb": "smbprotocol",
              "http": "aiohttp", "https": "aiohttp"}  # fmt: skip

SCHEMES = tuple(CREDENTIALS)
"""What URLs of roots begin with. `memory` is of one process, for tests."""

_REMOTE = re.compile(rf"({'|'.join(SCHEMES)}):[/\\]{{1,2}}(?![/\\])", re.IGNORECASE)
_URL = re.compile(r"([a-z][a-z0-9+.-]+):/", re.IGNORECASE)
_OF_THIS_MACHINE = re.compile(r"file:/{1,3}(?!/)", re.IGNORECASE)


class RemotePath(_LocalPath):
    """A path beyond this machine, with forward slashes everywhere."""

    __slots__ = ()

    def __str__(self) -> str:
        text = super().__str__().replace(os.sep, "/")
        found = _REMOTE.match(text)
        return text if found is None else f"{found[1]}://{text[found.end() :]}"

    def is_absolute(self) -> bool:
        return True

    def absolute(self) -> RemotePath:
        return self

    def expanduser(self) -> RemotePath:
        return self

    def is_file(self, **_: object) -> bool:
        """Return True: to ask would take a request for each file. Opening it tells."""
        return True

    def as_uri(self) -> str:
        from urllib.parse import quote

        scheme, _, rest = str(self).partition("://")
        return f"{scheme}://{quote(rest, safe='/:@')}"


def path_of(text: str | os.PathLike[str]) -> Path:
    """Return a path, also where pathlib has taken `//` for `/`; a RemotePath beyond this machine.

    Raises UsageError for a URL with a password, one that seehear cannot read, and one with `..`.
    """
    if isinstance(text, RemotePath):
        return text
    name = os.fspath(text)
    colon = name.find(":/")
    if colon < 2:  # so it is for nearly every path, which costs nothing else
        return text if isinstance(text, Path) else Path(name)
    from urllib.parse import unquote

    if (found := _REMOTE.match(name)) is not None:
        scheme, rest = found[1].lower(), name[found.end() :].replace("\\", "/")
        _check(scheme, rest)
        return RemotePath(f"{scheme}:/{unquote(rest) if scheme[:4] == 'http' else rest}")
    if (found := _OF_THIS_MACHINE.match(name)) is not None:
        return Path("/" + unquote(name[found.end() :]))
    found = _URL.match(name)
    if found is not None and found[1] != "seehear" and not os.path.lexists(name):
        raise UsageError(
            f"{found[1]}:// is not read; indexed are folders and {', '.join(SCHEMES[:-1])}"
        )
    return text if isinstance(text, Path) else Path(name)


def stored_path(raw: bytes | str) -> Path:
    """Return the path that a catalog has, or that `str` has made of one."""
    name = os.fsdecode(raw)
    colon = name.find("://")
    return RemotePath(name) if 1 < colon < 9 and _REMOTE.match(name) else Path(name)


def is_remote(path: str | os.PathLike[str]) -> bool:
    """Tell whether a path lies beyond this machine."""
    if isinstance(path, Path):
        return isinstance(path, RemotePath)
    return "://" in (name := os.fspath(path)) and _REMOTE.match(name) is not None


def libraries_of(scheme: str) -> list[str]:
    """Return the modules that read URLs of a scheme; a package has the name of its module."""
    return ["fsspec", *filter(None, [_LIBRARIES.get(scheme)])]


def scheme_of(path: str | os.PathLike[str]) -> str:
    """Return what a remote path begins with, such as "s3"."""
    return str(path).partition("://")[0]


def _check(scheme: str, rest: str) -> None:
    host = rest.partition("/")[0]
    if ":" in host.rpartition("@")[0]:
        raise UsageError(
            f"this URL of {scheme}:// holds a password, which would be stored and shown: take it "
            f"out; it belongs in {CREDENTIALS[scheme]}"
        )
    if scheme[:4] == "http" and ("?" in rest or "#" in rest):
        raise UsageError("a URL to index has no ? and no #: name the folder that is listed")
    if ".." in rest.split("/"):
        raise UsageError(f"{scheme}://{rest} has .. in it: write the folder itself")
