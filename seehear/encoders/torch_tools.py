"""Share code among encoders that run on torch: precision, transfers, and vectors out."""

from __future__ import annotations

import contextlib
import functools
import logging
import pickle
import threading
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from seehear.encoders.base import normalised
from seehear.errors import UsageError
from seehear.processes.resources import usable_cores
from seehear.silence import is_silent
from seehear.types import AudioSample, Modality, Sample, Vectors, modality_of

if TYPE_CHECKING:
    import torch

T = TypeVar("T")
LEAST_ROWS = 8
"""Smaller batches use the plain tower, and are not divided: they are queries, or the end
of a file."""
_of_part = threading.local()
"""In a thread that encodes parts: how many threads all parts have together."""


def half_precision(device: torch.device, *, float16: bool = True) -> AbstractContextManager[object]:
    """Compute matrix products in half precision on CUDA, everything in float32 elsewhere.

    Sums, norms and softmax stay in float32 (autocast), which keeps vectors within 0.999 cosine.
    Uses bfloat16 if the GPU has it, because some towers exceed the range of float16; for those
    that always do, `float16` is False, and a GPU without bfloat16 computes in float32.
    """
    import torch

    if device.type != "cuda":
        return contextlib.nullcontext()
    if torch.cuda.is_bf16_supported():
        return torch.autocast("cuda", dtype=torch.bfloat16)
    return torch.autocast("cuda", dtype=torch.float16) if float16 else contextlib.nullcontext()


def to_device(tensor: torch.Tensor, device: torch.device) -> torch.Tensor:
    """Move a batch; to CUDA from pinned memory, so that copying overlaps with computing."""
    if device.type == "cuda" and tensor.device.type == "cpu":
        return tensor.pin_memory().to(device, non_blocking=True)
    return tensor.to(device)


def vectors_of(tensor: torch.Tensor) -> Vectors:
    """Return the rows of a tensor as float32 (n, dim), L2-normalised in numpy."""
    return normalised(tensor.detach().float().cpu().numpy())


def scatter(present: Sequence[int], rows: Sequence[Vectors], count: int, dim: int) -> Vectors:
    """Put batches of rows at their positions among `count`; the others are zeros.

    Returns float32 (count, dim).
    """
    out = np.zeros((count, dim), dtype=np.float32)
    if len(present):
        out[list(present)] = np.concatenate(rows)
    return out


def encode_batches(
    batches: Iterable[Sequence[int]],
    encode: Callable[[Sequence[int]], Vectors],
    count: int,
    dim: int,
) -> Vectors:
    """Encode batches of positions among `count` samples; the other rows are zeros.

    Returns float32 (count, dim).
    """
    order: list[int] = []
    rows = []
    for batch in batches:
        order += batch
        rows.append(encode(batch))
    return scatter(order, rows, count, dim)


def encode_texts(
    texts: Sequence[str], most: int, dim: int, encode: Callable[[list[str]], Vectors]
) -> Vectors:
    """Encode texts, at most `most` at once; the rows of blank ones are zeros.

    Returns float32 (n, dim).
    """
    present = [position for position, text in enumerate(texts) if text.strip()]

    def read(batch: Sequence[int]) -> Vectors:
        return encode([texts[position] for position in batch])

    return encode_batches(chunks(present, most), read, len(texts), dim)


def compute_threads() -> int:
    """Return how many threads encode on a processor: OMP_NUM_THREADS, or the cores to be used."""
    import torch

    return getattr(_of_part, "threads", None) or min(torch.get_num_threads(), usable_cores())


