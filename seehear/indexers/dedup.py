"""Who decodes which content, so that duplicates within one run are encoded once.

Decode workers ask for each content whether it is wanted, in no particular order. The first file
of a content claims it; later files of the same content follow the claim and get a location when
it is written, or its failure when it fails.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field

from seehear.indexers.work_queue import Work


@dataclass(frozen=True, slots=True)
class FileStat:
    """Size, time and inode of a file at the moment when its content was read."""

    size_bytes: int
    modified_ns: int
    inode: int


@dataclass(frozen=True, slots=True)
class HashedFile:
    """A file whose content is known, or on its way."""

    work: Work
    stamp: FileStat


@dataclass(frozen=True, slots=True)
class IndexFailure:
    """Why a content cannot be indexed; `lasting` where trying again gives the same."""

    stage: str
    reason: str
    permanent: bool


@dataclass(slots=True)
class _Claim:
    followers: list[HashedFile] = field(default_factory=list)
    owned: bool = False
    """The file that claimed it came out of its worker, and will be written or refused."""
    refusal: IndexFailure | None = None


class InFlightContents:
    """Thread-safe. `is_known` says whether the generation has a content already."""

    def __init__(self, is_known: Callable[[str], bool]) -> None:
        self._is_known = is_known
        self._claims: dict[str, _Claim] = {}
        self._lock = threading.Lock()

    def try_claim(self, digest: str) -> bool:
        """Claim a content for decoding; False where it is known, claimed or refused."""
        with self._lock:
            if digest in self._claims or self._is_known(digest):
                return False
            self._claims[digest] = _Claim()
            return True

    def confirm(self, digest: str) -> None:
        """The file that claimed a content is here, and answers for the claim from now on."""
        with self._lock:
            self._claims.setdefault(digest, _Claim()).owned = True

    def attach(self, digest: str, copy: HashedFile) -> IndexFailure | bool:
        """Join the claim of a content that was not wanted.

        True: the copy will be written with it. False: there is no claim, the catalog has it.
        A Refusal: it failed.
        """
        with self._lock:
            claim = self._claims.get(digest)
            if claim is None:
                return False
            if claim.refusal is not None:
                return claim.refusal
            claim.followers.append(copy)
            return True

    def complete(self, digest: str) -> list[HashedFile]:
        """The content is about to be written: its followers so far, and no more after them."""
        with self._lock:
            claim = self._claims.pop(digest, None)
            return claim.followers if claim is not None else []

    def fail(self, digest: str, refusal: IndexFailure) -> list[HashedFile]:
        """The content failed: its followers so far; later ones get the refusal."""
        with self._lock:
            claim = self._claims.setdefault(digest, _Claim())
            claim.refusal = refusal
            followers, claim.followers = claim.followers, []
            return followers

    def abandon(self, digest: str) -> list[HashedFile]:
        """The claim is given up without an answer: its followers must be read again."""
        return self.complete(digest)

    def orphans(self) -> list[HashedFile]:
        """Followers of claims that nobody answers for, which are given up."""
        with self._lock:
            lost = {d: c for d, c in self._claims.items() if not (c.owned or c.refusal)}
            for digest in lost:
                del self._claims[digest]
            return [copy for claim in lost.values() for copy in claim.followers]
