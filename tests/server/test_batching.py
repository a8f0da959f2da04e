"""The encoder shared by clients, and the bounded queue before it."""

from __future__ import annotations

import asyncio
import gc
import threading
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import numpy as np
import pytest

from seehear.cancellation import (
    CancelledQueryError,
    CancelToken,
    check_current,
    current_token,
)
from seehear.encoders import load_model
from seehear.encoders.fake import image
from seehear.server.batching import MAX_BATCH, BatchingModel
from seehear.server.problems import ServiceError
from seehear.server.request_queue import CLIENT_GONE, RequestQueue
from seehear.types import EmbeddingSpace, Modality, Sample, Vectors
from tests.server.conftest import PATIENCE_S, until


class SlowModel:
    """The fake model behind a gate, so that a test decides when a batch is encoded."""

    def __init__(self) -> None:
        self._inner = load_model("fake", "cpu")
        self.gate = threading.Event()
        self.entered = threading.Semaphore(0)
        self.batches: list[tuple[Modality, int]] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def encode(
        self, modality: Modality, samples: Sequence[Sample]
    ) -> Mapping[EmbeddingSpace, Vectors]:
        self.batches.append((modality, len(samples)))
        self.entered.release()
        assert self.gate.wait(PATIENCE_S)
        if "poison" in samples:
            raise ValueError("poison")
        return self._inner.encode(modality, samples)


def test_what_waits_is_encoded_together_and_each_gets_its_own() -> None:
    slow = SlowModel()
    plain = load_model("fake", "cpu")
    model = BatchingModel(slow)
    words = [["red"], ["green", "blue"], ["yellow"], ["a purple plum"]]
    with ThreadPoolExecutor(8) as pool:
        first = pool.submit(model.encode, Modality.TEXT, ["white"])
        slow.entered.acquire()
        rest = [pool.submit(model.encode, Modality.TEXT, texts) for texts in words]
        red = pool.submit(model.encode, Modality.IMAGE, [image("red")])
        until(lambda: len(model._waiting) == 5)
        slow.gate.set()
        for texts, future in zip(words, rest, strict=True):
            for space, expected in plain.encode(Modality.TEXT, texts).items():
                np.testing.assert_array_equal(future.result()[space], expected)
        assert first.result()
        assert red.result()
    model.close()
    assert sorted(slow.batches) == [(Modality.IMAGE, 1), (Modality.TEXT, 1), (Modality.TEXT, 5)]


def test_a_batch_has_a_bound_that_one_request_alone_may_exceed() -> None:
    slow = SlowModel()
    model = BatchingModel(slow)
    with ThreadPoolExecutor(8) as pool:
        pool.submit(model.encode, Modality.TEXT, ["white"])
        slow.entered.acquire()

        def waits(count: int) -> bool:
            return len(model._waiting) == count

        sizes = [MAX_BATCH + 5, 40, 40]
        for size in sizes:
            already = len(model._waiting)
            pool.submit(model.encode, Modality.TEXT, ["red"] * size)
            until(partial(waits, already + 1))
        slow.gate.set()
    model.close()
    assert [size for _, size in slow.batches] == [1, MAX_BATCH + 5, 40, 40]


def test_one_bad_sample_fails_its_own_request_only() -> None:
    slow = SlowModel()
    model = BatchingModel(slow)
    with ThreadPoolExecutor(8) as pool:
        pool.submit(model.encode, Modality.TEXT, ["white"])
        slow.entered.acquire()
        good = pool.submit(model.encode, Modality.TEXT, ["red"])
        until(lambda: len(model._waiting) == 1)
        bad = pool.submit(model.encode, Modality.TEXT, ["poison"])
        until(lambda: len(model._waiting) == 2)
        slow.gate.set()
        assert good.result()
        with pytest.raises(ValueError, match="poison"):
            bad.result()
    model.close()


