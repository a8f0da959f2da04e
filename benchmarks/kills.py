"""Kill processes of a set of services at random instants, and check what is lost.

    python -m benchmarks.kills --rounds 100
    python -m benchmarks.kills --rounds 5 --seed 3 --minutes 4

The set is a PostgreSQL server, two `seehear serve` on it, each with a folder of its own, and a
client that asks both of them in turn all the time. In each round the media change, one service is
told to index them, and at a random instant one of the set is hit:

    holder      the service that runs the index job, with its workers     SIGKILL
    other       the service that does not                                SIGKILL
    worker      a process of the holder that decodes                     SIGKILL
    writer      the database connections that the index run writes on     pg_terminate_backend
    connection  any one connection to the database                        pg_terminate_backend
    database    PostgreSQL, all of it                                     SIGKILL
    paused      the holder, for longer than its lease lasts               SIGSTOP, SIGCONT

What was killed is started again after half a second, as a supervisor does, and nothing else is done
about it. Then the job must end, and the catalog must hold every file once, each content once, as
many vectors as segments, and pass `seehear verify`. Every request must have been answered rightly,
or with a status and a sentence (503, 409), or refused by a closed port.
"""

from __future__ import annotations

import argparse
import json
import math
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.client import HTTPException
from pathlib import Path
from typing import Any

from benchmarks import record
from benchmarks.crash import FAULTS, Folder
from benchmarks.kill_set import (
    LEASE_S,
    PATIENCE_S,
    Client,
    Database,
    Server,
    children_of,
    kill_process,
    kill_tree,
)
from seehear.indexers import verify
from seehear.media.hashing import content_hash
from seehear.stores import Catalog

VICTIMS = ("holder", "other", "worker", "writer", "connection", "database", "paused")


@dataclass
class Outcome:
    """What all rounds with one victim did."""

    rounds: int = 0
    at_work: int = 0
    """Rounds in which the job still ran when the victim was hit."""
    told: Counter[str] = field(default_factory=Counter)
    wrong: int = 0
    lost: int = 0
    doubled: int = 0
    longest_s: float = 0.0
    recovered_s: float = 0.0
    """Longest time from the hit to the end of the job."""


class Set:
    """The database, the services and the media of one run."""

    def __init__(self, workspace: Path, seed: int, files: int) -> None:
        self.dice = random.Random(seed)
        self.media = Folder(workspace / "media", self.dice)
        self.media.path.mkdir()
        self.media.add(files)
        self.database = Database(workspace / "postgres")
        self.workspace = workspace
        url = self.database.url
        self.servers = [Server(workspace / name, self.media.path, url) for name in ("one", "two")]

    def until(self, done: Any, what: str) -> None:
        give_up = time.monotonic() + PATIENCE_S
        while not done():
            if time.monotonic() > give_up:
                raise TimeoutError(f"{what} did not happen within {PATIENCE_S:.0f} s")
            time.sleep(0.1)

    def ask(self, method: str, path: str, body: object = None) -> tuple[int, Any]:
        """Ask any service until one answers with a success, as a person at a balancer does."""
        give_up = time.monotonic() + PATIENCE_S
        while time.monotonic() < give_up:
            server = self.dice.choice(self.servers)
            with suppress(OSError, HTTPException, ValueError):
                status, answer = server.ask(method, path, body)
                if status < 300 or status == 409:
                    return status, answer
            time.sleep(0.1)
        raise TimeoutError(f"nobody answered {path}")

    def begin_job(self) -> tuple[str, int]:
        """Let a service index; return the job's id and the number of the service that runs it."""
        number = self.dice.randrange(2)
        status, job = self.servers[number].ask("POST", "/v1/index", {})
        if status != 202:
            raise RuntimeError(f"a job is not begun: {status} {job}")
        return str(job["id"]), number

    def hit(self, victim: str, holder: int) -> None:
        """Kill a victim, and start it again."""
        server = self.servers[1 - holder if victim == "other" else holder]
        if victim in {"holder", "other"}:
            kill_tree(server.process.pid)
            server.process.wait()
            time.sleep(0.5)
            server.start()
        elif victim == "worker":
            if working := children_of(server.process.pid):
                kill_process(self.dice.choice(working))
        elif victim == "paused":
            server.process.send_signal(signal.SIGSTOP)
            time.sleep(LEASE_S * 1.5 + 1.0)
            server.process.send_signal(signal.SIGCONT)
        elif victim == "database":
            self.database.kill()
            time.sleep(0.5)
            self.database.start()
        else:
            mine = "backend_type = 'client backend' AND pid <> pg_backend_pid()"
            if victim == "writer":
                mine += " AND application_name LIKE 'seehear job%'"
            else:
                mine = f"pid = (SELECT pid FROM pg_stat_activity WHERE {mine}"
                mine += " ORDER BY random() LIMIT 1)"
            ended = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE "
            self.database.ask(ended + mine)

    def check(self) -> tuple[int, int, list[str]]:
        """Return how many files are lost and how many doubled, and what else is wrong."""
        lost = doubled = 0
        problems = []
        catalog = Catalog.open(self.workspace / "checked", url=self.database.url)
        try:
            locations = [
                (str(location.path), location.asset_id)
                for root in catalog.locations.roots()
                for location in catalog.locations.in_root(root.id)
            ]
            failed = {str(failure.path) for failure in catalog.locations.failures()}
            hashes = {
                asset.id: asset.content_hash
                for asset in catalog.assets.get_many([id_ for _, id_ in locations]).values()
            }
            found = {path: hashes[asset_id] for path, asset_id in locations}
            files = {str(path): content_hash(path) for path in self.media.files()}
            lost += sum(found.get(path) != of and path not in failed for path, of in files.items())
            doubled += len(locations) - len(found) + len(found.keys() - files.keys())
            for what, query in FAULTS.items():
                if query.startswith("PRAGMA"):
                    continue
                count = len(self.database.ask(query))
                if "twice" in what or "vector without" in what:
                    doubled += count
                if count:
                    problems.append(f"{count} x {what}")
            checked = verify(catalog)
            if not checked.good:
                problems.append(f"verify: {[fault.what for fault in checked.faults]}")
        finally:
            catalog.close()
        return lost, doubled, problems

    def stop(self) -> None:
        for server in self.servers:
            server.stop()
        self.database.stop()


