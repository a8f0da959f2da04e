"""Searches in worker processes: the same answers, through changes, deaths and a full queue."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import sqlite3
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import httpx
import pytest

from benchmarks.service_process import processes_of, serving
from seehear.collection import Collection
from seehear.limits import ServiceLimits
from seehear.processes.child import python_command
from seehear.server import create_app
from seehear.server import state as state_module
from seehear.server.workers import pool as pool_module
from seehear.server.workers.pool import WorkerPool
from tests.server.conftest import PATIENCE_S, SETTINGS, Running, film, picture, sound, until

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
    with Running(app, root_path="/below") as server:
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
            assert all(one["media"].startswith("/below/v1/assets/") for one in answer["hits"])
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


@pytest.mark.parametrize("workers", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_a_collection_that_is_deleted_and_made_anew(
    own_copy: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch, workers: int
) -> None:
    """It never answers from the file that is gone, and says so until there is another one."""
    media, folder = own_copy
    monkeypatch.setattr(state_module, "_RETRY_S", 0.2)
    with Collection(folder, SETTINGS) as collection:
        collection.index(media)
    app = create_app(folder, settings=SETTINGS, workers=workers)
    with Running(app) as server:
        before = searched(server, text="red", k=50)[1]
        shutil.rmtree(folder)

        def gone() -> str:
            status, answer = searched(server, text="red")
            assert status in ((200, 503) if workers > 1 else (503,))  # a worker keeps an instant
            return answer["error"]["message"] if status == 503 else ""

        until(lambda: "no collection in" in gone())
        assert not folder.exists()
        with pytest.raises(HTTPError, match="503"):
            urlopen(f"{server.address}/readyz", timeout=PATIENCE_S)
        picture(media / "new" / "red.png", "red", "blue")
        with Collection(folder, SETTINGS) as collection:
            collection.index(media)
        until(lambda: searched(server, text="red")[0] == 200)
        after = searched(server, text="red", k=50)[1]
        assert len(ids(after)) == len(ids(before)) + 1


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
    assert sorted(status for status, _ in told) == [200] * 5 + [503] * 4
    assert {answer["retry-after"] for status, answer in told if status == 503} == {"1"}


@pytest.mark.parametrize("field", ["file", "without_file"])
def test_files_are_asked_with_as_in_one_process(
    served: tuple[Running, WorkerPool], running: Running, tmp_path: Path, field: str
) -> None:
    """Pictures, sounds, clips with their sound, texts: the service encodes, a worker searches."""
    files = [
        picture(tmp_path / "flag.png", "red", "white"),
        sound(tmp_path / "siren.wav", "red"),
        film(tmp_path / "day.mp4", "green", "blue"),
    ]
    (tmp_path / "note.md").write_text("The grass is green and the frog sings.")
    for file in (*files, tmp_path / "note.md"):
        told = [
            httpx.post(
                f"{server.address}/v1/search",
                data={"text": ["white", "frog"], "k": "9", "weights": ["1", "2"]},
                files={field: (file.name, file.read_bytes())},
                timeout=PATIENCE_S,
            )
            for server in (served[0], running)
        ]
        assert [one.status_code for one in told] == [200, 200], told[0].text
        assert ids(told[0].json()) == ids(told[1].json())
        scores = [[hit["score"] for hit in one.json()["hits"]] for one in told]
        assert scores[0] == pytest.approx(scores[1], abs=2e-4)


def test_status_and_metrics_count_what_all_workers_do(served: tuple[Running, WorkerPool]) -> None:
    server, _ = served

    def counted() -> tuple[float, float, float]:
        page = httpx.get(f"{server.address}/metrics").text
        (workers,) = re.findall(r"^seehear_workers (\S+)$", page, re.M)
        searches = re.findall(r'^seehear_requests_total{.*"/v1/search".*} (\S+)$', page, re.M)
        samples = re.findall(r'^seehear_encode_batch_samples_sum{.*"text".*} (\S+)$', page, re.M)
        return float(workers), sum(map(float, searches)), sum(map(float, samples))

    before = counted()
    with ThreadPoolExecutor(8) as clients:
        assert all(
            status == 200
            for status, _ in clients.map(lambda text: searched(server, text=text), TEXTS * 4)
        )
    after = counted()
    assert after[0] == before[0] == 2
    assert after[1] - before[1] == after[2] - before[2] == 4 * len(TEXTS)


def test_a_template_that_dies_is_made_anew(served: tuple[Running, WorkerPool]) -> None:
    server, pool = served
    before, template = set(pool.processes), pool._template
    assert template is not None
    template.kill()
    assert searched(server, text="red")[0] == 200  # those that are there go on
    until(lambda: len(pool.processes) == 2 and not before & set(pool.processes))
    assert searched(server, text="red")[0] == 200


def test_a_search_that_nobody_waits_for_is_not_begun(served: tuple[Running, WorkerPool]) -> None:
    server, pool = served
    batches: list[int] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pool, "_on_batch", lambda _, size: batches.append(size))
        stopped = pool.processes
        for process in stopped:
            os.kill(process, signal.SIGSTOP)
        try:
            body = b'{"text": "red"}'
            head = (
                "POST /v1/search HTTP/1.1\r\nHost: 127.0.0.1\r\n"
                f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
            )
            gone = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(5)]
            for one in gone:
                one.sendall(head.encode() + body)
            until(lambda: len(pool._waiting) == 3)
            for one in gone:
                one.close()
            until(lambda: all(asked.answer.done() for asked in pool._waiting))
        finally:
            for process in stopped:
                os.kill(process, signal.SIGCONT)
        assert searched(server, text="red")[0] == 200
    assert sum(batches) <= 3  # the two that workers had, and the last one


def run_first(code: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run code in templates before they load anything."""

    def command(rest: str) -> list[str]:
        return python_command(f"{code}; {rest}")

    monkeypatch.setattr(pool_module, "python_command", command)


