"""Measure a running service under load: requests per second, latencies, errors; check all answers.

    python -m benchmarks.bench_server                       10,000 assets; 1, 8 and 32 clients
    python -m benchmarks.bench_server --assets 100000 --clients 1
    python -m benchmarks.bench_server --workers 1           the service as one process
    python -m benchmarks.bench_server --beside DIR          that of another checkout, in turn
    python -m benchmarks.bench_server --quick               300 assets and the fake model, seconds

The collection is made by benchmarks/stocked.py. `seehear serve` runs over it in its own process on
loopback, and clients in this process send it sentences: each keeps one connection and sends the
next request as soon as it is answered. A second of warm-up is not counted. Every round is done
without and with index runs beside it (`seehear index` as a process, one after the other, each with
twenty new notes). All three share the machine's cores, and the figures include that. Processor time
and memory (PSS, in which what processes share counts once) are those of all of its processes.

Answers are compared with the library's own (`Collection.run` in this process): ids in order, and
scores to 1e-3. While an index run goes on beside it, the library is asked before and after the
request, for a sample of the requests; where both agree, the service must have said the same, or say
it when it is asked again: workers may be seconds behind a change (counted as late).
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import record
from benchmarks.service_process import memory_mib, processor_s, serving
from benchmarks.stocked import queries, stock
from seehear.collection import Collection
from seehear.config import Settings
from seehear.types import Hit, Query, QueryPart

QUERIES = tuple(queries(90))
K = 10
WARM_UP_S = 1.0
LATE_S = 20.0
"""After which a service must have seen a change."""
CHECK_EVERY = 10
"""Of the requests beside an index run, one in so many is checked: the check costs as much."""


@dataclass(slots=True)
class Tally:
    """What one round measured."""

    latencies_s: list[float] = field(default_factory=list)
    statuses: Counter[int] = field(default_factory=Counter)
    failures: Counter[str] = field(default_factory=Counter)
    compared: int = 0
    wrong: int = 0
    late: int = 0
    """Answers of a state before the last change."""
    asked: int = 0
    """Requests of the whole round, those of its warm-up included."""
    processor_s: float = 0.0
    """What the service computed in it."""


class Connection:
    """One client: HTTP/1.1 over one kept connection, just enough of it to ask and be answered."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def post(self, path: str, body: bytes) -> tuple[int, bytes]:
        if self._streams is None:
            self._streams = await asyncio.open_connection("127.0.0.1", self._port)
        reader, writer = self._streams
        head = (
            f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1:{self._port}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        writer.write(head.encode() + body)
        answer = await reader.readuntil(b"\r\n\r\n")
        size = re.search(rb"content-length: *(\d+)", answer, re.IGNORECASE)
        if size is None:
            raise ConnectionError("an answer without a length")
        return int(answer.split(b" ", 2)[1]), await reader.readexactly(int(size[1]))

    def close(self) -> None:
        if self._streams is not None:
            self._streams[1].close()


class Oracle:
    """The library's own answers."""

    def __init__(self, collection: Collection) -> None:
        self._collection = collection
        self._kept: dict[str, list[Hit]] = {}
        self._lock = threading.Lock()

    def fresh(self, text: str) -> list[Hit]:
        return self._collection.run(Query(parts=(QueryPart((text,), label=text),), k=K))

    def kept(self, text: str) -> list[Hit]:
        with self._lock:
            if text not in self._kept:
                self._kept[text] = self.fresh(text)
            return self._kept[text]

    def forget(self) -> None:
        self._kept.clear()


def same(told: Sequence[dict[str, Any]], hits: Sequence[Hit]) -> bool:
    """Whether an answer of the service is that of the library; ties may stand in either order."""
    if len(told) != len(hits):
        return False
    scores = [abs(one["score"] - hit.score) < 1e-3 for one, hit in zip(told, hits, strict=True)]
    if not all(scores):
        return False
    for one, hit in zip(told, hits, strict=True):
        tied = [h.segment_id for h in hits if abs(h.score - hit.score) < 1e-3]
        last = abs(hits[-1].score - hit.score) < 1e-3  # what ties with the last may be cut off
        if one["segment_id"] not in tied and not last:
            return False
    return True


async def client(
    number: int, port: int, until: float, tally: Tally, oracle: Oracle, *, changing: bool
) -> None:
    """Ask, check, ask again, until the time is up."""
    connection = Connection(port)
    counted_from = time.perf_counter() + WARM_UP_S
    asked = number * 7
    try:
        while time.perf_counter() < until:
            asked += 1
            text = QUERIES[asked % len(QUERIES)]
            body = json.dumps({"text": text, "k": K}).encode()
            check = not changing or asked % CHECK_EVERY == 0
            before = await asyncio.to_thread(oracle.fresh, text) if check and changing else None
            started = time.perf_counter()
            try:
                status, content = await connection.post("/v1/search", body)
            except (OSError, EOFError) as error:
                tally.failures[type(error).__name__] += 1
                connection.close()
                connection = Connection(port)
                continue
            took_s = time.perf_counter() - started
            tally.asked += 1
            if started >= counted_from:
                tally.latencies_s.append(took_s)
                tally.statuses[status] += 1
            if status == 200 and check:
                told = json.loads(content)["hits"]
                if not changing:
                    tally.compared += 1
                    tally.wrong += not same(told, oracle.kept(text))
                elif before == await asyncio.to_thread(oracle.fresh, text):
                    tally.compared += 1
                    if not same(told, before or []):
                        await _ask_again(text, body, connection, tally, oracle)
            elif status == 503:  # the queue is full
                await asyncio.sleep(0.05)
    finally:
        connection.close()


async def _ask_again(
    text: str, body: bytes, connection: Connection, tally: Tally, oracle: Oracle
) -> None:
    """Wait until the service answers as the library does."""
    until = time.perf_counter() + LATE_S
    while time.perf_counter() < until:
        await asyncio.sleep(0.1)
        _, content = await connection.post("/v1/search", body)
        if same(json.loads(content)["hits"], await asyncio.to_thread(oracle.fresh, text)):
            tally.late += 1
            return
    tally.wrong += 1


def drive(
    service: tuple[int, int], clients: int, seconds: float, oracle: Oracle, *, changing: bool
) -> Tally:
    """One round with so many clients. `service` is its port and its process."""
    tally = Tally()
    port, process = service

    async def round_() -> None:
        until = time.perf_counter() + WARM_UP_S + seconds
        await asyncio.gather(
            *(client(n, port, until, tally, oracle, changing=changing) for n in range(clients))
        )

    if not changing:
        for text in QUERIES:
            oracle.kept(text)  # before the clock runs: the checks must not cost the service time
    before_s = processor_s(process)
    asyncio.run(round_())
    tally.processor_s = processor_s(process) - before_s
    return tally


@contextlib.contextmanager
def indexing(collection: Path, notes: Path, model: str) -> Iterator[None]:
    """Index runs beside the service, one after the other, each with something new to encode."""
    stop = threading.Event()
    broken: list[str] = []

    def work() -> None:
        number = 0
        while not stop.is_set():
            number += 1
            for n in range(20):
                note = f"Note {number} {n}: {QUERIES[(number * 20 + n) % len(QUERIES)]}."
                (notes / f"{time.time_ns()}-{n}.md").write_text(note)
            command = [sys.executable, "-m", "seehear", "index", str(notes), "--json"]
            done = subprocess.run(
                [*command, "--collection", str(collection)],
                check=False,
                capture_output=True,
                text=True,
                env={**os.environ, "SEEHEAR_MODEL": model},
            )
            if done.returncode != 0:
                broken.append(done.stderr)
                return

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
    if broken:
        raise SystemExit(f"an index run beside the service failed: {broken[0]}")


def row_of(clients: int, tally: Tally, seconds: float, *, changing: bool) -> dict[str, Any]:
    """The figures of one round."""
    times_ms = 1000 * np.array(tally.latencies_s or [np.nan])
    return {
        "clients": clients,
        "index_run_beside": changing,
        "requests": len(tally.latencies_s),
        "requests_per_s": round(len(tally.latencies_s) / seconds, 1),
        "p50_ms": round(float(np.percentile(times_ms, 50)), 1),
        "p95_ms": round(float(np.percentile(times_ms, 95)), 1),
        "p99_ms": round(float(np.percentile(times_ms, 99)), 1),
        "fastest_ms": round(float(np.min(times_ms)), 1),
        "processor_ms": round(1000 * tally.processor_s / max(1, tally.asked), 1),
        "statuses": {str(status): n for status, n in sorted(tally.statuses.items())},
        "lost_connections": sum(tally.failures.values()),
        "compared": tally.compared,
        "wrong": tally.wrong,
        "late": tally.late,
    }


def measure(
    folder: Path,
    model: str,
    clients: Sequence[int],
    seconds: float,
    workers: int | None = None,
    checkout: Path | None = None,
) -> dict[str, Any]:
    """All rounds over one collection that benchmarks/stocked.py has made.

    With another checkout, each round is done with its service, too.
    """
    rows: list[dict[str, Any]] = []
    memory: dict[str, float] = {}
    notes = folder.parent / f"{folder.name}-media" / "notes"
    options = [] if workers is None else ["--workers", str(workers)]
    with Collection(folder, Settings(model=model)) as collection, contextlib.ExitStack() as stack:
        state = collection.status().to_dict()
        services = {"": stack.enter_context(serving(folder, model, *options))}
        if checkout is not None:
            services["beside"] = stack.enter_context(serving(folder, model, checkout=checkout))
        oracle = Oracle(collection)
        for changing in (False, True):
            beside = indexing(folder, notes, model) if changing else contextlib.nullcontext()
            with beside:
                for number in clients:
                    for name, service in services.items():
                        tally = drive(service, number, seconds, oracle, changing=changing)
                        row = row_of(number, tally, seconds, changing=changing)
                        row |= {"service": name} if checkout is not None else {}
                        print(json.dumps(row), file=sys.stderr)
                        rows.append(row)
                        if not changing:
                            memory[name] = round(memory_mib(service[1]), 1)
    return {
        "model": model,
        "assets": state["assets"],
        "segments": state["segments"],
        "k": K,
        "seed": 0,
        "workers": workers,
        "memory_mib": memory if checkout is not None else memory[""],
        "seconds_per_round": seconds,
        "rounds": rows,
    }


def as_table(result: dict[str, Any]) -> str:
    """The rounds as a table for docs/performance.md."""
    lines = [
        "| clients | index runs beside | requests/s | p50 | p95 | p99 | processor time of each "
        "| broken | refused (503) | compared | late | wrong |",
        "| ---: | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    lines += [
        f"| {row['clients']} | {'yes' if row['index_run_beside'] else 'no'} "
        f"| {row['requests_per_s']} | {row['p50_ms']} ms | {row['p95_ms']} ms | {row['p99_ms']} ms "
        f"| {row['processor_ms']} ms "
        f"| {_broken(row)} | {row['statuses'].get('503', 0)} "
        f"| {row['compared']} | {row['late']} | {row['wrong']} |"
        for row in result["rounds"]
    ]
    return "\n".join(lines)


def _broken(row: dict[str, Any]) -> int:
    failed = sum(n for status, n in row["statuses"].items() if status >= "500" and status != "503")
    return int(failed + row["lost_connections"])


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="benchmarks.bench_server", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--assets", type=int)
    parser.add_argument("--collection", type=Path, help="one that stocked.py made, to use again")
    parser.add_argument("--model")
    parser.add_argument("--clients", help="numbers of clients, with commas between")
    parser.add_argument("--seconds", type=float, help="of each round (15)")
    parser.add_argument("--name", default="server", help="of the JSON")
    parser.add_argument("--workers", type=int, help="of the service (its default)")
    parser.add_argument("--beside", type=Path, help="a checkout whose service is measured, too")
    parser.add_argument("--quick", action="store_true")
    record.add_options(parser)
    chosen = parser.parse_args(arguments)
    quick = chosen.quick
    clients = [int(n) for n in (chosen.clients or ("1,8" if quick else "1,8,32")).split(",")]
    model = chosen.model or ("fake" if quick else "tiny")
    with tempfile.TemporaryDirectory(prefix="seehear-bench-") as scratch:
        folder = chosen.collection or Path(scratch) / "collection"
        if not folder.exists():
            stock(folder, chosen.assets or (300 if quick else 10_000), model=model)
        seconds = chosen.seconds or (1.0 if quick else 15.0)
        result = measure(folder, model, clients, seconds, chosen.workers, chosen.beside)
    print(as_table(result))
    record.keep(chosen.name, result, chosen)
    return 1 if any(row["wrong"] or _broken(row) for row in result["rounds"]) else 0


if __name__ == "__main__":
    sys.exit(main())
