"""Every measure against an example worked by hand; qrels and runs; evaluate as a whole."""

from __future__ import annotations

import json
from math import log2
from pathlib import Path

import numpy as np
import pytest

from seehear.errors import UsageError
from seehear.evaluation import (
    JudgedQuery,
    ScoredItem,
    evaluate,
    measure,
    read_qrels,
    read_run,
    write_run,
)
from seehear.evaluation.measures import per_query, summarise
from seehear.types import Hit, Modality


def answers(paths: str) -> list[ScoredItem]:
    """ "abc" -> hits /a, /b, /c."""
    return [ScoredItem(f"/{letter}", 1.0 / n) for n, letter in enumerate(paths, 1)]


def judged(name: str, **grades: int) -> JudgedQuery:
    return JudgedQuery(
        name, {f"/{letter}": grade for letter, grade in grades.items()}, texts=("x",)
    )


# Ranked a b c d e; relevant are b (grade 2), d (grade 1) and z (grade 1), which was not found.
ONE = judged("one", b=2, d=1, z=1)
RUN = {"one": answers("abcde")}
IDEAL_3 = 2 / log2(2) + 1 / log2(3) + 1 / log2(4)


@pytest.mark.parametrize(
    ("name", "by_hand"),
    [
        ("recall@1", 0.0),
        ("recall@3", 1 / 3),  # b of b, d, z
        ("recall@5", 2 / 3),  # b and d
        ("success@1", 0.0),
        ("success@3", 1.0),
        ("MRR", 1 / 2),  # b stands second
        ("nDCG@3", (2 / log2(3)) / IDEAL_3),
        ("nDCG@5", (2 / log2(3) + 1 / log2(5)) / IDEAL_3),
        ("median rank", 2.0),
    ],
)
def test_measures_by_hand(name: str, by_hand: float) -> None:
    values = per_query([ONE], RUN, (1, 3, 5))
    assert values[name][0] == pytest.approx(by_hand, abs=1e-4)


def test_a_query_that_found_nothing_scores_zero() -> None:
    values = per_query([judged("lost", a=1), judged("empty", a=1)], {"lost": answers("bc")}, (10,))
    assert values["MRR"].tolist() == [0.0, 0.0]
    assert values["recall@10"].tolist() == [0.0, 0.0]
    assert values["median rank"].tolist() == [3.0, 1.0]


def test_equal_scores_keep_their_order_and_repeats_count_once() -> None:
    run = {"q": [ScoredItem("/z", 1.0), ScoredItem("/z", 1.0), ScoredItem("/a", 1.0)]}
    values = per_query([judged("q", a=1)], run, (1,))
    assert values["MRR"][0] == pytest.approx(0.5)


@pytest.mark.parametrize(
    "name", ["/caf\udce9.jpg", "/a b\n\t.jpg", "/\ud800", "/写真.jpg", "/\x1b[2J"]
)
def test_a_name_of_any_bytes_is_counted(name: str) -> None:
    """trec_eval ends its process at a name that is not UTF-8."""
    run = {"q": [ScoredItem("/a", 1.0), ScoredItem(name, 0.5)]}
    values = per_query([JudgedQuery("q", {name: 1}, texts=("x",))], run, (1, 2))
    assert [values[key][0] for key in ("MRR", "recall@1", "recall@2")] == [0.5, 0.0, 1.0]


def test_mean_median_and_interval() -> None:
    values = {"MRR": np.array([0.0, 1.0] * 50), "median rank": np.array([1.0, 2.0, 9.0])}
    mrr, rank = summarise(values)
    assert mrr.value == 0.5
    # The standard error of a mean of 100 coin tosses is 0.05.
    assert mrr.low == pytest.approx(0.40, abs=0.03)
    assert mrr.high == pytest.approx(0.60, abs=0.03)
    assert (rank.value, rank.low, rank.high) == (2.0, 1.0, 9.0)
    assert summarise(values) == [mrr, rank]


def test_routes_are_measured_apart_and_together() -> None:
    queries = [
        JudgedQuery("1", {"/a": 1}, texts=("x",), modalities=frozenset({Modality.IMAGE})),
        JudgedQuery("2", {"/a": 1}, files=((Modality.AUDIO, Path("/q.wav")),)),
    ]
    results = measure(queries, {"1": answers("a"), "2": answers("ba")}, cutoffs=(1,))
    assert [result.route for result in results] == ["text->image", "audio->all", "all"]
    assert [result["MRR"].value for result in results] == [1.0, 0.5, 0.75]
    with pytest.raises(KeyError):
        results[0]["nDCG@7"]


def hit(path: str, rank: int, *, weak: bool = False, copies: tuple[str, ...] = ()) -> Hit:
    return Hit(
        rank, 0.1 if weak else 0.9, 0.5, Path(path), Modality.IMAGE, rank, rank, Modality.IMAGE,
        weak=weak, duplicates=tuple(Path(copy) for copy in copies),
    )  # fmt: skip