def test_a_collection_that_cannot_be_shared_is_answered_by_the_service(
    collection_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Such as one whose model or index has threads, which a fork would not have."""
    threads = (
        "import threading; threading.Thread(target=threading.Event().wait, daemon=True).start()"
    )
    run_first(threads, monkeypatch)
    app = create_app(collection_folder, settings=SETTINGS, workers=2)
    with Running(app) as server:
        assert app.state.service.workers is None
        assert searched(server, text="red")[0] == 200


@pytest.mark.slow
def test_busy_workers_let_the_log_of_the_database_end(
    own_copy: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """SQLite begins its log anew while nobody reads from it: readers in turns would leave it no
    such moment, and it would grow by all that is written."""
    media, folder = own_copy
    with Collection(folder, SETTINGS) as collection:
        collection.index(media / "photos")
    small = "import seehear.stores.catalog.database as d; d.LOG_BYTES = 4 << 20"
    run_first(small, monkeypatch)
    app = create_app(folder, settings=SETTINGS, workers=2)
    stop = threading.Event()
    sizes: list[int] = []
    with Running(app) as server, ThreadPoolExecutor(4) as clients:
        until(lambda: len(app.state.service.workers.processes) == 2)

        def ask() -> None:
            while not stop.is_set():
                assert searched(server, text="red")[0] == 200

        asking = [clients.submit(ask) for _ in range(4)]
        try:
            with closing(sqlite3.connect(folder / "catalog.db", isolation_level=None)) as writer:
                writer.execute("PRAGMA journal_size_limit=2097152")
                writer.execute("CREATE TABLE more (bytes BLOB)")
                for _ in range(40):
                    writer.execute("INSERT INTO more VALUES (zeroblob(1000000))")
                    sizes.append((folder / "catalog.db-wal").stat().st_size)
                    time.sleep(0.5)
        finally:
            stop.set()
        for one in asking:
            one.result(PATIENCE_S)
    assert max(sizes) < 20 << 20, sizes


@pytest.mark.parametrize(
    "how", [signal.SIGTERM, pytest.param(signal.SIGINT, marks=pytest.mark.slow)]
)
def test_the_command_ends_with_all_of_its_processes(
    collection_folder: Path, how: signal.Signals
) -> None:
    with serving(collection_folder, "fake", "--workers", "2") as (port, service):
        until(lambda: len(workers_of(service)) == 2)
        processes = processes_of(service)
        body = b'{"text": "red"}'
        asked = Request(
            f"http://127.0.0.1:{port}/v1/search", body, {"content-type": "application/json"}
        )
        with urlopen(asked, timeout=PATIENCE_S) as answer:
            assert answer.status == 200
        os.kill(service, how)
        until(lambda: not any(is_running(process) for process in processes))


def workers_of(service: int) -> list[int]:
    """The forks among the processes of a service: they have the command line of their parent."""
    lines = [Path(f"/proc/{one}/cmdline").read_bytes() for one in processes_of(service)]
    return [n for n, line in enumerate(lines) if lines.count(line) > 1 and b"template" in line][1:]


def is_running(process: int) -> bool:
    try:
        return ") Z " not in Path(f"/proc/{process}/stat").read_text()
    except OSError:
        return False


def test_nothing_is_left_when_the_service_ends(collection_folder: Path) -> None:
    app = create_app(collection_folder, settings=SETTINGS, workers=2)
    with Running(app):
        pool = app.state.service.workers
        until(lambda: len(pool.processes) == 2)
        processes = [*pool.processes, pool._template.pid]
    until(lambda: not any(is_running(process) for process in processes))
