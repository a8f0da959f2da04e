"""Fine-tune `tiny`, or a model folder like it, on a user's own files and sentences."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from seehear.finetune.tuner import TrainReport, fine_tune

__all__ = ["TrainReport", "fine_tune"]


def __getattr__(name: str) -> object:
    # `from seehear.finetune import fine_tune` loads torch; naming the package does not.
    if name in __all__:
        from seehear.finetune import tuner

        return getattr(tuner, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
