"""The load on the service runs, in its quick form, and says what it promises."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest

from benchmarks import bench_server
from seehear.types import Hit, Modality


@pytest.mark.slow
def test_the_quick_form_finds_no_wrong_answer(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert bench_server.main(["--quick", "--clients", "4", "--results", str(tmp_path)]) == 0
    assert "| clients |" in capsys.readouterr().out
    rounds = json.loads((tmp_path / "server.json").read_text())["rounds"]
    assert [row["index_run_beside"] for row in rounds] == [False, True]
    for row in rounds:
        assert row["wrong"] == row["lost_connections"] == 0
        assert set(row["statuses"]) <= {"200", "503"}
    assert rounds[0]["compared"] > 0


def test_a_wrong_answer_is_noticed() -> None:
    hits = [
        Hit(
            rank=rank,
            score=score,
            similarity=0.5,
            path=Path("a.jpg"),
            modality=Modality.IMAGE,
            asset_id=rank,
            segment_id=10 * rank,
            matched_modality=Modality.IMAGE,
        )
        for rank, score in ((1, 0.9), (2, 0.7), (3, 0.7), (4, 0.2))
    ]
    told = [{"segment_id": hit.segment_id, "score": round(hit.score, 4)} for hit in hits]
    assert bench_server.same(told, hits)
    tied = [told[0], told[2], told[1], told[3]]
    assert bench_server.same(tied, hits)
    assert not bench_server.same(told[:3], hits)
    assert not bench_server.same([told[1], told[0], *told[2:]], hits)
    assert not bench_server.same([{**told[0], "score": 0.8}, *told[1:]], hits)
    other = [dataclasses.replace(hits[0], segment_id=99), *hits[1:]]
    assert not bench_server.same(told, other)