@contextmanager
def started(seed: int, files: int) -> Iterator[Set]:
    # Not below the temporary folder of a test: the user of the database could not enter it.
    with tempfile.TemporaryDirectory(prefix="seehear-kills-") as workspace:
        Path(workspace).chmod(0o755)
        made = Set(Path(workspace), seed, files)
        try:
            made.until(lambda: all(one.is_ready() for one in made.servers), "a start")
            yield made
        finally:
            made.stop()


def kill(
    rounds: int, seed: int, files: int = 40, most_s: float = math.inf
) -> tuple[dict[str, Outcome], list[str]]:
    """Play so many rounds, or as many as fit into a time; return outcomes by victim, and faults."""
    outcomes = {victim: Outcome() for victim in VICTIMS}
    problems: list[str] = []
    until = time.monotonic() + most_s
    with started(seed, files) as all_of:
        began = time.monotonic()
        job, _ = all_of.begin_job()
        all_of.until(lambda: all_of.ask("GET", f"/v1/index/{job}")[1]["state"] == "done", "a run")
        reach_s = time.monotonic() - began
        order: list[str] = []
        for number in range(1, rounds + 1):
            if time.monotonic() > until:
                break
            if not order:
                order = all_of.dice.sample(VICTIMS, len(VICTIMS))
            victim = order.pop()
            outcome = outcomes[victim]
            faults = _round(all_of, victim, outcome, reach_s)
            problems += [f"round {number} ({victim}): {fault}" for fault in faults]
            told = ", ".join(f"{count} {name}" for name, count in sorted(outcome.told.items()))
            print(f"round {number}: {victim}; so far {told}; {faults or 'well'}", flush=True)
    return outcomes, problems


def _round(all_of: Set, victim: str, outcome: Outcome, reach_s: float) -> list[str]:
    all_of.media.add(6)
    all_of.media.change(10)
    faults = []
    client = Client(all_of.servers)
    try:
        job, holder = all_of.begin_job()
        time.sleep(all_of.dice.uniform(0.0, reach_s))
        state = all_of.servers[holder].ask("GET", f"/v1/index/{job}")[1].get("state")
        outcome.at_work += state == "running"
        began = time.monotonic()
        all_of.hit(victim, holder)
        all_of.until(
            lambda: all_of.ask("GET", f"/v1/index/{job}")[1]["state"] != "running", "its end"
        )
        outcome.recovered_s = max(outcome.recovered_s, time.monotonic() - began)
        ended = all_of.ask("GET", f"/v1/index/{job}")[1]
        if ended["state"] != "done":
            faults.append(f"the job {ended['state']}: {ended['error']}")
        all_of.until(lambda: all(one.is_ready() for one in all_of.servers), "readiness")
    finally:
        client.stop()
    outcome.rounds += 1
    outcome.told += client.told
    outcome.wrong += len(client.wrong)
    outcome.longest_s = max(outcome.longest_s, client.longest_s)
    lost, doubled, found = all_of.check()
    outcome.lost += lost
    outcome.doubled += doubled
    return faults + found + sorted(set(client.wrong)) + ["lost"] * lost + ["doubled"] * doubled


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="benchmarks.kills",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--rounds", type=int, default=100)
    parser.add_argument("--files", type=int, default=40)
    parser.add_argument("--minutes", type=float, default=math.inf, help="end the rounds then")
    parser.add_argument("--seed", type=int, default=0)
    record.add_options(parser)
    chosen = parser.parse_args(arguments)
    began = time.monotonic()
    outcomes, problems = kill(chosen.rounds, chosen.seed, chosen.files, 60.0 * chosen.minutes)
    for problem in problems:
        print(problem)
    result = {
        "seed": chosen.seed,
        "files": chosen.files,
        "lease_s": LEASE_S,
        "rounds": sum(one.rounds for one in outcomes.values()),
        "victims": {victim: vars(one) for victim, one in outcomes.items()},
        "problems": problems,
        "seconds": round(time.monotonic() - began, 1),
    }
    print(json.dumps(result["victims"], indent=1))
    record.keep(f"kills-{chosen.seed}" if chosen.seed else "kills", result, chosen)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
