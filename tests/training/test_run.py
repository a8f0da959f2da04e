"""The full recipe on a small data folder: it runs, resumes, repeats, and its result is a model."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from torch import Tensor

from seehear.encoders.tiny import load_tiny
from seehear.encoders.tiny.checkpoint import open_folder
from seehear.errors import UsageError
from seehear.finetune.inputs import Embed, image_embed
from seehear.finetune.loop import RunContext, Schedule
from seehear.types import ImageSample, Modality
from tests.training.conftest import TEACHER, small_recipe
from training import run, stages
from training.recipe import SHIPPED, read_recipe
from training.run import run_recipe


def _run(
    data: Path, out: Path, steps: int = 4, *, tensorboard: bool = False, force: bool = False
) -> Path:
    return run_recipe(
        small_recipe(steps),
        data,
        out,
        progress=False,
        tensorboard=tensorboard,
        teacher=TEACHER,
        force=force,
    )


def test_recipe_goes_from_shards_to_a_model_that_loads(data: Path, tmp_path: Path) -> None:
    folder = _run(data, tmp_path, tensorboard=True)

    encoder = load_tiny(folder, device="cpu")
    texts = encoder.encode(Modality.TEXT, ["a red wall", ""])
    assert texts.shape == (2, 16)
    assert np.linalg.norm(texts, axis=1) == pytest.approx([1, 0], abs=1e-5)
    picture = ImageSample(np.zeros((20, 30, 3), np.uint8))
    assert np.linalg.norm(encoder.encode(Modality.IMAGE, [picture])) == pytest.approx(1, abs=1e-5)
    logs = {path.name for path in (tmp_path / "runs").iterdir()}
    assert {"text.csv", "image.csv", "audio.csv", "tensorboard"} <= logs
    provenance = open_folder(folder).provenance
    # The broken picture and the broken sound are left out.
    assert provenance["data"]["pictures"] == 2 * 4 * 8
    assert provenance["data"]["sounds"] == 3 * 8
    assert provenance["steps"] == {"text": 4, "image": 4, "audio": 4}
    assert str(tmp_path) not in json.dumps(provenance)


def test_projection_first_and_the_text_tower_beside_the_pictures(
    data: Path, tmp_path: Path
) -> None:
    recipe = small_recipe(3)
    plan = replace(recipe.image, head=Schedule(5, 16, 3e-3), text_rate=0.3, dropout=0.1, views=2)
    joint = replace(recipe, image=plan)
    folder = run_recipe(
        joint, data, tmp_path / "joint", progress=False, tensorboard=False, teacher=TEACHER
    )

    log = (tmp_path / "joint" / "runs" / "image_head.csv").read_text()
    assert "dev_recall@1" in log
    assert ",apart," in log
    apart = _run(data, tmp_path / "apart", steps=3)
    moved, still = open_folder(folder).arrays, open_folder(apart).arrays
    assert not np.array_equal(moved["text.direct.weight"], still["text.direct.weight"])
    assert load_tiny(folder, device="cpu").encode(Modality.TEXT, ["a red wall"]).shape == (1, 16)


def test_frozen_blocks_run_once_over_a_few_views(data: Path, tmp_path: Path) -> None:
    recipe = small_recipe(3)
    heard = replace(recipe, audio=replace(recipe.audio, views=2, frozen_blocks=1))
    folder = run_recipe(heard, data, tmp_path, progress=False, tensorboard=False, teacher=TEACHER)

    (views,) = (tmp_path / "cache").glob("audio-views-*")
    maps, counts = (np.load(views / f"{number}.npy") for number in (0, 1))
    assert maps.shape[:2] == counts.shape[:2]
    assert maps.shape[1] == 2
    assert maps.any()
    sounds = replace(heard, audio=replace(heard.audio, views=0))
    fresh = run_recipe(
        sounds, data, tmp_path / "fresh", progress=False, tensorboard=False, teacher=TEACHER
    )
    assert open_folder(folder).revision != open_folder(fresh).revision


def test_open_learns_from_the_named_sets_alone(data: Path, tmp_path: Path) -> None:
    def made(*sets: str) -> Path:
        recipe = replace(small_recipe(4), sets=sets)
        out = tmp_path / str(len(list(tmp_path.iterdir())))
        return run_recipe(recipe, data, out, progress=False, tensorboard=False, teacher=TEACHER)

    with pytest.raises(UsageError, match="no sounds of walls, tones: CC0"):
        made("walls", "tones: CC0")
    opened = open_folder(made("walls", "tones"))
    assert opened.provenance["data"]["pictures"] == 4 * 8
    assert "painted" not in opened.vocabulary  # a word of the captions of the other set
    # Half of the pictures, all of the sounds: each is seen as often as in a run of all sets.
    assert opened.provenance["steps"] == {"text": 4, "image": 2, "audio": 4}


def test_same_seed_gives_the_same_weights(data: Path, tmp_path: Path) -> None:
    first, second = _run(data, tmp_path / "a"), _run(data, tmp_path / "b")

    assert open_folder(first).revision == open_folder(second).revision


def test_stopped_run_goes_on_as_if_it_had_not_been(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = _run(data, tmp_path / "whole")

    monkeypatch.setattr(run, "RunContext", partial(RunContext, checkpoint_every_s=0.0))
    calls = []

    def failing(*arguments: Any) -> Embed:
        embed = image_embed(*arguments)

        def once(*values: Any) -> Tensor:
            calls.append(1)
            if len(calls) == 3:
                raise KeyboardInterrupt
            return embed(*values)

        return once

    monkeypatch.setattr(stages, "image_embed", failing)
    with pytest.raises(KeyboardInterrupt):
        _run(data, tmp_path / "stopped")
    resumed = _run(data, tmp_path / "stopped")

    assert len(calls) == 3 + 2  # two steps, one failed; the two that were missing
    assert open_folder(resumed).revision == open_folder(whole).revision


def test_checkpoint_of_another_recipe_is_refused(data: Path, tmp_path: Path) -> None:
    _run(data, tmp_path, steps=2)

    with pytest.raises(UsageError, match="already exists"):
        _run(data, tmp_path, steps=3)
    with pytest.raises(UsageError, match="another recipe"):
        _run(data, tmp_path, steps=3, force=True)


def test_folder_without_shards_is_refused_with_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    status = run.main(["--data", str(tmp_path), "--out", str(tmp_path / "out")])

    assert status == 1
    message = capsys.readouterr().err
    assert "has no shards" in message
    assert message.count("\n") == 1


def test_shipped_recipe_is_readable() -> None:
    recipe = read_recipe(SHIPPED)

    assert recipe.name == "tiny"
    assert recipe.model.dim == 384


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("name = 3", "not of type str"),
        ('nam = "x"', "no setting 'nam'"),
        ('name = "x"', "incomplete"),
        ("name = ", "cannot be read"),
        ('name = "x"\n[text.schedule]\nsteps = "many"', "not of type int"),
    ],
)
def test_recipe_that_makes_no_sense_is_refused(tmp_path: Path, text: str, reason: str) -> None:
    path = tmp_path / "recipe.toml"
    path.write_text(text)

    with pytest.raises(UsageError, match=reason):
        read_recipe(path)