def test_a_client_that_left_is_not_encoded() -> None:
    slow = SlowModel()
    model = BatchingModel(slow)
    ticket = CancelToken(threading.Event())

    def leaves() -> None:
        current_token.set(ticket)
        model.encode(Modality.TEXT, ["red"] * 7)

    with ThreadPoolExecutor(8) as pool:
        pool.submit(model.encode, Modality.TEXT, ["white"])
        slow.entered.acquire()
        left = pool.submit(leaves)
        until(lambda: len(model._waiting) == 1)
        ticket.gone.set()
        slow.gate.set()
        with pytest.raises(CancelledQueryError):
            left.result()
    model.close()
    assert slow.batches == [(Modality.TEXT, 1)]
    with pytest.raises(CancelledQueryError):
        model.encode(Modality.TEXT, ["after the end"])


class FakeRequest:
    """A request whose client stays until it is told to leave."""

    def __init__(self) -> None:
        self.left = asyncio.Event()

    async def receive(self) -> dict[str, str]:
        await self.left.wait()
        return {"type": "http.disconnect"}


def test_the_queue_is_bounded() -> None:
    async def scene() -> None:
        desk = RequestQueue(1, 2, PATIENCE_S)
        gate = threading.Event()
        tasks = [
            asyncio.create_task(desk.run(FakeRequest(), lambda: gate.wait(PATIENCE_S)))  # type: ignore[arg-type]
            for _ in range(3)
        ]
        await asyncio.sleep(0.05)
        assert (desk.running, desk.waiting) == (1, 2)
        with pytest.raises(ServiceError) as refused:
            await desk.run(FakeRequest(), lambda: True)  # type: ignore[arg-type]
        assert refused.value.status == 503
        assert refused.value.retry_after_s
        gate.set()
        assert all(await asyncio.gather(*tasks))
        assert await desk.run(FakeRequest(), lambda: True)  # type: ignore[arg-type]
        await asyncio.to_thread(desk.close)

    asyncio.run(scene())


def test_a_client_that_leaves_stops_its_work_and_frees_its_place() -> None:
    reported: list[dict[str, Any]] = []

    async def scene() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, what: reported.append(what))
        desk = RequestQueue(1, 1, PATIENCE_S)
        started, ended, never = threading.Event(), threading.Event(), threading.Event()

        def work() -> None:
            started.set()
            try:
                while True:
                    check_current()
                    time.sleep(0.01)
            finally:
                ended.set()

        first, second = FakeRequest(), FakeRequest()
        runs = asyncio.create_task(desk.run(first, work))  # type: ignore[arg-type]
        await asyncio.to_thread(started.wait, PATIENCE_S)
        waits = asyncio.create_task(desk.run(second, never.set))  # type: ignore[arg-type]
        await asyncio.sleep(0.02)
        second.left.set()
        first.left.set()
        for task in (waits, runs):
            with pytest.raises(ServiceError) as gone:
                await task
            assert gone.value.status == CLIENT_GONE
        assert await asyncio.to_thread(ended.wait, PATIENCE_S)
        await asyncio.to_thread(desk.close)
        assert not never.is_set()
        assert desk.running == desk.waiting == 0
        await asyncio.sleep(0)  # the end of the work comes to the loop
        del runs, waits, task, gone
        gc.collect()  # asyncio tells of an error that nobody took when its future goes

    asyncio.run(scene())
    assert reported == []


def test_work_that_takes_too_long_is_given_up() -> None:
    async def scene() -> None:
        desk = RequestQueue(1, 1, 0.05)
        over = threading.Event()
        with pytest.raises(ServiceError) as late:
            await desk.run(FakeRequest(), lambda: over.wait(PATIENCE_S))  # type: ignore[arg-type]
        assert (late.value.status, late.value.code) == (503, "timeout")
        over.set()
        await asyncio.to_thread(desk.close)

    asyncio.run(scene())


def test_what_the_work_raises_comes_through() -> None:
    async def scene() -> None:
        desk = RequestQueue(1, 1, PATIENCE_S)

        def work() -> None:
            raise KeyError("x")

        with pytest.raises(KeyError):
            await desk.run(FakeRequest(), work)  # type: ignore[arg-type]
        await asyncio.to_thread(desk.close)

    asyncio.run(scene())
