"""Find GPUs and their free memory, and plan what to store on them."""

from __future__ import annotations

import contextlib
import ctypes
import functools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

GPU_ABOVE_BYTES = 64 << 20
"""Size of the float32 vectors above which a GPU is worth its start: below, numpy answers in about
10 ms and FAISS is not even loaded."""
RESERVED_BYTES = 3 << 30
"""Memory of a GPU that no plan uses: FAISS's workspace of 1.5 GiB, one block that is copied while
it grows, and what encoders need as well."""
GROWTH = 1.25
"""Room for growth in a plan, as a multiple of the present vectors."""
GRAPH_ABOVE_BYTES = 8 << 30
"""Size of the float16 vectors above which a graph is preferred to a full scan: reading them takes
a GPU of 2 TB/s more than 4 ms per query."""
GRAPH_LINKS = 64
"""Neighbours of each vector in CAGRA's graph, four bytes each; FAISS's default."""
GRAPH_BUILDING = 2
"""Memory needed to build a graph, as a multiple of the vectors and the graph."""

_CODE_BYTES = (96, 64, 56, 48, 40, 32, 28, 24, 20, 16, 12, 8, 4, 3, 2, 1)
"""Sizes of a product code that FAISS can search on a GPU (gpu/impl/IVFPQ.cu)."""
_NUMBERS_PER_CODE = (1, 2, 3, 4, 5, 6, 8, 10, 12, 16, 20, 24, 28, 32)
"""Numbers of a vector that one byte of a code may stand for on a GPU (PQCodeDistances)."""
_ID_BYTES = 8
_LIST_GROWTH = 2
"""Memory of inverted lists, as a multiple of their content: each grows to the next power of two
(gpu/utils/DeviceVector.cuh), which includes room for growth."""

LEAST_CAPABILITY = 7
"""Major compute capability of the oldest GPUs that FAISS is built for. On an older one, FAISS ends
the process."""

GpuIndexKind = Literal["flat", "cagra", "ivfpq"]


@dataclass(frozen=True, slots=True)
class GpuDevice:
    """A GPU, by the number that CUDA gives it."""

    number: int
    free_bytes: int


@dataclass(frozen=True, slots=True)
class GpuPlan:
    """What is stored on which GPUs.

    kind: "flat" stores every vector in float16 and scans all; "cagra" stores them in float32 with
    a graph that is walked; "ivfpq" stores product codes in inverted lists.
    """

    kind: GpuIndexKind
    devices: tuple[int, ...]
    copies: bool
    """True: every GPU stores all vectors and answers a share of the queries. False: each stores a
    share of the vectors."""
    code_bytes: int = 0
    """Size of a product code in bytes; 0 for kinds without codes."""


def plan(
    count: int, dim: int, devices: Sequence[GpuDevice], *, graphs: bool = False
) -> GpuPlan | None:
    """Plan what GPUs store for `count` vectors of `dim` numbers; None where nothing fits.

    Exact search is preferred to approximate search, except that a graph is preferred where a full
    scan would be slow. Full copies on several GPUs are preferred to shares of one copy.
    `graphs` tells whether this build of FAISS has CAGRA.
    """
    flat = GROWTH * (2 * dim + 4)  # FAISS stores a norm for each row
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
        # Shares are equal, so fewer but larger GPUs allow larger shares.
        by_room = sorted(devices, key=_room, reverse=True)
        for some in range(len(devices), 1, -1):
            if _room(by_room[some - 1]) * some >= needed:
                shared = sorted(card.number for card in by_room[:some])
                return GpuPlan(kind, tuple(shared), False, code)
    return None


def code_bytes(dim: int) -> int:
    """Return the longest product code that a GPU can search for `dim` numbers, in bytes, or 0."""
    for size in _CODE_BYTES:
        if dim % size == 0 and dim // size in _NUMBERS_PER_CODE:
            return size
    return 0


def gpu_devices(device: str) -> tuple[GpuDevice, ...]:
    """Return the GPUs that a user's setting names, as they are now; empty without a driver.

    "auto" and "cuda" name every GPU that CUDA shows, "cuda:1" that one, other settings no GPU.
    GPUs that are too old for FAISS are left out.
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
    """Tell whether the installed FAISS was built for GPUs and finds one."""
    import faiss

    return hasattr(faiss, "StandardGpuResources") and faiss.get_num_gpus() > 0


def faiss_has_graphs() -> bool:
    """Tell whether the installed FAISS has CAGRA, which only builds with cuVS have."""
    import faiss

    return hasattr(faiss, "GpuIndexCagra")


def _room(device: GpuDevice) -> int:
    return max(0, device.free_bytes - RESERVED_BYTES)


# CUDA's driver is called without torch, which this package must not load; FAISS does not tell the
# free memory. Function names are those of cuda.h, with its version suffixes.

_CAPABILITY_MAJOR = 75
"""CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR."""


@functools.cache
def _driver() -> Any:
    """Return CUDA's driver, initialised; None without a driver."""
    with contextlib.suppress(OSError):
        driver = ctypes.CDLL("libcuda.so.1")
        if driver.cuInit(0) == 0:
            return driver
    return None


def _count(driver: Any) -> int:
    count = ctypes.c_int(0)
    return count.value if driver.cuDeviceGetCount(ctypes.byref(count)) == 0 else 0


def _device(driver: Any, number: int) -> ctypes.c_int:
    """Return the driver's handle of a GPU. Raises OSError for an unknown number."""
    device = ctypes.c_int(0)
    _right(driver.cuDeviceGet(ctypes.byref(device), number))
    return device


def _capability(driver: Any, device: ctypes.c_int) -> int:
    """Return a GPU's major compute capability. Raises OSError where the driver fails."""
    major = ctypes.c_int(0)
    _right(driver.cuDeviceGetAttribute(ctypes.byref(major), _CAPABILITY_MAJOR, device))
    return major.value


def _free_bytes(driver: Any, device: ctypes.c_int) -> int:
    """Return a GPU's free memory in bytes. Raises OSError where the driver fails."""
    free, total = ctypes.c_size_t(0), ctypes.c_size_t(0)
    with _context(driver, device):
        _right(driver.cuMemGetInfo_v2(ctypes.byref(free), ctypes.byref(total)))
    return free.value


@contextlib.contextmanager
def _context(driver: Any, device: ctypes.c_int) -> Iterator[None]:
    """Make the GPU's context, which FAISS and torch share, current in the block."""
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
