"""Commands that fill a collection and show what is in it."""

from __future__ import annotations

import shlex
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from seehear.cli import output, progress
from seehear.cli.options import (
    CollectionOption,
    DeviceOption,
    EncodersOption,
    GpusOption,
    JsonOption,
    LinksOption,
    ModelOption,
    OnOption,
    ReadForOption,
    ReadOption,
    SpeechModelOption,
    UnderOption,
    open_collection,
    seconds_of,
)
from seehear.cli.process import EXIT_FAILED_FILES, EXIT_INTERRUPTED
from seehear.errors import EnvironmentFaultError, UsageError
from seehear.sources import SourceError, is_remote, path_of, stored_path

if TYPE_CHECKING:
    from seehear.indexers import IndexReport, ModelChange

Include = Annotated[
    list[str] | None,
    typer.Option(metavar="PATTERN", help="Index only what matches, as in .gitignore; repeatable."),
]
Exclude = Annotated[
    list[str] | None,
    typer.Option(metavar="PATTERN", help="Skip what matches, as in .gitignore; repeatable."),
]


def index(
    paths: Annotated[
        list[Path], typer.Argument(metavar="PATH...", help="Folders or files to index.")
    ],
    collection: CollectionOption = None,
    model: ModelOption = None,
    device: DeviceOption = None,
    include: Include = None,
    exclude: Exclude = None,
    retry: Annotated[
        bool, typer.Option("--retry", help="Try failed files again, even if they have not changed.")
    ] = False,
    strict: Annotated[
        bool, typer.Option("--strict", help="Exit with status 3 if a file failed.")
    ] = False,
    yes: Annotated[
        bool, typer.Option("--yes", help="Do not ask before another --model encodes all again.")
    ] = False,
    follow_links: LinksOption = False,
    read: ReadOption = None,
    read_for: ReadForOption = None,
    speech_model: SpeechModelOption = None,
    on: OnOption = None,
    encoders: EncodersOption = None,
    gpus_per_encoder: GpusOption = None,
    json: JsonOption = False,
) -> None:
    """Add folders to the collection, or update it."""
    stop = threading.Event()
    read_for_s = seconds_of(read_for)
    with open_collection(
        collection, model=model, device=device, must_exist=False, follow_links=follow_links
    ) as library:
        if model is not None:
            _agree(library.model_change(model), model, yes=yes)
        with progress.display(quiet=json) as shown, stop_on_interrupt(stop):
            report = library.index(
                *paths,
                model=model,
                include=include or (),
                exclude=exclude or (),
                retry_failed=retry,
                progress=shown,
                stop=stop,
                read=read,
                read_for_s=read_for_s,
                speech_model=speech_model,
                on=on,
                encoders=encoders,
                gpus_per_encoder=gpus_per_encoder,
            )
    _tell(report, json=json)
    if strict and report.failed:
        raise typer.Exit(EXIT_FAILED_FILES)


def watch(
    paths: Annotated[
        list[Path], typer.Argument(metavar="PATH...", help="Folders or files to index.")
    ],
    collection: CollectionOption = None,
    device: DeviceOption = None,
    include: Include = None,
    exclude: Exclude = None,
    follow_links: LinksOption = False,
) -> None:
    """Index folders, then follow their changes until Ctrl-C."""
    stop = threading.Event()
    with (
        open_collection(
            collection, device=device, must_exist=False, follow_links=follow_links
        ) as library,
        stop_on_interrupt(stop),
    ):
        for path in paths:
            if not is_remote(path_of(path)) and not path.expanduser().exists():
                output.note(f"{output.display_path(path)} does not exist yet. Waiting for it.")
        output.note("Watching. Press Ctrl-C to stop.")
        library.watch(
            *paths,
            include=include or (),
            exclude=exclude or (),
            on_report=_tell_change,
            stop=stop,
        )


