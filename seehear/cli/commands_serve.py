"""Commands that start servers: the HTTP service with its page, and the MCP server."""

from __future__ import annotations

import dataclasses
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer

from seehear.cli import output
from seehear.cli.options import CollectionOption, DeviceOption, LinksOption, open_collection
from seehear.config import Settings, default_collection
from seehear.errors import UsageError

SSH = ("SSH_CONNECTION", "SSH_CLIENT", "SSH_TTY")
TEXT_BROWSERS = {"www-browser", "links", "elinks", "lynx", "w3m"}
"""They would take the terminal over."""


def serve(
    host: Annotated[
        str,
        typer.Option(
            metavar="ADDRESS",
            help="Address to listen on. Any but this machine's own needs a token.",
        ),
    ] = "127.0.0.1",
    port: Annotated[
        int, typer.Option(metavar="N", min=0, max=65535, help="Port; 0 chooses a free one.")
    ] = 8000,
    root: Annotated[
        list[Path] | None,
        typer.Option("--root", metavar="DIR", help="Folder that clients may index; repeatable."),
    ] = None,
    token_file: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="File with the token (default: SEEHEAR_TOKEN)."),
    ] = None,
    name: Annotated[
        list[str] | None,
        typer.Option("--name", metavar="HOST", help="Host name that clients use; repeatable."),
    ] = None,
    behind_proxy: Annotated[
        bool,
        typer.Option(
            "--behind-proxy", help="Believe a proxy on this machine that clients use https."
        ),
    ] = False,
    workers: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            min=1,
            help="Processes that answer searches, on Linux (default: one per core, at most 8).",
        ),
    ] = None,
    reveal: Annotated[
        bool,
        typer.Option(
            "--reveal", help="Let the page show paths and open folders; for this machine only."
        ),
    ] = False,
    create: Annotated[
        bool, typer.Option("--create", help="Make the collection if it does not exist.")
    ] = False,
    no_browser: Annotated[
        bool, typer.Option("--no-browser", help="Do not open the page in a browser.")
    ] = False,
    collection: CollectionOption = None,
    device: DeviceOption = None,
    follow_links: LinksOption = False,
) -> None:
    """Start the web page and the HTTP service."""
    from seehear import server

    token = _token(token_file)
    if not create:
        open_collection(collection).close()  # fails, as a search does, if it does not exist

    def announce(address: str) -> None:
        from seehear.server.security import is_loopback

        opened = not no_browser and is_loopback(host) and open_page(address)
        told = "Opening it in your browser." if opened else "Open it in a browser."
        output.note(f"seehear is running at {address}. {told} Press Ctrl-C to stop.")

    from seehear.cli.command_server import commands_answered

    with commands_answered(collection or default_collection()):
        server.serve(
            collection,
            host=host,
            port=port,
            settings=_settings(device, follow_links=follow_links),
            token=token,
            roots=[path.expanduser().absolute() for path in root or ()],
            names=name or (),
            behind_proxy=behind_proxy,
            workers=workers,
            reveal=reveal,
            announce=announce,
        )


def mcp(
    skill: Annotated[
        bool,
        typer.Option("--skill", help="Print the skill file for an assistant, SKILL.md, and end."),
    ] = False,
    collection: CollectionOption = None,
    device: DeviceOption = None,
) -> None:
    """Start the server for AI assistants (MCP).

    It speaks over standard input and output. `seehear serve` answers the same at /mcp.
    """
    if skill:
        from importlib.resources import files

        text = files("seehear.server").joinpath("SKILL.md").read_text(encoding="utf-8")
        output.write_lines(text.splitlines())
        return
    from seehear.server.mcp import run

    run(collection, _settings(device))


def _settings(device: str | None, *, follow_links: bool = False) -> Settings:
    settings = Settings.from_environment()
    if follow_links:
        settings = dataclasses.replace(settings, follow_links=True)
    return settings if device is None else dataclasses.replace(settings, device=device)


def _token(file: Path | None) -> str | None:
    """Read the token from a file, or from the environment; other users can see arguments."""
    if file is None:
        return os.environ.get("SEEHEAR_TOKEN") or None
    try:
        return file.expanduser().read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not a text file"
        raise UsageError(f"cannot read the token file {file}: {reason}") from None


def has_desktop(environment: Mapping[str, str], platform: str = sys.platform) -> bool:
    """Return whether windows opened from here are seen: not over SSH, not without a display."""
    if any(environment.get(name) for name in SSH):
        return False
    if platform in {"darwin", "win32"}:
        return True
    return bool(environment.get("DISPLAY") or environment.get("WAYLAND_DISPLAY"))


def open_page(address: str) -> bool:
    """Open an address in the person's browser, without waiting for it.

    Returns False, and does nothing, without a desktop, without a browser that has a window, and if
    standard output is not a terminal: then a program started the command.
    """
    if not (sys.stdout.isatty() and has_desktop(os.environ)):
        return False
    import threading
    import webbrowser

    try:
        browser = webbrowser.get()
    except webbrowser.Error:
        return False
    if Path(getattr(browser, "name", "")).name in TEXT_BROWSERS:
        return False
    threading.Thread(target=browser.open, args=(address,), daemon=True).start()
    return True
