"""Try other settings of the image tower's projection, each beside those of the recipe.

    python -m training.tries --data DIR --out DIR [--recipe recipe.toml]

`--out` is the folder of a run of `python -m training`: its text tower, sentence vectors and decoded
images are used again. Each try trains the projection (and the text tower beside it) as the recipe's
first image stage does, and changes one thing. A tenth of the training split is kept apart and asked
for: by people's captions, by class, and by words that no training label has.
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
from training.prepare import prepare_images
from training.recipe import SHIPPED, Recipe, TowerPlan, read_recipe
from training.run import TextTeacher, teacher_file, train_image_tower, train_text

_DEV_SHARE = 0.1


def plans(plan: TowerPlan) -> Mapping[str, TowerPlan]:
    """Return what is tried: the recipe's plan without its second stage, and changes of it."""
    whole = replace(plan.schedule, steps=0)
    base = replace(plan, schedule=whole, dev_share=_DEV_SHARE)
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
    }


def tries(
    recipe: Recipe, data: Path, out: Path, *, progress: bool, teacher: TextTeacher | None = None
) -> dict[str, dict[str, float]]:
    """Run every try; return its figures on the part that was kept apart."""
    cache, runs = out / "cache", out / "runs"
    classes = teacher_file(data, recipe.image)
    found = {}
    with stage_bars(shown=progress) as bars:
        context = RunContext(runs, seed=recipe.seed, progress=bars)
        read = train_text(recipe, data, cache, context, teacher)
        images = prepare_images(data, cache, recipe.image.cache_px, classes, progress=progress)
        for number, (name, plan) in enumerate(plans(recipe.image).items()):
            folder = out / "tries" / str(number)
            context = RunContext(folder, seed=recipe.seed, progress=bars)
            # The text tower learns: each try begins with the same one.
            mine = replace(read, text=copy.deepcopy(read.text))
            changed = replace(recipe, image=plan)
            _, found[name] = train_image_tower(changed, data, cache, images, mine, context)
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
    parser.add_argument("--data", type=Path, required=True, metavar="DIR")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR")
    parser.add_argument("--recipe", type=Path, default=SHIPPED, metavar="FILE")
    parser.add_argument("--quiet", action="store_true", help="no progress bars")
    options = parser.parse_args(arguments)
    try:
        recipe = read_recipe(options.recipe)
        found = tries(recipe, options.data, options.out, progress=not options.quiet)
    except SeehearError as error:
        sys.stderr.write(f"training.tries: {error}\n")
        return 1
    sys.stdout.write(markdown(found))
    return 0


if __name__ == "__main__":
    sys.exit(main())