def upgrade(
    model: Annotated[
        str,
        typer.Option("--model", metavar="NAME", help="Model to switch to (see `seehear models`)."),
    ],
    drop_old: Annotated[
        bool,
        typer.Option("--drop-old", help="Delete the old model's data afterwards."),
    ] = False,
    collection: CollectionOption = None,
    device: DeviceOption = None,
    json: JsonOption = False,
) -> None:
    """Switch the collection to another model.

    Searches use the old model until the new one has encoded everything.
    """
    stop = threading.Event()
    with (
        open_collection(collection, device=device) as library,
        progress.display(quiet=json) as shown,
        stop_on_interrupt(stop),
    ):
        report = library.upgrade(model, progress=shown, stop=stop)
        if drop_old and report.pending == 0 and not report.interrupted:
            for generation in library.generations():
                if generation.state == "retired":
                    library.drop_generation(generation.id)
    _tell(report, json=json)


def generations(
    drop: Annotated[
        int | None,
        typer.Option("--drop", metavar="ID", help="Delete the data of this one; your files stay."),
    ] = None,
    collection: CollectionOption = None,
    json: JsonOption = False,
) -> None:
    """List the models of the collection, and which is in use."""
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
        output.print_line(
            f"{generation.id:>3}  {generation.state:<9} {generation.model} {generation.revision}"
        )


def _agree(change: ModelChange | None, model: str, *, yes: bool) -> None:
    """Say what another model does to the collection, and ask whether to go on."""
    if change is None:
        return
    from seehear.encoders import is_fetched

    takes = ""
    if change.seconds is not None:
        takes = f", which takes about {progress.about(change.seconds)}"
    elif is_fetched(model):
        takes = ", after downloading the model"
    files = output.counted(change.files, "file")
    does = (
        f"this collection uses the model {change.serving}. --model {model} encodes {files} again"
        f"{takes}. Until it is done, {change.serving} answers searches"
    )
    command = f"seehear upgrade --model {shlex.quote(model)}"
    if yes:
        output.note(f"{does}.")
    elif _is_terminal():
        output.note(f"{does}. `{command}` does the same without asking.")
        typer.confirm("Go on?", abort=True, err=True)
    else:
        raise UsageError(f"{does}. Add --yes to go on, or run `{command}`")


def _is_terminal() -> bool:
    return sys.stdin.isatty() and sys.stderr.isatty()


def _tell(report: IndexReport, *, json: bool) -> None:
    if json:
        from seehear.serialize import report_to_dict

        output.print_json(report_to_dict(report))
    else:
        output.print_report(report)
    if report.interrupted:
        raise typer.Exit(EXIT_INTERRUPTED)
    if report.read is not None and report.read.faults:
        raise EnvironmentFaultError("; ".join(report.read.faults))


def _tell_change(report: IndexReport) -> None:
    output.print_report(report)
    for fault in report.read.faults if report.read is not None else ():
        output.note(fault)


@contextmanager
def stop_on_interrupt(stop: threading.Event) -> Iterator[None]:
    """First Ctrl-C asks the run to stop cleanly; a second one interrupts at once."""
    import signal

    def ask(*_: object) -> None:
        if stop.is_set():
            raise KeyboardInterrupt
        stop.set()
        output.note("Stopping. Press Ctrl-C again to stop at once.")

    previous = signal.signal(signal.SIGINT, ask)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, previous)


def status(collection: CollectionOption = None, json: JsonOption = False) -> None:
    """Show status: what the collection holds."""
    with open_collection(collection) as library:
        state = library.status().to_dict()
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(8) as pool:
        away = list(pool.map(_why_away, state["roots"]))
    for root, why in zip(state["roots"], away, strict=True):
        root["online"] = not why
    if json:
        output.print_json(state)
        return
    kinds = [f"{n} {kind}" for kind, n in state["by_modality"].items() if n]
    if state["subtitles"]:
        kinds.append(
            f"{output.counted(state['subtitles'], 'subtitle file')} beside videos and sounds"
        )
    different = state["assets"] + state["subtitles"]
    lines = [
        ("collection", state["collection"]),
        ("model", state["model"] or "none yet: run `seehear index FOLDER`"),
        ("files", _files(state["files"])),
        ("assets", f"{different} ({', '.join(kinds)})" if kinds else "0"),
        ("segments", state["segments"]),
        ("index", state["index"]),
        ("size", output.size(state["size_bytes"])),
        ("failures", f"{state['failures']} (see `seehear failures`)" if state["failures"] else 0),
    ]
    lines += [(name, output.told_reading(name, told)) for name, told in state["read"].items()]
    if copies := state["locations"] - different:
        lines.insert(3, ("copies", copies))
    if unread := state["unsupported"]:
        lines.append(("not read", output.unread(unread)))
    lines += [
        ("folder", root["path"] + why) for root, why in zip(state["roots"], away, strict=True)
    ]
    for name, value in lines:
        output.print_line(f"{name:<11} {value}")


