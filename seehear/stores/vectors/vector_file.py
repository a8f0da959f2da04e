"""Keep exact vectors in half precision, with their ids: in memory, or in a cache file.

    line of JSON   magic, layout, identity of the index, last change, rows, dim, digest; padded
    ids            int64 (rows,), ascending
    checks         uint32 (rows,), one for each row of numbers
    numbers        float16 (rows, dim)

All little-endian. A file is used only if every field matches, its size is right and the digest of
ids and checks is correct; any other file is ignored. The numbers are not read on opening: a row is
read and checked when it is needed, and a damaged row is read from the catalog instead.

Rows are read, not memory-mapped. A mapped row costs a page fault, for which Linux maps 64 KiB
around it: with a file of 1 GB that took seven times as long as reading the row alone, and pages had
to be released repeatedly.
"""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Callable
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seehear.errors import StoreError
from seehear.stores import sorted_ids
from seehear.stores.vectors import files
from seehear.stores.vectors.files import HEADER_BYTES, read_header
from seehear.types import Ids, Vectors

MAGIC = "seehear-vectors"
LAYOUT = 2
CHUNK = 1 << 14
"""Rows that are written or converted at once."""

Half = NDArray[np.float16]
"""float16 (n, dim)."""

RowSource = Callable[[Ids], Vectors]
"""Returns vectors by ids: float32 (n, dim)."""


def to_float16(vectors: Vectors) -> Half:
    """Convert vectors to the precision in which they are stored."""
    return np.ascontiguousarray(vectors, dtype="<f2")


def to_unit_float32(half: Half) -> Vectors:
    """Convert stored vectors to float32 (n, dim), with norm 1, which rounding had changed."""
    # The bits of a half, shifted to where a float has them, and scaled for the other exponent:
    # exact
    # for every finite number, and five times as fast as numpy's conversion.
    bits = np.ascontiguousarray(half, dtype="<f2").view("<i2").astype(np.int32)
    bits <<= 13
    bits &= np.int32(-0x70002000)  # removes the copies of the sign bit
    rows: Vectors = bits.view(np.float32)
    rows *= np.float32(2.0**112)
    norms = np.sqrt(np.einsum("nd,nd->n", rows, rows))[:, None]
    norms[norms == 0] = 1
    rows /= norms
    return rows


class _InFile:
    """Rows of half precision in an open file, float16 (rows, dim), read when they are needed.

    Rows that cannot be read, because the file was truncated, are zeros.
    """

    def __init__(self, file: int, start: int, rows: int, dim: int) -> None:
        self.shape = (rows, dim)
        self._start = start
        self._file = os.dup(file)
        weakref.finalize(self, os.close, self._file)

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, positions: Ids) -> Half:
        size = 2 * self.shape[1]
        if len(positions) and bool((np.diff(positions) == 1).all()):
            content = self._read(int(positions[0]) * size, len(positions) * size)
        else:
            content = b"".join(self._rows((positions * size).tolist(), size))
        found: Half = np.frombuffer(content, "<f2").reshape(len(positions), self.shape[1])
        return found

    def _rows(self, positions: list[int], size: int) -> list[bytes]:
        """Read one row at each offset. A query reads hundreds, almost always without errors."""
        file, start = self._file, self._start
        try:
            rows = [_pread(file, size, start + at) for at in positions]
        except OSError:
            rows = [b""] * len(positions)
        return [
            row if len(row) == size else self._read(at, size)
            for at, row in zip(positions, rows, strict=True)
        ]

    def _read(self, at: int, size: int) -> bytes:
        found = b""
        while len(found) < size:  # the system reads at most 2 GiB at a time
            try:
                more = _pread(self._file, size - len(found), self._start + at + len(found))
            except OSError:
                more = b""
            if not more:
                return found.ljust(size, b"\0")
            found = found + more if found else more
        return found


_SEEKING = threading.Lock()


def _seek_and_read(file: int, size: int, at: int) -> bytes:
    """Read bytes of an open file at an offset, on Windows, which has no `pread`."""
    with _SEEKING:
        os.lseek(file, at, os.SEEK_SET)
        return os.read(file, size)


_pread: Callable[[int, int, int], bytes] = getattr(os, "pread", _seek_and_read)


