"""Open the engine that a setting names."""

from __future__ import annotations

from seehear.config import MilvusAddress
from seehear.stores.catalog.catalog import Catalog
from seehear.stores.catalog.records import Generation
from seehear.stores.vectors.milvus import MilvusVectors
from seehear.stores.vectors.pgvector import PgVectors


def open_engine(
    vectors: str, catalog: Catalog, generation: Generation
) -> PgVectors | MilvusVectors | None:
    """Return what holds the vectors beside this process, by `Settings.vectors`; None for "local".

    Raises StoreError for an engine that cannot be used.
    """
    if (address := MilvusAddress.of(vectors)) is not None:
        return MilvusVectors(catalog, generation, address)
    return PgVectors(catalog, generation) if vectors == "pgvector" else None
