"""The command that measures how well searches find what they should."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from seehear.cli import output
from seehear.cli.options import (
    CollectionOption,
    DeviceOption,
    ForceOption,
    JsonOption,
    open_collection,
)
from seehear.errors import UsageError
from seehear.files import check_output

if TYPE_CHECKING:
    from seehear.evaluation import JudgedQuery

PROGRESS_EVERY_S = 5.0


def evaluate(
    qrels: Annotated[
        Path,
        typer.Argument(
            metavar="QRELS", help="JSON Lines file of queries and the files that answer them."
        ),
    ],
    k: Annotated[
        list[int] | None,
        typer.Option(
            "-k",
            metavar="N",
            min=1,
            help="Depth of recall@k; repeatable (default: 1, 5, 10).",
        ),
    ] = None,
    mode: Annotated[
        str, typer.Option("--mode", metavar="MODE", help="How to search: auto, semantic or words.")
    ] = "auto",
    run: Annotated[
        Path | None,
        typer.Option("--run", metavar="FILE", help="Also write the answers here, as JSON Lines."),
    ] = None,
    force: ForceOption = False,
    collection: CollectionOption = None,
    device: DeviceOption = None,
    json: JsonOption = False,
) -> None:
    """Measure how well searches work.

    Prints recall, success, MRR, nDCG and median rank for each route.
    """
    from seehear.evaluation import evaluate_collection, read_qrels, write_run
    from seehear.evaluation.evaluate import CUTOFFS

    if run is not None:
        check_output(run := run.expanduser(), force=force)
    judged = read_qrels(qrels)
    with open_collection(collection, device=device) as library:
        if library.is_empty:
            raise UsageError(output.NOTHING_INDEXED)
        found = evaluate_collection(
            library,
            judged,
            cutoffs=sorted(set(k)) if k else CUTOFFS,
            mode=mode,
            progress=_Progress(),
        )
    if run is not None:
        write_run(run, found.run, force=force)
    _note_missing(judged)
    if json:
        output.print_json(found.as_json())
    else:
        for line in found.table().split("\n"):
            output.print_line(line)


def _note_missing(judged: Sequence[JudgedQuery]) -> None:
    """Tell of relevant files that do not exist: mostly paths relative to another folder."""
    files = sorted({path for one in judged for path in one.relevant})
    missing = [path for path in files if not Path(path).exists()]
    if missing:
        output.note(
            f"{len(missing)} of {len(files)} relevant files do not exist and count as not found, "
            f"such as {missing[0]}"
        )


class _Progress:
    """Prints a line every few seconds."""

    def __init__(self) -> None:
        self._last_s = time.monotonic()

    def __call__(self, done: int, total: int) -> None:
        now_s = time.monotonic()
        if now_s - self._last_s >= PROGRESS_EVERY_S:
            self._last_s = now_s
            output.note(f"{done}/{total} queries")
