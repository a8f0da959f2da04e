"""Several services of one catalog: whoever is asked answers, and none is missed."""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from dataclasses import replace
from functools import partial
from itertools import cycle
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from sqlalchemy import create_engine, text
from starlette.testclient import TestClient

from seehear.errors import CollectionLockedError, StoreUnreachableError
from seehear.indexers import IndexReport
from seehear.limits import ServiceLimits
from seehear.server import create_app
from seehear.server.served_collection import ServedCollection
from seehear.stores import Catalog, JobRecord
from tests.server.conftest import PATIENCE_S, SETTINGS, picture, until, wait_ready
from tests.server.test_service import events_of

TOKEN = "a token of many characters"
LIMITS = ServiceLimits(job_lease_s=0.6, decode_workers=1)
Start = Callable[[FastAPI], TestClient]


@pytest.fixture(params=["postgresql", pytest.param("sqlite", marks=pytest.mark.slow)])
def url(request: pytest.FixtureRequest) -> str | None:
    """A database server, or None for the folder's own file."""
    if request.param == "sqlite":
        return None
    return str(request.getfixturevalue("postgres_database")())


class Services:
    """Services of one catalog; on a database server, each has a folder of its own."""

    def __init__(self, start: Start, tmp_path: Path, url: str | None, media: Path) -> None:
        self._start = start
        self._tmp_path = tmp_path
        self.url = url
        self.media = media
        self._made = 0

    def __call__(self, **given: Any) -> TestClient:
        self._made += 1
        folder = self._tmp_path / (f"collection-{self._made}" if self.url else "collection")
        settings = replace(SETTINGS, database=self.url)
        options: dict[str, Any] = {"roots": [self.media], "limits": LIMITS, **given}
        client = self._start(create_app(folder, settings=settings, **options))
        wait_ready(client)
        return client

    def catalog(self) -> Catalog:
        return Catalog.open(self._tmp_path / "collection", url=self.url)


@pytest.fixture
def media(tmp_path: Path) -> Path:
    for color in ("red", "blue"):
        picture(tmp_path / "media" / f"{color}.png", color)
    return tmp_path / "media"


@pytest.fixture
def services(start: Start, tmp_path: Path, url: str | None, media: Path) -> Services:
    return Services(start, tmp_path, url, media)


@pytest.fixture
def on_server(
    start: Start, tmp_path: Path, postgres_database: Callable[[], str], media: Path
) -> Services:
    return Services(start, tmp_path, postgres_database(), media)


def job_of(media: Path, **changed: Any) -> JobRecord:
    """A job that a service began which is there no more."""
    options = {"retry_failed": False, "read": None, "read_for_s": None}
    request = {"paths": [str(media)], "options": options}
    made = JobRecord("0123456789abcdef", request, {"roots": ["media"]}, holder="gone")
    return replace(made, **changed)


def both_say(clients: Sequence[TestClient], job_id: str, state: str) -> bool:
    return {state_of(client, job_id) for client in clients} == {state}


def state_of(client: TestClient, job_id: str = "0123456789abcdef") -> str:
    return str(client.get(f"/v1/index/{job_id}").json()["state"])


def test_requests_in_turn_are_answered_as_by_one(on_server: Services) -> None:
    pytest.importorskip("mcp")
    both = [on_server(token=TOKEN), on_server(token=TOKEN)]
    turn = cycle(both)
    cookies: dict[str, str] = {}

    def ask(method: str, path: str, **options: Any) -> Any:
        client = next(turn)
        client.cookies.clear()
        client.cookies.update(cookies)
        answer = client.request(method, path, **options)
        cookies.update(answer.cookies)
        return answer

    assert ask("POST", "/v1/session", json={"token": TOKEN}).status_code == 200
    job = ask("POST", "/v1/index", json={}).json()
    assert ask("POST", "/v1/index", json={}).status_code == 409
    ends = [
        json.loads(ask("GET", f"/v1/index/{job['id']}/events").text.rpartition("data: ")[2])
        for _ in both
    ]
    assert ends[0] == ends[1]
    assert (ends[0]["state"], ends[0]["report"]["added"]) == ("done", 2)
    assert [one["id"] for one in ask("GET", "/v1/index").json()["jobs"]] == [job["id"]]
    for path in ("/v1/assets?limit=5", "/v1/browse", "/v1/folders", "/v1/suggestions", "/v1/index"):
        assert ask("GET", path).json() == ask("GET", path).json(), path
    version = ask("GET", "/v1/browse").json()["version"]
    page = f"/v1/browse/items?version={version}&count=1&start="
    windows = [ask("GET", f"{page}{start}").json() for start in (0, 1)]
    assert {one["version"] for one in windows} == {version}
    assert len({item["asset_id"] for one in windows for item in one["items"]}) == 2
    found = [ask("POST", "/v1/search", json={"text": "red"}).json()["hits"] for _ in both]
    assert found[0] == found[1] != []
    likes = {"like": [found[0][0]["segment_id"]], "text": "red"}
    assert ask("POST", "/v1/search", json=likes).status_code == 200
    picture(on_server.media / "late.png", "cyan")
    job = ask("POST", "/v1/index", json={}).json()
    ask("GET", f"/v1/index/{job['id']}/events")
    assert {ask("GET", "/v1/status").json()["assets"] for _ in both} == {3}
    call = {"jsonrpc": "2.0", "id": 1, "method": "tools/call"}
    call["params"] = {"name": "describe_collection", "arguments": {}}
    accepts = {"accept": "application/json, text/event-stream"}
    told = [ask("POST", "/mcp", json=call, headers=accepts).json()["result"] for _ in both]
    assert told[0] == told[1]
    kept = dict(cookies)
    assert ask("DELETE", "/v1/session").status_code == 200
    cookies.update(kept)
    assert {ask("GET", "/v1/status").status_code for _ in both} == {401}
    assert not ask("GET", "/v1/session").json()["signed_in"]


