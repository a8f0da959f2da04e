"""Tries of other settings run on what a run of the recipe left."""

from __future__ import annotations

from pathlib import Path

from tests.training.conftest import TEACHER, small_recipe
from training.run import run_recipe
from training.tries import markdown, plans, tries


def test_every_try_is_measured_and_changes_one_thing(data: Path, tmp_path: Path) -> None:
    recipe = small_recipe(4)
    run_recipe(recipe, data, tmp_path, progress=False, tensorboard=False, teacher=TEACHER)
    found = tries(recipe, data, tmp_path, progress=False, teacher=TEACHER)

    assert list(found) == list(plans(recipe.image))
    assert all(0 <= value <= 1 for row in found.values() for value in row.values())
    assert markdown(found).count("\n") == 2 + len(found)


def test_the_first_plan_is_the_recipes_own() -> None:
    plan = small_recipe(4).image
    base = next(iter(plans(plan).values()))

    assert (base.head, base.loss_weights, base.shares) == (
        plan.head,
        plan.loss_weights,
        plan.shares,
    )
