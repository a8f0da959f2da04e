"""Collections that tests share; they are read only."""

from __future__ import annotations

import os

import pytest

# Indexes of a few vectors gain nothing from threads, and lose much on a busy machine.
os.environ.setdefault("OMP_NUM_THREADS", "1")

from tests.search.library import Library, demo
from tests.stores.milvus import milvus_server
from tests.stores.postgres import (
    _numbers,
    _templates,
    pgvector_server,
    postgres_copy,
    postgres_database,
    postgres_server,
)

# Servers are started once for all modules, because their fixtures are known here and not there.
__all__ = [
    "_numbers",
    "_templates",
    "milvus_server",
    "pgvector_server",
    "postgres_copy",
    "postgres_database",
    "postgres_server",
]


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Library:
    """Six concepts in all four modalities; not to be added to."""
    return demo(tmp_path_factory.mktemp("demo"))
