"""Kill indexing at random instants, many times, and check what is left.

    python -m benchmarks.crash --rounds 200
    python -m benchmarks.crash --rounds 10 --files 60 --seed 3

Each round changes the folder (new, edited, renamed, copied and deleted files), starts
`seehear index` as a process of its own and kills it with SIGKILL, decode workers included, at a
random instant: in one round of four between its start and a little after a whole run would have
ended, in the others from when it has loaded its libraries. Then it checks:

    opens      the collection opens, SQLite finds it whole, a search answers
    complete   every segment has its vector, every vector its segment, every asset its encoding
    once       no content is there twice
    kept       what was committed before the round, and whose file is still there, is still there

The program commits every 8 files instead of every second, so that kills fall between, before
and inside many transactions even on a small folder.

At the end one run is not killed, and its collection must equal that of a run over the same
folder that was never killed: same assets, same locations, same segments, same vectors bit for bit.
"""

from __future__ import annotations

import argparse
import math
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
import wave
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

import seehear
from benchmarks import record
from seehear.encoders.fake import CONCEPTS, tone
from seehear.media.hashing import content_hash
from seehear.stores import Catalog

Content = tuple[Any, ...]


@dataclass
class Folder:
    """A folder of small media that changes at random, and the same way for the same seed."""

    path: Path
    dice: random.Random
    made: int = 0

    def add(self, count: int) -> None:
        for _ in range(count):
            self.made += 1
            kind = self.dice.choice(("png", "png", "png", "jpg", "wav", "md"))
            sub = self.dice.choice(("", "a", "a/b", "c"))
            self._write(self.path / sub / f"file-{self.made:05}.{kind}")

    def change(self, count: int) -> None:
        """So many edits, renames, copies, deletions and additions."""
        for _ in range(count):
            files = self.files()
            chosen = self.dice.choice(files)
            what = self.dice.choice(("add", "add", "edit", "rename", "copy", "delete", "break"))
            if what == "add" or len(files) < 20:
                self.add(1)
            elif what == "edit":
                self._write(chosen)
            elif what == "rename":
                self.made += 1
                chosen.rename(chosen.with_name(f"moved-{self.made:05}{chosen.suffix}"))
            elif what == "copy":
                self.made += 1
                shutil.copy(chosen, self.path / f"copy-{self.made:05}{chosen.suffix}")
            elif what == "delete":
                chosen.unlink()
            else:
                chosen.write_bytes(chosen.read_bytes()[:20])

    def files(self) -> list[Path]:
        return sorted(path for path in self.path.rglob("*") if path.is_file())

    def _write(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        concept = self.dice.choice(CONCEPTS)
        if path.suffix == ".wav":
            sound = tone(concept.name, self.dice.uniform(1.0, 6.0)).waveform
            with wave.open(str(path), "wb") as file:
                file.setparams((1, 2, 16_000, 0, "NONE", ""))
                file.writeframes((sound * 30_000).astype("<i2").tobytes())
        elif path.suffix == ".md":
            words = [self.dice.choice(concept.words) for _ in range(self.dice.randint(5, 200))]
            path.write_text(" ".join(words))
        else:
            size_px = self.dice.randint(70, 200), self.dice.randint(70, 200)
            pixels = np.full((*size_px, 3), concept.rgb, dtype=np.uint8)
            pixels[: size_px[0] // 2] = self.dice.choice(CONCEPTS).rgb
            Image.fromarray(pixels).save(path)


@dataclass
class Outcome:
    """What a series of kills did."""

    rounds: int = 0
    killed: int = 0
    """Rounds in which the process was still at work."""
    finished: int = 0
    had_written: int = 0
    """Killed rounds that had committed something."""
    problems: list[str] = field(default_factory=list)
    assets: int = 0
    segments: int = 0


PROGRAM = """
from seehear.cli import main
from seehear.indexers import index, write
from seehear.search import Engine
write.COMMIT_FILES = 8
print("loaded", flush=True)
main()
"""


def command(folder: Path, collection: Path) -> list[str]:
    program = [sys.executable, "-c", PROGRAM, "index", str(folder)]
    return [*program, "--collection", str(collection), "--model", "fake", "--json"]


@dataclass
class Times:
    """How long a run takes on this machine, in seconds."""

    loading_s: float
    working_s: float


def start(folder: Path, collection: Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        command(folder, collection),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
        env=environment(),
    )


def run_to_end(folder: Path, collection: Path) -> Times:
    """Index without being killed."""
    started = time.monotonic()
    with start(folder, collection) as process:
        assert process.stdout is not None
        process.stdout.readline()
        loaded = time.monotonic()
        _, told = process.communicate()
    if process.returncode != 0:
        raise RuntimeError(told.decode(errors="replace"))
    return Times(loaded - started, time.monotonic() - loaded)


def run_and_kill(folder: Path, collection: Path, after_s: float, *, loaded: bool) -> bool:
    """Start indexing and kill it and all its children, so long after its start or after it has
    `loaded` its libraries; False where it had ended by itself."""
    with start(folder, collection) as process:
        if loaded:
            assert process.stdout is not None
            process.stdout.readline()
        try:
            process.communicate(timeout=after_s)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            return True
    return False


def environment() -> dict[str, str]:
    return {**os.environ, "OMP_NUM_THREADS": "1", "SEEHEAR_BATCH_SIZE": "4"}


def check(collection: Path) -> list[str]:
    """What is wrong with a collection; nothing, if all is well."""
    try:
        with seehear.open(collection) as library:
            library.search("a red rose", k=5)
    except seehear.SeehearError as error:
        return [f"it does not open or answer: {error}"]
    catalog = Catalog.open(collection)
    try:
        faults = [f"{fault.count} x {fault.what}" for fault in catalog.integrity_issues()]
    finally:
        catalog.close()
    with closing(sqlite3.connect(collection / "catalog.db")) as database:
        for what, query in FAULTS.items():
            count = len(database.execute(query).fetchall())
            if count:
                faults.append(f"{count} x {what}")
    return faults


FAULTS = {
    "a segment without a vector": """
        SELECT id FROM segments WHERE id NOT IN (SELECT segment_id FROM vectors)""",
    "a vector without its segment": """
        SELECT segment_id FROM vectors WHERE segment_id NOT IN (SELECT id FROM segments)""",
    "a segment of an asset that is not marked as encoded": """
        SELECT s.id FROM segments s LEFT JOIN encodings e
        ON e.asset_id = s.asset_id AND e.generation_id = s.generation_id
        WHERE e.asset_id IS NULL""",
    "an asset that is not encoded": """
        SELECT id FROM assets WHERE id NOT IN (SELECT asset_id FROM encodings)""",
    "a content that is there twice": """
        SELECT content_hash FROM assets GROUP BY content_hash HAVING count(*) > 1""",
    "a place without its asset": """
        SELECT id FROM locations WHERE asset_id NOT IN (SELECT id FROM assets)""",
    "a broken reference": "PRAGMA foreign_key_check",
}
"""Queries that find nothing in a whole catalog."""


def contents(collection: Path) -> dict[str, Content]:
    """Everything in a collection that a search can see, by content hash and without ids.

    A value is (modality, format, segments in order, vectors of each space as bytes).
    """
    catalog = Catalog.open(collection)
    try:
        generation = catalog.generations.serving()
        if generation is None:
            return {}
        ids = catalog.segments.ids(generation.id)
        pieces: dict[str, list[tuple[Any, ...]]] = {}
        vectors = {
            space.key: catalog.segments.vectors(ids, generation, space)
            for space in generation.spaces
        }
        for row, found in enumerate(catalog.segments.resolve(ids)):
            values = [(key, matrix[row].tobytes()) for key, matrix in vectors.items()]
            pieces.setdefault(found.asset.content_hash, []).append(
                (found.ordinal, found.segment, values)
            )
        return {name: tuple(sorted(listed, key=lambda p: p[0])) for name, listed in pieces.items()}
    finally:
        catalog.close()


def places(collection: Path) -> dict[str, str]:
    """Path -> content hash."""
    catalog = Catalog.open(collection)
    try:
        found = {}
        for root in catalog.locations.roots():
            for location in catalog.locations.in_root(root.id):
                asset = catalog.assets.get(location.asset_id)
                found[str(location.path)] = asset.content_hash if asset else "nothing"
        return found
    finally:
        catalog.close()


def kept(before: dict[str, Content], after: dict[str, Content], files: Sequence[Path]) -> list[str]:
    """Contents that were committed and whose file is there, and that are gone now."""
    there = {content_hash(path) for path in files}
    return [
        f"{name} was committed, its file is there, and it is gone or different"
        for name, content in before.items()
        if name in there and after.get(name) != content
    ]


def crash(rounds: int, files: int, seed: int, workspace: Path, most_s: float = math.inf) -> Outcome:
    """Kill `rounds` runs, or as many as fit into a time; see the module's docstring."""
    until = time.monotonic() + most_s
    dice = random.Random(seed)
    folder = Folder(workspace / "media", dice)
    folder.path.mkdir(parents=True)
    folder.add(files)
    collection, untouched = workspace / "collection", workspace / "untouched"
    times = run_to_end(folder.path, workspace / "measured")
    outcome = Outcome()
    before: dict[str, Content] = {}
    for number in range(1, rounds + 1):
        if time.monotonic() > until:
            break
        if number > 1:
            folder.change(max(5, files // 5))
        loaded = number % 4 != 0
        reach_s = times.working_s + (0.0 if loaded else times.loading_s)
        started = time.monotonic()
        after_s = dice.uniform(0.0, reach_s)
        killed = run_and_kill(folder.path, collection, after_s, loaded=loaded)
        outcome.rounds += 1
        outcome.killed += killed
        outcome.finished += not killed
        # A round has more or less to do than the last one: the reach follows.
        took_s = time.monotonic() - started - times.loading_s
        times.working_s = times.working_s * 1.1 if killed else max(0.2, took_s)
        found = check(collection) if collection.exists() else []
        after = contents(collection) if (collection / "catalog.db").exists() else {}
        found += kept(before, after, folder.files())
        outcome.had_written += killed and after != before
        outcome.problems += [f"round {number}: {problem}" for problem in found]
        before = after
    run_to_end(folder.path, collection)
    run_to_end(folder.path, untouched)
    outcome.problems += [f"at the end: {problem}" for problem in check(collection)]
    final = contents(collection)
    outcome.assets = len(final)
    outcome.segments = sum(len(pieces) for pieces in final.values())
    if final != contents(untouched):
        outcome.problems.append("at the end: vectors differ from those of a run never killed")
    if places(collection) != places(untouched):
        outcome.problems.append("at the end: places differ from those of a run never killed")
    return outcome


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="benchmarks.crash",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--files", type=int, default=150)
    parser.add_argument("--minutes", type=float, default=math.inf, help="end the rounds then")
    parser.add_argument("--seed", type=int, default=0)
    record.add_options(parser)
    chosen = parser.parse_args(arguments)
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="seehear-crash-") as workspace:
        most_s = 60.0 * chosen.minutes
        outcome = crash(chosen.rounds, chosen.files, chosen.seed, Path(workspace), most_s)
    for problem in outcome.problems:
        print(problem)
    result = {
        "seed": chosen.seed,
        "files": chosen.files,
        "rounds": outcome.rounds,
        "killed": outcome.killed,
        "killed_after_writing": outcome.had_written,
        "ended_before_the_kill": outcome.finished,
        "problems": outcome.problems,
        "assets_at_the_end": outcome.assets,
        "segments_at_the_end": outcome.segments,
        "seconds": round(time.monotonic() - started, 1),
    }
    print(f"{outcome.killed} of {outcome.rounds} runs killed, {len(outcome.problems)} problems")
    record.keep("crash", result, chosen)
    return 1 if outcome.problems else 0


if __name__ == "__main__":
    sys.exit(main())
