"""Which GPUs there are, how much of their memory is free, and what they would hold."""

from __future__ import annotations

import contextlib
import ctypes
import functools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

GPU_ABOVE_BYTES = 64 << 20
"""Size of the float32 vectors above which a card is worth its start: below, numpy answers in some
10 ms and not even FAISS is loaded."""
RESERVED_BYTES = 3 << 30
"""Memory of a card that no plan takes: FAISS's workspace of 1.5 GiB, one block that is copied while
it grows, and what encoders need beside."""
GROWTH = 1.25
"""Room that is planned for, as a multiple of the vectors that there are."""
GRAPH_ABOVE_BYTES = 8 << 30
"""Size of the float16 vectors above which a graph is preferred to a scan of all: reading them takes
a card of 2 TB/s more than 4 ms a query."""
GRAPH_LINKS = 64
"""Neighbours that each vector has in CAGRA's graph, four bytes each; FAISS's default."""
GRAPH_BUILDING = 2
"""Memory that building a graph takes, as a multiple of the vectors and the graph."""

_CODE_BYTES = (96, 64, 56, 48, 40, 32, 28, 24, 20, 16, 12, 8, 4, 3, 2, 1)
"""Sizes of a product code that FAISS searches on a card (gpu/impl/IVFPQ.cu)."""
_NUMBERS_PER_CODE = (1, 2, 3, 4, 5, 6, 8, 10, 12, 16, 20, 24, 28, 32)
"""Numbers of a vector that one byte of its code may stand for, there (PQCodeDistances)."""
_ID_BYTES = 8
_LIST_GROWTH = 2
"""Memory of inverted lists, as a multiple of what they hold: each grows to the next power of two
(gpu/utils/DeviceVector.cuh), which is the room to grow as well."""

LEAST_CAPABILITY = 7
"""Compute capability, its whole part, of the oldest cards that FAISS is built for. It ends the
process where a card has no code in it."""

GpuIndexKind = Literal["flat", "cagra", "ivfpq"]


@dataclass(frozen=True, slots=True)
class GpuDevice:
    """A GPU, by the number that CUDA gives it."""

    number: int
    free_bytes: int


@dataclass(frozen=True, slots=True)
class GpuPlan:
    """What lies on which cards.

    kind: "flat" holds every vector in float16 and scans all; "cagra" holds them in float32 with a
    graph that is walked; "ivfpq" holds product codes in inverted lists.
    """

    kind: GpuIndexKind
    devices: tuple[int, ...]
    copies: bool
    """Whether every card holds all and answers a share of the queries; else each holds a share."""
    code_bytes: int = 0
    """Size of a product code; 0 for the kinds that have none."""


def plan(
    count: int, dim: int, devices: Sequence[GpuDevice], *, graphs: bool = False
) -> GpuPlan | None:
    """What cards should hold for `count` vectors of `dim` numbers; None where nothing fits.

    Exact comes before approximate, except that a graph is preferred where scanning all would be
    slow. Whole copies on several cards come before shares of one copy, so that cards which can
    answer alone do. `graphs` says whether this build of FAISS has CAGRA.
    """
    flat = GROWTH * (2 * dim + 4)  # FAISS keeps a norm for each row
    kinds: list[tuple[GpuIndexKind, float, int]] = [("flat", flat, 0)]
    if graphs and 2 * dim * count > GRAPH_ABOVE_BYTES:
        kinds.insert(0, ("cagra", GROWTH * GRAPH_BUILDING * 4 * (dim + GRAPH_LINKS), 0))
    if code := code_bytes(dim):
        kinds.append(("ivfpq", _LIST_GROWTH * (code + _ID_BYTES), code))
    for kind, row, code in kinds:
        needed = row * count
        alone = [device.number for device in devices if _room(device) >= needed]
        if alone:
            return GpuPlan(kind, tuple(alone), True, code)
        # Shares are equal: the fewer of the larger cards are asked, the larger is each share.
        by_room = sorted(devices, key=_room, reverse=True)
        for some in range(len(devices), 1, -1):
            if _room(by_room[some - 1]) * some >= needed:
                shared = sorted(card.number for card in by_room[:some])
                return GpuPlan(kind, tuple(shared), False, code)
    return None


