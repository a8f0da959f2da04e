"""Advise which model to take, for a language and for the memory and speed of this machine."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from seehear.encoders.languages import Language
from seehear.encoders.model_cards import (
    MULTILINGUAL,
    OMNI,
    STANDARD,
    STANDARD_AV,
    ModelCard,
    known_cards,
)
from seehear.libraries import naming_faults
from seehear.processes.resources import usable_cores

PROBE_S = 1.0
"""Seconds for which the processor is measured."""
PHOTOS = 1_000
PATIENCE_S = 3_600.0
"""Most seconds for 1,000 photos with which a larger model is advised for English."""
_ON_TOP_BYTES = 600_000_000
"""Memory that a model takes beside its weights: the libraries, and one batch."""
_PROBED = 256, 768, 3072
"""A product of matrices as in a layer of a large image encoder: rows, width, wider."""


@dataclass(frozen=True, slots=True)
class Machine:
    """What this machine has for a model."""

    cores: int
    free_bytes: int | None
    """Free memory; None if the system does not say."""
    gpu: str
    """Name of the GPU that is used, or ""."""
    multiplications_per_s: float
    """Of the processor: multiplications with additions, in float32."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """One model, as this machine would run it."""

    card: ModelCard
    reads: bool
    """True if it reads the language."""
    needed_bytes: int
    """Memory that it needs, estimated from its size."""
    fits: bool
    """False if that is more than is free."""
    seconds: float | None
    """Estimate for 1,000 photos on the processor; None on a GPU, which is not measured."""


@dataclass(frozen=True, slots=True)
class Advice:
    """The candidates, and which of them to take."""

    language: Language
    machine: Machine
    candidates: tuple[Candidate, ...]
    model: str | None
    """Name of the model to take; None if none that reads the language fits."""
    reason: str


def this_machine(probe_s: float = PROBE_S) -> Machine:
    """Return what this machine has; measures the processor for `probe_s` seconds.

    Raises EnvironmentFaultError if torch cannot be loaded.
    """
    return Machine(usable_cores(), _free_bytes(), _gpu(), _multiplications_per_s(probe_s))


def advise(language: Language, machine: Machine, cards: Sequence[ModelCard] = ()) -> Advice:
    """Return which of the models of all four kinds to take; `cards` replace known ones."""
    by_name = {card.name: card for card in cards or known_cards()}
    tiny, standard, larger, multilingual, omni = candidates = tuple(
        _candidate(by_name[name], language, machine)
        for name in ("tiny", STANDARD.name, STANDARD_AV.name, MULTILINGUAL.name, OMNI.name)
    )
    if multilingual.reads and not tiny.reads:
        model, reason = _for_another(language, multilingual, omni)
    else:
        model, reason = _for_english(standard, larger, machine)
    return Advice(language, machine, candidates, model, reason)


def _for_another(
    language: Language, multilingual: Candidate, omni: Candidate
) -> tuple[str | None, str]:
    name = multilingual.card.name
    if not multilingual.fits:
        return None, (
            f"{name} reads {language.name}, and needs more memory than is free. With tiny, words "
            f"in {language.name} are found as they are written"
        )
    reason = f"tiny and standard do not read {language.name}"
    if omni.fits:
        reason += (
            f". {omni.card.name} reads it, too, and finds sounds by its words; which of the two "
            "finds more was not measured"
        )
    return name, reason


def _for_english(standard: Candidate, larger: Candidate, machine: Machine) -> tuple[str, str]:
    if not standard.fits:
        return "tiny", "standard recognises more, and needs more memory than is free"
    if standard.seconds is not None and standard.seconds > PATIENCE_S:
        return "tiny", "standard recognises more, and would take very long on this machine"
    if machine.gpu and larger.fits:
        return larger.card.name, (
            "it sees as standard does, and by its authors' figures finds more sounds by words"
        )
    return standard.card.name, "it recognises more than tiny, and this machine can run it"


def _candidate(card: ModelCard, language: Language, machine: Machine) -> Candidate:
    loaded = max(card.size_bytes, card.loaded_bytes)
    needed = round(1.5 * loaded) + _ON_TOP_BYTES  # weights are copied while they load
    seconds = PHOTOS * card.multiplications / machine.multiplications_per_s
    return Candidate(
        card,
        card.languages != "English" or language.code == "en",
        needed,
        machine.free_bytes is None or needed <= machine.free_bytes,
        None if machine.gpu else seconds,
    )


def _free_bytes() -> int | None:
    """Return the memory that is free for a process, in this container if it is in one."""
    free: list[int] = []
    with suppress(OSError, ValueError, IndexError):
        told = Path("/proc/meminfo").read_text(encoding="ascii").partition("MemAvailable:")[2]
        free.append(int(told.split()[0]) * 1024)
    with suppress(OSError, ValueError):
        group = Path("/sys/fs/cgroup")
        limit, used = (int((group / f"memory.{name}").read_text()) for name in ("max", "current"))
        free.append(max(0, limit - used))
    if not free:
        with suppress(OSError, ValueError, AttributeError):
            free.append(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_AVPHYS_PAGES"))
    return min(free, default=None)


@naming_faults()
def _gpu() -> str:
    import torch

    if torch.cuda.is_available():
        return str(torch.cuda.get_device_name(0))
    return "Apple GPU" if torch.backends.mps.is_available() else ""


def _multiplications_per_s(probe_s: float) -> float:
    rows, width, wider = _PROBED
    one, other = (np.full(shape, 0.5, np.float32) for shape in ((rows, width), (width, wider)))
    one @ other  # the first one starts the threads
    count, began = 0, time.perf_counter()
    while (spent := time.perf_counter() - began) < probe_s or not count:
        one @ other
        count += 1
    return count * rows * width * wider / max(spent, 1e-9)
