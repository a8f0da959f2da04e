"""The options that several commands share, and what they resolve to."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from seehear.errors import UsageError
from seehear.sources import path_of

if TYPE_CHECKING:
    from seehear.collection import Collection
    from seehear.config import Settings

CollectionOption = Annotated[
    Path | None,
    typer.Option(
        "--collection",
        metavar="DIR",
        help="Folder of the collection (default: SEEHEAR_COLLECTION or a per-user folder).",
    ),
]
ModelOption = Annotated[
    str | None,
    typer.Option("--model", metavar="NAME", help="Model to use (see `seehear models`)."),
]
DeviceOption = Annotated[
    str | None,
    typer.Option("--device", metavar="D", help="Where to compute: auto, cpu, cuda, cuda:1 or mps."),
]
ForceOption = Annotated[
    bool, typer.Option("--force", help="Replace a file that exists (never a link or a folder).")
]
LinksOption = Annotated[
    bool,
    typer.Option(
        "--follow-links",
        help="Also read files outside the folders that links in them lead to; "
        "SEEHEAR_FOLLOW_LINKS=1 does so for every command.",
    ),
]
ReadOption = Annotated[
    str | None,
    typer.Option(
        "--read",
        metavar="READERS",
        help="Also read what is said and written: speech, writing, both with a comma, or none. "
        "The collection remembers it for later runs.",
    ),
]
ReadForOption = Annotated[
    str | None,
    typer.Option(
        "--read-for", metavar="TIME", help="Stop reading after this time, such as 30m or 2h."
    ),
]
SpeechModelOption = Annotated[
    str | None,
    typer.Option(
        "--speech-model",
        metavar="NAME",
        help="Model that hears speech: whisper-tiny, whisper-base (the default), whisper-small, "
        "whisper-turbo, or whisper:FOLDER. An index run remembers it.",
    ),
]
OnOption = Annotated[
    str | None,
    typer.Option(
        "--on",
        metavar="RAY",
        help="Encode on a Ray cluster: ray://HOST:PORT (PORT is 10001 if left out) from another "
        "machine; HOST:PORT or auto on a machine of the cluster; local for a Ray started here.",
    ),
]
EncodersOption = Annotated[
    int | None,
    typer.Option(
        "--encoders",
        metavar="N",
        help="With --on: how many encoders (default: one per GPU, or else one per machine).",
    ),
]
GpusOption = Annotated[
    float | None,
    typer.Option(
        "--gpus-per-encoder",
        metavar="G",
        help="With --on: GPUs for each encoder, such as 1, 0.5 or 0 (default: 1 if there are any).",
    ),
]
UnderOption = Annotated[
    Path | None,
    typer.Option("--under", metavar="FOLDER", help="Only files in this folder and below it."),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")]


loaded: list[Collection] = []
"""Collections that this process has open already: `command_server` leaves one here for a command
that it runs."""

_SECONDS = {"": 1, "s": 1, "min": 60, "m": 60, "h": 3600}


def seconds_of(time: str | None) -> float | None:
    """Return the seconds of a time such as 90, 90s, 30m or 1.5h. Raises UsageError for another."""
    if time is None:
        return None
    found = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?) ?(s|m|min|h|)", time.strip())
    if found is None or not float(found[1]):
        raise UsageError(f"--read-for takes a time such as 30m, 2h or 90s, not {time!r}")
    return float(found[1]) * _SECONDS[found[2]]


def settings_with(**given: object) -> Settings:
    """Return the settings of the environment, but for those that options give."""
    from seehear.config import Settings

    chosen: dict[str, Any] = {name: one for name, one in given.items() if one is not None}
    return dataclasses.replace(Settings.from_environment(), **chosen)


def open_collection(
    folder: Path | None,
    *,
    model: str | None = None,
    speech_model: str | None = None,
    device: str | None = None,
    must_exist: bool = True,
    follow_links: bool = False,
) -> Collection:
    """Open the collection that the options and the environment name."""
    from seehear.collection import Collection
    from seehear.config import default_collection

    settings = settings_with(
        device=device, model=model, speech_model=speech_model, follow_links=follow_links or None
    )
    if settings.device == "auto":
        # A command that answers one query is done before a large index lies on a GPU.
        settings = dataclasses.replace(settings, search_device="cpu")
    folder = path_of(folder or default_collection()).expanduser().absolute()
    for library in loaded:
        if library.settings == settings and folder.exists() and folder.samefile(library.folder):
            return library
    return Collection(folder, settings, must_exist=must_exist)
