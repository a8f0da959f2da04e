"""Fine-tune `tiny`, or a model folder like it, on a user's own files and sentences.

    seehear train --pairs pairs.jsonl --out DIR            the command
    from seehear.finetune import fine_tune                 the same in Python

See docs/training.md.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from seehear.finetune.report import TrainReport
    from seehear.finetune.tuner import fine_tune

__all__ = ["TrainReport", "fine_tune"]


def __getattr__(name: str) -> object:
    # `from seehear.finetune import fine_tune` loads torch; naming the package does not.
    if name == "fine_tune":
        from seehear.libraries import naming_faults

        with naming_faults():
            from seehear.finetune.tuner import fine_tune
        return fine_tune
    if name == "TrainReport":
        from seehear.finetune.report import TrainReport

        return TrainReport
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