def encode_parts(
    items: Sequence[T], most: int, device: torch.device, encode: Callable[[Sequence[T]], Vectors]
) -> list[Vectors]:
    """Encode items in parts of at most `most`, in order; on a processor, several parts at once.

    Each part has threads of its own, mostly one. Threads that share every operation would wait
    after each one for the slowest, which beside decode workers and other programs is most of the
    time.
    """
    import torch

    threads = compute_threads() if device.type == "cpu" else 1
    at_once = min(threads, len(items) // LEAST_ROWS)
    if at_once < 2:
        return [encode(part) for part in chunks(items, most)]
    own = torch.get_num_threads()

    def encode_one(part: Sequence[T]) -> Vectors:
        torch.get_num_threads()  # a thread that has not asked takes over what others set later
        torch.set_num_threads(threads // at_once)
        _of_part.threads = threads
        return encode(part)

    try:
        parts = chunks(items, min(most, -(-len(items) // at_once)))
        return list(_encode_threads(threads).map(encode_one, parts))
    finally:
        torch.set_num_threads(own)  # also what threads of the caller's program begin with


@functools.cache
def _encode_threads(count: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(count, "seehear-encode-part")


def chunks(items: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    """Yield slices of at most `size` items, in order."""
    for start in range(0, len(items), size):
        yield items[start : start + size]


def batches_alike(items: Sequence[T], size: Callable[[T], int], most: int) -> Iterator[Sequence[T]]:
    """Yield batches of items of equal size, each at most `most` in sum, or one item.

    Nothing in such a batch is padded, so a vector does not depend on what it was encoded with.
    """
    alike: defaultdict[int, list[T]] = defaultdict(list)
    for item in items:
        alike[size(item)].append(item)
    for each, group in alike.items():
        yield from chunks(group, max(1, most // each))


def check_samples(
    encoder: str, has: frozenset[Modality], modality: Modality, samples: Sequence[Sample]
) -> None:
    """Raise UsageError for a modality that the encoder lacks or a sample of another one."""
    if modality not in has:
        raise UsageError(f"model {encoder} does not encode {modality}")
    for sample in samples:
        if modality_of(sample) is not modality:
            raise UsageError(f"{sample!r} was sent to be encoded as {modality}")


def audible(encoder: str, sample_rate_hz: int, audio: Sequence[AudioSample]) -> list[int]:
    """Return the positions of the windows that are not silent. Raises UsageError for another rate.

    `sample_rate_hz` is the one that the encoder takes.
    """
    for window in audio:
        if window.sample_rate_hz != sample_rate_hz:
            raise UsageError(
                f"model {encoder} takes sound at {sample_rate_hz} Hz, not at "
                f"{window.sample_rate_hz} Hz"
            )
    return [n for n, window in enumerate(audio) if not is_silent(window.waveform, sample_rate_hz)]


def weight_errors() -> tuple[type[Exception], ...]:
    """Return the errors that a damaged file of weights, or one of another model, may raise."""
    from safetensors import SafetensorError

    return (
        OSError,
        RuntimeError,
        ValueError,
        TypeError,
        KeyError,
        EOFError,
        pickle.UnpicklingError,
        SafetensorError,
    )


def without_random_weights() -> AbstractContextManager[object]:
    """Build modules without drawing their first weights, which takes seconds for a large model.

    Only for modules all of whose parameters are loaded afterwards. Affects this thread only.
    """
    import torch
    from torch.overrides import TorchFunctionMode

    draws = {
        torch.Tensor.normal_,
        torch.Tensor.uniform_,
        torch.nn.init.normal_,
        torch.nn.init.uniform_,
        torch.nn.init.trunc_normal_,
        torch.nn.init.kaiming_normal_,
        torch.nn.init.kaiming_uniform_,
        torch.nn.init.xavier_normal_,
        torch.nn.init.xavier_uniform_,
    }

    class WithoutRandomWeights(TorchFunctionMode):
        def __torch_function__(
            self,
            func: Callable[..., Any],
            types: Any,
            args: tuple[Any, ...] = (),
            kwargs: dict[str, Any] | None = None,
        ) -> Any:
            settings = kwargs or {}
            if func in draws:
                return args[0] if args else settings["tensor"]
            if func in (torch.randn, torch.rand):
                return torch.zeros(*args, **{k: v for k, v in settings.items() if k != "generator"})
            return func(*args, **settings)

    return WithoutRandomWeights()


@contextlib.contextmanager
def quiet_libraries() -> Iterator[None]:
    """Keep libraries that log through the root logger from configuring logging for everybody.

    `logging.info` on a root logger without handlers installs one, and then the warnings of every
    library appear on the terminal. What they would say about loading is checked here instead.
    """
    root = logging.getLogger()
    silence = logging.NullHandler()
    root.addHandler(silence)
    try:
        yield
    finally:
        root.removeHandler(silence)
