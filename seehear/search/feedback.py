"""More like this, less like that: hits of an earlier answer become parts of the next query.

Rocchio's formula moves a query's vector towards what was liked and away from what was not. Here
the same weights act on calibrated scores, as with all composition (compose.py), so that liking a
sound can refine a query of words, and disliking never lifts what is merely different.
"""

from __future__ import annotations

from collections.abc import Sequence

from seehear.errors import UsageError
from seehear.search.encode_query import EncodedPart, QueryVector
from seehear.search.snapshot import CollectionSnapshot
from seehear.types import Query

LIKED = 0.75
"""Weight of everything liked together, beside a query of weight 1 (Rocchio's beta)."""
DISLIKED = 0.25
"""Weight of everything disliked together (Rocchio's gamma): less, as what people dislike in a hit
is seldom all of it."""


def parts_of(query: Query, snapshot: CollectionSnapshot) -> list[EncodedPart]:
    """The parts that likes and dislikes add. Raises UsageError for a hit that is no longer there
    or that was both liked and disliked."""
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
                vectors[space] = rows[0]
        if vectors:
            label = f"{'unlike' if exclude else 'like'} {found[id_].path.name}"
            probe = QueryVector(modality, vectors)
            parts.append(EncodedPart(label, weight / len(set(ids)), exclude, (probe,)))
    return parts
