"""Show how far a run is, and write its figures for TensorBoard."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from seehear.finetune.loop import ProgressCallback, ScalarCallback


@contextmanager
def stage_bars(*, shown: bool) -> Iterator[ProgressCallback | None]:
    """Give a callback that shows one progress bar for each stage, or None."""
    if not shown:
        yield None
        return
    from tqdm import tqdm

    bars: dict[str, Any] = {}

    def show(stage: str, done: int, total: int) -> None:
        if stage not in bars:
            for bar in bars.values():
                bar.close()
            bars[stage] = tqdm(desc=stage, total=total)
        bars[stage].update(done - bars[stage].n)

    try:
        yield show
    finally:
        for bar in bars.values():
            bar.close()


@contextmanager
def tensorboard_scalars(folder: Path, *, written: bool) -> Iterator[ScalarCallback | None]:
    """Give a callback that writes figures to `folder` for TensorBoard, or None."""
    if not written:
        yield None
        return
    from torch.utils.tensorboard import SummaryWriter

    with SummaryWriter(str(folder)) as writer:
        yield writer.add_scalar
