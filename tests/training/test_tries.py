"""Tries of other settings run on what a run of the recipe left."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import fields
from pathlib import Path

import pytest

from tests.training.conftest import TEACHER, small_recipe
from training.recipe import TowerPlan
from training.run import run_recipe
from training.tries import audio_plans, image_plans, markdown, tries

Plans = Callable[[TowerPlan], Mapping[str, TowerPlan]]


@pytest.fixture(scope="module")
def run(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run of the recipe."""
    out = tmp_path_factory.mktemp("run")
    run_recipe(small_recipe(4), data, out, progress=False, tensorboard=False, teacher=TEACHER)
    return out


@pytest.mark.parametrize(("kind", "plans"), [("images", image_plans), ("sounds", audio_plans)])
def test_every_try_is_measured(
    kind: str, plans: Plans, data: Path, run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = small_recipe(4)
    monkeypatch.setattr("training.tries._SHORT_STEPS", 3)
    found = tries(kind, recipe, data, run, progress=False, teacher=TEACHER)

    assert list(found) == list(plans(recipe.image if kind == "images" else recipe.audio))
    assert all(0 <= value <= 1 for row in found.values() for value in row.values())
    assert markdown(found).count("\n") == 2 + len(found)


def test_a_try_of_images_changes_one_setting_of_the_recipes() -> None:
    own = small_recipe(4).image
    base, *others = image_plans(own).values()

    assert (base.head, base.loss_weights, base.shares) == (own.head, own.loss_weights, own.shares)
    for plan in others:
        changed = [f.name for f in fields(plan) if getattr(plan, f.name) != getattr(base, f.name)]
        assert len(changed) <= 1, changed
