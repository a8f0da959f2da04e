"""Decide which processor an encoder runs on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from seehear.errors import UsageError

if TYPE_CHECKING:
    import torch

DEVICE_NAMES = ("auto", "cpu", "cuda", "cuda:<number>", "mps")


def check_device_name(name: str) -> None:
    """Raise UsageError for an invalid device name.

    Needs no torch, so it does not check whether this machine has the device.
    """
    kind, colon, number = name.partition(":")
    known = kind in ("auto", "cpu", "cuda", "mps")
    if not known or (colon and (kind != "cuda" or not number.isdecimal())):
        raise UsageError(f"no device {name!r}; use one of {', '.join(DEVICE_NAMES)}")


def choose_device(name: str = "auto") -> torch.device:
    """Return the torch device for a user's setting.

    "auto" chooses CUDA if a GPU is present, then Apple's GPU, then the CPU. Raises UsageError for
    an invalid name, and for a device that this machine lacks.
    """
    import torch

    check_device_name(name)
    if name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    kind, _, number = name.partition(":")
    if kind == "cuda":
        if not torch.cuda.is_available():
            raise UsageError(f"device {name} was asked for, but no CUDA GPU can be used here")
        if number and int(number) >= torch.cuda.device_count():
            gpus = torch.cuda.device_count()
            raise UsageError(
                f"device {name} was asked for, but the last GPU here is cuda:{gpus - 1}"
            )
    if kind == "mps" and not torch.backends.mps.is_available():
        raise UsageError("device mps was asked for, but this machine has no Apple GPU")
    return torch.device(name)
