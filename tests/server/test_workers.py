"""Searches in worker processes: the same answers, through changes, deaths and a full queue."""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest

from seehear.collection import Collection
from seehear.limits import ServiceLimits
from seehear.server import create_app
from seehear.server.workers.pool import WorkerPool
from tests.server.conftest import PATIENCE_S, SETTINGS, Running, picture, until

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="processes share on Linux alone")

TEXTS = ("red", "the green frog", "something blue at night", "zebra", "purple flute", "x")


def searched(server: Running, **query: Any) -> tuple[int, dict[str, Any]]:
    body = json.dumps(query).encode()
    request = Request(f"{server.address}/v1/search", body, {"content-type": "application/json"})
    try:
        with urlopen(request, timeout=PATIENCE_S) as answer:
            return answer.status, json.load(answer)
    except HTTPError as error:
        with error:
            return error.code, {**json.load(error), "retry-after": error.headers["retry-after"]}


def ids(answer: dict[str, Any]) -> list[int]:
    return [hit["segment_id"] for hit in answer["hits"]]


@pytest.fixture(scope="module")
def served(collection_folder: Path, media_folder: Path) -> Iterator[tuple[Running, WorkerPool]]:
    app = create_app(collection_folder, settings=SETTINGS, roots=[media_folder], workers=2)
    with Running(app) as server:
        pool = app.state.service.workers
        until(lambda: len(pool.processes) == 2)
        yield server, pool


def test_the_answers_are_the_librarys_whoever_gives_them(
    served: tuple[Running, WorkerPool], collection_folder: Path
) -> None:
    server, _ = served
    with Collection(collection_folder, SETTINGS) as collection, ThreadPoolExecutor(12) as pool:
        told = [*pool.map(lambda text: searched(server, text=text, k=7), TEXTS * 10)]
        for text, (status, answer) in zip(TEXTS * 10, told, strict=True):
            hits = collection.search(text, k=7)
            assert status == 200
            assert ids(answer) == [hit.segment_id for hit in hits]
            assert [one["score"] for one in answer["hits"]] == pytest.approx(
                [hit.score for hit in hits], abs=2e-4
            )


@pytest.mark.parametrize(
    ("query", "status", "code"),
    [
        ({"text": ""}, 422, "bad_query"),
        ({"text": "red", "k": 0}, 422, "invalid"),
        ({"text": "red", "colour": 1}, 422, "invalid"),
        ({"text": "red", "where": "taken >"}, 422, "bad_query"),
        ({"text": "red", "under": "nowhere"}, 422, "bad_query"),
    ],
)
def test_what_is_refused_is_refused_with_the_same_words(
    served: tuple[Running, WorkerPool], running: Running, query: dict[str, Any], status: int,
    code: str,
) -> None:  # fmt: skip
    told = searched(served[0], **query)
    assert told[0] == status
    assert told[1]["error"]["code"] == code
    assert told == searched(running, **query)


def test_a_worker_that_is_killed_fails_its_own_search_alone(
    served: tuple[Running, WorkerPool],
) -> None:
    server, pool = served
    before = set(pool.processes)
    stop = threading.Event()
    told: list[tuple[int, dict[str, Any]]] = []

    def ask() -> None:
        while not stop.is_set():
            told.append(searched(server, text="red", k=3))

    clients = [threading.Thread(target=ask) for _ in range(6)]
    for client in clients:
        client.start()
    until(lambda: len(told) > 20)
    for process in before:
        os.kill(process, signal.SIGKILL)
        until(lambda: len(pool.processes) == 2 and process not in pool.processes)  # noqa: B023
    answered = len(told)
    until(lambda: len(told) > answered + 20)
    stop.set()
    for client in clients:
        client.join()
    assert not before & set(pool.processes)
    failed = [answer for status, answer in told if status != 200]
    assert len(failed) <= 2  # one for each that was killed, if it was at work
    for answer in failed:
        assert answer["error"]["message"] == "the process that searched has ended; try again"
        assert answer["retry-after"] == "1"


def test_a_change_under_load_is_seen_and_no_answer_is_of_two_states(
    own_copy: tuple[Path, Path],
) -> None:
    media, folder = own_copy
    with Collection(folder, SETTINGS) as collection:
        collection.index(media)
        states = [[hit.segment_id for hit in collection.search("red", k=50)]]
        app = create_app(folder, settings=SETTINGS, workers=2)
        with Running(app) as server:
            pool = app.state.service.workers
            until(lambda: len(pool.processes) == 2)
            first = set(pool.processes)
            stop = threading.Event()
            told: list[list[int]] = []

            def ask() -> None:
                while not stop.is_set():
                    status, answer = searched(server, text="red", k=50)
                    assert status == 200
                    told.append(ids(answer))

            with ThreadPoolExecutor(4) as clients:
                asking = [clients.submit(ask) for _ in range(4)]
                try:
                    for colours in (("red", "blue"), ("green", "red"), ("white", "red", "orange")):
                        picture(media / "new" / f"{colours[0]}.png", *colours)
                        collection.index(media)
                        states.append([hit.segment_id for hit in collection.search("red", k=50)])
                        until(lambda: told[-1] == states[-1])
                    until(lambda: len(pool.processes) == 2 and not first & set(pool.processes))
                finally:
                    stop.set()
                for one in asking:
                    one.result(PATIENCE_S)
        assert len({tuple(state) for state in states}) == 4
        assert {tuple(one) for one in told} <= {tuple(state) for state in states}


def test_a_full_queue_says_when_to_come_back(collection_folder: Path) -> None:
    limits = ServiceLimits(running=2, queue=3)
    app = create_app(collection_folder, settings=SETTINGS, limits=limits, workers=2)
    with Running(app) as server:
        pool = app.state.service.workers
        until(lambda: len(pool.processes) == 2)
        for process in pool.processes:
            os.kill(process, signal.SIGSTOP)
        try:
            with ThreadPoolExecutor(9) as clients:
                asking = [clients.submit(searched, server, text="red") for _ in range(9)]
                until(lambda: sum(one.done() for one in asking) == 4)
                for process in pool.processes:
                    os.kill(process, signal.SIGCONT)
                told = [one.result(PATIENCE_S) for one in asking]
        finally:
            for process in pool.processes:
                os.kill(process, signal.SIGCONT)
    assert sorted(status for status, _ in told) == [200] * 5 + [429] * 4
    assert {answer["retry-after"] for status, answer in told if status == 429} == {"1"}


def test_nothing_is_left_when_the_service_ends(collection_folder: Path) -> None:
    app = create_app(collection_folder, settings=SETTINGS, workers=2)
    with Running(app):
        pool = app.state.service.workers
        until(lambda: len(pool.processes) == 2)
        processes = [*pool.processes, pool._template.pid]
    until(lambda: not any(Path(f"/proc/{process}").exists() for process in processes))
