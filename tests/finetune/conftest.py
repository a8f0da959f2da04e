"""The small model of the recipe's tests serves here too."""

from __future__ import annotations

from tests.training.conftest import one_thread, untrained

__all__ = ["one_thread", "untrained"]
