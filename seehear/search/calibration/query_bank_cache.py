"""Encoded banks, kept for each model in the user's cache folder: the next collection pays nothing.

One file for each model, kind of query and space, named by a hash of all that the vectors depend on.
A name and a revision are what a model says of itself, and two can say the same: weights made by
chance, or settings beside the weights that the revision does not cover. So a file is believed only
if the model gives the vector of the bank's first query again. Damaged files are made anew, and a
folder that cannot be written causes no error.
"""

from __future__ import annotations

import contextlib
import hashlib
import threading
from collections.abc import Mapping
from pathlib import Path
from weakref import WeakKeyDictionary

import numpy as np

from seehear.config import default_cache
from seehear.encoders.base import Model
from seehear.encoders.plain import encoder_errors
from seehear.files import write_whole
from seehear.search.calibration import query_bank
from seehear.types import EmbeddingSpace, Modality, Vectors

SAME_COSINE = 0.999
"""What the vectors of one sample by two ways through the same weights agree to."""

Banks = Mapping[EmbeddingSpace, Vectors]

_lock = threading.RLock()
_known: WeakKeyDictionary[Model, dict[Modality, Banks]] = WeakKeyDictionary()


def encoded_bank(modality: Modality, model: Model, folder: Path | None = None) -> Banks:
    """The bank's queries of one modality in each of their spaces: float32 (n, dim).

    Known to this process, else read from the folder, else encoded and written there. `folder` None
    takes the per-user cache folder. Rows without content are left out. Safe to call from several
    threads; several processes may write at once.
    """
    with _lock:
        banks = _known.setdefault(model, {})
        if modality not in banks:
            folder = default_cache() / "banks" if folder is None else folder
            whole = _read(modality, model, folder)
            if whole is None:
                whole = query_bank.encode_bank(modality, model)
                _write(modality, model, folder, whole)
            banks[modality] = {
                space: query_bank.with_content(rows) for space, rows in whole.items()
            }
        return banks[modality]


def _read(modality: Modality, model: Model, folder: Path) -> Banks | None:
    """What is kept of this very model, every space of it, or None."""
    found: dict[EmbeddingSpace, Vectors] = {}
    for space in model.spaces_of(modality):
        try:
            data = (folder / _name(modality, model, space)).read_bytes()
        except OSError:
            return None
        digest, blob = data[:_DIGEST_BYTES], data[_DIGEST_BYTES:]
        rows = query_bank.unpack(blob, space.dim) if digest == _digest(blob) else None
        if rows is None:
            return None
        found[space] = rows
    with encoder_errors(model, modality):
        first = model.encode(modality, query_bank.bank_samples(modality, model.spec, count=1))
    # |a - b|^2 = 2 - 2 cos for rows of unit length; a row of zeros equals only its like.
    far = np.sqrt(2 - 2 * SAME_COSINE)
    same = all(np.linalg.norm(rows[0] - first[space][0]) < far for space, rows in found.items())
    return found if same else None


def _write(modality: Modality, model: Model, folder: Path, banks: Banks) -> None:
    for space, rows in banks.items():
        blob = query_bank.pack(rows)
        with contextlib.suppress(OSError):
            write_whole(folder / _name(modality, model, space), [_digest(blob), blob])


def _name(modality: Modality, model: Model, space: EmbeddingSpace) -> str:
    parts = (
        query_bank.bank_digest(),
        model.name,
        model.revision,
        space.key,
        modality,
        repr(model.spec),
    )
    return hashlib.sha256("\n".join(map(str, parts)).encode()).hexdigest()[:32] + ".bank"


_DIGEST_BYTES = 32


def _digest(blob: bytes) -> bytes:
    return hashlib.sha256(blob).digest()
