"""Measure search in a large collection: two tiers against exact search, and other libraries.

    python -m benchmarks.bench_vectors --data DIR                  1,000,000 vectors of 512 numbers
    python -m benchmarks.bench_vectors --data DIR --count 200000 --with hnswlib --with usearch
    python -m benchmarks.bench_vectors --quick                     two thousand, under a minute

Vectors are real embeddings, mixed and perturbed (benchmarks/vector_data.py); queries are made of
sentences that the collection does not hold. Every index is built in one process, and opened and
searched in another. It answers in turns with exact search (FAISS's IndexFlatIP over the float32
matrix), the same queries one at a time and all at once, so that what else happens on the machine
meets both alike; figures are medians over the turns, and "times as fast" compares those turns.
Beside the wall clock stands the processor's time, which other work on the machine does not
lengthen.

Memory is what a process grows by when it opens an index and searches it, as a share of the float32
matrix: its own pages, and those of mapped files, which the system can take back.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import numpy as np

from benchmarks import memory, record, vector_data, vector_refined, vector_rivals
from benchmarks.vector_refined import REFINED
from benchmarks.vector_rivals import EXACT, OURS, RIVALS, Task
from seehear.files import output_file
from seehear.stores.vectors.vector_file import CHUNK, to_float16
from seehear.types import Vectors

AIM = 0.99
WEIGHED = 64
"""Queries by which the memory of exact search is measured, which is the same after each."""
MISSING = 3
"""Exit status of a process whose library is not installed."""
TIMES = ("single_ms", "single_cpu_ms", "batch_ms", "batch_cpu_ms")
Turn = tuple[float, float, float, float]
"""Milliseconds per query, in the order of TIMES."""


class MissingError(Exception):
    """A library that is not installed."""


@dataclass(slots=True)
class Way:
    """One way to search, with what it took, and what exact search took in the same turns."""

    name: str
    note: str
    recall: float
    build_cpu_s: float = 0.0
    turns: list[Turn] = field(default_factory=list)
    beside: list[Turn] = field(default_factory=list)
    own_share: float | None = None
    files_share: float | None = None
    changes: dict[str, Any] | None = None

    def times(self) -> dict[str, float]:
        return dict(zip(TIMES, np.median(self.turns, axis=0).tolist(), strict=True))

    def faster(self) -> dict[str, float]:
        """How many times as fast as exact search, by each of TIMES."""
        ratios = np.median(self.beside, axis=0) / np.median(self.turns, axis=0)
        return dict(zip(TIMES, ratios.tolist(), strict=True))

    def as_json(self) -> dict[str, Any]:
        faster = {name.replace("_ms", "_faster"): value for name, value in self.faster().items()}
        figures = {
            "recall_at_10": self.recall,
            **self.times(),
            **faster,
            "build_cpu_s": self.build_cpu_s,
            "memory_own": self.own_share,
            "memory_files": self.files_share,
        }
        rounded = {name: value and round(value, 4) for name, value in figures.items()}
        changes = {"changes": self.changes} if self.changes else {}
        return {"name": self.name, **rounded, "note": self.note, **changes}

    def row(self) -> str:
        times, faster = self.times(), self.faster()
        shares = [
            "     -" if s is None else f"{s:6.3f}" for s in (self.own_share, self.files_share)
        ]
        columns = [
            f"{times[name]:8.2f} ms ({faster[name]:5.1f}x, {faster[cpu]:5.1f}x cpu)"
            for name, cpu in (TIMES[:2], TIMES[2:])
        ]
        return "  ".join([f"{self.name:14}", f"{self.recall:.4f}", *columns, *shares, self.note])


HEADER = "way  recall  one query  all at once, each query  memory: own, files"


class Worker:
    """A process that has one index open and searches when it is asked."""

    def __init__(self, name: str, task: Task) -> None:
        self.name = name
        self._process = subprocess.Popen(
            _command("--serve", name, task),
            env=_environment(task.threads),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._asking, self._answering = self._process.stdin, self._process.stdout

    def ask(self, **what: Any) -> dict[str, Any]:
        print(json.dumps(what), file=self._asking, flush=True)
        return self.answer()

    def answer(self) -> dict[str, Any]:
        line = self._answering.readline()
        if not line:
            if self._process.wait() == MISSING:
                raise MissingError(self.name)
            raise RuntimeError(f"the process that searches by {self.name} ended")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def turn(self, start: int, singles: int) -> Turn:
        one = self.ask(start=start, count=singles, at_once=False)
        many = self.ask(start=0, count=None, at_once=True)
        return one["wall_ms"], one["cpu_ms"], many["wall_ms"], many["cpu_ms"]

    def close(self) -> None:
        self._asking.close()
        self._process.wait()
        self._answering.close()


@contextmanager
def serving(name: str, task: Task) -> Iterator[tuple[Worker, Way]]:
    """A worker with its index open, and what it says of it."""
    worker = Worker(name, task)
    try:
        told = worker.answer()
        yield worker, Way(name, told["note"], told["recall"])
    finally:
        worker.close()


def serve(name: str, task: Task, asked: IO[str]) -> None:
    """Open an index, say how it is set, and answer by what each search took."""
    import faiss  # noqa: F401 - a library's own size is none of an index's

    queries = task.queries()
    queries @ queries.T
    memory.give_back()
    at_first = memory.resident()
    search, note = (vector_refined if name in REFINED else vector_rivals).opened(name, task)
    if name == EXACT and not (task.folder / "truth.npy").exists():
        np.save(task.folder / "truth.npy", search(queries))
    recall = 1.0 if name == EXACT else vector_rivals.recall(search(queries), task.truth())
    print(json.dumps({"note": note, "recall": recall}), flush=True)
    for line in asked:
        wanted = json.loads(line)
        some = np.arange(wanted["start"], wanted["start"] + (wanted["count"] or len(queries)))
        some %= len(queries)
        calls = [queries[some]] if wanted["at_once"] else [queries[[row]] for row in some]
        started, started_cpu = time.perf_counter(), time.process_time()
        for call in calls:
            search(call)
        per_query = 1e3 / len(some)
        answer: dict[str, Any] = {
            "wall_ms": per_query * (time.perf_counter() - started),
            "cpu_ms": per_query * (time.process_time() - started_cpu),
        }
        now = memory.resident()
        if at_first is not None and now is not None:
            answer |= {"own": now.own - at_first.own, "files": now.files - at_first.files}
        print(json.dumps(answer), flush=True)


def build(name: str, task: Task) -> float:
    """Build an index in a process of its own, if it is not there yet; the processor's seconds."""
    took = task.own / "took"
    if took.exists():
        return float(took.read_text())
    shutil.rmtree(task.own, ignore_errors=True)
    task.own.mkdir(parents=True)
    done = subprocess.run(
        _command("--build", name, task),
        env=_environment(task.threads),
        check=False,
        stdout=subprocess.PIPE,
        text=True,
    )
    if done.returncode == MISSING:
        raise MissingError(name)
    done.check_returncode()
    took.write_text(done.stdout.splitlines()[-1])
    return float(took.read_text())


