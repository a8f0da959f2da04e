"""`seehear eval` from outside: a collection asked judged queries."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Run
from tests.indexers.helpers import picture

Ask = Callable[..., Any]


def written(folder: Path, *lines: dict[str, Any] | str) -> Path:
    path = folder / "qrels.jsonl"
    path.write_text(
        "\n".join(line if isinstance(line, str) else json.dumps(line) for line in lines) + "\n"
    )
    return path


QUERIES: tuple[dict[str, Any], ...] = (
    {"text": "red", "relevant": ["fire.png", "siren.wav", "notes.md"]},
    {"image": "fire.png", "in": "audio", "relevant": ["siren.wav"]},
    {"text": "blue", "in": "image", "relevant": ["fire.png"]},  # it stands second
)


def test_measures_by_route(run: Run, ask: Ask, indexed: Path, tmp_path: Path) -> None:
    qrels = written(indexed, *QUERIES)
    found = ask("eval", qrels, "-k", "1", "-k", "3", "--run", tmp_path / "run.jsonl")
    routes = found["routes"]
    assert list(routes) == ["text->all", "image->audio", "text->image", "all"]
    values = {
        route: {name: m["value"] for name, m in result["measures"].items()}
        for route, result in routes.items()
    }
    assert values["text->all"]["recall@3"] == 1.0
    assert values["text->all"]["recall@1"] == pytest.approx(1 / 3)
    assert values["image->audio"]["nDCG@1"] == 1.0
    assert values["text->image"]["success@1"] == 0.0
    assert values["text->image"]["MRR"] == 0.5
    assert values["text->image"]["median rank"] == 2.0
    assert values["all"]["MRR"] == pytest.approx(2.5 / 3)
    assert all(
        m["low"] <= m["value"] <= m["high"]
        for result in routes.values()
        for m in result["measures"].values()
    )
    from seehear.evaluation import measure, read_qrels, read_run

    again = measure(read_qrels(qrels), read_run(tmp_path / "run.jsonl"), cutoffs=(1, 3))
    assert again[-1]["MRR"].value == values["all"]["MRR"]


def test_the_table_has_a_column_for_each_route(run: Run, indexed: Path) -> None:
    done = run("eval", written(indexed, *QUERIES))
    lines = done.stdout.splitlines()
    assert [cell.strip() for cell in lines[0].strip("|").split("|")] == [
        "route", "text->all", "image->audio", "text->image", "all",
    ]  # fmt: skip
    names = {line.split("|")[1].strip() for line in lines[2:]}
    assert {"MRR", "recall@10", "success@5", "nDCG@1", "median rank"} <= names


def test_a_query_file_is_no_answer_to_itself(run: Run, ask: Ask, folder: Path) -> None:
    picture(folder / "flame.png", "red")
    run("index", folder)
    mine = {"image": "fire.png", "in": "image", "relevant": ["flame.png"]}
    itself = {"image": "fire.png", "in": "image", "relevant": ["fire.png"], "route": "itself"}
    routes = ask("eval", written(folder, mine, itself))["routes"]
    assert routes["image->image"]["measures"]["MRR"]["value"] == 1.0
    assert routes["itself"]["measures"]["MRR"]["value"] == 1.0


def test_near_duplicates_count_one_by_one(run: Run, ask: Ask, folder: Path) -> None:
    picture(folder / "flame.jpg", "red")
    run("index", folder)
    both = {"text": "red", "in": "image", "relevant": ["fire.png", "flame.jpg"]}
    measures = ask("eval", written(folder, both), "-k", "2")["routes"]["text->image"]["measures"]
    assert measures["recall@2"]["value"] == 1.0


def test_relevant_files_that_are_nowhere_are_told(run: Run, indexed: Path) -> None:
    done = run("eval", written(indexed, {"text": "red", "relevant": ["media/fire.png"]}))
    assert "1 of 1 relevant files do not exist" in done.stderr


BAD_LINES: tuple[tuple[dict[str, Any] | str, str], ...] = (
    ("nonsense", "line 2: not valid JSON"),
    ({"text": "red"}, 'line 2: "relevant" is a list'),
    ({"text": "red", "relevant": [], "where": "colour = red"}, 'line 2: No field "co'),
    ({"image": "lost.jpg", "relevant": []}, "line 2: No file"),
    ({"image": "siren.wav", "relevant": []}, "is a sound, not a picture"),
    ({"image": "noise.bin", "relevant": []}, "line 2: "),
)


def test_a_bad_line_is_named(run: Run, indexed: Path) -> None:
    (indexed / "noise.bin").write_bytes(b"\x00\x01\xff")
    for line, words in BAD_LINES:
        done = run("eval", written(indexed, QUERIES[0], line), check=False)
        assert done.returncode == 2, done.stderr
        assert words in done.stderr
        assert len(done.stderr.splitlines()) == 1


def test_wrong_usage(run: Run, indexed: Path) -> None:
    qrels = written(indexed, QUERIES[0])
    for arguments, words in (
        (("nowhere.jsonl",), "cannot be read"),
        ((qrels, "--mode", "magic"), "magic"),
        ((qrels, "-k", "0"), "-k"),
        ((qrels, "--run", indexed / "no" / "run.jsonl"), "there is no folder"),
    ):
        done = run("eval", *arguments, check=False)
        assert done.returncode == 2
        assert words in done.stderr
