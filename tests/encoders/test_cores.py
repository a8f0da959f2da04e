"""The stages share the cores by count: those of the machine, or as many as a person states."""

from __future__ import annotations

import math
import os
import threading
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch

from seehear.cli.process import limit_threads
from seehear.config import Settings
from seehear.encoders import torch_tools
from seehear.encoders.autotune import AutotunedModule, Backend
from seehear.encoders.torch_tools import encode_parts
from seehear.media.workers import decode_all
from seehear.processes import resources
from seehear.types import SampleSpec, Vectors

VARIABLES = ("OMP_NUM_THREADS", "OMP_WAIT_POLICY", "OPENBLAS_NUM_THREADS")


@pytest.mark.parametrize(
    ("groups", "files", "cores"),
    [
        ("0::/\n", {}, math.inf),
        ("0::/\n", {"cpu.max": "max 100000"}, math.inf),
        ("0::/\n", {"cpu.max": "150000 100000"}, 1.5),
        ("0::/a/b\n", {"a/cpu.max": "200000 100000", "a/b/cpu.max": "max 100000"}, 2.0),
        ("0::/a/b\n", {"a/cpu.max": "200000 100000", "a/b/cpu.max": "50000 100000"}, 0.5),
        (
            "4:cpu,cpuacct:/a\n3:memory:/b\n",
            {"cpu/a/cpu.cfs_quota_us": "300000", "cpu/a/cpu.cfs_period_us": "100000"},
            3.0,
        ),
        (
            "4:cpu,cpuacct:/a\n",
            {"cpu/a/cpu.cfs_quota_us": "-1", "cpu/a/cpu.cfs_period_us": "100000"},
            math.inf,
        ),
        ("2:cpuacct:/\n", {"cpu/cpu.cfs_quota_us": "1", "cpu/cpu.cfs_period_us": "1"}, math.inf),
        ("0::/\n", {"cpu.max": "none of it"}, math.inf),
        ("nothing known", {"cpu.max": "100000 100000"}, math.inf),
    ],
)
def test_quota_is_the_least_of_all_groups(
    tmp_path: Path, groups: str, files: dict[str, str], cores: float
) -> None:
    (tmp_path / "cgroup").write_text(groups)
    for name, content in files.items():
        path = tmp_path / "fs" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content + "\n")
    assert resources._quota(tmp_path / "cgroup", tmp_path / "fs") == cores


@pytest.mark.parametrize(
    ("allowed", "quota", "cores"), [(16, math.inf, 16), (16, 2.0, 2), (16, 0.2, 1), (2, 8.0, 2)]
)
def test_cores_are_those_allowed_within_the_quota(
    monkeypatch: pytest.MonkeyPatch, allowed: int, quota: float, cores: int
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(allowed)), raising=False)
    monkeypatch.setattr(resources, "_quota", lambda *_: quota)
    assert resources.usable_cores() == cores


@pytest.mark.parametrize(("cores", "set_", "threads"), [(4, {}, "4"), (4, {"OMP": "3"}, "3")])
def test_what_a_person_has_set_stays(
    monkeypatch: pytest.MonkeyPatch, cores: int, set_: dict[str, str], threads: str
) -> None:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    if "OMP" in set_:
        monkeypatch.setenv("OMP_NUM_THREADS", set_["OMP"])
        monkeypatch.setenv("OMP_WAIT_POLICY", "active")
    monkeypatch.setattr("seehear.cli.process.usable_cores", lambda: cores)
    limit_threads()
    found = [os.environ[name] for name in VARIABLES]
    assert found == [threads, "active" if set_ else "passive", "1"]
    for name in VARIABLES:  # `limit_threads` has set them behind the back of `monkeypatch`
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize(("cores", "workers"), [(1, 1), (2, 2), (6, 6), (64, 8)])
def test_a_decode_worker_for_each_core_up_to_eight(
    monkeypatch: pytest.MonkeyPatch, cores: int, workers: int
) -> None:
    monkeypatch.setattr(decode_all, "usable_cores", lambda: cores)
    chosen = [
        decode_all._Run(SampleSpec(), settings, lambda _: None, threading.Event(), None)._count
        for settings in (Settings(), Settings(decode_workers=3))
    ]
    assert chosen == [workers, 3]


@pytest.mark.parametrize(
    ("cores", "own", "items", "parts", "threads"),
    [
        (1, 1, 32, [32], 1),
        (2, 2, 32, [16, 16], 1),
        (2, 2, 9, [9], 2),  # a query, or the end of a file
        (4, 4, 32, [8, 8, 8, 8], 1),
        (16, 16, 32, [8, 8, 8, 8], 4),
        (3, 3, 20, [10, 10], 1),
        (8, 2, 32, [16, 16], 1),  # a person wants two threads
        (8, 1, 32, [32], 1),
        (2, 64, 64, [32, 32], 1),  # a container with a quota: torch sees all cores
        (2, 2, 70, [32, 32, 6], 1),
    ],
)
def test_parts_times_threads_are_the_cores(
    monkeypatch: pytest.MonkeyPatch,
    cores: int,
    own: int,
    items: int,
    parts: list[int],
    threads: int,
) -> None:
    monkeypatch.setattr(torch_tools, "usable_cores", lambda: cores)
    monkeypatch.setattr(torch_tools, "_encode_threads", torch_tools._encode_threads.__wrapped__)
    before, seen = torch.get_num_threads(), []
    torch.set_num_threads(own)
    try:
        lock = threading.Lock()

        def encode(part: Sequence[int]) -> Vectors:
            with lock:
                seen.append((part[0], len(part), torch.get_num_threads()))
            return np.array(part, dtype=np.float32)[:, None]

        rows = encode_parts(range(items), 32, torch.device("cpu"), encode)
        assert torch.get_num_threads() == own
        told: list[int] = []
        other = threading.Thread(target=lambda: told.append(torch.get_num_threads()))
        other.start()
        other.join()
        assert told == [own]  # another thread of the program computes as before
    finally:
        torch.set_num_threads(before)
    assert np.concatenate(rows)[:, 0].tolist() == list(range(items))  # in order
    assert [size for _, size, _ in sorted(seen)] == parts
    assert {count for *_, count in seen} == {min(own, threads) if len(parts) == 1 else threads}


def test_an_error_of_one_part_is_the_error_of_all() -> None:
    def encode(part: Sequence[int]) -> Vectors:
        if 20 in part:
            raise RuntimeError("out of memory")
        return np.zeros((len(part), 1), np.float32)

    with pytest.raises(RuntimeError, match="out of memory"):
        encode_parts(range(32), 8, torch.device("cpu"), encode)


def test_work_is_timed_without_that_of_other_programs(tmp_path: Path) -> None:
    """A tower that waits, as beside busy programs, is not slower for it; one that computes is."""
    waits = threading.Event()

    class Plain(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            waits.wait(0.05)
            return x * 1.0

    def works(_: object) -> torch.nn.Module:
        class Works(torch.nn.Module):
            def forward(self, x: torch.Tensor) -> torch.Tensor:
                for _ in range(300):
                    torch.ones(64, 64) @ torch.ones(64, 64)
                return x * 1.0

        return Works()

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        ways = [Backend("works", lambda *_: True, works)]
        tower = AutotunedModule(
            Plain(), "t", torch.device("cpu"), notes=tmp_path / "ways.json", ways=ways
        )
        tower(torch.ones(8, 4))
    finally:
        torch.set_num_threads(before)
    assert tower.decision.backend == "plain"
