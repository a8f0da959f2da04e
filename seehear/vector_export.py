"""Write the vectors of a collection to files, a block at a time.

vectors.npy      float32 (n, dim), and beside it
vectors.jsonl    a line for each row: what the vector is of
vectors.parquet  both in one file (the extra `arrow`)
vectors.lance    both in a folder of Lance (the extra `lance`)

`vector_files` reads them.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from seehear.errors import UsageError
from seehear.files import (
    AS_USUAL,
    check_output,
    output_file,
    scratch_folder,
    told_disk_errors,
)
from seehear.types import EmbeddingSpace, Ids, Vectors, item_id, plain_fields

if TYPE_CHECKING:
    import pyarrow as pa

    from seehear.stores import Catalog, Generation

BLOCK = 1_000
"""Vectors in memory at once."""
SPACE_OF_FILE = "space"
"""Where a file says in which space its vectors are: in its metadata, or in each line."""
_COLUMNS = (
    *("segment_id", "asset_id", "id", "path", "modality", "matched"),
    *("start_s", "stop_s", "page", "text", "origin", "language", "fields", "dates"),
)
SUFFIXES = (".npy", ".parquet", ".lance")
_Blocks = Iterator[tuple[list[dict[str, Any]], Vectors]]
"""What some vectors are of, and the vectors: float32 (n, dim)."""


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
    EnvironmentFaultError without pyarrow or pylance.
    """
    if target.suffix not in SUFFIXES:
        raise UsageError(f"{target} must end in {', '.join(SUFFIXES[:-1])} or {SUFFIXES[-1]}")
    blocks = _blocks(catalog, generation, space, ids)
    with told_disk_errors(f"cannot write {target}"):
        write = {".npy": _write_npy, ".parquet": _write_parquet, ".lance": _write_lance}
        return write[target.suffix](blocks, space, target, force=force)


def _blocks(catalog: Catalog, generation: Generation, space: EmbeddingSpace, ids: Ids) -> _Blocks:
    """Yield what some vectors are of, and the vectors: float32 (n, dim)."""
    ids = _by_asset(catalog, ids)
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
            own = fields.get(key, {}) if key is not None else {}
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
                    "origin": None if segment.origin is None else segment.origin.value,
                    "language": segment.language,
                    "fields": plain_fields(own),
                    "dates": [name for name, value in own.items() if isinstance(value, date)],
                }
            )
        kept = np.flatnonzero(rows.any(axis=1))
        if len(kept):
            yield [told[at] for at in kept], rows[kept]


def _by_asset(catalog: Catalog, ids: Ids) -> Ids:
    """Return ids of segments so that those of one asset follow each other."""
    parts = [
        catalog.segments.columns(ids[start : start + BLOCK]) for start in range(0, len(ids), BLOCK)
    ]
    kept = np.concatenate([part.ids for part in parts] or [ids])
    assets = np.concatenate([part.assets for part in parts] or [ids])
    return kept[np.argsort(assets, kind="stable")]


def _write_npy(blocks: _Blocks, space: EmbeddingSpace, target: Path, *, force: bool) -> int:
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
            text.writelines(
                json.dumps({**one, SPACE_OF_FILE: space.key}, ensure_ascii=False) + "\n"
                for one in told
            )
            count += len(told)
        file.seek(0)
        _write_header(file, count, space.dim)
    return count


def _write_header(file: BinaryIO, count: int, dim: int) -> None:
    """Write the head of a file of numpy: its length does not depend on the number of rows."""
    about = {"descr": "<f4", "fortran_order": False, "shape": (count, dim)}
    np.lib.format.write_array_header_1_0(file, about)


def _write_parquet(blocks: _Blocks, space: EmbeddingSpace, target: Path, *, force: bool) -> int:
    import pyarrow.parquet as pq

    schema, batches = _arrow_batches(blocks, space)
    with output_file(target, AS_USUAL, force=force) as made, pq.ParquetWriter(made, schema) as out:
        count = 0
        for batch in batches:
            out.write_batch(batch)
            count += len(batch)
    return count


def _write_lance(blocks: _Blocks, space: EmbeddingSpace, target: Path, *, force: bool) -> int:
    """Write a folder beside the target, which takes its name when it is whole."""
    if not target.is_dir() or target.is_symlink():
        check_output(target)
    elif not force:
        raise UsageError(
            f"{target} already exists. Choose another name, or replace it with --force"
        )
    elif not (target / "_versions").is_dir():
        raise UsageError(f"{target} is a folder, and not of Lance. Choose another name")
    import lance
    import pyarrow as pa

    schema, batches = _arrow_batches(blocks, space)
    with scratch_folder(target.parent) as folder:
        reader = pa.RecordBatchReader.from_batches(schema, batches)
        count = lance.write_dataset(reader, str(folder / "new")).count_rows()
        if target.is_dir():
            target.rename(folder / "old")
        (folder / "new").rename(target)
    return int(count)


def _arrow_batches(
    blocks: _Blocks, space: EmbeddingSpace
) -> tuple[pa.Schema, Iterator[pa.RecordBatch]]:
    import pyarrow as pa

    text, number, whole = pa.string(), pa.float64(), pa.int64()
    kinds = {"segment_id": whole, "asset_id": whole, "start_s": number, "stop_s": number}
    kinds |= {"page": whole, "dates": pa.list_(text)}
    columns = [(name, kinds.get(name, text)) for name in _COLUMNS]
    schema = pa.schema(
        [*columns, ("vector", pa.list_(pa.float32(), space.dim))], {SPACE_OF_FILE: space.key}
    )

    def batches() -> Iterator[pa.RecordBatch]:
        for told, rows in blocks:
            cells: dict[str, Any] = {name: [one[name] for one in told] for name in _COLUMNS}
            cells["path"] = [one["path"].encode("utf-8", "replace").decode() for one in told]
            cells["fields"] = [json.dumps(one["fields"], ensure_ascii=False) for one in told]
            arrays = [pa.array(cells[name], schema.field(name).type) for name in _COLUMNS]
            flat = pa.array(rows.reshape(-1), pa.float32())
            arrays.append(pa.FixedSizeListArray.from_arrays(flat, space.dim))
            yield pa.RecordBatch.from_arrays(arrays, schema=schema)

    return schema, batches()
