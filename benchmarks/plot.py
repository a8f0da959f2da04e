"""Draw figures of a benchmark over a size, side by side. Needs matplotlib."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from seehear.files import write_output

Panel = tuple[str, Mapping[str, str]]
"""What a panel's axis says, and the label of each line by the name of its figure in a row."""


def plot(
    rows: Sequence[Mapping[str, Any]],
    over: str,
    panels: Sequence[Panel],
    path: Path,
    *,
    force: bool,
) -> None:
    """Draw figures of rows over the one named `over`. Raises ImportError without matplotlib."""
    matplotlib = import_module("matplotlib")
    matplotlib.use("Agg")
    figure, axes = import_module("matplotlib.pyplot").subplots(1, len(panels), figsize=(9, 3.2))
    sizes = [row[over] for row in rows]
    for axis, (says, lines) in zip(axes, panels, strict=True):
        for name, label in lines.items():
            axis.plot(sizes, [row.get(name, 0) for row in rows], marker="o", label=label)
        axis.set_ylabel(says)
        axis.legend()
        axis.set_xscale("log")
        axis.set_xlabel(over)
        axis.set_ylim(bottom=0)
    figure.tight_layout()
    drawn = io.BytesIO()
    figure.savefig(drawn, format=path.suffix.removeprefix(".") or "svg")
    write_output(path, [drawn.getvalue()], force=force)
