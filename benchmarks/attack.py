"""Attack a service of our own: stalled, hostile and too many requests; count what it withstood.

    python -m benchmarks.attack                      80,000 assets, about ten minutes
    python -m benchmarks.attack --assets 5000 --seconds 20
    python -m benchmarks.attack --quick              a handful of assets and the fake model

`seehear serve` runs in its own process on 127.0.0.1 with a token, over a collection that is made
here (benchmarks/stocked.py, and a few real files with hostile names). Nothing else is addressed,
and every attack is bounded in count and time. Each row says how often something was tried and how
often the service held: the right status, no server error, no word of what it must not tell, and
memory and connections that go back. The exit status is 1 if a try got through.
"""

from __future__ import annotations

import argparse
import json
import random
import secrets
import sys
import tempfile
import wave
from collections.abc import Sequence
from pathlib import Path

from benchmarks import record
from benchmarks.attack_target import Row, Target, first_answer_s
from benchmarks.attack_tries import ATTACKS
from benchmarks.service_process import serving
from benchmarks.stocked import stock
from seehear.collection import Collection
from seehear.config import Settings

HOSTILE_NAMES = (
    "<img src=x onerror=alert(1)>.md",
    "line\nbreak\r\nset-cookie: a=b.md",
    "\x1b]52;c;ZXZpbA==\x07.md",
    "\u202egpj.evil.md",
    "'; DROP TABLE assets; --.md",
    'quote".md',
    "percent%0d%0a%2e%2e.md",
    "n" * 240 + ".md",
)


def make_media(folder: Path) -> None:
    """Real files: texts with hostile names, and a sound."""
    folder.mkdir(parents=True)
    for number, name in enumerate(HOSTILE_NAMES):
        (folder / name).write_text(f"Note {number} about a red rose. " * 20)
    with wave.open(str(folder / "tone.wav"), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16_000)
        file.writeframes(random.Random(0).randbytes(64_000))


def run(
    collection: Path,
    media: Path,
    *,
    model: str,
    scale: float,
    seconds: float,
) -> list[Row]:
    """Make what is missing of the collection, serve it, and attack it."""
    make_media(media)
    with Collection(collection, Settings(model=model, device="cpu")) as opened:
        report = opened.index(media)
        assert report.failed == 0, report.failures
        hits = opened.search("note red rose", k=100, under=media, show_duplicates=True)
        real = {hit.path.name: hit.asset_id for hit in hits if hit.path.name in HOSTILE_NAMES}
    token = secrets.token_urlsafe(32)
    rows = []
    with serving(collection, model, token=token) as (port, process):
        target = Target(port, process, token, media, real, scale, seconds)
        for attack in ATTACKS:
            rows.append(attack(target))
            print(json.dumps(rows[-1].attack), rows[-1].held, "/", rows[-1].tried, file=sys.stderr)
            first_answer_s(target)
    return rows


def as_table(rows: Sequence[Row]) -> str:
    lines = ["| attack | tried | held | seen |", "| --- | ---: | ---: | --- |"]
    lines += [f"| {row.attack} | {row.tried:,} | {row.held:,} | {row.seen} |" for row in rows]
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="benchmarks.attack", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--assets", type=int)
    parser.add_argument("--collection", type=Path, help="one that stocked.py made, to use again")
    parser.add_argument("--seconds", type=float, help="of the mixed queries (120)")
    parser.add_argument("--quick", action="store_true")
    record.add_options(parser)
    chosen = parser.parse_args(arguments)
    quick = chosen.quick
    model = "fake" if quick else "tiny"
    with tempfile.TemporaryDirectory(prefix="seehear-attack-") as scratch:
        folder = chosen.collection or Path(scratch) / "collection"
        if not folder.exists():
            stock(folder, chosen.assets or (50 if quick else 80_000), model=model)
        rows = run(
            folder,
            Path(scratch) / "hostile" / "media",
            model=model,
            scale=0.05 if quick else 1.0,
            seconds=chosen.seconds or (2.0 if quick else 120.0),
        )
    print(as_table(rows))
    record.keep(
        "attack",
        {"model": model, "rows": [{n: getattr(r, n) for n in Row.__slots__} for r in rows]},
        chosen,
    )
    return 0 if all(row.held == row.tried for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
