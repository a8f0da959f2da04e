"""What an index run keeps for searches: banks of generic queries and baselines of queries by words.

Nothing is written here: the run that holds the write lock stores what `missing_blobs` returns. A
search that finds none of it computes the same in memory.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from seehear.search.calibration import baseline_store, query_bank
from seehear.search.calibration.query_bank_cache import encoded_bank
from seehear.types import EmbeddingSpace, Modality

if TYPE_CHECKING:
    from seehear.encoders.base import Model
    from seehear.search.snapshot import CollectionSnapshot


def missing_blobs(snapshot: CollectionSnapshot, model: Model) -> dict[str, bytes]:
    """Return, by name, what searches of this state need and the catalog does not hold.

    Baselines belong to one state of the collection; banks are encoded for queries by words, and by
    examples of each modality that the collection has, but has not enough of.
    """
    return _missing_banks(snapshot, model) | _missing_baselines(snapshot)


def _missing_banks(snapshot: CollectionSnapshot, model: Model) -> dict[str, bytes]:
    return {
        query_bank.bank_name(query, space): query_bank.pack(encoded_bank(query, model)[space])
        for query in snapshot.items()
        for space in snapshot.spaces_of(query)
        if not snapshot.holds_bank(query, space) and _needs_bank(snapshot, query, space)
    }


def _needs_bank(snapshot: CollectionSnapshot, query: Modality, space: EmbeddingSpace) -> bool:
    """Whether queries of a modality are to be expected here, and need the bank."""
    if query is Modality.TEXT:
        return True
    own = len(snapshot.sample(query, space).without_empty.vectors)
    return own > 0 and not snapshot.is_own_bank(query, space)


def _missing_baselines(snapshot: CollectionSnapshot) -> dict[str, bytes]:
    if snapshot.change is None:
        return {}
    return {
        baseline_store.name_of(Modality.TEXT, *kind): baseline_store.to_bytes(
            snapshot.baseline(Modality.TEXT, *kind), snapshot.change
        )
        for kind in snapshot.kinds()
        if snapshot.kept_baseline(Modality.TEXT, *kind) is None
    }
