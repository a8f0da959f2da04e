"""Training the bundled model, measuring it, and fine-tuning it on one's own pairs.

    python -m seehear.training --data DIR --out DIR        the shipped recipe, from shards
    python -m seehear.training.evaluate --data DIR         its figures
    seehear train --pairs pairs.jsonl --out DIR            one's own pairs (`fine_tune`)

See docs/training.md. Needs the extra `train`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from seehear.training.tuning import TrainReport, fine_tune

__all__ = ["TrainReport", "fine_tune"]


def __getattr__(name: str) -> object:
    # `from seehear.training import fine_tune` loads torch; naming the package does not.
    if name in __all__:
        from seehear.libraries import naming_faults

        with naming_faults():
            from seehear.training import tuning
        return getattr(tuning, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
