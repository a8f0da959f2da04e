"""`seehear train`: what it warns of, and the command that it names for what comes next."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import seehear.finetune
from seehear.encoders import load_model
from seehear.finetune.report import LEAST_KEPT, TrainReport, Verdict
from seehear.types import Modality
from tests.cli.conftest import Run
from tests.finetune.conftest import COLOURS, png, wav

Write = Callable[[int], Path]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return Run(tmp_path / "collection", tmp_path / "state")


@pytest.fixture
def write_pairs(tmp_path: Path) -> Write:
    """Images of one colour each; the pairs file that names them."""

    def write(count: int) -> Path:
        lines = []
        for number in range(count):
            name = list(COLOURS)[number % len(COLOURS)]
            path = tmp_path / f"{number}.png"
            path.write_bytes(png(COLOURS[name], number))
            lines.append(json.dumps({"path": path.name, "text": f"{name} {number // 4}"}))
        pairs = tmp_path / "pairs.jsonl"
        pairs.write_text("\n".join(lines))
        return pairs

    return write


def _report(out: Path, before: float, after: float, files: int, kept: float = 1.0) -> TrainReport:
    figures = ({f"text->image success@{k}": value for k in (1, 5, 10)} for value in (before, after))
    was, now = figures
    return TrainReport(
        folder=out, init="tiny", revision="1", pairs=files, trained={"image": files},
        held_out={"image": files}, before={"image": was}, after={"image": now},
        kept={"image": kept}, skipped=(), duration_s=1.0,
    )  # fmt: skip


@pytest.fixture
def told(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., tuple[str, dict[str, Any]]]:
    """What the command tells and gives as JSON after a training with such figures."""

    def tell(
        before: float, after: float, files: int, kept: float = 1.0
    ) -> tuple[str, dict[str, Any]]:
        report = _report(tmp_path / "new model", before, after, files, kept)
        monkeypatch.setattr(seehear.finetune, "fine_tune", lambda *_, **__: report, raising=False)
        arguments = ("train", "--pairs", "x", "--out", str(report.folder))
        return run(*arguments).stderr, json.loads(run(*arguments, "--json").stdout)

    return tell


def test_fall_is_warned_of_and_no_command_is_named(told: Any) -> None:
    said, plain = told(0.61, 0.48, 100)

    warning = (
        "Held-out success@10 fell from .61 to .48 on 100 images. "
        "The new model answers worse than tiny; do not use it."
    )
    assert f"Warning: {warning}" in said.splitlines()
    assert "Use it" not in said
    assert plain["fell"] is True
    assert plain["warnings"] == [warning]
    assert plain["use"] is None


@pytest.mark.parametrize("kept", [0.0, 0.25, LEAST_KEPT - 0.01, float("nan")])
def test_model_that_forgot_is_warned_of_and_no_command_is_named(told: Any, kept: float) -> None:
    said, plain = told(0.48, 0.61, 100, kept)

    (warning,) = plain["warnings"]
    assert f"Warning: {warning}" in said.splitlines()
    for part in ("of what tiny knew of images", "do not use it", "--share", "--epochs"):
        assert part in warning
    assert f"keeps {kept:.0%} of what tiny knew" in said
    assert "Use it" not in said
    assert plain["fell"] is True
    assert plain["use"] is None


def test_model_that_fell_and_forgot_is_warned_of_both(told: Any) -> None:
    _, plain = told(0.61, 0.48, 100, LEAST_KEPT / 2)

    assert [("keeps" in w, "success@10 fell" in w) for w in plain["warnings"]] == [
        (True, False), (False, True),
    ]  # fmt: skip


@pytest.mark.parametrize("kept", [LEAST_KEPT, 1.0])
@pytest.mark.parametrize(("before", "after"), [(0.48, 0.61), (0.5, 0.5), (0.0, 1.0)])
def test_no_fall_names_the_command_that_uses_the_model(
    told: Any, tmp_path: Path, before: float, after: float, kept: float
) -> None:
    said, plain = told(before, after, 100, kept)

    folder = shlex.quote(str(tmp_path / "new model"))
    assert plain["use"] == f"seehear index FOLDER --model {folder}"
    assert said.splitlines()[-1] == f"Use it: {plain['use']}"
    assert "Warning" not in said
    assert plain["fell"] is False
    assert plain["warnings"] == []


@pytest.mark.parametrize(("before", "after"), [(0.5, 0.75), (0.75, 0.5)])
def test_few_held_out_files_are_said_to_prove_little(
    told: Any, before: float, after: float
) -> None:
    said, plain = told(before, after, 4)

    (warning,) = plain["warnings"]
    assert "only 4 images" in warning.lower()
    assert f"Warning: {warning}" in said.splitlines()
    assert (plain["use"] is None) == plain["fell"] == (after < before)


def test_figure_that_is_no_number_counts_as_a_fall() -> None:
    assert Verdict("audio", "success@1", 30, 0.5, float("nan"), 1.0).fell


@pytest.mark.parametrize(
    ("files", "figure"),
    [(4, "success@1"), (19, "success@1"), (20, "success@5"), (39, "success@5"), (40, "success@10")],
)
def test_deciding_figure_is_one_that_chance_does_not_reach(
    tmp_path: Path, files: int, figure: str
) -> None:
    (verdict,) = _report(tmp_path, 0.1, 0.2, files).verdicts

    assert verdict.figure == figure


def test_command_trains_and_the_command_that_it_names_works(
    run: Run, untrained: Path, write_pairs: Write, tmp_path: Path
) -> None:
    media = tmp_path / "media"
    media.mkdir()
    (media / "red.png").write_bytes(png(COLOURS["red"], 99))
    pairs, out = write_pairs(40), tmp_path / "new model"
    arguments = (
        "train", "--pairs", pairs, "--out", out, "--init", untrained, "--epochs", "12",
        "--share", "0.25", "--device", "cpu", "--json",
    )  # fmt: skip
    first = json.loads(run(*arguments).stdout)
    assert first["trained"] == {"image": 36}
    assert first["held_out"] == {"image": 4}
    assert any("4 images" in warning for warning in first["warnings"])
    assert load_model(str(out), "cpu").encode(Modality.TEXT, ["red"])

    run("index", media)  # with the model of the tests
    refused = run(*arguments, check=False)
    assert (refused.returncode, "already exists" in refused.stderr) == (2, True)
    again = json.loads(run(*arguments, "--force").stdout)
    assert again["revision"] == first["revision"]
    assert not again["fell"]
    upgrade = shlex.split(again["use"])
    assert upgrade[:2] == ["seehear", "upgrade"]
    run(*upgrade[1:])
    generations = json.loads(run("generations", "--json").stdout)
    assert [g["model"] for g in generations if g["state"] == "serving"] == [str(out)]


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (lambda folder: ("--out", folder / "pairs.jsonl"), "is a file"),
        (lambda folder: ("--out", folder), "holds other files"),
        (lambda folder: ("--out", folder / "out", "--init", "standard"), "start from tiny"),
        (lambda folder: ("--out", folder / "out", "--init", folder), "start from tiny"),
    ],
)
def test_mistakes_are_one_line_that_says_what_to_do(
    run: Run, write_pairs: Write, make: Any, expected: str
) -> None:
    pairs = write_pairs(4)

    done = run("train", "--pairs", pairs, *make(pairs.parent), check=False)

    assert done.returncode in {1, 2}
    assert expected in done.stderr
    assert done.stderr.count("\n") == 1
    assert not (pairs.parent / "out").exists()


def test_wav_without_sound_is_skipped_with_a_reason(
    run: Run, write_pairs: Write, tmp_path: Path
) -> None:
    pairs = write_pairs(4)
    (tmp_path / "click.wav").write_bytes(wav(440, 1, duration_s=0.05))
    pairs.write_text(
        pairs.read_text() + "\n" + json.dumps({"path": "click.wav", "text": "a click"})
    )

    arguments = ("train", "--pairs", pairs, "--out", tmp_path / "out", "--epochs", "1")
    said = run(*arguments, "--strict", check=False)
    assert said.returncode == 2
    assert "line 5: click.wav: the sound is shorter than a tenth of a second" in said.stderr
