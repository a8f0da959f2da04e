"""CUDA's driver says which GPUs are there and how much memory is free on them."""

from __future__ import annotations

import ctypes
from typing import Any

import pytest

from seehear.stores.vectors import gpu_devices as cards_module
from seehear.stores.vectors.gpu_devices import GpuDevice, gpu_devices

GIB = 1 << 30


class Driver:
    """CUDA's driver, with cards of so much free memory; a negative one is a card that fails."""

    def __init__(self, free: list[int], capability: int = 8) -> None:
        self._free = free
        self._capability = capability
        self._now: list[int] = []

    def cuDeviceGetCount(self, out: Any) -> int:
        out._obj.value = len(self._free)
        return 0

    def cuDeviceGet(self, out: Any, number: int) -> int:
        out._obj.value = 10 + number
        return 0 if number < len(self._free) else 101

    def cuDeviceGetAttribute(self, out: Any, attribute: int, device: ctypes.c_int) -> int:
        out._obj.value = self._capability
        return 0 if (attribute, device.value >= 10) == (75, True) else 1

    def cuDevicePrimaryCtxRetain(self, out: Any, device: ctypes.c_int) -> int:
        out._obj.value = device.value
        return 2 if self._free[device.value - 10] < 0 else 0

    def cuCtxPushCurrent_v2(self, context: ctypes.c_void_p) -> int:
        self._now.append(context.value or 0)
        return 0

    def cuMemGetInfo_v2(self, free: Any, total: Any) -> int:
        free._obj.value, total._obj.value = self._free[self._now[-1] - 10], 80 * GIB
        return 0

    def cuCtxPopCurrent_v2(self, out: Any) -> int:
        out._obj.value = self._now.pop()
        return 0

    def cuDevicePrimaryCtxRelease_v2(self, device: ctypes.c_int) -> int:
        assert not self._now
        return 0 if device.value >= 10 else 101


@pytest.mark.parametrize(
    ("device", "expected"),
    [
        ("auto", (GpuDevice(0, 5 * GIB), GpuDevice(2, 7 * GIB))),
        ("cuda", (GpuDevice(0, 5 * GIB), GpuDevice(2, 7 * GIB))),
        ("cuda:2", (GpuDevice(2, 7 * GIB),)),
        ("cuda:1", ()),
        ("cuda:9", ()),
        ("cpu", ()),
        ("mps", ()),
    ],
)
def test_the_driver_says_what_is_free(
    device: str, expected: tuple[GpuDevice, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cards_module, "_driver", lambda: Driver([5 * GIB, -1, 7 * GIB]))
    assert gpu_devices(device) == expected


def test_without_a_driver_there_is_no_card(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cards_module, "_driver", lambda: None)
    assert gpu_devices("auto") == gpu_devices("cuda") == ()


def test_a_driver_that_is_missing_or_does_not_start_is_none(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def missing(name: str) -> object:
        raise OSError(name)

    class Broken:
        def cuInit(self, flags: int) -> int:
            return 100

    for library in (missing, lambda name: Broken()):
        monkeypatch.setattr(ctypes, "CDLL", library)
        assert cards_module._driver.__wrapped__() is None