def change(name: str, task: Task) -> dict[str, Any]:
    """What it takes to open, add and remove, and whether damage is noticed, in another process."""
    done = subprocess.run(
        _command("--change", name, task),
        env=_environment(task.threads),
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    changes: dict[str, Any] = json.loads(done.stdout)
    return changes


def compare(exact: Worker, worker: Worker, way: Way, rounds: int, singles: int) -> None:
    """Let a way and exact search answer in turns."""
    for turn in range(rounds):
        way.beside.append(exact.turn(turn * singles, singles))
        way.turns.append(worker.turn(turn * singles, singles))


def weigh(worker: Worker, way: Way, size_bytes: int, queries: int) -> None:
    """The most memory that a way has while it searches; a few queries at a time, as a service."""
    at_once = 16
    seen = [
        worker.ask(start=start, count=at_once, at_once=True) for start in range(0, queries, at_once)
    ]
    if "own" in seen[0]:
        way.own_share = max(answer["own"] for answer in seen) / size_bytes
        way.files_share = max(answer["files"] for answer in seen) / size_bytes


def write_vectors(folder: Path, base: Vectors, count: int, queries: int) -> int:
    """Write what is searched, if it is not there yet; gives the size of the float32 matrix."""
    if (folder / "queries.npy").exists():
        return int(np.load(folder / "vectors.npy", mmap_mode="r", allow_pickle=False).nbytes)
    vectors, asked = vector_data.collection_and_queries(base, count, queries)
    for start in range(0, count, CHUNK):  # as a collection keeps them, in half precision
        rows = vectors[start : start + CHUNK]
        rows[:] = vector_data.unit(to_float16(rows).astype(np.float32))
    for name, rows in (("vectors.npy", vectors), ("queries.npy", asked)):
        with output_file(folder / name) as partial, partial.open("wb") as handle:
            np.save(handle, rows)
    return vectors.nbytes


def _command(mode: str, name: str, task: Task) -> list[str]:
    options = ["--folder", str(task.folder), "--threads", str(task.threads)]
    return [sys.executable, "-m", "benchmarks.bench_vectors", mode, name, *options]


def _environment(threads: int) -> dict[str, str]:
    names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "LANCE_CPU_THREADS", "RAYON_NUM_THREADS")
    return os.environ | dict.fromkeys(names, str(threads))


