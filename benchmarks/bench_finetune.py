"""Measure what `seehear train` gains on somebody's pairs, and what it forgets.

    python -m benchmarks.bench_finetune --data DIR [--share N ...]    three sets of 300 files
    python -m benchmarks.bench_finetune --quick                       drawn shapes alone, a minute

The sets of pairs: drawings of shapes that no model has seen ("a red star above a blue circle"),
goods on shelves, objects being handled. The bundled model is tuned on each; the new weights count
by each `--share`. Success on the files held out, `kept` of the report, and the share of everyday
words that `training.probe` finds, before and after. `DIR` holds shards, as for training.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Mapping, Sequence
from itertools import permutations
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from benchmarks import record
from seehear.errors import SeehearError
from seehear.finetune import fine_tune
from training import captions, probe
from training.shards import read_items

FILES = 300
SHARES = (0.5, 1.0)
COLOURS = ("red", "blue", "green", "yellow", "black", "white")
SHAPES = ("circle", "square", "triangle", "star")
PX = 128
Pairs = list[dict[str, str]]


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print and save."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.bench_finetune")
    parser.add_argument("--data", type=Path, metavar="DIR", help="shards, as for training")
    parser.add_argument("--share", type=float, nargs="+", default=SHARES, metavar="N")
    parser.add_argument("--epochs", type=int, default=5, metavar="N")
    parser.add_argument("--quick", action="store_true")
    record.add_options(parser)
    options = parser.parse_args(arguments)
    if options.data is None and not options.quick:
        parser.error("--data DIR or --quick")
    try:
        known, rows = measured(None if options.quick else options.data, options)
    except SeehearError as error:
        parser.error(str(error))
    record.keep("finetune", {"epochs": options.epochs, "known": known, "rows": rows}, options)
    return 0


def measured(
    data: Path | None, options: argparse.Namespace
) -> tuple[dict[str, float], list[dict[str, Any]]]:
    """Tune on every set of pairs; return what was found before, and a row per set and share."""
    rows: list[dict[str, Any]] = []
    known = asked(data, None) if data else {}
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        sets = {"drawn shapes": shapes(folder, 40 if options.quick else FILES)}
        if data:
            sets["goods on shelves"] = from_shards(folder, data, "images", "grocery-store")
            sets["objects being handled"] = from_shards(folder, data, "audio", "berklee")
        for name, pairs in sets.items():
            listed = folder / f"{name}.jsonl"
            listed.write_text("".join(f"{json.dumps(pair)}\n" for pair in pairs))
            for share in options.share:
                row = tuned(listed, folder / name, share, options.epochs)
                found = asked(data, folder / name) if data else {}
                rows.append({"pairs": name, "share": share, **row, "found": found})
                sys.stdout.write(f"{line(rows[-1], known)}\n")
                sys.stdout.flush()
    return known, rows


def tuned(pairs: Path, out: Path, share: float, epochs: int) -> dict[str, Any]:
    """Tune the bundled model; another share of the same pairs is not trained again."""
    report = fine_tune(pairs, out=out, share=share, epochs=epochs, force=True)
    (verdict,) = report.verdicts
    return {
        "figure": verdict.figure,
        "files": verdict.files,
        "before": verdict.before,
        "after": verdict.after,
        "kept": verdict.kept,
        "told_as_worse": report.fell,
    }


def asked(data: Path | None, model: Path | None) -> dict[str, float]:
    """Return the share of everyday words that are found, by family."""
    if data is None:
        return {}
    _, table, _ = probe.run(data, str(model) if model else None, progress=False)
    return {family: row["found"][0] for family, row in table.items()}


def line(row: Mapping[str, Any], known: Mapping[str, float]) -> str:
    """Format a row for people."""
    found = "  ".join(f"{n} {known[n]:.3f} -> {value:.3f}" for n, value in row["found"].items())
    return (
        f"{row['pairs']}, share {row['share']:g}: {row['figure']} {row['before']:.3f} -> "
        f"{row['after']:.3f} on {row['files']}, kept {row['kept']:.2f}  {found}"
    )


def shapes(folder: Path, count: int) -> Pairs:
    """Draw two shapes one above the other, in two colours each."""
    rng = np.random.default_rng(0)
    every = [
        (first, second)
        for first, second in permutations([(c, s) for c in COLOURS for s in SHAPES], 2)
        if first[0] != second[0]
    ]
    pairs = []
    for number, at in enumerate(rng.choice(len(every), count, replace=False)):
        image = Image.new("RGB", (PX, PX), "grey")
        draw = ImageDraw.Draw(image)
        for (colour, shape), top in zip(every[at], (0.25, 0.75), strict=True):
            radius = PX * rng.uniform(0.12, 0.2)
            centre = (PX * rng.uniform(0.3, 0.7), PX * top)
            corners = {"circle": 40, "square": 4, "triangle": 3, "star": 10}[shape]
            angles = np.arange(corners) * 2 * np.pi / corners - np.pi / 2
            reach = np.where(np.arange(corners) % 2, 0.45, 1.0) if shape == "star" else 1.0
            xy = np.stack([np.cos(angles), np.sin(angles)], 1) * np.reshape(reach, (-1, 1)) * radius
            draw.polygon([(x + centre[0], y + centre[1]) for x, y in xy], fill=colour)
        image.save(folder / f"shapes-{number}.png")
        above, below = (f"a {colour} {shape}" for colour, shape in every[at])
        pairs.append({"path": f"shapes-{number}.png", "text": f"{above} above {below}"})
    return pairs


def from_shards(folder: Path, data: Path, kind: str, dataset: str) -> Pairs:
    """Write media of a set's training split, each with a sentence of its label."""
    pairs: Pairs = []
    for item, content in read_items(data, kind):
        if item.dataset == dataset and item.split == "train" and item.label and len(pairs) < FILES:
            suffix = ".webp" if kind == "images" else ".ogg"
            name = f"{dataset}-{len(pairs)}{suffix}"
            (folder / name).write_bytes(content)
            sentence = captions.fill(captions.CLASS_SENTENCES[kind], item.label)
            pairs.append({"path": name, "text": sentence})
    return pairs


if __name__ == "__main__":
    raise SystemExit(main())