def test_a_job_whose_service_died_is_run_by_another(services: Services) -> None:
    with closing(services.catalog()) as catalog:
        assert catalog.jobs.add(job_of(services.media))
    client = services()
    assert state_of(client) == "running"
    assert client.post("/v1/index", json={}).status_code == 409
    until(lambda: state_of(client) == "done")
    assert client.get("/v1/index/0123456789abcdef").json()["report"]["added"] == 2
    assert events_of(client, client.post("/v1/index", json={}).json()["id"])[-1][0] == "done"


def test_a_holder_that_is_alive_keeps_its_job(
    services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever the clocks of the machines say meanwhile."""
    runs, gate = [], threading.Event()

    def waits(self: ServedCollection, *_: Path, stop: threading.Event, **__: Any) -> IndexReport:
        runs.append(self)
        until(lambda: gate.is_set() or stop.is_set())
        return IndexReport(interrupted=stop.is_set())

    monkeypatch.setattr(ServedCollection, "index", waits)
    one, two = services(), services()
    job = one.post("/v1/index", json={}).json()["id"]
    until(lambda: len(runs) == 1)
    now, jumps = time.time, cycle((0.0, 1e7, -1e7))
    monkeypatch.setattr(time, "time", lambda: now() + next(jumps))
    time.sleep(4 * LIMITS.job_lease_s)
    assert (len(runs), state_of(two, job)) == (1, "running")
    assert two.post("/v1/index", json={}).status_code == 409
    assert two.delete(f"/v1/index/{job}").status_code == 200
    until(lambda: state_of(one, job) == "stopped")
    assert (len(runs), state_of(two, job)) == (1, "stopped")


def test_of_two_jobs_at_once_one_begins(services: Services) -> None:
    first = services()
    second = services()
    barrier = threading.Barrier(2)

    def begin(client: TestClient) -> int:
        barrier.wait()
        return client.post("/v1/index", json={}).status_code

    for _ in range(3):
        with ThreadPoolExecutor(2) as pool:
            assert sorted(pool.map(begin, (first, second))) == [202, 409]
        newest = first.get("/v1/index").json()["jobs"][0]["id"]
        until(partial(both_say, (first, second), newest, "done"))


def test_a_job_is_left_to_a_service_that_may_and_can(services: Services, tmp_path: Path) -> None:
    other = tmp_path / "other"
    picture(other / "a.png", "red")
    kept = {"roots": ["other"], "of": "a newer seehear"}
    with closing(services.catalog()) as catalog:
        assert catalog.jobs.add(job_of(other, holder=None, told=kept))
    client = services()
    time.sleep(2 * LIMITS.job_lease_s)
    assert state_of(client) == "running"
    allowed = services(roots=[other])
    until(lambda: state_of(allowed) == "done")
    shapes: tuple[Any, ...] = (["another"], {"progress": {"stage": 7}}, {"roots": ["media"]})
    for told in shapes:
        with closing(services.catalog()) as catalog:
            newer = job_of(services.media, id=os.urandom(8).hex(), format=99, told=told)
            assert catalog.jobs.add(newer)
            if told == shapes[-1]:
                time.sleep(2 * LIMITS.job_lease_s)
            assert client.get("/v1/index").json()["jobs"][0]["state"] == "running"
            assert client.post("/v1/index", json={}).status_code == 409
            assert catalog.jobs.finish(newer, "done", told)


@pytest.mark.parametrize(
    ("left", "state"),
    [({"stopping": True}, "stopped"), ({"deaths": 4}, "failed"), ({"holder": None}, "done")],
)
def test_what_becomes_of_a_job_that_was_left(
    services: Services, left: dict[str, Any], state: str
) -> None:
    with closing(services.catalog()) as catalog:
        assert catalog.jobs.add(job_of(services.media, **left))
    client = services()
    until(lambda: state_of(client) != "running")
    assert state_of(client) == state


def test_a_service_that_ends_hands_its_job_over_or_stops_it(
    services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, entered = ServedCollection.index, threading.Event()

    def waits(self: ServedCollection, *_: Path, stop: threading.Event, **__: Any) -> IndexReport:
        entered.set()
        assert stop.wait(PATIENCE_S)
        return IndexReport(interrupted=True)

    monkeypatch.setattr(ServedCollection, "index", waits)
    one = services()
    job = one.post("/v1/index", json={}).json()["id"]
    assert entered.wait(PATIENCE_S)
    monkeypatch.setattr(ServedCollection, "index", real)
    one.app.state.service.end_work()  # type: ignore[attr-defined]
    two = services()
    wanted = "done" if services.url else "stopped"
    until(lambda: state_of(two, job) == wanted)


def test_a_job_goes_on_when_the_database_has_cut_its_connections(
    on_server: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, runs = ServedCollection.index, []
    assert on_server.url is not None
    server = create_engine(on_server.url, isolation_level="AUTOCOMMIT")

    def cut(self: ServedCollection, *paths: Path, **options: Any) -> IndexReport:
        runs.append(self)
        if len(runs) == 1:
            with self._catalog.write_lock(), server.connect() as connection:
                ended = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                connection.execute(
                    text(f"{ended} WHERE pid <> pg_backend_pid() AND datname = current_database()")
                )
                return real(self, *paths, **options)
        return real(self, *paths, **options)

    monkeypatch.setattr(ServedCollection, "index", cut)
    client = on_server()
    job = client.post("/v1/index", json={}).json()["id"]
    answers = []

    def has_ended() -> bool:
        answers.append(client.get(f"/v1/index/{job}"))
        return answers[-1].status_code == 200 and answers[-1].json()["state"] != "running"

    until(has_ended)
    assert {one.status_code for one in answers} <= {200, 503}
    assert answers[-1].json()["report"]["added"] == 2
    server.dispose()


@pytest.fixture
def two_writers(
    postgres_database: Callable[[], str], tmp_path: Path
) -> Iterator[tuple[Catalog, Catalog]]:
    url = postgres_database()
    folders = tmp_path / "a", tmp_path / "b"
    with ExitStack() as opened:
        one, two = (opened.enter_context(closing(Catalog.open(at, url=url))) for at in folders)
        yield one, two


def test_a_writer_that_lost_its_lock_writes_no_more(two_writers: tuple[Catalog, Catalog]) -> None:
    one, two = two_writers

    def cut(catalog: Catalog) -> None:
        with catalog.engine.connect() as connection:
            connection.execute(
                text(
                    "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory'"
                    " AND pid <> pg_backend_pid() AND database = (SELECT oid FROM pg_database"
                    " WHERE datname = current_database())"
                )
            )

    with one.write_lock():
        one.locations.add_root(Path("/media/one"))
        cut(two)
        one.locations.add_root(Path("/media/still"))  # nobody else writes
        with two.write_lock(wait_s=10.0):
            with pytest.raises(CollectionLockedError, match="has taken over"):
                one.locations.add_root(Path("/media/late"))
            two.locations.add_root(Path("/media/two"))
    assert len(one.locations.roots()) == 3
    with one.write_lock():  # a new start
        one.locations.add_root(Path("/media/again"))
    assert len(two.locations.roots()) == 4


def test_who_takes_the_lock_waits_for_the_last_transaction(
    two_writers: tuple[Catalog, Catalog],
) -> None:
    one, two = two_writers
    seen = []

    def take() -> None:
        with two.write_lock(wait_s=10.0):
            seen.append(len(two.locations.roots()))

    taker = threading.Thread(target=take)
    with one.write_lock():
        with one.batch() as batch:
            batch.connection.execute(
                text("INSERT INTO roots (path, online) VALUES ('/media', true)")
            )
            with two.engine.connect() as connection:
                connection.execute(
                    text(
                        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE"
                        " datname = current_database() AND pid IN (SELECT pid FROM pg_locks WHERE"
                        " locktype = 'advisory' AND mode = 'ExclusiveLock' AND objid = :key)"
                    ),
                    {"key": 0x5EE4EA1},
                )
            taker.start()
            time.sleep(0.5)
            assert seen == []
        taker.join(PATIENCE_S)
    assert seen == [1]


def test_a_connection_that_is_cut_is_told_as_such(two_writers: tuple[Catalog, Catalog]) -> None:
    one, two = two_writers
    told = pytest.raises(StoreUnreachableError, match="no connection to the database")
    with told, one.read_snapshot():
        with two.engine.connect() as connection:
            connection.execute(
                text(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                    " WHERE pid <> pg_backend_pid() AND datname = current_database()"
                )
            )
        one.counts()
    assert one.counts().assets == 0
