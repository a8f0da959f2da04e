"""Turn liked and disliked hits of an earlier answer into parts of the next query.

Rocchio's formula (Rocchio, 1971) moves a query's vector towards liked items and away from disliked
ones. Here its weights act on calibrated scores (composition.py): a liked sound can refine a query
of words, and a dislike never raises the score of other items.
"""

from __future__ import annotations

from collections.abc import Sequence

from seehear.errors import UsageError
from seehear.search.encode_query import EncodedPart
from seehear.search.snapshot import CollectionSnapshot
from seehear.types import Query, shown_name

LIKED = 0.75
"""Weight of all likes together, beside a query of weight 1 (Rocchio's beta)."""
DISLIKED = 0.25
"""Weight of all dislikes together (Rocchio's gamma): lower, because people rarely dislike all that
a hit shows."""


def parts_of(query: Query, snapshot: CollectionSnapshot) -> list[EncodedPart]:
    """Return the parts that likes and dislikes add to a query.

    Raises UsageError for a hit that is no longer in the collection, or is in both lists.
    """
    both = set(query.like) & set(query.unlike)
    if both:
        raise UsageError("the same hit cannot be in both like and unlike")
    liked = _parts(query.like, LIKED, snapshot, exclude=False)
    return liked + _parts(query.unlike, DISLIKED, snapshot, exclude=True)


def _parts(
    ids: Sequence[int], weight: float, snapshot: CollectionSnapshot, *, exclude: bool
) -> list[EncodedPart]:
    found = {f.segment_id: f for f in snapshot.resolve(ids)} if ids else {}
    parts = []
    for id_ in dict.fromkeys(ids):
        if id_ not in found:
            raise UsageError("a hit in like or unlike is no longer in the collection; search again")
        modality = found[id_].segment.modality
        vectors = {}
        for space in snapshot.spaces_of(modality):
            kept, rows = snapshot.vectors([id_], space, modality)
            if len(kept):
                vectors[space] = rows
        if vectors:
            label = f"{'unlike' if exclude else 'like'} {shown_name(found[id_].path)}"
            parts.append(EncodedPart(label, weight / len(set(ids)), exclude, {modality: vectors}))
    return parts
