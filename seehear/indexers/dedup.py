"""Decide which file's content is decoded, so that duplicates within one run are encoded once.

Decode workers ask for each content whether it is wanted, in no particular order. The first file
of a content claims it. Later files with the same content are attached to the claim: they get a
location when the content is written, or its failure when it fails.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from seehear.stores import FileTask


@dataclass(frozen=True, slots=True)
class IndexFailure:
    """Why a content cannot be indexed; `permanent` if trying again would give the same."""

    stage: str
    reason: str
    permanent: bool


@dataclass(slots=True)
class _Claim:
    followers: list[FileTask] = field(default_factory=list)
    owned: bool = False
    """True once the claiming file has left its worker: it will be written or fail."""
    refusal: IndexFailure | None = None


class InFlightContents:
    """The contents that this run decodes, with the files attached to each. Thread-safe.

    `is_known` tells whether the generation already has a content, by its hash.
    """

    def __init__(self, is_known: Callable[[str], bool]) -> None:
        self._is_known = is_known
        self._claims: dict[str, _Claim] = {}
        self._lock = threading.Lock()

    def try_claim(self, digest: str) -> bool:
        """Claim a content for decoding; False where it is known, claimed or failed."""
        with self._lock:
            if digest in self._claims or self._is_known(digest):
                return False
            self._claims[digest] = _Claim()
            return True

    def confirm(self, digest: str) -> None:
        """Confirm a claim: the file that claimed the content will be written or fail."""
        with self._lock:
            self._claims.setdefault(digest, _Claim()).owned = True

    def attach(self, digest: str, file: FileTask) -> IndexFailure | bool:
        """Join the claim of a content that was not wanted.

        Returns True if the file will be written with the claim, False if no claim exists because
        the catalog has the content, or the IndexFailure of the content.
        """
        with self._lock:
            claim = self._claims.get(digest)
            if claim is None:
                return False
            if claim.refusal is not None:
                return claim.refusal
            claim.followers.append(file)
            return True

    def complete(self, digest: str) -> list[FileTask]:
        """End the claim of a content that is about to be written, or not read after all; return the
        attached files."""
        with self._lock:
            claim = self._claims.pop(digest, None)
            return claim.followers if claim is not None else []

    def fail(self, digest: str, refusal: IndexFailure) -> list[FileTask]:
        """Record a failure; return the attached files. Files attached later get the failure."""
        with self._lock:
            claim = self._claims.setdefault(digest, _Claim())
            claim.refusal = refusal
            followers, claim.followers = claim.followers, []
            return followers

    def orphans(self) -> list[FileTask]:
        """Remove the claims that no file confirmed; return their attached files."""
        with self._lock:
            lost = {d: c for d, c in self._claims.items() if not (c.owned or c.refusal)}
            for digest in lost:
                del self._claims[digest]
            return [file for claim in lost.values() for file in claim.followers]


class KnownContents:
    """The hashes of encoded contents by size, which saves encoders the copies of them.

    In a file without a name, so that any number of them needs the same memory.
    """

    def __init__(self, found: Iterable[tuple[int, str]]) -> None:
        self._database = sqlite3.connect("", isolation_level=None)
        self._database.execute("CREATE TABLE known (size INTEGER, hash TEXT)")
        self._database.execute("CREATE INDEX by_size ON known (size)")
        self._database.execute("BEGIN")
        self._database.executemany("INSERT INTO known VALUES (?, ?)", found)

    def add(self, size_bytes: int, content_hash: str) -> None:
        self._database.execute("INSERT INTO known VALUES (?, ?)", (size_bytes, content_hash))

    def of_sizes(self, sizes: Iterable[int]) -> frozenset[str]:
        """Return the hashes of all contents of some sizes."""
        query = "SELECT hash FROM known WHERE size = ?"
        return frozenset(
            hash_ for size in sizes for (hash_,) in self._database.execute(query, (size,))
        )

    def close(self) -> None:
        self._database.close()
