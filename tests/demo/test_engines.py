"""The same lists for all sixteen directions, whatever holds the vectors."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from seehear.collection import Collection
from seehear.config import Settings
from seehear.types import Modality, Query
from tests.demo.test_directions import CONCEPTS, WORDS
from tests.stores.milvus import MilvusProcess, milvus_server
from tests.stores.postgres import _numbers, empty_postgres, pgvector_server, postgres_server

__all__ = ["_numbers", "empty_postgres", "milvus_server", "pgvector_server", "postgres_server"]

Lists = dict[tuple[str, Modality, Modality], list[tuple[str, float]]]


def lists(folder: Path, url: str, vectors: str, demo_media: Path) -> Lists:
    """What each direction finds, with its scores."""
    found: Lists = {}
    with Collection(folder, Settings(database=url, vectors=vectors)) as library:
        if vectors == "local":
            assert library.index(demo_media).failed == 0
        else:
            library.index(demo_media)  # prepares the engine
            assert vectors.partition(":")[0] in library.status().index.lower()
        for concept, media in CONCEPTS.items():
            for query in Modality:
                if query is Modality.TEXT:
                    part = library.text_part(WORDS[concept])
                elif query in media:
                    part = library.file_part(demo_media / media[query], expected=query)
                else:
                    continue
                for item in Modality:
                    asked = Query((part,), k=8, modalities=frozenset({item}))
                    hits = library.run(asked)
                    found[concept, query, item] = [(hit.path.name, hit.score) for hit in hits]
    return found


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_every_direction_finds_the_same_in_every_engine(
    demo_media: Path,
    pgvector_server: str,
    empty_postgres: Callable[[], str],
    milvus_server: MilvusProcess,
    tmp_path: Path,
) -> None:
    url = empty_postgres()
    embedded = lists(tmp_path / "a", url, "local", demo_media)
    assert len({(query, item) for _, query, item in embedded}) == 16
    assert all(embedded.values())
    for vectors in ("pgvector", milvus_server.url):
        assert lists(tmp_path / "b", url, vectors, demo_media) == embedded
