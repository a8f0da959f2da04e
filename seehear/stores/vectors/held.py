"""Vectors on cards: FAISS indexes in blocks, which propose."""

from __future__ import annotations

import functools
import threading
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from seehear.stores.vectors.cards import Kind, Plan
from seehear.stores.vectors.matrix import CHUNK, Matrix
from seehear.types import Ids, Vectors

MOST = 2048
"""Neighbours that FAISS selects on a card, and inverted lists that it scans there, at most."""
BLOCK_BYTES = 1 << 30
"""Size of a block of float16 vectors: FAISS copies a whole block when it grows."""
GRAPH_ROWS = 1 << 21
"""Vectors in one graph: those of a graph lie in this process's memory while it is built."""
LISTS_PER_ROOT = 4.0
"""Inverted lists for each unit of the square root of the count: a card compares a query with
many centres at once, so that more and shorter lists than on a processor pay."""
TRAINED_PER_LIST = 64
TRAINED_LEAST = 16_384
SEED = 7

LOCK = threading.Lock()
"""Held while anything runs on a card: FAISS's workspace there serves one search at a time."""


class Maker(Protocol):
    """Makes FAISS indexes of inner products, each on one card."""

    def flat(self, card: int, dim: int) -> Any:
        """An empty index of float16 vectors that scans all."""
        ...

    def lists(self, card: int, plan: Plan, count: int, sample: Vectors) -> Any:
        """An empty index of `count` inverted lists with product codes, trained on a sample."""
        ...

    def like(self, card: int, trained: Any) -> Any:
        """Another such index for another card, with the same training."""
        ...

    def graph(self, card: int, rows: Vectors) -> Any:
        """The graph of some vectors; none can be added."""
        ...

    def parameters(self, kind: Kind, probes: int, depth: int) -> Any:
        """How far a search looks: lists that are scanned, or vectors that a walk keeps."""
        ...


class OnCards:
    """FAISS indexes on cards. Everything that one card does shares one workspace there."""

    def flat(self, card: int, dim: int) -> Any:
        import faiss

        settings: Any = faiss.GpuIndexFlatConfig()
        settings.device, settings.useFloat16 = card, True
        return faiss.GpuIndexFlat(_workspace(card), dim, faiss.METRIC_INNER_PRODUCT, settings)

    def lists(self, card: int, plan: Plan, count: int, sample: Vectors) -> Any:
        import faiss

        index: Any = faiss.GpuIndexIVFPQ(
            _workspace(card),
            sample.shape[1],
            count,
            plan.code_bytes,
            8,
            faiss.METRIC_INNER_PRODUCT,
            self._list_settings(card),
        )
        index.cp.seed = SEED
        index.train(sample)
        return index

    def like(self, card: int, trained: Any) -> Any:
        import faiss

        plain: Any = faiss.index_gpu_to_cpu(trained)
        return faiss.GpuIndexIVFPQ(_workspace(card), plain, self._list_settings(card))

    def graph(self, card: int, rows: Vectors) -> Any:
        import faiss

        library: Any = faiss
        settings = library.GpuIndexCagraConfig()
        settings.device = card
        index = library.GpuIndexCagra(
            _workspace(card), rows.shape[1], faiss.METRIC_INNER_PRODUCT, settings
        )
        index.train(rows)
        return index

    def parameters(self, kind: Kind, probes: int, depth: int) -> Any:
        import faiss

        library: Any = faiss
        if kind == "ivfpq":
            return library.SearchParametersIVF(nprobe=probes)
        if kind == "cagra":
            parameters = library.SearchParametersCagra()
            parameters.itopk_size = max(probes, depth)
            return parameters
        return None

    def _list_settings(self, card: int) -> Any:
        import faiss

        settings: Any = faiss.GpuIndexIVFPQConfig()
        # Tables in float32 do not fit a multiprocessor's memory beyond codes of 48 bytes.
        settings.device, settings.useFloat16LookupTables, settings.use_cuvs = card, True, False
        return settings


@dataclass(slots=True)
class Block:
    """One FAISS index on one card, and the ids of its rows in order."""

    index: Any
    kind: Kind
    ids: Ids = field(default_factory=lambda: np.empty(0, np.int64))


@dataclass(frozen=True, slots=True)
class Proposals:
    """What may be near.

    ids: int64 (q, m), -1 for none; an id may come twice, or be one that is gone. ranks: int64 (m,),
    each column's place in the order of its block. floors: float32 (q,), the greatest similarity
    that FAISS found and did not keep, -inf where it kept all: of flat blocks alone.
    """

    ids: Ids
    ranks: Ids
    floors: NDArray[np.float32]


