"""Share what indexes of an engine beside this process have in common.

Such an index keeps no vectors here but those that the next steps of a query need. Similarities and
their order are computed here, so that an engine decides what is looked at and not what it is worth.
"""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections import OrderedDict
from typing import ClassVar, Generic, TypeVar

import numpy as np

from seehear.stores.catalog.catalog import Catalog
from seehear.stores.catalog.records import Generation
from seehear.stores.catalog.segment_table import SegmentTable
from seehear.stores.vectors.base import Passages, check_space, describe_indexes
from seehear.stores.vectors.tuning import HELD_OUT, MARGIN, RECALL_AIM, HnswTuning, sums_of_three
from seehear.types import EmbeddingSpace, Floats, Ids, Modality, Vectors

MORE = 16
"""Candidates beyond those wanted: an engine rounds, and their exact order is ours."""
ASKED = 120
"""Queries used for tuning, including those that only measure."""
EFS = (40, 64, 100, 150, 200, 300, 400, 600, 800, 1000)
TUNED_EVERY = 0.2
"""Change of size after which recall is measured and the depth is set again."""
KEPT_ROWS = 8_192
"""Vectors kept in memory for each index: the next steps of a query need what a search found."""


class RemoteIndex(ABC):
    """Nearest neighbours among the vectors of one space and modality, in an engine.

    Similarities and their order are those of exact search; a graph may miss some vectors.
    """

    engine: ClassVar[str]

    def __init__(
        self, catalog: Catalog, generation: Generation, space: EmbeddingSpace, item: Modality,
        blob_name: str,
    ) -> None:  # fmt: skip
        """`blob_name` is the name of the tuning among the blobs of the generation."""
        self._catalog = catalog
        self._generation = generation
        self.space = space
        self.item = item
        self.blob_name = blob_name
        self._known: OrderedDict[int, Floats] = OrderedDict()
        self._lock = threading.Lock()
        self._tuning: tuple[HnswTuning | None] | None = None

    @property
    def dim(self) -> int:
        return self.space.dim

    def __len__(self) -> int:
        return self.count()

    @abstractmethod
    def count(self, passages: Passages | None = None) -> int:
        """Return the number of vectors, or of those of some passages only."""

    @abstractmethod
    def drawn(self, most: int, passages: Passages | None = None) -> Ids:
        """Return at most `most` ids in the order of `sorted_ids.draw_order`: int64 (n,)."""

    @abstractmethod
    def _nearest(self, queries: Vectors, k: int, ef: int) -> Ids:
        """Search the graph as far as `ef`: ids int64 (q, k)."""

    @abstractmethod
    def _truth(self, queries: Vectors, k: int) -> Ids:
        """Compare queries with every vector: ids int64 (q, k)."""

    @abstractmethod
    def _read(self, ids: Ids) -> tuple[Ids, Vectors]:
        """Return which of some ids have a vector in the engine, and the vectors."""

    def describe(self) -> str:
        tuning = self.tuning()
        if tuning is None:
            return f"{self.engine}, exact"
        return f"{self.engine}, recall@10 {tuning.recall:.3f} of exact search"

    def warm_up(self) -> None:  # noqa: B027
        """Do nothing: the server keeps what it reads."""

    def tuning(self) -> HnswTuning | None:
        """Return how far the graph is searched; None without one, where search is exact."""
        if self._tuning is None:
            blob = self._catalog.generations.blob(self._generation.id, self.blob_name)
            self._tuning = (HnswTuning.from_bytes(blob),)
        return self._tuning[0]

    def needs_tuning(self) -> bool:
        """Tell whether the graph was never measured, or long ago."""
        tuning = self.tuning()
        return tuning is None or abs(len(self) / tuning.measured_on - 1) > TUNED_EVERY

    def tuned(self) -> HnswTuning:
        """Measure how far to search the graph, on sums of vectors.

        Two of three queries choose the depth, the others measure the recall.
        """
        with self._catalog.read_snapshot():
            _, rows = self.find(self.drawn(3 * ASKED))
            count = len(rows) // 3
            queries = sums_of_three(rows[: 3 * count])
            truth = self._truth(queries, 10)
            measuring = np.arange(count) % HELD_OUT == 1
            for ef in EFS:
                pairs = zip(self._nearest(queries, 10, ef), truth, strict=True)
                recalls = np.array([np.isin(true, got).mean() for got, true in pairs])
                if recalls[~measuring].mean() >= RECALL_AIM + MARGIN:
                    break
            return HnswTuning(ef, float(recalls[measuring].mean()), len(self))

    def find(self, ids: Ids) -> tuple[Ids, Vectors]:
        with self._lock:
            known = {id_: self._known[id_] for id_ in ids.tolist() if id_ in self._known}
        missing = np.array([id_ for id_ in set(ids.tolist()) if id_ not in known], dtype=np.int64)
        if len(missing):
            known |= self._keep(*self._read(missing))
        there = ids[np.array([id_ in known for id_ in ids.tolist()], dtype=np.bool_)]
        rows = [known[id_] for id_ in there.tolist()]
        return there, np.stack(rows) if rows else np.zeros((0, self.dim), dtype=np.float32)

    def _keep(self, ids: Ids, rows: Vectors) -> dict[int, Floats]:
        new: dict[int, Floats] = dict(zip(ids.tolist(), rows, strict=True))
        with self._lock:
            self._known |= new
            while len(self._known) > KEPT_ROWS:
                self._known.popitem(last=False)
        return new


OneIndex = TypeVar("OneIndex", bound=RemoteIndex)


class RemoteVectors(ABC, Generic[OneIndex]):
    """The indexes of one generation in an engine. Safe from several threads."""

    def __init__(self, catalog: Catalog, generation: Generation) -> None:
        self._catalog = catalog
        self._generation = generation
        self._indexes: dict[tuple[EmbeddingSpace, Modality], OneIndex] = {}
        self._lock = threading.Lock()

    @abstractmethod
    def _open(self, space: EmbeddingSpace, item: Modality) -> OneIndex:
        """Return a new index."""

    @abstractmethod
    def prepare(self) -> None:
        """Build the graphs that searches need, and measure how far to look in them."""

    @abstractmethod
    def rebuild(self) -> None:
        """Delete what the engine has of the generation, and make it anew from the catalog."""

    def index(self, space: EmbeddingSpace, item: Modality) -> OneIndex:
        """Return the index of one modality's items in one space.

        Raises SpaceMismatchError for a space that the generation does not have.
        """
        check_space(self._generation, space)
        with self._lock:
            if (space, item) not in self._indexes:
                self._indexes[space, item] = self._open(space, item)
            return self._indexes[space, item]

    def refresh(self) -> bool:
        """Forget what was read of an earlier state."""
        with self._lock:
            self._indexes.clear()
        return True

    def segment_table(self, known: SegmentTable | None = None) -> None:
        """Return None: rows of segments are read for candidates alone."""

    def describe(self) -> str:
        """Describe the indexes and their sizes, for a person."""
        return describe_indexes(self.index, self._generation)
