"""Commands that fill a collection and tell what is in it."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from seehear.cli import EXIT_FAILED_FILES, EXIT_INTERRUPTED, output
from seehear.cli.options import (
    CollectionOption,
    DeviceOption,
    JsonOption,
    ModelOption,
    open_collection,
)

if TYPE_CHECKING:
    from seehear.indexers import IndexReport

Patterns = Annotated[
    list[str] | None,
    typer.Option(metavar="PATTERN", help="As in .gitignore; may be given several times."),
]


def index(
    paths: Annotated[list[Path], typer.Argument(metavar="PATH...", help="Folders or files.")],
    collection: CollectionOption = None,
    model: ModelOption = None,
    device: DeviceOption = None,
    include: Patterns = None,
    exclude: Patterns = None,
    retry: Annotated[
        bool, typer.Option("--retry", help="Try files again that failed and have not changed.")
    ] = False,
    strict: Annotated[
        bool, typer.Option("--strict", help="Exit with 3 when any file failed.")
    ] = False,
    json: JsonOption = False,
) -> None:
    """Bring the collection up to date with folders of media."""
    stop = threading.Event()
    with (
        open_collection(collection, model=model, device=device, must_exist=False) as library,
        output.progress_display(quiet=json) as progress,
        stop_on_interrupt(stop),
    ):
        report = library.index(
            *paths,
            model=model,
            include=include or (),
            exclude=exclude or (),
            retry_failed=retry,
            progress=progress,
            stop=stop,
        )
    _tell(report, json=json)
    if strict and report.failed:
        raise typer.Exit(EXIT_FAILED_FILES)


def watch(
    paths: Annotated[list[Path], typer.Argument(metavar="PATH...", help="Folders or files.")],
    collection: CollectionOption = None,
    device: DeviceOption = None,
    include: Patterns = None,
    exclude: Patterns = None,
) -> None:
    """Index folders and keep up with their changes until Ctrl-C."""
    stop = threading.Event()
    with (
        open_collection(collection, device=device, must_exist=False) as library,
        stop_on_interrupt(stop),
    ):
        for path in paths:
            if not path.expanduser().exists():
                output.note(f"{output.shown(path)} is not there: it is waited for")
        output.note("watching; press Ctrl-C to stop")
        library.watch(
            *paths,
            include=include or (),
            exclude=exclude or (),
            on_report=output.print_report,
            stop=stop,
        )


def upgrade(
    model: Annotated[str, typer.Option("--model", metavar="NAME", help="The new model.")],
    drop_old: Annotated[
        bool, typer.Option("--drop-old", help="Drop the old generation once the new one serves.")
    ] = False,
    collection: CollectionOption = None,
    device: DeviceOption = None,
    json: JsonOption = False,
) -> None:
    """Encode the collection with another model.

    The old one answers until the new one is complete.
    """
    stop = threading.Event()
    with (
        open_collection(collection, device=device) as library,
        output.progress_display(quiet=json) as progress,
        stop_on_interrupt(stop),
    ):
        report = library.upgrade(model, progress=progress, stop=stop)
        if drop_old and report.pending == 0 and not report.interrupted:
            for generation in library.generations():
                if generation.state == "retired":
                    library.drop_generation(generation.id)
    _tell(report, json=json)


def generations(
    drop: Annotated[
        int | None, typer.Option("--drop", metavar="ID", help="Take this generation out.")
    ] = None,
    collection: CollectionOption = None,
    json: JsonOption = False,
) -> None:
    """List the generations, one per model; one of them serves."""
    with open_collection(collection) as library:
        if drop is not None:
            library.drop_generation(drop)
        found = library.generations()
    if json:
        output.print_json(
            [
                {"id": g.id, "model": g.model, "revision": g.revision, "state": str(g.state)}
                for g in found
            ]
        )
        return
    for generation in found:
        print(f"{generation.id:>3}  {generation.state:<9} {generation.model} {generation.revision}")


def _tell(report: IndexReport, *, json: bool) -> None:
    if json:
        output.print_json(output.report_as_json(report))
    else:
        output.print_report(report)
    if report.interrupted:
        raise typer.Exit(EXIT_INTERRUPTED)


class stop_on_interrupt:  # noqa: N801 - reads as a statement
    """First Ctrl-C asks the run to stop cleanly; a second one interrupts at once."""

    def __init__(self, stop: threading.Event) -> None:
        self._stop = stop

    def __enter__(self) -> None:
        import signal

        def ask(*_: object) -> None:
            if self._stop.is_set():
                raise KeyboardInterrupt
            self._stop.set()
            output.note("stopping; press Ctrl-C again to stop at once")

        self._previous = signal.signal(signal.SIGINT, ask)

    def __exit__(self, *_: object) -> None:
        import signal

        signal.signal(signal.SIGINT, self._previous)


def status(collection: CollectionOption = None, json: JsonOption = False) -> None:
    """Tell what the collection holds, with which model and index."""
    with open_collection(collection) as library:
        state = library.status()
    if json:
        output.print_json(state)
        return
    counted = ", ".join(f"{n} {kind}" for kind, n in state["by_modality"].items() if n)
    if state["subtitles"]:
        counted += f"; and {output.counted(state['subtitles'], 'subtitle file')} beside videos"
    lines = [
        ("collection", state["collection"]),
        ("model", state["model"] or "none yet: run `seehear index PATH`"),
        ("assets", f"{state['assets']} ({counted})" if counted else "0"),
        ("segments", state["segments"]),
        ("index", state["index"]),
        ("size", output.size(state["size_bytes"])),
        ("failures", f"{state['failures']} (see `seehear failures`)" if state["failures"] else 0),
    ]
    if unread := state["unsupported"]:
        lines.append(("not read", output.unread(unread)))
    lines += [
        ("root", root["path"] + ("" if root["online"] else " (offline)")) for root in state["roots"]
    ]
    for name, value in lines:
        print(f"{name:<11} {value}")


def failures(collection: CollectionOption = None, json: JsonOption = False) -> None:
    """List the files that could not be indexed, and why."""
    with open_collection(collection) as library:
        found = library.failures()
        unread = library.unsupported()
    if json:
        output.print_json(
            [{"path": str(f.path), "stage": f.stage, "reason": f.reason} for f in found]
        )
        return
    for failure in found:
        print(f"{output.shown(failure.path)}: {failure.stage}: {failure.reason}")
    if not found:
        output.note("no failures")
    if unread:
        output.note(f"not read: {output.unread(unread)}")


def forget(
    path: Annotated[Path, typer.Argument(help="A root, a folder below one, or a file.")],
    collection: CollectionOption = None,
    json: JsonOption = False,
) -> None:
    """Take a path out of the collection; the files stay."""
    with open_collection(collection) as library:
        count = library.forget(path)
        place = path.expanduser().absolute()
        indexed = any(place.is_relative_to(root.path) for root in library.roots())
    if json:
        output.print_json({"forgotten": count})
    else:
        output.note(f"{output.counted(count, 'file')} forgotten")
        if indexed:
            output.note("an index run over the folder takes in again what lies there: --exclude it")


def register(app: typer.Typer) -> None:
    for command in (index, watch, status, failures, forget, upgrade, generations):
        app.command()(command)
