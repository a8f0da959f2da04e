"""Commands that open doors for programs: the HTTP service with its page, and the MCP server."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path
from typing import Annotated

import typer

from seehear.cli import output, threads
from seehear.cli.options import CollectionOption, DeviceOption
from seehear.config import Settings
from seehear.errors import UsageError


def serve(
    host: Annotated[
        str,
        typer.Option(metavar="ADDRESS", help="Where to listen; others than loopback need a token."),
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(metavar="N", min=0, max=65535, help="0 takes any.")] = 8000,
    root: Annotated[
        list[Path] | None,
        typer.Option("--root", metavar="DIR", help="A folder that clients may have indexed."),
    ] = None,
    token_file: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Holds the token (default: SEEHEAR_TOKEN)."),
    ] = None,
    name: Annotated[
        list[str] | None,
        typer.Option("--name", metavar="HOST", help="A host name that clients use (a proxy's)."),
    ] = None,
    behind_proxy: Annotated[
        bool,
        typer.Option("--behind-proxy", help="Believe a proxy on this machine about https."),
    ] = False,
    collection: CollectionOption = None,
    device: DeviceOption = None,
) -> None:
    """Serve a collection over HTTP, with a web page at /."""
    threads.for_queries()
    from seehear import server

    server.serve(
        collection,
        host=host,
        port=port,
        settings=_settings(device),
        token=_token(token_file),
        roots=[path.expanduser().absolute() for path in root or ()],
        names=name or (),
        behind_proxy=behind_proxy,
        announce=lambda address: output.note(f"seehear answers at {address} (Ctrl-C ends it)"),
    )


def mcp(collection: CollectionOption = None, device: DeviceOption = None) -> None:
    """Serve a collection to language-model assistants (MCP).

    Over standard input and output.
    """
    threads.for_queries()
    from seehear.server.mcp import run

    run(collection, _settings(device))


def _settings(device: str | None) -> Settings:
    settings = Settings.from_environment()
    return settings if device is None else dataclasses.replace(settings, device=device)


def _token(file: Path | None) -> str | None:
    """The token of a file, or of the environment; arguments are visible to other users."""
    if file is None:
        return os.environ.get("SEEHEAR_TOKEN") or None
    try:
        return file.expanduser().read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "is no text"
        raise UsageError(f"the token file {file}: {reason}") from None


def register(app: typer.Typer) -> None:
    for command in (serve, mcp):
        app.command()(command)
