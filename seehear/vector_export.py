"""Write the vectors of a collection to files, a block at a time.

vectors.npy      float32 (n, dim), and beside it
vectors.jsonl    a line for each row: what the vector is of
vectors.parquet  both in one file (the extra `arrow`)
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from seehear.errors import UsageError
from seehear.files import AS_USUAL, check_output, output_file, told_disk_errors
from seehear.types import EmbeddingSpace, Ids, Vectors, item_id, plain_fields

if TYPE_CHECKING:
    from seehear.stores import Catalog, Generation

BLOCK = 1_000
"""Vectors in memory at once."""
_COLUMNS = (
    *("segment_id", "asset_id", "id", "path", "modality", "matched"),
    *("start_s", "stop_s", "page", "text", "fields"),
)
SUFFIXES = (".npy", ".parquet")


def write_vectors(
    catalog: Catalog,
    generation: Generation,
    space: EmbeddingSpace,
    ids: Ids,
    target: Path,
    *,
    force: bool = False,
) -> int:
    """Write the vectors of some segments in one space; return how many have one.

    Raises UsageError for another suffix and for a file that exists, StoreError, StorageFullError,
    EnvironmentFaultError without pyarrow.
    """
    if target.suffix not in SUFFIXES:
        raise UsageError(f"{target} must end in {' or '.join(SUFFIXES)}")
    blocks = _blocks(catalog, generation, space, ids)
    with told_disk_errors(f"cannot write {target}"):
        if target.suffix == ".parquet":
            return _write_parquet(blocks, space, target, force=force)
        return _write_npy(blocks, space, target, force=force)


def _blocks(
    catalog: Catalog, generation: Generation, space: EmbeddingSpace, ids: Ids
) -> Iterator[tuple[list[dict[str, Any]], Vectors]]:
    """Yield what some vectors are of, and the vectors: float32 (n, dim)."""
    for start in range(0, len(ids), BLOCK):
        records = catalog.segments.resolve(ids[start : start + BLOCK])
        rows = catalog.segments.vectors([one.segment_id for one in records], generation, space)
        keys = [key for one in records if (key := item_id(one.path)) is not None]
        fields: dict[str, Mapping[str, Any]] = {
            key: item.fields for key, item in catalog.items.get(keys).items()
        }
        told = []
        for record in records:
            key, segment = item_id(record.path), record.segment
            told.append(
                {
                    "segment_id": record.segment_id,
                    "asset_id": record.asset.id,
                    "id": key,
                    "path": str(record.path),
                    "modality": record.asset.modality.value,
                    "matched": segment.modality.value,
                    "start_s": segment.start_s,
                    "stop_s": segment.stop_s,
                    "page": segment.page,
                    "text": segment.text,
                    "fields": plain_fields(fields.get(key, {})) if key is not None else {},
                }
            )
        kept = np.flatnonzero(rows.any(axis=1))
        if len(kept):
            yield [told[at] for at in kept], rows[kept]


def _write_npy(
    blocks: Iterator[tuple[list[dict[str, Any]], Vectors]],
    space: EmbeddingSpace,
    target: Path,
    *,
    force: bool,
) -> int:
    lines = target.with_suffix(".jsonl")
    check_output(target, force=force)  # before the first of the two takes its name
    check_output(lines, force=force)
    count = 0
    with ExitStack() as both:
        matrix = both.enter_context(output_file(target, AS_USUAL, force=force))
        listed = both.enter_context(output_file(lines, AS_USUAL, force=force))
        file = both.enter_context(matrix.open("wb"))
        text = both.enter_context(listed.open("w", encoding="utf-8", errors="surrogateescape"))
        _write_header(file, 0, space.dim)
        for told, rows in blocks:
            file.write(np.ascontiguousarray(rows, dtype="<f4").tobytes())
            text.writelines(json.dumps(one, ensure_ascii=False) + "\n" for one in told)
            count += len(told)
        file.seek(0)
        _write_header(file, count, space.dim)
    return count


def _write_header(file: BinaryIO, count: int, dim: int) -> None:
    """Write the head of a file of numpy: its length does not depend on the number of rows."""
    about = {"descr": "<f4", "fortran_order": False, "shape": (count, dim)}
    np.lib.format.write_array_header_1_0(file, about)


def _write_parquet(
    blocks: Iterator[tuple[list[dict[str, Any]], Vectors]],
    space: EmbeddingSpace,
    target: Path,
    *,
    force: bool,
) -> int:
    import pyarrow as pa
    import pyarrow.parquet as pq

    text, number, whole = pa.string(), pa.float64(), pa.int64()
    kinds = {"segment_id": whole, "asset_id": whole, "start_s": number, "stop_s": number}
    kinds["page"] = whole
    columns = [(name, kinds.get(name, text)) for name in _COLUMNS]
    schema = pa.schema(
        [*columns, ("vector", pa.list_(pa.float32(), space.dim))], {"space": space.key}
    )
    count = 0
    with output_file(target, AS_USUAL, force=force) as made, pq.ParquetWriter(made, schema) as out:
        for told, rows in blocks:
            cells: dict[str, Any] = {name: [one[name] for one in told] for name in _COLUMNS}
            cells["path"] = [one["path"].encode("utf-8", "replace").decode() for one in told]
            cells["fields"] = [json.dumps(one["fields"], ensure_ascii=False) for one in told]
            flat = pa.array(rows.reshape(-1), pa.float32())
            cells["vector"] = pa.FixedSizeListArray.from_arrays(flat, space.dim)
            out.write_table(pa.table(cells, schema))
            count += len(told)
    return count
