"""`seehear index --on` with a Ray cluster of several raylets: machines and drivers are killed."""

from __future__ import annotations

import json
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.indexers.helpers import age

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(600),
    pytest.mark.filterwarnings("ignore"),  # of Ray's own libraries
]
ROOT = Path(__file__).resolve().parents[2]
FILES = 600


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """A head without processors, which talks to clients, and two machines with one each."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        patch.setenv("PYTHONPATH", str(ROOT))
        from ray.cluster_utils import Cluster

        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        made = Cluster(
            initialize_head=True,
            head_node_args={
                "num_cpus": 0,
                "include_dashboard": False,
                "ray_client_server_port": port,
            },
        )
        try:
            made.client = f"ray://127.0.0.1:{port}"
            _wait_for(port)
            for name in ("left", "right"):
                made.add_node(num_cpus=1, node_name=name)
            yield made
        finally:
            made.shutdown()


def _wait_for(port: int, seconds: float = 240) -> None:
    """Wait until clients are answered: the head starts what answers them after itself."""
    give_up = time.monotonic() + seconds
    while True:
        with socket.socket() as asking:
            if asking.connect_ex(("127.0.0.1", port)) == 0:
                return
        assert time.monotonic() < give_up, "Ray's server for clients has not started"
        time.sleep(0.2)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pictures of noise, a tenth of them copies of others."""
    made = tmp_path_factory.mktemp("pictures")
    generator = np.random.default_rng(0)
    for i in range(FILES):
        path = made / f"{i:04}.jpg"
        if i % 10 == 9:
            path.write_bytes((made / f"{i - 9:04}.jpg").read_bytes())
        else:
            small = generator.integers(0, 255, (6, 8, 3), dtype=np.uint8)
            Image.fromarray(small).resize((320, 240)).save(path)
        age(path)
    return made


@dataclass
class Run:
    """A driver as a process of its own."""

    folder: Path
    collection: Path

    def start(self, *options: str, json: bool = True) -> subprocess.Popen[str]:
        options = ("--json", *options) if json else options
        return subprocess.Popen(
            [sys.executable, "-m", "seehear", "index", str(self.folder), *options],
            env=os.environ | {"SEEHEAR_COLLECTION": str(self.collection), "PYTHONPATH": str(ROOT)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def done(self, process: subprocess.Popen[str], status: int = 0) -> dict[str, Any]:
        """The report of a run, which prints nothing else."""
        out, err = process.communicate(timeout=240)
        assert process.returncode == status, err
        assert "ray" not in err.lower(), err
        report: dict[str, Any] = json.loads(out)
        return report

    def indexed(self) -> int:
        try:
            with closing(
                sqlite3.connect(f"file:{self.collection}/catalog.db?mode=ro", uri=True)
            ) as db:
                return int(db.execute("SELECT count(*) FROM assets").fetchone()[0])
        except sqlite3.Error:
            return 0

    def wait_until_indexed(self, least: int, process: subprocess.Popen[str]) -> None:
        while self.indexed() < least:
            assert process.poll() is None, process.communicate()
            time.sleep(0.05)

    def contents(self) -> dict[str, Any]:
        """Vectors by content, each once."""
        with closing(sqlite3.connect(f"file:{self.collection}/catalog.db?mode=ro", uri=True)) as db:
            rows = db.execute(
                "SELECT content_hash, data FROM assets JOIN segments ON asset_id = assets.id "
                "JOIN vectors ON segment_id = segments.id"
            ).fetchall()
        assert len({digest for digest, _ in rows}) == len(rows)
        return {digest: np.frombuffer(data, "<f2") for digest, data in rows}


@pytest.fixture
def run(folder: Path, tmp_path: Path) -> Run:
    return Run(folder, tmp_path / "collection")


@pytest.fixture(scope="module")
def local(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], Any]:
    """The report and the contents of a run without Ray."""
    run = Run(folder, tmp_path_factory.mktemp("local") / "collection")
    return run.done(run.start()), run.contents()


def check(run: Run, local: tuple[dict[str, Any], Any]) -> None:
    """The collection has what a local run stores."""
    found, expected = run.contents(), local[1]
    assert found.keys() == expected.keys()
    for digest, vector in expected.items():
        np.testing.assert_allclose(found[digest], vector, atol=2e-3)
    again = run.done(run.start())
    assert again["unchanged"] == FILES


def test_a_run_by_a_client_stores_what_a_local_run_does(
    cluster: Any, run: Run, local: tuple[dict[str, Any], Any]
) -> None:
    report = run.done(run.start("--on", cluster.client))
    assert report | {"seconds": 0} == local[0] | {"seconds": 0}
    check(run, local)


def test_a_machine_that_is_killed_halfway(
    cluster: Any, run: Run, local: tuple[dict[str, Any], Any]
) -> None:
    victim = cluster.add_node(num_cpus=1, node_name="victim")
    process = run.start("--on", cluster.client)
    run.wait_until_indexed(64, process)
    cluster.remove_node(victim, allow_graceful=False)
    report = run.done(process)
    assert (report["added"], report["failed"]) == (FILES, 0)
    check(run, local)


def test_a_driver_that_is_killed_is_continued(
    cluster: Any, run: Run, local: tuple[dict[str, Any], Any]
) -> None:
    process = run.start("--on", cluster.address)
    run.wait_until_indexed(64, process)
    process.kill()
    process.communicate()
    report = run.done(run.start("--on", cluster.address))
    assert report["added"] + report["unchanged"] == FILES
    assert report["unchanged"] >= 64
    check(run, local)


def test_a_machine_with_another_version_is_left_out(
    cluster: Any, run: Run, tmp_path: Path, local: tuple[dict[str, Any], Any]
) -> None:
    (tmp_path / "old/seehear").mkdir(parents=True)
    (tmp_path / "old/seehear/__init__.py").write_text('__version__ = "0.0.9"\n')
    paths = {"PYTHONPATH": str(tmp_path / "old")}
    old = cluster.add_node(num_cpus=1, node_name="old", env_vars=paths)
    try:
        out, err = run.start("--on", cluster.client, json=False).communicate(timeout=240)
    finally:
        cluster.remove_node(old)
    told = [line for line in (out + err).splitlines() if "machine" in line]
    assert len(told) == 1
    assert "machine old is left out: it has seehear 0.0.9; install seehear " in told[0]
    check(run, local)


def test_ctrl_c_keeps_what_is_done(run: Run, local: tuple[dict[str, Any], Any]) -> None:
    process = run.start("--on", "local", "--encoders", "1")
    run.wait_until_indexed(64, process)
    process.send_signal(signal.SIGINT)
    report = run.done(process, 130)
    assert report["interrupted"]
    assert 64 <= report["added"] < FILES
    rest = run.done(run.start("--on", "local"))
    assert rest["added"] + rest["unchanged"] == FILES
    check(run, local)
