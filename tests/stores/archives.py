"""Take archives apart and pack them again, altered."""

from __future__ import annotations

import io
import json
import sqlite3
import tarfile
from collections.abc import Callable
from contextlib import closing
from hashlib import blake2b
from pathlib import Path

from seehear.stores.catalog.checksums import segment_crc, vector_crc

Members = list[tuple[tarfile.TarInfo, bytes]]


def members(path: Path) -> Members:
    with tarfile.open(path) as tar:
        return [(m, tar.extractfile(m).read()) for m in tar.getmembers()]  # type: ignore[union-attr]


def packed(path: Path, found: Members) -> Path:
    with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as tar:
        for member, content in found:
            member.size = len(content) if member.isreg() else 0
            tar.addfile(member, io.BytesIO(content))
    return path


def told(found: Members, **values: object) -> Members:
    manifest = {**json.loads(found[0][1]), **values}
    return [(found[0][0], json.dumps(manifest).encode()), *found[1:]]


def with_catalog(
    exported: Path, target: Path, change: Callable[[sqlite3.Connection], object]
) -> Path:
    """The archive with a changed catalog and a digest that fits it."""
    found = members(exported)
    catalog = target.with_suffix(".db")
    catalog.write_bytes(found[1][1])
    with closing(sqlite3.connect(catalog)) as database:
        change(database)
        database.commit()
    return repacked(found, catalog.read_bytes(), target)


def repacked(found: Members, catalog: bytes, target: Path, **values: object) -> Path:
    """The archive with another catalog, and the size and digest that fit it."""
    digest = blake2b(catalog, digest_size=32).hexdigest()
    found = told(found, digest=digest, size_bytes=len(catalog), **values)
    return packed(target, [found[0], (found[1][0], catalog)])


def renew_checksums(database: sqlite3.Connection) -> None:
    """Give every row the checksum that fits it, as someone who forges an archive would."""
    database.create_function("segment_crc", 7, segment_crc)
    database.create_function("vector_crc", 5, vector_crc)
    database.execute(
        "UPDATE segments SET crc = segment_crc(generation_id, asset_id, ordinal, modality, "
        "start_s, stop_s, text)"
    )
    database.execute(
        "UPDATE vectors SET crc = vector_crc(segment_id, space_id, modality, change, data)"
    )