class VectorFile:
    """Vectors by id. Never changes: `updated` returns another one that shares most data.

    ids: int64 (n,), ascending. Rows are in two parts: those of the file and those added since.
    """

    def __init__(self, ids: Ids, numbers: Half | _InFile) -> None:
        self.ids: Ids = ids
        self._base = numbers
        self._added: Half = np.empty((0, numbers.shape[1]), dtype="<f2")
        self._positions: Ids | None = None  # of each id in both parts together; None: in order
        self._checks: NDArray[np.uint32] | None = None
        self._source: RowSource | None = None

    @classmethod
    def empty(cls, dim: int) -> VectorFile:
        return cls(np.empty(0, dtype=np.int64), np.empty((0, dim), dtype="<f2"))

    @property
    def dim(self) -> int:
        return int(self._base.shape[1])

    @property
    def in_file(self) -> bool:
        """Tell whether rows are read from a cache file."""
        return isinstance(self._base, _InFile)

    def __len__(self) -> int:
        return len(self.ids)

    def numbers(self, rows: Ids | slice) -> Half:
        """Return some rows as stored, float16 (m, dim); damaged rows come from the source.

        Raises StoreError for a damaged row without a source.
        """
        positions = self._placed(rows)
        cut = len(self._base)
        if not len(self._added) or bool((positions < cut).all()):
            return self._read(positions)
        found = np.empty((len(positions), self.dim), dtype="<f2")
        old = positions < cut
        found[old] = self._read(positions[old])
        found[~old] = self._added[positions[~old] - cut]
        return found

    def _placed(self, rows: Ids | slice) -> Ids:
        """Return the positions of some rows in both parts together."""
        if self._positions is not None:
            return self._positions[rows]
        return np.arange(*rows.indices(len(self))) if isinstance(rows, slice) else rows

    def in_memory(self) -> VectorFile:
        """Return the same vectors with all rows in memory, where reading many costs less."""
        return VectorFile(self.ids, self.numbers(slice(None)))

    def rows(self, rows: Ids | slice) -> Vectors:
        """Return some rows as unit vectors, float32 (m, dim)."""
        return to_unit_float32(self.numbers(rows))

    def updated(self, removed: Ids, ids: Ids, vectors: Vectors) -> VectorFile:
        """Return the vectors without some ids and with others; existing ids are replaced.

        vectors: float32 or float16 (n, dim); float16 ones are not copied if none were added before.
        Raises ValueError for an id that is given twice.
        """
        ids = np.asarray(ids, dtype=np.int64)
        order = np.argsort(ids, kind="stable")
        if np.any(np.diff(ids[order]) == 0):
            raise ValueError("an id may be given once")
        gone = sorted_ids.positions_in(
            self.ids, np.concatenate([np.asarray(removed, np.int64), ids])
        )
        keep = np.ones(len(self), dtype=bool)
        keep[gone[gone >= 0]] = False
        positions = np.arange(len(self)) if self._positions is None else self._positions
        start = len(self._base) + len(self._added)
        together = np.concatenate([self.ids[keep], ids[order]])
        positions = np.concatenate([positions[keep], start + order])
        new = to_float16(np.asarray(vectors).reshape(len(ids), self.dim))
        order = np.argsort(together, kind="stable")
        twin = VectorFile(together[order], self._base)
        twin._added = np.concatenate([self._added, new]) if len(self._added) else new
        twin._positions = positions[order]
        twin._checks, twin._source = self._checks, self._source
        return twin

    def save(self, path: Path, identity: str, change: int) -> bool:
        """Write a cache file completely or not at all; return whether it was written."""
        checks = np.concatenate(
            [np.zeros(0, "<u4")]
            + [_checks(self.numbers(slice(at, at + CHUNK))) for at in range(0, len(self), CHUNK)]
        )
        ids = np.ascontiguousarray(self.ids, dtype="<i8")
        header = _expected(identity, self.dim) | {
            "change": change,
            "rows": len(self),
            "digest": files.digest(ids, checks),
        }
        chunks = (self.numbers(slice(at, at + CHUNK)) for at in range(0, len(self), CHUNK))
        return files.write_cache(path, chain([files.header_line(header), ids, checks], chunks))

    @classmethod
    def load(
        cls, path: Path, identity: str, dim: int, source: RowSource
    ) -> tuple[VectorFile, int] | None:
        """Read a cache file and its last change; None for a missing, other or damaged file.

        `source` gives the vectors of rows that turn out to be damaged.
        """
        try:
            with path.open("rb") as file:
                header = read_header(file.read(HEADER_BYTES), _expected(identity, dim))
                rows, change = int(header["rows"]), int(header["change"])
                if rows < 0 or path.stat().st_size != HEADER_BYTES + rows * (12 + 2 * dim):
                    return None
                file.seek(HEADER_BYTES)
                content = file.read(12 * rows)
                numbers = _InFile(file.fileno(), HEADER_BYTES + 12 * rows, rows, dim)
        except (OSError, ValueError, KeyError, TypeError, OverflowError, RecursionError):
            return None
        if len(content) != 12 * rows:
            return None
        ids = np.frombuffer(content, "<i8", rows)
        checks = np.frombuffer(content, "<u4", rows, 8 * rows)
        if header.get("digest") != files.digest(ids, checks) or not bool(
            (ids[1:] > ids[:-1]).all()
        ):
            return None
        matrix = cls(ids.astype(np.int64, copy=False), numbers)
        matrix._checks, matrix._source = checks, source
        return matrix, change

    def _read(self, positions: Ids) -> Half:
        """Read rows of the first part, each checked if it comes from a file."""
        numbers: Half = self._base[positions]
        if self._checks is None:
            return numbers
        damaged = np.flatnonzero(_checks(numbers) != self._checks[positions])
        if len(damaged):
            own = np.arange(len(self)) if self._positions is None else self._positions
            named = {int(position): int(id_) for position, id_ in zip(own, self.ids, strict=True)}
            if self._source is None:
                raise StoreError("a file of the vector cache is damaged; delete the folder `cache`")
            wanted = np.array([named[int(place)] for place in positions[damaged]], dtype=np.int64)
            numbers = numbers.copy()
            numbers[damaged] = to_float16(self._source(wanted))
        return numbers


def _expected(identity: str, dim: int) -> dict[str, Any]:
    return {"magic": MAGIC, "layout": LAYOUT, "identity": identity, "dim": dim}


def _checks(numbers: Half) -> NDArray[np.uint32]:
    """Return a check for each row, uint32 (n,): a weighted sum that changes with any number."""
    weights = np.arange(1, 2 * numbers.shape[1], 2, dtype=np.uint32)
    words = np.ascontiguousarray(numbers, dtype="<f2").view("<u2").astype(np.uint32)
    return np.asarray(np.einsum("nd,d->n", words, weights), dtype="<u4")
