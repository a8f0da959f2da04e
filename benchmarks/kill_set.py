"""A set of processes to kill: a PostgreSQL server, services on it, a client that asks them."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any

from sqlalchemy import create_engine, text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.pool import NullPool

LEASE_S = 3.0
PATIENCE_S = 240.0
"""How long the set may take to recover, on a machine with much other work."""
ANSWER_S = 60.0
"""Longest wait for one answer: more than what the services allow a query."""

SERVICE = f"""
import sys
from pathlib import Path
from seehear.config import Settings
from seehear.indexers import write
from seehear.limits import ServiceLimits
from seehear.server.run import serve
write.COMMIT_FILES = 4
folder, port, media, url = sys.argv[1:]
settings = Settings(model="fake", device="cpu", batch_size=4, decode_workers=1, database=url)
limits = ServiceLimits(job_lease_s={LEASE_S}, decode_workers=1)
roots = [Path(media)]
serve(Path(folder), port=int(port), settings=settings, roots=roots, limits=limits, workers=1)
"""


class Database:
    """A PostgreSQL server of its own, which is killed and started again."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._as_user: dict[str, Any] = (
            {"user": "postgres", "group": "postgres"} if os.geteuid() == 0 else {}
        )
        found = shutil.which("postgres")
        places = [Path(found).parent] if found else []
        places += sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
        self._programs = next((at for at in places if (at / "initdb").exists()), None)
        if self._programs is None:
            raise RuntimeError("no PostgreSQL server on this machine")
        folder.mkdir()
        if self._as_user:
            shutil.chown(folder, "postgres", "postgres")
        self._call("initdb", "--pgdata", folder / "data", "--username", "seehear", "--auth",
                   "trust", "--encoding", "UTF8", "--locale", "C", "--no-sync")  # fmt: skip
        self.url = f"postgresql+psycopg://seehear@/postgres?host={folder}"
        self._engine = create_engine(self.url, poolclass=NullPool, isolation_level="AUTOCOMMIT")
        self.start()

    def _call(self, program: str, *arguments: str | Path) -> None:
        assert self._programs is not None
        command = [self._programs / program, *arguments]
        subprocess.run(command, check=True, capture_output=True, cwd=self._folder, **self._as_user)

    def start(self) -> None:
        """Start, and wait until it takes connections."""
        assert self._programs is not None
        options = ("--listen_addresses=", "--shared_buffers=16MB", "--max_connections=100")
        data = self._folder / "data"
        command: list[str | Path] = [
            self._programs / "postgres",
            "-D",
            data,
            "-k",
            self._folder,
            *options,
        ]
        give_up = time.monotonic() + PATIENCE_S
        while time.monotonic() < give_up:
            with (self._folder / "log").open("ab") as log:
                self._process = subprocess.Popen(
                    command, stdout=log, stderr=log, cwd=self._folder, **self._as_user
                )
            while self._process.poll() is None:
                with suppress(SQLAlchemyError):
                    self.ask("SELECT 1")
                    return
                time.sleep(0.1)
            time.sleep(0.2)  # processes of the killed server still end
        raise RuntimeError("PostgreSQL does not start")

    def ask(self, query: str, **values: Any) -> list[tuple[Any, ...]]:
        with self._engine.connect() as connection:
            return [tuple(row) for row in connection.execute(text(query), values)]

    def kill(self) -> None:
        kill_process(self._process.pid)
        self._process.wait()

    def stop(self) -> None:
        self._process.send_signal(signal.SIGQUIT)
        self._process.wait()


class Server:
    """One `seehear serve`, with a port and a folder that it keeps when it is started again."""

    def __init__(self, folder: Path, media: Path, url: str) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = int(free.getsockname()[1])
        self._command: list[str | Path] = [
            sys.executable,
            "-c",
            SERVICE,
            folder,
            str(self.port),
            media,
            url,
        ]
        self._log = folder.with_suffix(".log")
        self.start()

    def start(self) -> None:
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        with self._log.open("ab") as log:
            self.process = subprocess.Popen(
                self._command, stdout=log, stderr=log, env=environment, start_new_session=True
            )

    def ask(self, method: str, path: str, body: object = None) -> tuple[int, Any]:
        """Return status and answer; raises OSError or HTTPException where there is none."""
        connection = HTTPConnection("127.0.0.1", self.port, timeout=ANSWER_S)
        try:
            headers = {"content-type": "application/json"}
            data = None if body is None else json.dumps(body)
            connection.request(method, path, data, headers)
            answer = connection.getresponse()
            return answer.status, json.loads(answer.read())
        finally:
            connection.close()

    def is_ready(self) -> bool:
        with suppress(OSError, HTTPException, ValueError):
            return self.ask("GET", "/readyz")[0] == 200
        return False

    def stop(self) -> None:
        self.process.terminate()
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            kill_process(self.process.pid)
            self.process.wait()


class Client:
    """Ask services in turn until it is stopped, and count what came back."""

    def __init__(self, servers: Sequence[Server]) -> None:
        self._servers = servers
        self._ended = threading.Event()
        self.told: Counter[str] = Counter()
        self.wrong: list[str] = []
        self.longest_s = 0.0
        """Longest time in which the set gave no right answer."""
        self._thread = threading.Thread(target=self._ask)
        self._thread.start()

    def _ask(self) -> None:
        asked = (("POST", "/v1/search", {"text": "a red rose", "k": 5}),
                 ("GET", "/v1/status", None), ("GET", "/v1/browse", None),
                 ("GET", "/v1/index", None))  # fmt: skip
        answered, number = time.monotonic(), 0
        while not self._ended.wait(0.02):
            number += 1
            server = self._servers[number % len(self._servers)]
            method, path, body = asked[number // len(self._servers) % len(asked)]
            try:
                status, answer = server.ask(method, path, body)
            except (OSError, HTTPException) as error:
                self.told[type(error).__name__] += 1
                continue
            except ValueError:
                self.wrong.append(f"{path}: an answer that is no JSON")
                continue
            if status == 200:
                self.told["right"] += 1
                self.longest_s = max(self.longest_s, time.monotonic() - answered)
                answered = time.monotonic()
            elif status in {409, 503} and answer.get("error", {}).get("message"):
                self.told[str(status)] += 1
            else:
                self.wrong.append(f"{path}: {status} {json.dumps(answer)[:200]}")

    def stop(self) -> None:
        self._ended.set()
        self._thread.join()


def kill_process(pid: int) -> None:
    """Kill a process, if it is still there."""
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def children_of(pid: int) -> list[int]:
    """Return the processes that a process has started, and those that they have."""
    found: list[int] = []
    for tasks in Path(f"/proc/{pid}/task").glob("*/children"):
        with suppress(OSError):
            found += [int(child) for child in tasks.read_text().split()]
    return [*found, *(one for child in found for one in children_of(child))]


def kill_tree(pid: int) -> None:
    """Kill a process and those that it has started."""
    for one in (*children_of(pid), pid):
        kill_process(one)
