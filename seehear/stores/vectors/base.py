"""Define the protocol of a vector index, and a base class for those with a vector file."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from seehear.errors import SpaceMismatchError
from seehear.stores import sorted_ids
from seehear.stores.catalog.records import Generation
from seehear.stores.catalog.segment_table import SegmentTable
from seehear.stores.catalog.segments import SegmentFilter
from seehear.stores.vectors.vector_file import VectorFile
from seehear.types import EmbeddingSpace, Ids, Modality, Origin, Vectors

Similarities = NDArray[np.float32]
"""float32 (q, k), raw inner products, best first; -inf for missing ones."""

WARMUP_QUERIES = 16
"""Searches after which an index prepares itself for many more. The preparation takes as long as
about fifty searches, and a single query should not wait for it."""


class Passages(NamedTuple):
    """The passages of one origin."""

    origin: Origin | None
    """None: of texts themselves."""
    ids: Callable[[], Ids]
    """Returns their ascending ids, for an index that does not know origins."""


class VectorIndex(Protocol):
    """Nearest neighbours by inner product among vectors with ids: what a query asks.

    Several threads can search an index, and each sees one state.
    """

    @property
    def dim(self) -> int: ...

    def __len__(self) -> int: ...

    def describe(self) -> str:
        """Describe the index for a person; an approximate one states its measured recall."""
        ...

    def warm_up(self) -> None:
        """Prepare for many searches now, as `WARMUP_QUERIES` searches would."""
        ...

    def count(self, passages: Passages | None = None) -> int:
        """Return the number of vectors, or of those of some passages only."""
        ...

    def drawn(self, most: int, passages: Passages | None = None) -> Ids:
        """Return at most `most` ids in the order of `sorted_ids.draw_order`: int64 (n,)."""
        ...

    def search(
        self, queries: Vectors, k: int, allowed: Ids | None = None
    ) -> tuple[Similarities, NDArray[np.int64]]:
        """Find the k nearest vectors of each query, only among `allowed` ids if given.

        queries: float32 (q, dim). Returns similarities float32 (q, k), best first, and ids int64
        (q, k); rows with fewer than k results end in -inf and -1. Equal similarities are in the
        order of their ids.
        """
        ...

    def search_where(
        self, queries: Vectors, k: int, which: SegmentFilter, item: Modality
    ) -> tuple[Similarities, NDArray[np.int64]]:
        """Find the k nearest vectors among the segments of one modality that meet a filter."""
        ...

    def find(self, ids: Ids) -> tuple[Ids, Vectors]:
        """Return which of some ids have a vector, in order, and the vectors, float32 (n, dim)."""
        ...


class VectorStore(Protocol):
    """The indexes of one generation, one per space and modality, wherever its vectors are."""

    most_ids: int | None
    """Longest list of ids that a search is limited to; None for any."""

    def index(self, space: EmbeddingSpace, item: Modality) -> VectorIndex:
        """Return the index of one modality's items in one space.

        Raises SpaceMismatchError for a space that the generation does not have.
        """
        ...

    def refresh(self) -> bool:
        """Follow the catalog to its present state; return whether anything changed."""
        ...

    def prepare(self) -> None:
        """Do what an index run should do for the searches after it."""
        ...

    def segment_table(self, known: SegmentTable | None = None) -> SegmentTable | None:
        """Return the columns of all segments, as of now; `known` is an earlier result to extend.

        None where they are not kept in memory.
        """
        ...

    def describe(self) -> str:
        """Describe the kinds of the indexes and their sizes, for a person."""
        ...


def check_space(generation: Generation, space: EmbeddingSpace) -> None:
    """Raise SpaceMismatchError for a space that a generation does not have."""
    if space not in generation.spaces:
        raise SpaceMismatchError(
            f"the collection has no vectors in {space.key}; run `seehear index` with its model"
        )


def describe_indexes(
    index_of: Callable[[EmbeddingSpace, Modality], Any], generation: Generation
) -> str:
    """Describe the kinds of a generation's indexes and their sizes, for a person."""
    sizes: dict[str, int] = {}
    for index in (index_of(space, item) for space in generation.spaces for item in Modality):
        if len(index):
            sizes[index.describe()] = sizes.get(index.describe(), 0) + len(index)
    return "; ".join(f"{kind}: {size:,} vectors" for kind, size in sizes.items()) or "empty"


class LocalIndex(VectorIndex, Protocol):
    """An index of this process, with a vector file. It never changes."""

    @property
    def matrix(self) -> VectorFile: ...

    @property
    def ids(self) -> Ids:
        """Ids of all vectors, ascending: int64 (n,)."""
        ...

    def updated(self, removed: Ids, ids: Ids, vectors: Vectors) -> LocalIndex:
        """Return a new index, without some ids and with others; it shares most data with this one.

        vectors: float32 or float16 (n, dim). An existing id is replaced; unknown removed ids are
        ignored. Raises ValueError for an id that is given twice.
        """
        ...

    def vectors(self, ids: Ids) -> Vectors:
        """Return the vectors of some ids, float32 (n, dim), in order.

        Raises KeyError for unknown ids.
        """
        ...


class MatrixBacked(ABC):
    """Answer what every index of this process answers from its vector file."""

    def __init__(self, matrix: VectorFile) -> None:
        self.matrix = matrix

    @property
    def dim(self) -> int:
        return self.matrix.dim

    @property
    def ids(self) -> Ids:
        return self.matrix.ids

    def __len__(self) -> int:
        return len(self.matrix)

    def warm_up(self) -> None:  # noqa: B027 - some have more to do
        """Do nothing: most indexes are ready at once."""

    @abstractmethod
    def search(
        self, queries: Vectors, k: int, allowed: Ids | None = None
    ) -> tuple[Similarities, Ids]: ...

    def search_where(
        self, queries: Vectors, k: int, which: SegmentFilter, item: Modality
    ) -> tuple[Similarities, Ids]:
        return self.search(queries, k, which.ids_of(item))

    def vectors(self, ids: Ids) -> Vectors:
        ids = np.asarray(ids, dtype=np.int64)
        positions = sorted_ids.positions_in(self.ids, ids)
        if (positions < 0).any():
            raise KeyError(int(ids[positions < 0][0]))
        return self.matrix.rows(positions)

    def find(self, ids: Ids) -> tuple[Ids, Vectors]:
        try:
            return ids, self.vectors(ids)
        except KeyError:  # some were written after the index was read, or have no content
            ids = ids[sorted_ids.positions_in(self.ids, ids) >= 0]
            return ids, self.vectors(ids)

    def count(self, passages: Passages | None = None) -> int:
        return len(self) if passages is None else len(self._among(passages))

    def drawn(self, most: int, passages: Passages | None = None) -> Ids:
        ids = self.ids if passages is None else self._among(passages)
        order = sorted_ids.draw_order(ids)
        if most < len(ids):
            first = np.argpartition(order, most)[:most]
            ids, order = ids[first], order[first]
        return ids[np.argsort(order, kind="stable")]

    def _among(self, passages: Passages) -> Ids:
        ids = passages.ids()
        return ids[sorted_ids.positions_in(self.ids, ids) >= 0]