def embedded(file: Path | None, count: int, data: Path | None) -> Vectors:
    """Real embeddings, from a file where it is there, else made and kept in it."""
    if file is not None and file.exists():
        kept: Vectors = np.load(file, allow_pickle=False)
        return kept
    base = vector_data.base(count, data)
    if file is not None:
        with output_file(file) as partial, partial.open("wb") as handle:
            np.save(handle, base)
    return base


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="benchmarks.bench_vectors", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--data", type=Path, help="folder of training data, for its captions")
    parser.add_argument("--count", type=int, default=1_000_000)
    parser.add_argument("--base", type=int, default=60_000, help="sentences that are embedded")
    parser.add_argument("--embedded", type=Path, help="keep the embeddings here, and use them")
    parser.add_argument("--keep", type=Path, help="keep vectors and indexes here, and use them")
    parser.add_argument("--queries", type=int, default=256)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=os.cpu_count(), help="of each library")
    parser.add_argument("--with", dest="rivals", action="append", choices=(*RIVALS, *REFINED))
    parser.add_argument("--changes", action="store_true", help="open, add, remove, damage, too")
    parser.add_argument("--name", default="vectors", help="of the result")
    parser.add_argument("--quick", action="store_true")
    record.add_options(parser)
    for hidden in ("--build", "--serve", "--change", "--damage"):
        parser.add_argument(hidden, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    chosen = _parser().parse_args(arguments)
    part = chosen.build or chosen.serve or chosen.change or chosen.damage
    if part:
        task = Task(chosen.folder, chosen.folder / part, AIM, chosen.threads)
        try:
            if chosen.serve:
                serve(part, task, sys.stdin)
            elif chosen.change:
                print(json.dumps(vector_refined.changes(part, task)))
            elif chosen.damage:
                print(vector_refined.damage(part, task))
            else:
                (vector_refined if part in REFINED else vector_rivals).build(part, task)
                print(time.process_time())
        except ImportError as problem:
            print(f"{part} is left out: {problem}", file=sys.stderr)
            return MISSING
        return 0
    if chosen.quick:
        chosen.count, chosen.base, chosen.queries, chosen.rounds = 2_000, 400, 32, 2

    base = embedded(chosen.embedded, chosen.base, chosen.data)
    with tempfile.TemporaryDirectory(prefix="seehear-bench-") as scratch:
        _compare_all(chosen, chosen.keep or Path(scratch), base)
    return 0


def _compare_all(chosen: argparse.Namespace, folder: Path, base: Vectors) -> None:
    """Every way in turns with exact search; the result is written anew after each."""
    folder.mkdir(parents=True, exist_ok=True)
    size_bytes = write_vectors(folder, base, chosen.count, chosen.queries)
    singles = 8 if chosen.quick else 16
    print(HEADER)
    with serving(EXACT, Task(folder, folder / EXACT, AIM, chosen.threads)) as (exact, first):
        weigh(exact, first, size_bytes, WEIGHED)
        ways = [first]
        for name in (OURS, *(chosen.rivals or [])):
            task = Task(folder, folder / name, AIM, chosen.threads)
            try:
                build_cpu_s = build(name, task)
                with serving(name, task) as (worker, way):
                    way.build_cpu_s = build_cpu_s
                    weigh(worker, way, size_bytes, chosen.queries)
                    compare(exact, worker, way, chosen.rounds, singles)
            except MissingError:
                continue
            first.turns += way.beside
            first.beside = first.turns
            print(
                "\n".join(w.row() for w in ([first, way] if len(ways) == 1 else [way])), flush=True
            )
            if chosen.changes and name in (OURS, *REFINED):
                way.changes = change(name, task)
                print(f"{name}: {json.dumps(way.changes)}", flush=True)
            ways.append(way)
            if chosen.keep is None:
                shutil.rmtree(task.own)
            _save(chosen, len(base), base.shape[1], ways)


def _save(chosen: argparse.Namespace, base: int, dim: int, ways: Sequence[Way]) -> None:
    document = {
        "count": chosen.count,
        "dim": dim,
        "queries_at_once": chosen.queries,
        "threads": chosen.threads,
        "base": base,
        "data": "captions" if chosen.data else "sentences made of words",
        "seed": 0,
        "ways": [way.as_json() for way in ways],
    }
    record.keep(chosen.name, document, chosen)


if __name__ == "__main__":
    sys.exit(main())
