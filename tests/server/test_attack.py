"""The attack on the service, in its quick form."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks import attack
from benchmarks.attack_target import Row
from benchmarks.attack_tries import ATTACKS


@pytest.mark.timeout(600)
@pytest.mark.slow
def test_the_quick_form_gets_nothing_through(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert attack.main(["--quick", "--results", str(tmp_path)]) == 0, capsys.readouterr().out
    rows = json.loads((tmp_path / "attack.json").read_text())["rows"]
    assert len(rows) == len(ATTACKS)
    assert all(0 < row["tried"] == row["held"] for row in rows)


def test_what_gets_through_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [Row("one that is held", 2, 2, ""), Row("one that got through", 2, 1, "200")]
    monkeypatch.setattr(attack, "stock", lambda *_, **__: None)
    monkeypatch.setattr(attack, "run", lambda *_, **__: rows)
    assert attack.main(["--quick", "--results", str(tmp_path)]) == 1
    monkeypatch.setattr(attack, "run", lambda *_, **__: rows[:1])
    assert attack.main(["--quick", "--results", str(tmp_path)]) == 0
