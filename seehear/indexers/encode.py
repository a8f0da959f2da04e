"""Turn samples into vectors: fill batches across files, one buffer for each modality.

    decode ─► SampleReady(draft, ordinal, sample) ─► [image | audio | video | text] ─► model.encode
           ─► the draft, after its last sample             │ full, or waiting too long
                                                           ▼
                                       draft.rows ──► complete? ──► write

A draft (PendingAsset) is one content between decoding and writing. Its samples may be in several
batches, together with samples of other files; the draft is written only when all of them are
encoded. A failure affects one file only: a batch that the encoder fails on is halved until the
failing file is alone. Then a plain sample is tried: an encoder that fails on it, too, is at fault,
and the run ends.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from seehear.encoders import Model
from seehear.encoders.plain import load_encoder, try_encoder
from seehear.errors import ModelError, one_line
from seehear.indexers.dedup import IndexFailure
from seehear.indexers.stages import BoundedQueue
from seehear.libraries import fault_of
from seehear.stores import FileTask, NewContent
from seehear.types import EmbeddingSpace, MediaInfo, Modality, Sample, Segment, Vectors

MAX_BATCH_WAIT_S = 5.0
"""Longest time that a sample waits for its batch to fill: a single sound among thousands of images
is committed soon, and batches are rarely half empty."""

MAX_CONSECUTIVE_FAILURES = 16
"""The run ends after this many failed samples in a row without a success: then the encoder is
broken, not the files."""

SegmentRow = NDArray[np.float32]


@dataclass(slots=True)
class PendingAsset:
    """One content between decoding and writing, with its segments and vectors.

    The decoder sends it after its last sample, which says that its file has ended.
    """

    content_hash: str
    file: FileTask
    """The file that the content is read from."""
    info: MediaInfo
    segments: list[Segment] = field(default_factory=list)
    rows: dict[EmbeddingSpace, list[tuple[int, SegmentRow]]] = field(default_factory=dict)
    waiting: int = 0
    """Samples that are decoded but not encoded yet."""
    failure: IndexFailure | None = None
    """Why the file failed midway; set before the asset is sent."""
    abandoned: bool = False
    """The file changed midway and is read again; set before the asset is sent."""
    complete: bool = False
    """Every sample is decoded."""
    fingerprint: bytes = b""
    """What tells its copies; set before the asset is sent, empty if the catalog has it."""
    dropped: bool = False
    """Failed, abandoned or already passed on: further samples are ignored."""

    def content(self) -> NewContent:
        """Return what is written: segments, and vectors of each space, float32 (n, dim).

        An encoder returns a row of zeros for a sample without content. A segment with only such
        rows is left out, so that silence does not match every query; a passage stays without a
        vector, and is found by its words.
        """
        telling: dict[EmbeddingSpace, list[tuple[int, SegmentRow]]] = {
            space: sorted(((at, row) for at, row in rows if row.any()), key=lambda pair: pair[0])
            for space, rows in self.rows.items()
        }
        passages = {at for at, segment in enumerate(self.segments) if segment.text}
        kept = sorted(passages.union(at for rows in telling.values() for at, _ in rows))
        position = {at: i for i, at in enumerate(kept)}
        vectors = {
            space: ([position[at] for at, _ in rows], np.stack([row for _, row in rows]))
            for space, rows in telling.items()
            if rows
        }
        segments = [self.segments[at] for at in kept]
        return NewContent(
            self.content_hash, self.file.size_bytes, self.info, segments, vectors, self.fingerprint
        )


@dataclass(frozen=True, slots=True)
class SampleReady:
    """A decoded sample; `ordinal` is the position of its segment in the draft."""

    draft: PendingAsset
    ordinal: int
    sample: Sample


DecodeMessage = SampleReady | PendingAsset


@dataclass(slots=True)
class _Buffer:
    samples: list[SampleReady] = field(default_factory=list)
    since: float = 0.0
    size: int = 1


class EncodeStage:
    """Take samples from `inbox` until it ends, and encode them; runs in one thread.

    `encoded` is called once with each complete draft, `refused` once with each failed one.
    `expected` are the modalities to come, guessed from file names: their encoders are loaded first.
    `turn` is held while a batch is encoded, by stages that share a model. Raises
    EnvironmentFaultError where a library cannot be loaded, and ModelError where the encoder cannot
    encode anything.
    """

    def __init__(
        self,
        model: Model,
        batch_size: int,
        inbox: BoundedQueue[DecodeMessage],
        encoded: Callable[[PendingAsset], None],
        refused: Callable[[PendingAsset, IndexFailure], None],
        expected: Iterable[Modality] = (),
        turn: AbstractContextManager[object] | None = None,
    ) -> None:
        self._turn = turn or nullcontext()
        self._model, self._inbox = model, inbox
        self._encoded, self._refused = encoded, refused
        self._buffers = {modality: _Buffer(size=batch_size) for modality in Modality}
        self._expected = expected
        self._in_vain = 0

    def run(self) -> None:
        for modality in self._expected:
            load_encoder(self._model, modality)
        while True:
            message = self._inbox.get(MAX_BATCH_WAIT_S)
            if isinstance(message, SampleReady):
                self._take(message)
            elif message is not None:
                self._end(message)
            elif self._inbox.ended:
                break
            self._flush_overdue()
        for modality, buffer in self._buffers.items():
            # Drop drafts that were not completed because the run was stopped.
            buffer.samples = [s for s in buffer.samples if s.draft.complete]
            self._flush(modality)

    def _take(self, sampled: SampleReady) -> None:
        if sampled.draft.dropped:
            return
        modality = sampled.draft.segments[sampled.ordinal].modality
        buffer = self._buffers[modality]
        if not buffer.samples:
            buffer.since = time.monotonic()
        buffer.samples.append(sampled)
        sampled.draft.waiting += 1
        if len(buffer.samples) >= buffer.size:
            self._flush(modality)

    def _end(self, draft: PendingAsset) -> None:
        """Note that the file of a draft has ended."""
        if draft.abandoned:
            draft.dropped = True
        elif draft.failure is not None:
            self._drop(draft, draft.failure)
        else:
            draft.complete = True
            self._hand_on(draft)

    def _flush_overdue(self) -> None:
        now = time.monotonic()
        for modality, buffer in self._buffers.items():
            if buffer.samples and now - buffer.since > MAX_BATCH_WAIT_S:
                self._flush(modality)

    def _flush(self, modality: Modality) -> None:
        buffer = self._buffers[modality]
        samples, buffer.samples = buffer.samples, []
        self._encode(modality, [s for s in samples if not s.draft.dropped])

    def _encode(self, modality: Modality, batch: Sequence[SampleReady]) -> None:
        if not batch:
            return
        try:
            with self._turn:
                vectors = self._model.encode(modality, [sampled.sample for sampled in batch])
            _check(vectors, len(batch))
        except Exception as error:  # caused by these samples, unless the encoder is broken
            if (fault := fault_of(error)) is not None:
                raise fault from error
            self._refuse(modality, batch, error)
            return
        self._in_vain = 0
        for i, sampled in enumerate(batch):
            draft = sampled.draft
            for space, matrix in vectors.items():
                draft.rows.setdefault(space, []).append((sampled.ordinal, matrix[i]))
            draft.waiting -= 1
        for draft in {id(sampled.draft): sampled.draft for sampled in batch}.values():
            self._hand_on(draft)

    def _refuse(self, modality: Modality, batch: Sequence[SampleReady], error: Exception) -> None:
        if len(batch) > 1:
            # The batch was probably too large for the memory: make later batches smaller, too.
            if _is_memory(error):
                self._buffers[modality].size = max(1, len(batch) // 2)
            half = len(batch) // 2
            self._encode(modality, batch[:half])
            self._encode(modality, [s for s in batch[half:] if not s.draft.dropped])
            return
        try_encoder(self._model, modality)
        reason = one_line(error)
        self._in_vain += 1
        if self._in_vain >= MAX_CONSECUTIVE_FAILURES:
            raise ModelError(
                f"the model {self._model.name} failed on {MAX_CONSECUTIVE_FAILURES} {modality} "
                f"samples in a row "
                f"({reason}); what was indexed before is kept"
            ) from error
        self._drop(batch[0].draft, IndexFailure("encode", reason, permanent=False))

    def _drop(self, draft: PendingAsset, refusal: IndexFailure) -> None:
        if not draft.dropped:
            draft.dropped = True
            self._refused(draft, refusal)

    def _hand_on(self, draft: PendingAsset) -> None:
        if draft.complete and draft.waiting == 0 and not draft.dropped:
            draft.dropped = True  # pass it on only once
            self._encoded(draft)


def _check(vectors: Mapping[EmbeddingSpace, Vectors], count: int) -> None:
    for space, matrix in vectors.items():
        if matrix.shape != (count, space.dim):
            raise ValueError(f"{space.key} gave {matrix.shape} for {count} samples")
        if not np.isfinite(matrix).all():
            raise ValueError("the encoder gave numbers that are not finite")


def _is_memory(error: Exception) -> bool:
    # torch.OutOfMemoryError is not a MemoryError, and this package does not import torch.
    return isinstance(error, MemoryError) or "out of memory" in str(error).lower()
