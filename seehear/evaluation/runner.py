"""Evaluate a collection with the queries of a qrels file, asked as any user would."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from seehear import arguments
from seehear.collection import Collection
from seehear.errors import MediaError, UsageError
from seehear.evaluation.evaluate import CUTOFFS, Evaluation, evaluate
from seehear.evaluation.measures import require
from seehear.evaluation.qrels import JudgedQuery
from seehear.query_builder import build_query
from seehear.search import parse_where
from seehear.types import Hit, Modality


def evaluate_collection(
    collection: Collection,
    judged: Sequence[JudgedQuery],
    *,
    cutoffs: Sequence[int] = CUTOFFS,
    mode: str = "auto",
    progress: Callable[[int, int], None] | None = None,
) -> Evaluation:
    """Measure how well a collection answers judged queries.

    Near-identical files are separate hits, so that each counts. A query file that is in the
    collection does not count as an answer to itself, unless it is judged relevant.

    Raises UsageError, with the line of the qrels, for an invalid query: all filters and files are
    checked before the first query runs. Raises EnvironmentFaultError where ir_measures cannot be
    loaded.
    """
    require()
    arguments.parse_mode(mode)
    for one in judged:
        with _told_where(one):
            parse_where(one.where)
            for _, file in one.files:
                if not file.is_file():
                    raise UsageError(f"No file {file}")

    def search(one: JudgedQuery, k: int) -> list[Hit]:
        with _told_where(one):
            query = build_query(
                collection.file_part,
                text=one.texts,
                image=_files_of(one, Modality.IMAGE),
                audio=_files_of(one, Modality.AUDIO),
                video=_files_of(one, Modality.VIDEO),
                without=one.without,
                k=k + len(one.files),
                modalities=one.modalities,
                where=one.where,
                mode=mode,
                show_duplicates=True,
            )
            return [hit for hit in collection.run(query) if not _asked_with(hit, one)][:k]

    return evaluate(search, judged, cutoffs=cutoffs, progress=progress)


def _files_of(one: JudgedQuery, modality: Modality) -> list[Path]:
    return [file for kind, file in one.files if kind is modality]


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
