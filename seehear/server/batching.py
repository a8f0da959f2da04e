"""Share the encoder among the queries of several clients: encode together what waits.

Nothing waits for a batch to fill. While the encoder works, requests gather; when it is free it
takes all that have gathered of one modality, texts first: they take milliseconds, images seconds.
One client alone loses no time, and under load the batches grow by themselves.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass

from seehear.cancellation import CancelledQueryError, CancelToken, current_token
from seehear.encoders import Model, Route, encode_patches, known_shares
from seehear.types import EmbeddingSpace, ImageSample, Modality, Sample, SampleSpec, Vectors

EncodedQuery = Mapping[EmbeddingSpace, Vectors]

MAX_BATCH = 64
"""Samples in one call: beyond this, CPUs gain nothing and the first client waits for the last."""


@dataclass(slots=True)
class _Waiting:
    modality: Modality
    samples: Sequence[Sample]
    ticket: CancelToken | None
    future: Future[EncodedQuery]


class WrappedModel:
    """A model that encodes in its own way, and is otherwise the inner one."""

    def __init__(self, inner: Model) -> None:
        self.inner = inner

    @property
    def name(self) -> str:
        return self.inner.name

    @property
    def revision(self) -> str:
        return self.inner.revision

    @property
    def spec(self) -> SampleSpec:
        return self.inner.spec

    def spaces_of(self, modality: Modality) -> tuple[EmbeddingSpace, ...]:
        return self.inner.spaces_of(modality)

    def route(self, query: Modality, item: Modality) -> Route:
        return self.inner.route(query, item)

    def known_shares(self, texts: Sequence[str]) -> list[float]:
        return known_shares(self.inner, texts)

    def encode_patches(self, image: ImageSample) -> Vectors | None:
        return encode_patches(self.inner, image)


class BatchingModel(WrappedModel):
    """Collect calls of `encode` from many threads into batches for the inner model.

    `on_batch` is told the modality and size of every batch. The thread that encodes ends with
    `close`; later calls of `encode` raise CancelledQueryError.
    """

    def __init__(
        self, inner: Model, on_batch: Callable[[Modality, int], None] | None = None
    ) -> None:
        super().__init__(inner)
        self._on_batch = on_batch
        self._waiting: deque[_Waiting] = deque()
        self._news = threading.Condition()
        self._closed = False
        self._thread = threading.Thread(target=self._work, name="seehear-encode", daemon=True)
        self._thread.start()

    def encode(self, modality: Modality, samples: Sequence[Sample]) -> EncodedQuery:
        """Encode as the inner model. Raises CancelledQueryError if the client goes meanwhile."""
        waiting = _Waiting(modality, samples, current_token.get(), Future())
        with self._news:
            if self._closed:
                raise CancelledQueryError
            self._waiting.append(waiting)
            self._news.notify()
        return waiting.future.result()

    def close(self) -> None:
        """Finish what waits and end the thread."""
        with self._news:
            self._closed = True
            self._news.notify()
        self._thread.join()

    def _work(self) -> None:
        while batch := self._next_batch():
            live = []
            for waiting in batch:
                if waiting.ticket is not None and waiting.ticket.gone.is_set():
                    waiting.future.set_exception(CancelledQueryError())
                else:
                    live.append(waiting)
            if live:
                self._encode(live)

    def _next_batch(self) -> list[_Waiting]:
        """Return what waits of one modality, at most MAX_BATCH samples; [] at the end.

        The modality is text if a text waits, else that of what has waited the longest.
        """
        with self._news:
            while not self._waiting and not self._closed:
                self._news.wait()
            if not self._waiting:
                return []
            modalities = [waiting.modality for waiting in self._waiting]
            modality = (
                Modality.TEXT if Modality.TEXT in modalities else next(iter(modalities), None)
            )
            batch: list[_Waiting] = []
            others: list[_Waiting] = []
            size = 0
            while self._waiting:
                waiting = self._waiting.popleft()
                fits = not batch or size + len(waiting.samples) <= MAX_BATCH
                if fits and waiting.modality is modality:
                    batch.append(waiting)
                    size += len(waiting.samples)
                else:
                    others.append(waiting)
            self._waiting.extend(others)
            return batch

    def _encode(self, batch: list[_Waiting]) -> None:
        samples = [sample for waiting in batch for sample in waiting.samples]
        if self._on_batch is not None:
            self._on_batch(batch[0].modality, len(samples))
        try:
            encoded = self.inner.encode(batch[0].modality, samples)
        except Exception as error:
            self._encode_apart(batch, error)
            return
        start = 0
        for waiting in batch:
            stop = start + len(waiting.samples)
            waiting.future.set_result({space: rows[start:stop] for space, rows in encoded.items()})
            start = stop

    def _encode_apart(self, batch: list[_Waiting], error: Exception) -> None:
        """Encode each request of a batch that failed: a bad sample fails its own client alone."""
        if len(batch) == 1:
            batch[0].future.set_exception(error)
            return
        for waiting in batch:
            self._encode([waiting])
