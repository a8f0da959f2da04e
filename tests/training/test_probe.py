"""Probes are judged by what people wrote, and asked through the product."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.finetune.conftest import png, wav
from tests.training.conftest import write_shard
from training import probe
from training.shards import ShardItem


def item(*captions: str, label: str | None = None, by_machine: bool = False) -> ShardItem:
    return ShardItem("told", "1", "val", label, captions, by_machine=by_machine)


def note(*captions: str) -> dict[str, object]:
    return {"captions": list(captions), "split": "val"}


def asked(words: str) -> probe.Probe:
    (found,) = (one for one in probe.read_probes() if one.asked == words)
    return found


@pytest.mark.parametrize(
    ("words", "described"),
    [
        ("dog", item("Two dogs play .", "a Dog runs")),
        ("dog", item("one dog only")),
        ("knife", item("sharp knives", "a knife")),
        ("cherry", item(label="cherries in a bowl")),
        ("running", item("a man runs", "he ran", "a boy is running")),
        ("riding", item("she rides a horse")),
        ("living room", item(label="living room")),
        ("keys jingling", item(label="jingling keys")),
        ("speech", item(label="man speaking in a calm voice")),
        ("red shirt", item("a boy in a red and white shirt")),
        ("one dog", item("A dog sleeps")),
        ("two men", item("two young men talk")),
        ("three people", item("three people on a bench")),
    ],
)
def test_a_description_that_uses_the_words_is_right(words: str, described: ShardItem) -> None:
    assert probe.is_right(described, asked(words))


@pytest.mark.parametrize(
    ("words", "described"),
    [
        ("dog", item("a dog", "a cat", "an animal")),
        ("dog", item("a hot doggy bag")),
        ("dog", item("a dog", by_machine=True)),
        ("living room", item(label="room")),
        ("red shirt", item("a shirt on a red chair")),
        ("two men", item("a man and two women")),
        ("rain", item(label="train passing")),
    ],
)
def test_other_descriptions_are_not(words: str, described: ShardItem) -> None:
    assert not probe.is_right(described, asked(words))


def test_families_have_the_size_that_the_card_states() -> None:
    probes = probe.read_probes()
    sizes = {name: [p.family for p in probes].count(name) for name in {p.family for p in probes}}
    assert sizes == {
        "things": 300, "actions": 60, "places": 40, "sounds": 80, "colours": 120, "counts": 36
    }  # fmt: skip
    assert len({one.asked for one in probes if one.family != "sounds"}) == 556


def test_the_command_asks_what_the_collection_holds(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    told = [("a red ball", (250, 20, 20)), ("two dogs", (20, 20, 250)), ("a lake", (20, 250, 20))]
    samples = [(note(text), "png", png(colour, 1)) for text, colour in told]
    samples.append((note("a red ball") | {"split": "train"}, "png", png((250, 20, 20), 2)))
    samples.append((note("a cat"), "png", b"broken"))
    write_shard(tmp_path / "images" / "flickr8k-00.tar", samples)
    barking = note() | {"label": "dog barking"}
    write_shard(tmp_path / "audio" / "esc50-00.tar", [(barking, "wav", wav(440, 1))])

    figures = tmp_path / "figures.json"
    assert probe.main(["--data", str(tmp_path), "--json", str(figures), "--quiet"]) == 0

    shown = capsys.readouterr().out
    assert "| sounds | 1 | 1.000" in shown
    assert "| things | 2 | 1.000" in shown  # ball, dog: a cat cannot be decoded
    assert '"asked": "red ball"' in figures.read_text()


def test_a_folder_without_held_out_media_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert probe.main(["--data", str(tmp_path), "--quiet"]) == 1
    assert capsys.readouterr().err.count("\n") == 1