def code_bytes(dim: int) -> int:
    """The longest product code that a card can search for vectors of that length; 0 for none."""
    for size in _CODE_BYTES:
        if dim % size == 0 and dim // size in _NUMBERS_PER_CODE:
            return size
    return 0


def gpu_devices(device: str) -> tuple[GpuDevice, ...]:
    """The cards that a user's word names, as they are now; none where there is no driver.

    "auto" and "cuda" name every card that CUDA shows, "cuda:1" that one, other words none. Cards
    that are too old for FAISS are none.
    """
    kind, _, number = device.partition(":")
    driver = _driver() if kind in ("auto", "cuda") else None
    if driver is None:
        return ()
    wanted = [int(number)] if number else range(_count(driver))
    devices = []
    for one in wanted:
        with contextlib.suppress(OSError):
            card = _device(driver, one)
            if _capability(driver, card) >= LEAST_CAPABILITY:
                devices.append(GpuDevice(one, _free_bytes(driver, card)))
    return tuple(devices)


def faiss_has_gpu() -> bool:
    """Whether the FAISS that is installed was built for GPUs and sees one."""
    import faiss

    return hasattr(faiss, "StandardGpuResources") and faiss.get_num_gpus() > 0


def faiss_has_graphs() -> bool:
    """Whether the FAISS that is installed has CAGRA, which only builds with cuVS have."""
    import faiss

    return hasattr(faiss, "GpuIndexCagra")


def _room(device: GpuDevice) -> int:
    return max(0, device.free_bytes - RESERVED_BYTES)


# CUDA's driver answers without torch, which this room must not load, and FAISS does not say how
# much is free. Function names are those of cuda.h; the endings are its versions of them.

_CAPABILITY_MAJOR = 75
"""CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR."""


@functools.cache
def _driver() -> Any:
    """CUDA's driver, started; None where there is none."""
    with contextlib.suppress(OSError):
        driver = ctypes.CDLL("libcuda.so.1")
        if driver.cuInit(0) == 0:
            return driver
    return None


def _count(driver: Any) -> int:
    count = ctypes.c_int(0)
    return count.value if driver.cuDeviceGetCount(ctypes.byref(count)) == 0 else 0


def _device(driver: Any, number: int) -> ctypes.c_int:
    """The driver's name for a card. Raises OSError where there is none of that number."""
    device = ctypes.c_int(0)
    _right(driver.cuDeviceGet(ctypes.byref(device), number))
    return device


def _capability(driver: Any, device: ctypes.c_int) -> int:
    """The whole part of a card's compute capability. Raises OSError where it is not told."""
    major = ctypes.c_int(0)
    _right(driver.cuDeviceGetAttribute(ctypes.byref(major), _CAPABILITY_MAJOR, device))
    return major.value


def _free_bytes(driver: Any, device: ctypes.c_int) -> int:
    """Free memory of a card. Raises OSError where the driver does not say."""
    free, total = ctypes.c_size_t(0), ctypes.c_size_t(0)
    with _context(driver, device):
        _right(driver.cuMemGetInfo_v2(ctypes.byref(free), ctypes.byref(total)))
    return free.value


@contextlib.contextmanager
def _context(driver: Any, device: ctypes.c_int) -> Iterator[None]:
    """The context that FAISS and torch share on that card, made current for a moment."""
    context = ctypes.c_void_p()
    _right(driver.cuDevicePrimaryCtxRetain(ctypes.byref(context), device))
    try:
        _right(driver.cuCtxPushCurrent_v2(context))
        try:
            yield
        finally:
            driver.cuCtxPopCurrent_v2(ctypes.byref(ctypes.c_void_p()))
    finally:
        driver.cuDevicePrimaryCtxRelease_v2(device)


def _right(status: int) -> None:
    if status != 0:
        raise OSError(f"CUDA's driver answers {status}")
