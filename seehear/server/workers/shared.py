"""What the template and its workers hold: their options, the collection, vectors made ahead."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from seehear.config import Settings
from seehear.encoders.plain import try_encoder
from seehear.limits import ServiceLimits
from seehear.server.batching import EncodedQuery, WrappedModel
from seehear.server.served_collection import ModelPool, ServedCollection
from seehear.sources import stored_path
from seehear.types import Modality, Sample

if TYPE_CHECKING:
    from seehear.encoders import Model
    from seehear.stores.catalog.transactions import Pin


@dataclass(frozen=True, slots=True)
class WorkerOptions:
    """What the processes are started with."""

    collection: Path
    settings: Settings
    limits: ServiceLimits
    roots: tuple[Path, ...]
    private: tuple[str, ...]
    count: int

    def to_json(self) -> bytes:
        values = asdict(self) | {
            "collection": os.fspath(self.collection),
            "roots": [os.fspath(root) for root in self.roots],
        }
        return json.dumps(values).encode("ascii")

    @classmethod
    def from_json(cls, text: bytes) -> WorkerOptions:
        values = json.loads(text)
        return cls(
            collection=Path(values["collection"]),
            settings=Settings(**values["settings"]),
            limits=ServiceLimits(**values["limits"]),
            roots=tuple(map(stored_path, values["roots"])),
            private=tuple(values["private"]),
            count=values["count"],
        )


class EncodedAhead(WrappedModel):
    """A model that is told the vectors of some samples before it is asked for them."""

    def __init__(self, inner: Model) -> None:
        super().__init__(inner)
        self._rows: dict[str | int, EncodedQuery] = {}

    def encode(self, modality: Modality, samples: Sequence[Sample]) -> EncodedQuery:
        rows = [self._rows.get(_key(sample)) for sample in samples]
        known = [row for row in rows if row is not None]
        if not rows or len(known) < len(rows):
            return self.inner.encode(modality, samples)
        return {space: np.concatenate([row[space] for row in known]) for space in known[0]}

    def encode_texts(self, texts: Sequence[str]) -> EncodedQuery:
        """Encode texts that will be asked for, as one batch; return their vectors, too."""
        encoded = self.inner.encode(Modality.TEXT, texts)
        for row, text in enumerate(texts):
            self.tell(text, {space: rows[row : row + 1] for space, rows in encoded.items()})
        return encoded

    def tell(self, sample: Sample, encoded: EncodedQuery) -> None:
        self._rows[_key(sample)] = encoded

    def forget(self) -> None:
        """Drop all vectors; call it before a sample that was told may end."""
        self._rows.clear()


def _key(sample: Sample) -> str | int:
    return sample if isinstance(sample, str) else id(sample)


class SharedCollection(ServedCollection):
    """A collection that is loaded once, in the template, and answers in its forks."""

    def __init__(self, options: WorkerOptions) -> None:
        models = ModelPool(options.settings.device)
        super().__init__(options.collection, options.settings, models, must_exist=True)
        self.encoded: EncodedAhead | None = None

    def _load(self, name: str) -> Model:
        from seehear.encoders import load_model

        self.encoded = EncodedAhead(load_model(name, self.settings.device))
        return self.encoded

    def state(self) -> tuple[int | None, int]:
        """Return the serving generation and the last change; one of them grows with each change."""
        with self._catalog.read_snapshot():
            serving = self._catalog.generations.serving()
            return None if serving is None else serving.id, self._catalog.changes.last()

    def read_all(self) -> None:
        """Load what searches by words need, as of now."""
        try_encoder(self.model(), Modality.TEXT)
        if (engine := self._opened.engine()) is not None:
            engine.warm_up()

    def prepare(self, texts: Sequence[str]) -> None:
        """Encode texts to be asked for as one batch, and search the indexes for them as one."""
        if self.encoded is not None and (engine := self._opened.engine()) is not None:
            engine.search_ahead(Modality.TEXT, self.encoded.encode_texts(texts))

    def disconnect(self) -> None:
        """Close every connection: SQLite's must not be taken through a fork."""
        self._catalog.engine.dispose()

    def has_large_log(self) -> bool:
        return self._catalog.has_large_log()

    def empty_log(self) -> None:
        self._catalog.empty_log()

    def pin(self) -> Pin:
        return self._catalog.pin()

    def use(self, pin: Pin | None) -> None:
        self._catalog.use(pin)
