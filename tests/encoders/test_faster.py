"""Backends give the same vectors, are chosen by measurement, remembered, not used for queries."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from seehear.encoders import backends
from seehear.encoders.autotune import AutotunedModule, Backend, all_backends
from seehear.encoders.tiny.towers import BACKBONES, AudioTower, ImageTower

CPU = torch.device("cpu")


class Bench:
    """Towers that take as long as they are told, on a clock of their own."""

    def __init__(self) -> None:
        self.now = 0.0
        self.built: list[str] = []
        self.calls: list[str] = []

    def clock(self) -> float:
        return self.now

    def tower(self, name: str, seconds: float, turn: float = 0.0) -> nn.Module:
        bench = self

        class Tower(nn.Module):
            def forward(self, x: torch.Tensor) -> torch.Tensor:
                bench.now += seconds
                bench.calls.append(name)
                return torch.stack([x[:, 0], x[:, 1] + turn * x[:, 0]], dim=1)

        return Tower()

    def way(self, name: str, seconds: float, turn: float = 0.0, after: int = 0) -> Backend:
        def build(plain: Any) -> Any:
            del plain
            self.built.append(name)
            return self.tower(name, seconds, turn)

        return Backend(name, lambda *_: True, build, after)

    def faster(self, notes: Path, *ways: Backend) -> AutotunedModule:
        plain = self.tower("plain", 1.0)
        return AutotunedModule(plain, "tower", CPU, notes=notes, ways=ways, clock=self.clock)


def batch(rows: int = 8) -> torch.Tensor:
    return torch.ones(rows, 2)


def last_way(tower: AutotunedModule, bench: Bench) -> str:
    tower(batch())
    return bench.calls[-1]


def test_the_fastest_way_that_agrees_is_taken(tmp_path: Path) -> None:
    bench = Bench()
    ways = (
        bench.way("slower", 1.5),
        bench.way("quick", 0.5),
        bench.way("wrong", 0.1, turn=0.2),
        bench.way("quickest", 0.4),
    )
    tower = bench.faster(tmp_path / "ways.json", *ways)
    out = tower(batch())
    assert out.tolist() == batch().tolist()
    assert last_way(tower, bench) == "quickest"
    assert tower.decision.backend == "quickest"
    assert tower.decision.rows_per_s == pytest.approx(
        {"plain": 8, "slower": 16 / 3, "quick": 16, "quickest": 20}
    )
    assert "cosine" in tower.decision.refused["wrong"]


def test_a_gain_within_the_noise_is_none(tmp_path: Path) -> None:
    bench = Bench()
    tower = bench.faster(tmp_path / "ways.json", bench.way("barely", 0.95))
    tower(batch())
    assert last_way(tower, bench) == "plain"


def test_queries_go_the_plain_way_whatever_was_measured(tmp_path: Path) -> None:
    bench = Bench()
    tower = bench.faster(tmp_path / "ways.json", bench.way("quick", 0.1))
    tower(batch(1))
    assert bench.built == []
    tower(batch())
    tower(batch(7))
    assert bench.calls[-1] == "plain"


def test_a_decision_is_remembered_for_the_next_process(tmp_path: Path) -> None:
    notes = tmp_path / "deep" / "ways.json"
    bench = Bench()
    ways = (bench.way("quick", 0.5), bench.way("other", 0.9))
    bench.faster(notes, *ways)(batch())
    bench.built.clear()
    again = bench.faster(notes, *ways)
    bench.calls.clear()
    again(batch())
    assert bench.built == ["quick"]  # checked once more, but nothing else is tried
    assert bench.calls == ["plain", "quick"]  # and nothing is measured again
    assert last_way(again, bench) == "quick"

    other = AutotunedModule(
        bench.tower("plain", 1.0), "other tower", CPU, notes=notes, ways=ways, clock=bench.clock
    )
    other(batch())
    assert bench.built == ["quick", "quick", "other"]


def test_plain_is_remembered_too(tmp_path: Path) -> None:
    bench = Bench()
    way = bench.way("slow", 2.0)
    bench.faster(tmp_path / "ways.json", way)(batch())
    bench.built.clear()
    bench.faster(tmp_path / "ways.json", way)(batch())
    assert bench.built == []


@pytest.mark.parametrize("content", ["", "[]", "{", '{"a": 1}', "\x00"])
def test_notes_that_cannot_be_read_are_measured_anew(tmp_path: Path, content: str) -> None:
    notes = tmp_path / "ways.json"
    notes.write_text(content)
    bench = Bench()
    tower = bench.faster(notes, bench.way("quick", 0.5))
    tower(batch())
    assert tower.decision.backend == "quick"
    assert [note["way"] for note in json.loads(notes.read_text()).values() if note != 1] == [
        "quick"
    ]


def test_a_way_that_fails_is_no_way(tmp_path: Path) -> None:
    def broken(plain: Any) -> Any:
        raise RuntimeError("no compiler")

    (tmp_path / "file").write_text("")
    bench = Bench()
    tower = bench.faster(
        tmp_path / "file" / "ways.json",  # nor can the notes be written
        Backend("broken", lambda *_: True, broken),
        Backend("absent", lambda *_: False, broken),
        bench.way("quick", 0.5),
    )
    tower(batch())
    assert tower.decision.backend == "quick"
    assert tower.decision.refused == {"broken": "RuntimeError: no compiler"}


def test_dear_ways_wait_until_there_is_work(tmp_path: Path) -> None:
    bench = Bench()
    tower = bench.faster(
        tmp_path / "ways.json", bench.way("cheap", 0.5), bench.way("dear", 0.1, after=100)
    )
    for _ in range(5):
        tower(batch())
    assert bench.built == ["cheap"]
    for _ in range(10):
        tower(batch())
    assert bench.built == ["cheap", "dear"]
    assert last_way(tower, bench) == "dear"


def random_images(count: int, side: int, seed: int = 0) -> torch.Tensor:
    rng = np.random.default_rng(seed)
    return torch.from_numpy(rng.integers(0, 256, (count, 3, side, side + 7), dtype=np.uint8))


def channels_last(tower: Any) -> Any:
    return tower.eval().to(memory_format=torch.channels_last)


def assert_same_rows(ours: torch.Tensor, plain: torch.Tensor, least: float) -> None:
    assert ours.dtype == torch.float32
    assert ours.shape == plain.shape
    assert torch.nn.functional.cosine_similarity(ours, plain).min() >= least


@pytest.mark.parametrize("backbone", BACKBONES)
@pytest.mark.parametrize("side", [32, 33, 64, 97])
def test_fused_pictures_are_the_plain_ones(side: int, backbone: str) -> None:
    torch.manual_seed(1)
    plain = channels_last(ImageTower(24, 32, backbone=backbone, scale=0.25, blocks=5))
    assert backends.can_fuse(plain, CPU)
    ours = backends.fused(plain)
    with torch.inference_mode():
        for count in (1, 3, 8):
            pixels = random_images(count, side)
            torch.testing.assert_close(ours(pixels), plain(pixels), atol=1e-5, rtol=0)
    assert not isinstance(plain.backbone.layers[1], nn.Identity)  # the plain tower is untouched


def test_fused_sounds_are_the_plain_ones_for_windows_of_many_lengths() -> None:
    torch.manual_seed(2)
    plain = AudioTower(24, 32, scale=0.25, blocks=5).eval()
    ours = backends.fused(plain)
    with torch.inference_mode():
        for frames in range(96, 140, 2):
            mels, counts = torch.randn(2, frames, 64), torch.tensor([frames, 50])
            torch.testing.assert_close(ours(mels, counts), plain(mels, counts), atol=1e-5, rtol=0)


def test_only_known_patterns_are_fused() -> None:
    convolution = nn.Conv2d(3, 8, 3, padding=1)
    known = nn.Sequential(convolution, nn.ReLU(), nn.Conv2d(8, 8, 3, padding=(0, 1)), nn.ReLU6())
    other = nn.Sequential(
        nn.Conv2d(3, 8, 3, padding="same"),
        nn.ReLU6(),
        nn.Conv2d(8, 8, 3, padding_mode="reflect", padding=1),
        nn.ReLU6(),
        nn.Conv2d(8, 8, 1),
        nn.GELU(),
    )
    x = torch.randn(2, 3, 9, 9)
    with torch.inference_mode():
        torch.testing.assert_close(backends.fused(known)(x), known(x), atol=1e-5, rtol=0)
    assert backends.can_fuse(known, CPU)
    assert not backends.can_fuse(other, CPU)
    assert not backends.can_fuse(known, torch.device("meta"))


class Linears(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(3)
        self.layers = nn.Sequential(nn.Linear(64, 256), nn.GELU(), nn.Linear(256, 32))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = self.layers(x)
        return out


@pytest.mark.parametrize("build", [backends.bf16, backends.int8], ids=["bf16", "int8"])
def test_smaller_numbers_give_nearly_the_same_vectors(build: Callable[[Any], Any]) -> None:
    plain = Linears().eval()
    x = torch.randn(16, 64)
    with torch.inference_mode():
        assert_same_rows(build(plain)(x), plain(x), 0.999)


@pytest.mark.skipif(importlib.util.find_spec("openvino") is None, reason="not installed")
def test_openvino_gives_the_same_vectors() -> None:
    plain = ImageTower(24, 32, scale=0.25, blocks=3).eval()
    ours = backends.openvino(plain)
    with torch.inference_mode():
        for count in (8, 5):
            pixels = random_images(count, 32)
            assert_same_rows(ours(pixels), plain(pixels), 0.9999)


def test_every_way_of_this_machine_agrees_on_a_real_tower(tmp_path: Path) -> None:
    torch.manual_seed(4)
    plain = channels_last(ImageTower(24, 32, scale=0.25, blocks=4))
    tower = AutotunedModule(plain, "small", CPU, notes=tmp_path / "ways.json")
    pixels = random_images(16, 64)
    with torch.inference_mode():
        expected = plain(pixels)
        for _ in range(3):
            assert_same_rows(tower(pixels), expected, 0.999)
    assert not tower.decision.refused
    assert set(tower.decision.tried) <= {way.name for way in all_backends()}
