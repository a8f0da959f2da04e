"""Writing contents to a catalog one by one, in plain statements, for tests."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from sqlalchemy import insert, select

from seehear.stores import Batch
from seehear.stores.catalog import bulk_insert
from seehear.stores.catalog.reader import CHANGE, asset_of, space_ids
from seehear.stores.catalog.schema import assets, encodings, segments, vectors
from seehear.types import Asset, EmbeddingSpace, MediaInfo, Modality, Segment, Vectors


def put_asset(batch: Batch, content_hash: str, size_bytes: int, info: MediaInfo) -> Asset:
    """Return the asset of that content; make it if there is none."""
    same = assets.c.content_hash == content_hash
    if asset_of(batch.connection, same) is None:
        row = bulk_insert.asset_row(content_hash, size_bytes, info)
        batch.connection.execute(insert(assets), row)
    made = asset_of(batch.connection, same)
    assert made is not None
    return made


def put_encoding(
    batch: Batch,
    generation_id: int,
    asset_id: int,
    segments_: Sequence[Segment],
    vectors_: Mapping[EmbeddingSpace, tuple[Sequence[int], Vectors]],
) -> None:
    """Store an asset's segments and vectors, and mark it as encoded; replace an earlier encoding.

    `vectors_` gives for each space the positions in `segments_` and float32 (n, dim) rows for them.
    """
    connection = batch.connection
    known = space_ids(connection, generation_id)
    batch._drop_segments(
        (segments.c.generation_id == generation_id) & (segments.c.asset_id == asset_id)
    )
    ids = []
    of_asset = select(assets.c.modality).where(assets.c.id == asset_id)
    modality = Modality(connection.scalar(of_asset) or "")
    for row in bulk_insert.segment_rows(generation_id, asset_id, modality, segments_):
        made = connection.execute(insert(segments).values(**row)).inserted_primary_key
        assert made is not None
        ids.append(int(made[0]))
    for space, (positions, rows) in vectors_.items():
        for position, values in zip(positions, rows, strict=True):
            connection.execute(
                insert(vectors).values(
                    bulk_insert.vector_row(
                        ids[position],
                        known[space],
                        segments_[position].modality,
                        batch.count(CHANGE),
                        np.asarray(values, dtype="<f2"),
                    )
                )
            )
    mark = {"generation_id": generation_id, "asset_id": asset_id}
    if not connection.execute(select(encodings).filter_by(**mark)).first():
        connection.execute(insert(encodings).values(**mark))
