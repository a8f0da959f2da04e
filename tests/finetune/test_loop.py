"""The learning rate over the steps of a stage."""

from __future__ import annotations

import pytest

from seehear.finetune.loop import Schedule, rate_at


def test_rate_rises_and_falls_once() -> None:
    rates = [rate_at(Schedule(100, 1, 0.5, warmup=0.1), step) for step in range(100)]
    assert max(rates) == rates[9] == 0.5
    assert rates[:10] == sorted(rates[:10])
    assert rates[9:] == sorted(rates[9:], reverse=True)
    assert rates[-1] == pytest.approx(0.01, abs=1e-3)


def test_rate_starts_again_in_every_cycle() -> None:
    once = [rate_at(Schedule(50, 1, 0.5), step) for step in range(50)]
    twice = [rate_at(Schedule(100, 1, 0.5, cycles=2), step) for step in range(100)]
    assert twice == once + once


def test_rate_of_steps_that_no_cycle_divides() -> None:
    rates = [rate_at(Schedule(7, 1, 1.0, cycles=3), step) for step in range(7)]
    assert all(0 < rate <= 1 for rate in rates)