class Held:
    """Vectors as a plan lays them on cards. It only grows, so that searches of an older state find
    theirs in it too: those who ask drop the ids that they do not know."""

    def __init__(self, plan: Plan, dim: int, maker: Maker) -> None:
        self.plan = plan
        self.dim = dim
        self.rows = 0
        """Vectors that were added, gone ones too."""
        self.trained = 0
        """Vectors that there were when the cards were laid out."""
        self.longest = 0.0
        """Greatest norm of a row as it is held."""
        self.off = 0.0
        """Most that the norm of a row differs from 1."""
        self._maker = maker
        self._cards: dict[int, list[Block]] = {card: [] for card in plan.cards}
        self._threads = None
        if len(plan.cards) > 1:
            from concurrent.futures import ThreadPoolExecutor

            self._threads = ThreadPoolExecutor(len(plan.cards))

    @classmethod
    def build(cls, matrix: Matrix, plan: Plan, maker: Maker) -> Held:
        """Lay every vector of a matrix on the cards. Raises RuntimeError where there is no room."""
        held = cls(plan, matrix.dim, maker)
        if plan.kind == "ivfpq":
            held._train(matrix)
        step = GRAPH_ROWS if plan.kind == "cagra" else CHUNK
        for start in range(0, len(matrix), step):
            which = slice(start, start + step)
            rows = matrix.numbers(which).astype(np.float32)
            held.add(matrix.ids[which], rows, graph=plan.kind == "cagra")
        held.trained = len(matrix)
        return held

    @property
    def most_probes(self) -> int:
        """The widest that a search can look."""
        if self.plan.kind == "ivfpq":
            return min(MOST, int(self._cards[self.plan.cards[0]][0].index.nlist))
        return MOST

    def add(self, ids: Ids, rows: Vectors, *, graph: bool = False) -> None:
        """Add vectors, float32 (n, dim), of norm 1 or as float16 left it; `graph`: as a graph.

        Raises RuntimeError where there is no room; some cards may then hold them."""
        norms = np.sqrt(np.einsum("nd,nd->n", rows, rows))
        with LOCK:
            self.longest = max(self.longest, float(norms.max(initial=0)))
            self.off = max(self.off, float(np.abs(norms - 1)[norms > 0].max(initial=0)))
            cards = self._cards.items()
            for card, blocks in cards if self.plan.copies else [min(cards, key=_rows_of)]:
                if graph:
                    made = self._maker.graph(card, np.ascontiguousarray(rows))
                    blocks.append(Block(made, "cagra", ids))
                else:
                    self._append(card, blocks, ids, rows)
            self.rows += len(ids)

    def propose(self, queries: Vectors, depth: int, probes: int) -> Proposals:
        """The `depth` nearest of each block. Raises RuntimeError where a card fails."""
        with LOCK:
            filled = [[b for b in blocks if len(b.ids)] for blocks in self._cards.values()]
            cards = [blocks for blocks in filled if blocks]
            shares = [queries] * len(cards)
            if self.plan.copies:
                cards = cards[: max(1, len(queries))]
                shares = np.array_split(queries, max(1, len(cards)))
            each = self._threads.map if self._threads is not None else map
            found = list(
                each(lambda blocks, some: self._asked(blocks, some, depth, probes), cards, shares)
            )
        if self.plan.copies and found:
            return Proposals(
                np.vstack([part.ids for part in found]),
                found[0].ranks,
                np.concatenate([part.floors for part in found]),
            )
        nothing = np.full(len(queries), -np.inf, dtype=np.float32)
        return Proposals(
            np.hstack([np.empty((len(queries), 0), np.int64), *(part.ids for part in found)]),
            np.concatenate([np.empty(0, np.int64), *(part.ranks for part in found)]),
            np.max([nothing, *(part.floors for part in found)], axis=0),
        )

    def _asked(self, blocks: list[Block], queries: Vectors, depth: int, probes: int) -> Proposals:
        """What the blocks of one card propose."""
        queries = np.ascontiguousarray(queries, dtype=np.float32)
        ids, ranks = [], []
        floors = np.full(len(queries), -np.inf, dtype=np.float32)
        for block in blocks:
            wide = min(depth, len(block.ids))
            parameters = self._maker.parameters(block.kind, probes, wide)
            near, places = block.index.search(queries, wide, params=parameters)
            ids.append(np.where(places >= 0, block.ids[places], -1))
            ranks.append(np.arange(wide))
            if block.kind == "flat" and wide < len(block.ids):
                floors = np.maximum(floors, near[:, -1])
        return Proposals(np.hstack(ids), np.concatenate(ranks), floors)

    def _append(self, card: int, blocks: list[Block], ids: Ids, rows: Vectors) -> None:
        full = max(1, BLOCK_BYTES // (2 * self.dim))
        start = 0
        while start < len(ids):
            if self.plan.kind == "ivfpq":
                block, some = blocks[0], len(ids)
            else:
                last = blocks[-1] if blocks and blocks[-1].kind == "flat" else None
                if last is None or len(last.ids) >= full:
                    last = Block(self._maker.flat(card, self.dim), "flat")
                    blocks.append(last)
                block, some = last, full - len(last.ids)
            which = slice(start, start + some)
            block.index.add(np.ascontiguousarray(rows[which], dtype=np.float32))
            block.ids = np.concatenate([block.ids, ids[which]])
            start += some

    def _train(self, matrix: Matrix) -> None:
        """Make the inverted lists, on a sample of the vectors that is the same each time."""
        lists = max(1, int(LISTS_PER_ROOT * len(matrix) ** 0.5))
        count = min(len(matrix), max(TRAINED_LEAST, TRAINED_PER_LIST * lists))
        chosen = np.random.default_rng(SEED).choice(len(matrix), count, replace=False)
        sample = matrix.rows(np.sort(chosen))
        first, *others = self.plan.cards
        with LOCK:
            trained = self._maker.lists(first, self.plan, lists, sample)
            self._cards[first].append(Block(trained, "ivfpq"))
            for card in others:
                self._cards[card].append(Block(self._maker.like(card, trained), "ivfpq"))


@functools.cache
def _workspace(card: int) -> Any:
    """FAISS's memory and streams on a card: 1.5 GiB, once for all indexes there."""
    import faiss

    return faiss.StandardGpuResources()


def _rows_of(card: tuple[int, list[Block]]) -> int:
    return sum(len(block.ids) for block in card[1])
