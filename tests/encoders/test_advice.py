"""Which model is advised, by language, memory and speed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from seehear.encoders.advice import Machine, advise, this_machine
from seehear.encoders.languages import language_named
from tests.cli.conftest import Run

FAST = Machine(cores=16, free_bytes=32 << 30, gpu="", multiplications_per_s=400e9)


@pytest.mark.parametrize(
    ("language", "machine", "model"),
    [
        ("English", FAST, "standard"),
        ("English", Machine(2, 1 << 30, "", 400e9), "tiny"),
        ("English", Machine(2, 32 << 30, "", 1e9), "tiny"),
        ("English", Machine(2, None, "a GPU", 1e9), "standard-av"),
        ("English", Machine(2, 6 << 30, "a GPU", 1e9), "standard"),
        ("German", FAST, "multilingual"),
        ("Russian", Machine(2, 32 << 30, "", 1e9), "multilingual"),
        ("Chinese", Machine(2, 1 << 30, "", 400e9), None),
    ],
)
def test_the_model_fits_language_and_machine(
    language: str, machine: Machine, model: str | None
) -> None:
    advice = advise(language_named(language), machine)
    assert advice.model == model
    names = [one.card.name for one in advice.candidates]
    assert names == ["tiny", "standard", "standard-av", "multilingual", "omni"]
    taken = next((one for one in advice.candidates if one.card.name == model), None)
    assert taken is None or (taken.reads and taken.fits)


def test_a_small_model_is_faster_and_a_slower_machine_takes_longer() -> None:
    english = language_named("en")
    fast, slow = (
        [one.seconds for one in advise(english, machine).candidates]
        for machine in (FAST, Machine(2, None, "", 40e9))
    )
    assert fast[0] is not None
    assert fast[1] is not None
    assert fast[0] < fast[1]
    assert slow == pytest.approx([10 * seconds for seconds in fast if seconds is not None])


def test_without_reading_the_language_only_words_are_left() -> None:
    advice = advise(language_named("Greek"), Machine(2, 1 << 30, "", 400e9))
    assert [one.reads for one in advice.candidates] == [False, False, False, True, True]
    assert "words in Greek are found as they are written" in advice.reason


def test_weights_stored_in_half_precision_need_twice_their_size() -> None:
    candidates = {one.card.name: one for one in advise(language_named("en"), FAST).candidates}
    omni = candidates["omni"]
    assert omni.needed_bytes > 3 * omni.card.size_bytes


def test_another_model_of_the_language_is_named_where_it_fits() -> None:
    machine = Machine(2, 4_500_000_000, "", 400e9)
    assert "omni" not in advise(language_named("German"), machine).reason
    assert "omni reads it, too" in advise(language_named("German"), FAST).reason


def test_this_machine_is_measured() -> None:
    machine = this_machine(probe_s=0.05)
    assert machine.cores >= 1
    assert machine.multiplications_per_s > 1e6
    assert machine.free_bytes is None or machine.free_bytes > 0


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return Run(tmp_path / "collection", tmp_path / "state")


def test_the_command_advises_a_model_for_a_language(run: Run) -> None:
    told = json.loads(run("models", "--advise", "--language", "German", "--json").stdout)
    assert {one["name"]: one["reads"] for one in told["models"]} == {
        "tiny": False,
        "standard": False,
        "standard-av": False,
        "multilingual": True,
        "omni": True,
    }
    assert told["model"] in {"multilingual", None}  # None where memory is short
    shown = run("models", "--advise").stdout
    assert "tiny: reads English; installed" in shown
    assert "\nTake " in shown
    mistyped = run("models", "--advise", "--language", "Gemran", check=False)
    assert (mistyped.returncode, "Did you mean German" in mistyped.stderr) == (2, True)


def test_a_search_says_which_language_the_model_does_not_read(run: Run, tmp_path: Path) -> None:
    (tmp_path / "notes").mkdir()
    bread = "Рецепт ржаного хлеба: смешайте муку и воду."
    (tmp_path / "notes" / "bread.txt").write_text(bread, encoding="utf-8")
    run("index", tmp_path / "notes", "--model", "tiny")
    for asked, count in (("ржаного хлеба", 1), ("лошадь", 0)):
        shown = run("search", asked, "--json")
        assert len(json.loads(shown.stdout)) == count
        assert f'"{asked}" looks like Russian' in shown.stderr
        assert "multilingual reads Russian" in shown.stderr
