"""Measure a model folder on what it was not trained on.

    python -m training.evaluate --data DIR [--model DIR] [--json FILE] [--device cpu]
    python -m training.evaluate --data DIR --tuning [--image-px N]

Prints the tables of the model card as Markdown. Everything goes through the public encoder with
the exported weights; `--model` is the bundled `tiny` where it is left out. `--tuning` measures on
what the recipe's run kept apart of the training split, where settings are chosen.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from seehear.encoders.tiny import TinyEncoder
from seehear.encoders.tiny.checkpoint import open_folder
from seehear.encoders.tiny.encoder import TINY
from seehear.errors import SeehearError, UsageError
from seehear.files import check_output, write_output
from seehear.types import Modality, Vectors
from training import metrics
from training.concepts import CONCEPTS
from training.held_out import encode_held_out
from training.recipe import SHIPPED, read_recipe

_ZERO_SHOT_IMAGES = ("caltech101", "imagenet-samples", "imagenet-samples2", "pacs")

Report = dict[str, dict[str, Any]]


def evaluate(
    data: Path,
    encoder: TinyEncoder,
    *,
    tuning: Mapping[str, float] | None = None,
    progress: bool = True,
) -> Report:
    """Compute every figure that `data` allows, by table and name; see `training.metrics`.

    `tuning` measures on these shares of the training split, by "images" and "audio", in the place
    of the held-out splits, and no speeds.
    """
    shares = tuning or {"images": 0.0, "audio": 0.0}
    images = encode_held_out(data, "images", encoder, progress, shares["images"])
    audio_data = encode_held_out(data, "audio", encoder, progress, shares["audio"])

    def texts(sentences: Sequence[str]) -> Vectors:
        return encoder.encode(Modality.TEXT, list(sentences))

    words = CONCEPTS.read_text(encoding="utf-8").split()
    captioned = {name: metrics.captioned(images, name, texts) for name in images.datasets()}
    named = {
        name: metrics.zero_shot(images, "images", name, texts)
        for name in images.datasets()
        if name in _ZERO_SHOT_IMAGES
    }
    named["esc50"] = metrics.zero_shot(audio_data, "audio", "esc50", texts)
    named["esc50, the ESC-10 classes"] = metrics.zero_shot(
        audio_data, "audio", "esc50", texts, metrics.ESC10
    )
    report: Report = {
        "Captions": captioned,
        "Zero-shot by class sentence": named,
        "Sound and text, by set": {
            name: metrics.by_label(audio_data, name, "audio", texts)
            for name in audio_data.datasets()
        },
        "Picture and sound": {
            "among shared classes": metrics.across(images, audio_data),
            "among all": metrics.across(images, audio_data, everything=True),
        },
        "Words outside the training labels": {
            "text->image": metrics.concepts(images, words, texts),
            "text->sound": metrics.concepts(audio_data, words, texts),
        },
    }
    if not tuning:
        asked = [c for item in images.items for c in item.captions] or words
        report["Speed"] = {"one process": metrics.speeds(encoder, asked)}
    return {table: {n: row for n, row in rows.items() if row} for table, rows in report.items()}


def markdown(report: Report) -> str:
    """Format the report as Markdown tables; lists and tables inside a row go to the JSON alone."""
    lines: list[str] = []
    for title, rows in report.items():
        columns = list(dict.fromkeys(n for row in rows.values() for n in _scalars(row)))
        if not columns:
            continue
        lines += [f"### {title}", "", f"| | {' | '.join(columns)} |"]
        lines.append("|---" * (len(columns) + 1) + "|")
        for name, row in rows.items():
            values = [_cell(row, column) for column in columns]
            lines.append(f"| {name} | {' | '.join(values)} |")
        lines.append("")
    return "\n".join(lines)


def _scalars(row: Mapping[str, Any]) -> list[str]:
    return [name for name, value in row.items() if isinstance(value, int | float)]


def _cell(row: Mapping[str, Any], column: str) -> str:
    if column not in row:
        return ""
    interval = row.get(column + metrics.INTERVAL)
    between = f" ({_shown(interval[0])} to {_shown(interval[1])})" if interval else ""
    return _shown(row[column]) + between


def _shown(value: float) -> str:
    if isinstance(value, int) or value >= 100:
        return f"{value:,.0f}"
    return f"{value:.3f}" if value < 1 else f"{value:.2f}"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m training.evaluate", description="Measure a model folder."
    )
    parser.add_argument("--data", type=Path, required=True, metavar="DIR")
    parser.add_argument("--model", type=Path, metavar="DIR", help="default: the bundled tiny")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every figure there")
    parser.add_argument("--force", action="store_true", help="replace a FILE that exists")
    parser.add_argument("--tuning", action="store_true", help="measure where settings are chosen")
    parser.add_argument("--image-px", type=int, metavar="N", help="another size of images")
    parser.add_argument("--device", default="cpu", metavar="NAME")
    parser.add_argument("--quiet", action="store_true", help="no progress bars")
    options = parser.parse_args(arguments)
    try:
        if options.json:
            check_output(options.json, force=options.force)
        folder = open_folder(options.model or TINY)
        if options.image_px is not None:
            if options.image_px < 32:
                raise UsageError(f"--image-px is {options.image_px}; it must be 32 or more")
            folder = replace(folder, config=replace(folder.config, image_px=options.image_px))
        encoder = TinyEncoder(folder, device=options.device)
        recipe = read_recipe(SHIPPED)
        tuning = {"images": recipe.image.dev_share, "audio": recipe.audio.dev_share}
        report = evaluate(
            options.data,
            encoder,
            tuning=tuning if options.tuning else None,
            progress=not options.quiet,
        )
        if options.json:
            text = json.dumps({"model": encoder.space.key, **report}, indent=2) + "\n"
            write_output(options.json, [text.encode("utf-8")], force=options.force)
    except SeehearError as error:
        sys.stderr.write(f"training.evaluate: {error}\n")
        return 1
    sys.stdout.write(f"Measured with {encoder.space.key}.\n\n{markdown(report)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