def test_evaluate_asks_every_query() -> None:
    asked: list[tuple[str, int]] = []

    def search(one: JudgedQuery, k: int) -> list[Hit]:
        asked.append((one.name, k))
        if one.name == "loud":
            return [hit("/n", 1)]
        if one.name == "quiet":
            return [hit("/n", 1, weak=True)]
        return [hit("/other", 1), hit("/shown", 2, copies=("/a",))]

    queries = [judged("q", a=1), judged("loud"), judged("quiet")]
    result = evaluate(search, queries, cutoffs=(2,), depth=20)
    assert asked == [("q", 20), ("loud", 20), ("quiet", 20)]
    assert result.routes[-1]["success@2"].value == 1.0
    assert result.routes[-1]["MRR"].value == 0.5
    assert (result.unanswerable, result.false_alarms) == (2, 0.5)
    lines = result.table().splitlines()
    assert lines[0].split() == ["|", "route", "|", "text->all", "|"]
    assert lines[3].startswith("| MRR")
    assert "0.500 [0.500, 0.500]" in lines[3]
    assert len({len(line) for line in lines[:-2]}) == 1
    assert "false alarms: 0.500 of 2" in lines[-1]
    plain = json.loads(json.dumps(result.as_json()))
    assert plain["routes"]["text->all"]["measures"]["MRR"]["value"] == 0.5


def test_queries_without_answers_alone_are_counted() -> None:
    result = evaluate(lambda one, k: [hit("/n", 1)], [judged("q")])
    lines = result.table().splitlines()
    assert lines == ["no query has a relevant item", "", "false alarms: 1.000 of 1 queries"]


def test_paths_have_no_dots(tmp_path: Path) -> None:
    path = tmp_path / "qrels.jsonl"
    path.write_text('{"text": "x", "relevant": ["../a.jpg"]}')
    (one,) = read_qrels(path)
    assert one.relevant == {str(tmp_path.parent / "a.jpg"): 1}
    assert one.location == f"{path}, line 1"


def test_qrels_are_read(tmp_path: Path) -> None:
    path = tmp_path / "qrels.jsonl"
    path.write_text(
        '{"query": "q1", "text": "a dog", "relevant": ["dogs/1.jpg", "/x/walk.mp4"]}\n\n'
        '{"image": "c.jpg", "text": ["at", "night"], "without": "people", '
        '"relevant": {"c2.jpg": 2, "no.jpg": 0}, "in": ["video", "audio"], "where": "size > 5"}\n'
        '{"query": "q3", "text": "a unicorn", "relevant": [], "route": "none"}\n'
    )
    one, two, three = read_qrels(path)
    assert one.relevant == {str(tmp_path / "dogs/1.jpg"): 1, "/x/walk.mp4": 1}
    assert one.route == "text->all"
    assert two.name == "3"
    assert two.files == ((Modality.IMAGE, tmp_path / "c.jpg"),)
    assert two.relevant == {str(tmp_path / "c2.jpg"): 2}
    assert two.route == "text+image->audio,video"
    assert (two.without, two.where) == (("people",), "size > 5")
    assert (three.relevant, three.route) == ({}, "none")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "no queries"),
        ("not json", "line 1: not valid JSON"),
        ("[1]", "one JSON object"),
        ('{"text": "x"}', '"relevant"'),
        ('{"relevant": []}', "at least one"),
        ('{"text": 5, "relevant": []}', '"text" is a string'),
        ('{"text": "x", "relevant": {"a": -1}}', "grades"),
        ('{"text": "x", "relevant": [], "in": "smells"}', "smells"),
        ('{"text": "x", "relevant": [], "colour": 1}', "unknown key 'colour'"),
        ('{"query": "a", "text": "x", "relevant": []}\n' * 2, "line 2: the query 'a' is there"),
    ],
)
def test_bad_qrels_are_one_clear_line(tmp_path: Path, text: str, says: str) -> None:
    path = tmp_path / "qrels.jsonl"
    path.write_text(text)
    with pytest.raises(UsageError, match=says) as caught:
        read_qrels(path)
    assert "\n" not in str(caught.value)


def test_files_that_are_none(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be read"):
        read_qrels(tmp_path / "nothing.jsonl")
    (tmp_path / "bytes").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UsageError, match="UTF-8"):
        read_qrels(tmp_path / "bytes")


def test_runs_are_written_and_read(tmp_path: Path) -> None:
    run = {"q1": answers("abc"), "q2": answers("ü")}
    write_run(tmp_path / "run.jsonl", run)
    assert read_run(tmp_path / "run.jsonl") == run
    (tmp_path / "bad.jsonl").write_text('{"query": "q", "path": "a", "score": "high"}')
    with pytest.raises(UsageError, match="line 1: a hit reads"):
        read_run(tmp_path / "bad.jsonl")
