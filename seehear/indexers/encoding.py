"""Turn files into results that the writer takes: here, or for a driver on another machine.

here       tasks ─► decode ═► encode ─► results                    `encode_stages`
by Ray     a chunk of tasks ─► the same stages ─► EncodedChunk     `ChunkEncoder`, in an actor
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from seehear.config import Settings
from seehear.encoders import Model
from seehear.encoders.plain import load_encoder
from seehear.errors import ModelError
from seehear.indexers.decode import DecodeStage
from seehear.indexers.dedup import InFlightContents
from seehear.indexers.encode import DecodeMessage, EncodeStage, PendingAsset
from seehear.indexers.progress import ProgressTracker
from seehear.indexers.stages import BoundedQueue, StopEvent, run_stages
from seehear.indexers.write import ContentKnown, FileEncoded, FileFailed, WriteMessage
from seehear.media.workers.pool import DecodePool
from seehear.stores import FileTask
from seehear.types import EmbeddingSpace, Modality

CHANNEL_BYTES = 64 << 20
"""Decoded samples that wait for the encoder: about ten batches of images, or one of windows of
sound; enough that short delays of one side do not stop the other."""

CHANNEL_RESULTS = 1024


def encode_stages(
    tasks: Iterable[FileTask],
    model: Model,
    settings: Settings,
    *,
    claims: InFlightContents,
    tally: ProgressTracker,
    results: BoundedQueue[WriteMessage],
    roots: Mapping[int, str],
    stop: threading.Event,
    to_mark: Callable[[str], bool] | None = None,
    expected: Iterable[Modality] = (),
    pool: DecodePool | None = None,
    turn: AbstractContextManager[object] | None = None,
    on_left: Callable[[int, str], None] | None = None,
) -> tuple[dict[str, Callable[[], None]], BoundedQueue[DecodeMessage]]:
    """Return the two stages that decode and encode `tasks`, and the queue between them.

    `results` is closed after the last result. The arguments are those of the stages.
    """
    samples: BoundedQueue[DecodeMessage] = BoundedQueue(CHANNEL_BYTES)
    decoder = DecodeStage(
        tasks,
        model,
        settings,
        claims=claims,
        tally=tally,
        samples=samples,
        results=results,
        roots=roots,
        stop=stop,
        to_mark=to_mark,
        pool=pool,
        on_left=on_left,
    )

    def encoded(draft: PendingAsset) -> None:
        results.put(FileEncoded(draft.content(), draft.file))

    encoder = EncodeStage(
        model, settings.batch_size, samples, encoded, decoder.refused, expected, turn
    )

    def decode() -> None:
        decoder.run()
        samples.close()

    def encode() -> None:
        encoder.run()
        results.close()

    return {"decode": decode, "encode": encode}, samples


@dataclass(frozen=True, slots=True)
class EncoderSetup:
    """What an encoder on another machine needs to know before its first chunk."""

    model: str
    revision: str
    settings: Settings
    """With the device and the decode workers of that machine."""
    expected: tuple[Modality, ...]
    roots: Mapping[int, str]
    threads: int
    load: Callable[[str, str], Model]
    """Returns a model by name and device."""


@dataclass(frozen=True, slots=True)
class EncodeChunk:
    """Some files to encode, with the hashes of contents that need no encoding or no fingerprint."""

    tasks: tuple[FileTask, ...]
    known: frozenset[str] = frozenset()
    marked: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class EncodedChunk:
    """What came of a chunk; vectors are float16 (n, dim)."""

    results: tuple[WriteMessage, ...]
    unreadable: tuple[Path, ...] = ()
    """Files that cannot be read on that machine."""


class ChunkEncoder:
    """Decode and encode chunks of files; several chunks at once, in a thread each.

    Decode workers and the model are shared: one batch is encoded at a time. Raises ModelError for
    a model of another revision, or as `load_model` and `load_encoder` do.
    """

    def __init__(self, setup: EncoderSetup) -> None:
        # Before torch is loaded. Threads that wait must not keep a core that others could use.
        os.environ["OMP_NUM_THREADS"] = str(setup.threads)
        os.environ.setdefault("OMP_WAIT_POLICY", "passive")
        settings = setup.settings
        self._setup, self._halt, self._turn = setup, threading.Event(), threading.Lock()
        self._model = setup.load(setup.model, settings.device)
        if self._model.revision != setup.revision:
            raise ModelError(
                f"its model {setup.model} is {self._model.revision}, not {setup.revision}; "
                "install the same one there"
            )
        for modality in setup.expected:
            load_encoder(self._model, modality)
        self._pool = DecodePool(
            settings.decode_workers or 1, settings.decode_memory_bytes, settings.decode_timeout_s
        )

    def encode(self, chunk: EncodeChunk) -> EncodedChunk:
        """Return the results of a chunk; of a part of it after `stop`.

        Raises EnvironmentFaultError and ModelError, as the stages do.
        """
        claims, halt = InFlightContents(chunk.known.__contains__), StopEvent(self._halt)
        results: BoundedQueue[WriteMessage] = BoundedQueue(CHANNEL_RESULTS)
        found: list[WriteMessage] = []

        def collect() -> None:
            while not results.ended:
                if (result := results.get()) is not None:
                    found.append(result)

        stages, samples = encode_stages(
            chunk.tasks,
            self._model,
            self._setup.settings,
            claims=claims,
            tally=ProgressTracker(),
            results=results,
            roots=self._setup.roots,
            stop=halt,
            to_mark=lambda digest: digest not in chunk.marked,
            pool=self._pool,
            turn=self._turn,
        )
        run_stages({**stages, "collect": collect}, (samples, results), halt, lambda: None)
        packed: list[WriteMessage] = []
        for result in found:
            packed.append(_pack(result))
            if isinstance(result, FileEncoded):
                digest = result.content.content_hash
                packed += [ContentKnown(digest, copy) for copy in claims.complete(digest)]
        return EncodedChunk(
            tuple(packed), tuple(one.file.path for one in packed if _is_unreadable(one))
        )

    def stop(self) -> None:
        """End the chunks in progress early; files that are decoded completely are encoded."""
        self._halt.set()


def _pack(result: WriteMessage) -> WriteMessage:
    """Return a result with its vectors as the catalog keeps them, which halves what is sent."""
    if not isinstance(result, FileEncoded):
        return result
    vectors: dict[EmbeddingSpace, tuple[Sequence[int], Any]] = {
        space: (positions, rows.astype(np.float16))
        for space, (positions, rows) in result.content.vectors.items()
    }
    return replace(result, content=replace(result.content, vectors=vectors))


def _is_unreadable(result: WriteMessage) -> bool:
    return (
        isinstance(result, FileFailed)
        and result.refusal.stage == "open"
        and not os.access(result.file.path, os.R_OK)
    )
