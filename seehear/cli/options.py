"""The options that several commands share, and what they resolve to."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from seehear.errors import UsageError

if TYPE_CHECKING:
    from seehear.collection import Collection

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
    from seehear.config import Settings, default_collection

    settings = Settings.from_environment()
    if device is not None:
        settings = dataclasses.replace(settings, device=device)
    if model is not None:
        settings = dataclasses.replace(settings, model=model)
    if speech_model is not None:
        settings = dataclasses.replace(settings, speech_model=speech_model)
    if follow_links:
        settings = dataclasses.replace(settings, follow_links=True)
    if settings.device == "auto":
        # A command that answers one query is done before a large index lies on a GPU.
        settings = dataclasses.replace(settings, search_device="cpu")
    folder = (folder.expanduser() if folder else default_collection()).absolute()
    for library in loaded:
        if library.settings == settings and folder.exists() and folder.samefile(library.folder):
            return library
    return Collection(folder, settings, must_exist=must_exist)
