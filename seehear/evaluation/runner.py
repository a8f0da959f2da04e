"""A collection asked the queries of a qrels file, as anyone who searches it would ask them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from seehear import arguments
from seehear.collection import Collection
from seehear.errors import MediaError, UsageError
from seehear.evaluation.evaluate import CUTOFFS, Evaluation, evaluate
from seehear.evaluation.measures import require
from seehear.evaluation.qrels import JudgedQuery
from seehear.search import parse_where
from seehear.types import Hit, Query


def evaluate_collection(
    collection: Collection,
    judged: Sequence[JudgedQuery],
    *,
    cutoffs: Sequence[int] = CUTOFFS,
    mode: str = "auto",
    progress: Callable[[int, int], None] | None = None,
) -> Evaluation:
    """How well a collection answers judged queries.

    Near-identical files are hits of their own, so that each counts. A query file that lies in the
    collection is no answer to itself, unless it is judged relevant.

    Raises UsageError, with the line of the qrels, for a query that cannot be asked: filters and
    files are looked at before the first is.
    """
    require()
    mode_asked = arguments.parse_mode(mode)
    for one in judged:
        with _told_where(one):
            parse_where(one.where)
            for _, file in one.files:
                if not file.is_file():
                    raise UsageError(f"No file {file}")

    def search(one: JudgedQuery, k: int) -> list[Hit]:
        with _told_where(one):
            parts = [collection.text_part(text) for text in one.texts]
            parts += [collection.file_part(file, expected=kind) for kind, file in one.files]
            parts += [collection.text_part(text, exclude=True) for text in one.without]
            query = Query(
                tuple(parts),
                k=k + len(one.files),
                modalities=one.modalities,
                where=one.where,
                mode=mode_asked,
                show_duplicates=True,
            )
            return [hit for hit in collection.run(query) if not _asked_with(hit, one)][:k]

    return evaluate(search, judged, cutoffs=cutoffs, progress=progress)


def _asked_with(hit: Hit, one: JudgedQuery) -> bool:
    locations = {str(hit.path), *map(str, hit.duplicates)}
    return not locations & set(one.relevant) and bool(
        locations & {str(file) for _, file in one.files}
    )


@contextmanager
def _told_where(one: JudgedQuery) -> Iterator[None]:
    try:
        yield
    except (UsageError, MediaError) as error:
        raise UsageError(f"{one.location}: {error}" if one.location else str(error)) from None