def _why_away(root: dict[str, Any]) -> str:
    """Return what is told beside a root that is offline, since the last index run or now."""
    path = stored_path(root["path"])
    if not root["online"] or not (is_remote(path) or path.exists()):
        return " (offline)"
    if is_remote(path):
        from seehear.sources.remote import find_root

        try:
            find_root(path)
        except SourceError as error:
            return f" (offline: {error})"
        except EnvironmentFaultError as fault:
            return f" (not read: {fault})"
    return ""


def _files(states: dict[str, int]) -> str:
    """Return how many files there are, and how many in each state."""
    told = [f"{count} {name.replace('_', ' ')}" for name, count in states.items() if count]
    see = "; see `seehear files`" if len(told) > 1 else ""
    return f"{sum(states.values())} ({', '.join(told)}{see})" if told else "0"


def files(
    states: Annotated[
        str,
        typer.Option(
            "--state",
            metavar="STATES",
            help="Only these: complete, partial, without_content, failed, skipped.",
        ),
    ] = "",
    under: UnderOption = None,
    collection: CollectionOption = None,
    json: JsonOption = False,
) -> None:
    """List every file that was met, and its state.

    complete: indexed. partial: indexed as far as it can be read. without_content: found by its name
    only. failed: not indexed. skipped: not read, such as an archive or a broken link. The reason
    stands beside it.
    """
    with open_collection(collection) as library:
        found = library.files(states, under=under)
    if json:
        output.print_json(
            [{"path": str(f.path), "state": str(f.state), "reason": f.reason} for f in found]
        )
        return
    for file in found:
        reason = f": {file.reason}" if file.reason else ""
        state = file.state.replace("_", " ")
        output.print_line(f"{state:<15} {output.display_path(file.path)}{reason}")
    if not found:
        output.note("No files.")


def failures(collection: CollectionOption = None, json: JsonOption = False) -> None:
    """List the files that could not be indexed, and why."""
    with open_collection(collection) as library:
        found = library.failures()
        unread = library.unsupported()
        failed = [(f.path, f.stage, f.reason) for f in found] + library.unread()
    if json:
        output.print_json(
            [{"path": str(path), "stage": stage, "reason": why} for path, stage, why in failed]
        )
        return
    for path, stage, why in failed:
        output.print_line(f"{output.display_path(path)}: {stage}: {why}")
    if not failed:
        output.note("No failures.")
    if unread:
        output.note(f"Not read: {output.unread(unread)}")


def forget(
    path: Annotated[
        Path | None, typer.Argument(metavar="PATH", help="Folder or file to remove.")
    ] = None,
    readings: Annotated[
        str | None,
        typer.Option(
            "--readings",
            metavar="READERS",
            help="Instead, remove what was read: speech, writing, or both with a comma.",
        ),
    ] = None,
    collection: CollectionOption = None,
    json: JsonOption = False,
) -> None:
    """Remove a folder or file from the collection. Your files stay."""
    if (path is None) == (readings is None):
        raise UsageError("name a folder or file to remove, or else --readings speech,writing")
    with open_collection(collection) as library:
        indexed = False
        if path is None:
            count = library.forget_readings(readings or "")
            told = f"{output.counted(count, 'reading')}; no more of them are made."
        else:
            count = library.forget(path)
            told = f"{output.counted(count, 'file')} from the collection."
            location = path_of(path).expanduser().absolute()
            indexed = any(location.is_relative_to(root.path) for root in library.roots())
    if json:
        output.print_json({"forgotten": count})
    else:
        output.note(f"Removed {told}")
        if indexed:
            output.note(
                "The next `seehear index` of its folder adds it again unless you --exclude it."
            )
