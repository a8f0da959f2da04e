"""Kill what serves and what indexes, also the spare of `seehear watch`; nothing is lost."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from seehear.stores import Catalog
from tests.server.conftest import picture, until

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="finds processes by /proc"),
]


def test_kills_of_a_set_of_services_lose_nothing(postgres_server: str) -> None:
    """Each victim once; a holder that is paused and goes on among them."""
    from benchmarks import kills

    outcomes, problems = kills.kill(len(kills.VICTIMS), seed=11)
    assert problems == []
    assert {one.rounds for one in outcomes.values()} == {1}
    assert sum(one.at_work for one in outcomes.values()) >= 2
    assert all(one.told["right"] > 0 for one in outcomes.values())


def test_a_second_watch_is_a_spare(postgres_database: Callable[[], str], tmp_path: Path) -> None:
    url = postgres_database()
    picture(tmp_path / "media" / "first.png", "red")
    environment = {**os.environ, "SEEHEAR_DATABASE": url, "SEEHEAR_MODEL": "fake"}
    watching = [
        subprocess.Popen(
            [sys.executable, "-m", "seehear", "watch", tmp_path / "media",
             "--collection", tmp_path / name],
            env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )
        for name in ("one", "two")
    ]  # fmt: skip
    with closing(Catalog.open(tmp_path / "seen", url=url)) as catalog:
        try:
            until(lambda: catalog.counts().locations == 1)
            watching[0].kill()
            watching[0].wait()
            picture(tmp_path / "media" / "second.png", "blue")
            until(lambda: catalog.counts().locations == 2)
            assert watching[1].poll() is None
        finally:
            for process in watching:
                process.kill()
                process.wait()
