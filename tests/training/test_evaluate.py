"""Measures against what they must give by hand, and the command on a small data folder."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from seehear.encoders.tiny import load_tiny
from training import evaluate
from training.datasets import is_dev
from training.held_out import HeldOut, encode_held_out
from training.metrics import across, captioned, chance, concepts, share, success
from training.shards import ShardItem, read_items


def test_success_is_the_share_of_ranks_within_the_first_k() -> None:
    ranks = np.array([2, 1, 4, 1])

    assert [success(ranks, k) for k in (1, 2, 3, 4)] == [0.5, 0.75, 0.75, 1.0]


def test_chance_is_that_of_a_random_order() -> None:
    relevant = np.array([[True, False, False, False], [True, True, False, False]])

    # Two draws out of four: 1/2 to meet the one; 1 - 1/6 to meet one of two.
    assert chance(relevant, 2).tolist() == pytest.approx([0.5, 5 / 6])
    assert chance(relevant, 9).tolist() == [1.0, 1.0]


def test_an_interval_is_of_items_not_of_their_captions() -> None:
    values, owners = np.tile([1.0, 0.0], 50), np.arange(100)
    alone = share("found", values, owners)
    # Fifty items of which each is asked for four times, always alike.
    alike = share("found", np.repeat(values, 4), np.repeat(owners, 4))

    assert alone["found"] == alike["found"] == 0.5
    low, high = alone["found, 95 %"]
    assert low == pytest.approx(0.4, abs=0.03)  # 0.5 - 1.96 * 0.05
    assert high == pytest.approx(0.6, abs=0.03)
    assert alike["found, 95 %"] == [low, high]


def _held() -> HeldOut:
    """Three photographs: a pond by people, a harbour by a machine, a label that is trained on."""
    items = [
        ShardItem("told", "1", "val", None, ("ducks on a pond",)),
        ShardItem("told", "2", "val", None, ("boats in a harbour",), by_machine=True),
        ShardItem("told", "3", "val", "garage", ("a car in front of a garage",)),
    ]
    return HeldOut(items, np.eye(3, dtype=np.float32), {"told": ["garage"]}, "a garage\ndog")


def _first(sentences: Sequence[str]) -> NDArray[np.float32]:
    return np.tile(np.eye(3, dtype=np.float32)[0], (len(sentences), 1))


def test_only_what_people_wrote_is_asked() -> None:
    figures = captioned(_held(), "told", _first)

    assert figures["pictures"] == 2
    assert figures["text->image recall@1"] == 0.5


def test_words_of_training_labels_are_not_asked() -> None:
    figures = concepts(_held(), ["pond", "harbour", "garage", "dog"], _first, k=1)

    assert figures["concepts"] == 1  # the pond
    assert figures["success@1"] == 1.0


def test_pictures_and_sounds_meet_by_class_among_these_classes_and_among_all() -> None:
    seen = [
        ShardItem("told", "1", "val", "cat", ()),
        ShardItem("told", "2", "val", "dog", ()),
        ShardItem("told", "3", "val", None, ("a dog on a pond",)),
        ShardItem("told", "4", "val", None, ("a cat", "a cat asleep"), by_machine=True),
        ShardItem("told", "5", "val", "boat", ()),
    ]
    heard = [
        ShardItem("heard", "1", "val", "cat meowing", ()),
        ShardItem("heard", "2", "val", "dog", ()),
    ]
    cat, dog = np.eye(2, dtype=np.float32)
    # The dog's bark is nearest to the captioned dog, the cat's call to a boat.
    images = HeldOut(seen, np.stack([0.8 * cat, 0.8 * dog, dog, 0.9 * cat, cat]), {})
    sounds = HeldOut(heard, np.stack([cat, dog]), {})

    alone = across(images, sounds, k=1)
    every = across(images, sounds, everything=True, k=1)

    assert alone["image->sound success@1"] == alone["sound->image success@1"] == 1.0
    assert every["image->sound success@1"] == 1.0
    assert every["sound->image by class"] == {"cat": 0.0, "dog": 1.0}
    assert every["sound->image chance@1"] == pytest.approx((1 / 5 + 2 / 5) / 2)


def test_command_writes_tables_and_json(
    data: Path, untrained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr("training.metrics.speeds", lambda *_: {"images a second": 1.0})
    path = tmp_path / "figures.json"
    status = evaluate.main(
        ["--data", str(data), "--model", str(untrained), "--json", str(path), "--quiet"]
    )

    assert status == 0
    report = json.loads(path.read_text())
    assert report["Captions"]["told"]["captions"] == 16
    assert report["Sound and text, by set"]["tones"]["sentences"] == 3
    assert "| told | 8 | 16 |" in capsys.readouterr().out


def test_settings_are_chosen_on_what_training_kept_apart(
    data: Path, untrained: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    encoder = load_tiny(untrained, device="cpu")
    kept = encode_held_out(data, "images", encoder, False, tuning_share=0.5)
    trained = [item for item, _ in read_items(data, "images") if item.split == "train"]

    wanted = {item.key for item in trained if is_dev(item.dataset + item.key, 0.5)}
    assert {item.key for item in kept.items} == wanted
    assert 0 < len(kept.items) < len(trained)
    assert {item.split for item in kept.items} == {"val"}
    asked = ["--data", str(data), "--model", str(untrained), "--quiet", "--tuning"]
    assert evaluate.main([*asked, "--image-px", "48"]) == 0
    assert "Speed" not in capsys.readouterr().out
    assert evaluate.main([*asked, "--image-px", "-5"]) == 1
    assert capsys.readouterr().err.endswith("--image-px is -5; it must be 32 or more\n")


def test_missing_model_is_one_line(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert evaluate.main(["--data", str(data), "--model", str(tmp_path)]) == 1
    assert capsys.readouterr().err.count("\n") == 1
