"""Try other settings of a tower, each beside those of the recipe.

    python -m training.tries images --data DIR --out DIR [--recipe recipe.toml]
    python -m training.tries sounds --data DIR --out DIR [--recipe recipe.toml]

`--out` is the folder of a run of `python -m training`: its text tower, sentence vectors and decoded
media are used again. Those of images train the projection (and the text tower beside it) as the
recipe's first image stage does, and change one thing each. Those of sounds train the sound tower
for a while. A part of the training split is kept apart and asked for: by captions, by class, and by
words that no training label has.
"""

from __future__ import annotations

import argparse
import copy
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from seehear.errors import SeehearError
from seehear.finetune.loop import RunContext
from training.logs import stage_bars
from training.prepare import prepare_audio, prepare_images
from training.recipe import SHIPPED, Recipe, TowerPlan, read_recipe
from training.stages import (
    TextTeacher,
    teacher_file,
    train_audio_tower,
    train_image_tower,
    train_text,
    vectors_now,
)

# Larger than the recipe's: these figures choose.
_IMAGES_APART, _SOUNDS_APART = 0.1, 0.2
_SHORT_STEPS = 500


def image_plans(plan: TowerPlan) -> Mapping[str, TowerPlan]:
    """Return what is tried: the recipe's plan without its second stage, and changes of it."""
    whole = replace(plan.schedule, steps=0)
    base = replace(plan, schedule=whole, dev_share=_IMAGES_APART)
    weights = base.loss_weights
    return {
        "the recipe": base,
        "the text tower stays as it is": replace(base, text_rate=0.0),
        "anchors drawn from all sentences alike": replace(
            base, loss_weights=replace(weights, bare_anchors=0.0)
        ),
        "no anchors": replace(base, loss_weights=replace(weights, anchor=0.0)),
        "machine-written captions count whole": replace(base, machine_share=1.0),
        "sets drawn by their sizes": replace(base, shares={}),
        "no class probabilities": replace(base, loss_weights=replace(weights, classes=0.0)),
        "two captions of an image in a step": replace(
            base, loss_weights=replace(weights, captions=2)
        ),
        "20,000 captions also with another colour or noun": replace(base, swapped=20_000),
    }


def audio_plans(plan: TowerPlan) -> Mapping[str, TowerPlan]:
    """Return what is tried: short and slow training, from which the recipe came, and changes."""
    short = replace(plan.schedule, steps=_SHORT_STEPS, learning_rate=1.2e-3, eval_every=0)
    base = replace(plan, dev_share=_SOUNDS_APART, backbone_rate=0.15, schedule=short)
    weights = base.loss_weights
    faster = replace(base, backbone_rate=0.5)
    return {
        "500 steps at 0.0012, 0.15 of it for the backbone": base,
        "a tenth of the channels left out": replace(base, dropout=0.1),
        "class probabilities count 1.5, not 0.4": replace(
            base, loss_weights=replace(weights, classes=1.5)
        ),
        "a rate of 0.003": replace(base, schedule=replace(short, learning_rate=3e-3)),
        "half of the rate for the backbone": faster,
        "the whole rate for the backbone": replace(base, backbone_rate=1.0),
        "half of the rate for the backbone, a rate of 0.003": replace(
            faster, schedule=replace(short, learning_rate=3e-3)
        ),
        "half of the rate for the backbone, 1,000 steps": replace(
            faster, schedule=replace(short, steps=2 * _SHORT_STEPS)
        ),
    }


def tries(
    kind: str,
    recipe: Recipe,
    data: Path,
    out: Path,
    *,
    progress: bool,
    teacher: TextTeacher | None = None,
) -> dict[str, dict[str, float]]:
    """Run every try of "images" or "sounds"; return its figures on the part that was kept apart."""
    cache, folder = out / "cache", out / "tries" / kind
    found: dict[str, dict[str, float]] = {}
    with stage_bars(shown=progress) as bars:
        context = RunContext(out / "runs", seed=recipe.seed, progress=bars)
        read = train_text(recipe, data, cache, context, teacher)
        classes = teacher_file(data, recipe.image)
        images = prepare_images(data, cache, recipe.image.cache_px, classes, progress=progress)
        if kind == "images":
            for number, (name, plan) in enumerate(image_plans(recipe.image).items()):
                here = replace(context, folder=folder / str(number))
                # The text tower learns: each try begins with the same one.
                mine = replace(read, text=copy.deepcopy(read.text))
                changed = replace(recipe, image=plan)
                _, found[name] = train_image_tower(changed, data, cache, images, mine, here)
            return found
        train_image_tower(recipe, data, cache, images, read, context)
        vectors = vectors_now(read.text, read.corpus)
        heard = prepare_audio(data, cache, teacher_file(data, recipe.audio), progress=progress)
        for number, (name, plan) in enumerate(audio_plans(recipe.audio).items()):
            here = replace(context, folder=folder / str(number))
            changed = replace(recipe, audio=plan)
            _, found[name] = train_audio_tower(changed, data, cache, heard, vectors, here)
    return found


def markdown(found: Mapping[str, Mapping[str, float]]) -> str:
    """Format the figures as a table."""
    columns = list(dict.fromkeys(column for row in found.values() for column in row))
    lines = [f"| | {' | '.join(columns)} |", "|---" * (len(columns) + 1) + "|"]
    for name, row in found.items():
        lines.append(f"| {name} | {' | '.join(f'{row[column]:.3f}' for column in columns)} |")
    return "\n".join(lines) + "\n"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m training.tries", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("kind", choices=("images", "sounds"))
    parser.add_argument("--data", type=Path, required=True, metavar="DIR")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR")
    parser.add_argument("--recipe", type=Path, default=SHIPPED, metavar="FILE")
    parser.add_argument("--quiet", action="store_true", help="no progress bars")
    options = parser.parse_args(arguments)
    try:
        recipe = read_recipe(options.recipe)
        found = tries(options.kind, recipe, options.data, options.out, progress=not options.quiet)
    except SeehearError as error:
        sys.stderr.write(f"training.tries: {error}\n")
        return 1
    sys.stdout.write(markdown(found))
    return 0


if __name__ == "__main__":
    sys.exit(main())
