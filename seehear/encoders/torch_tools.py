"""Share code among encoders that run on torch: precision, transfers, and vectors out."""

from __future__ import annotations

import contextlib
import logging
import pickle
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from seehear.encoders.base import normalised
from seehear.errors import UsageError
from seehear.types import Modality, Sample, Vectors, modality_of

if TYPE_CHECKING:
    import torch

T = TypeVar("T")


def half_precision(device: torch.device) -> AbstractContextManager[object]:
    """Compute matrix products in half precision on CUDA, everything in float32 elsewhere.

    Sums, norms and softmax stay in float32 (autocast), which keeps vectors within 0.999 cosine.
    Uses bfloat16 if the GPU has it, because some towers exceed the range of float16.
    """
    import torch

    if device.type != "cuda":
        return contextlib.nullcontext()
    dtype = torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float16
    return torch.autocast("cuda", dtype=dtype)


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


def chunks(items: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    """Yield slices of at most `size` items, in order."""
    for start in range(0, len(items), size):
        yield items[start : start + size]


def check_samples(
    encoder: str, has: frozenset[Modality], modality: Modality, samples: Sequence[Sample]
) -> None:
    """Raise UsageError for a modality that the encoder lacks or a sample of another one."""
    if modality not in has:
        raise UsageError(f"model {encoder} does not encode {modality}")
    for sample in samples:
        if modality_of(sample) is not modality:
            raise UsageError(f"{sample!r} was sent to be encoded as {modality}")


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
