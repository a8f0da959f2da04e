"""Commands that start servers: the HTTP service with its page, and the MCP server."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Annotated

import typer

from seehear.cli import output
from seehear.cli.options import (
    CollectionOption,
    DeviceOption,
    LinksOption,
    open_collection,
    settings_with,
)
from seehear.config import default_collection
from seehear.errors import StoreError, UsageError
from seehear.sources import is_remote, path_of

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
        list[str] | None,
        typer.Option(
            "--root",
            metavar="DIR",
            help="Folder that clients may index; repeatable. NAME=DIR with several collections.",
        ),
    ] = None,
    token_file: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="File with the token (default: SEEHEAR_TOKEN)."),
    ] = None,
    folder_token: Annotated[
        list[str] | None,
        typer.Option(
            "--folder-token",
            metavar="DIR=FILE",
            help="A token, in FILE, that sees DIR alone and changes nothing; repeatable.",
        ),
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
    root_path: Annotated[
        str,
        typer.Option(
            metavar="PATH",
            help="Path that a proxy takes away, such as /media: all addresses begin with it.",
        ),
    ] = "",
    workers: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            min=1,
            help="Processes that answer searches of one collection, on Linux (default: one per "
            "core, at most 8). Several collections share one process.",
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
    collection: Annotated[
        list[str] | None,
        typer.Option(
            "--collection",
            metavar="[NAME=]DIR",
            help="Folder of the collection (default: SEEHEAR_COLLECTION or a per-user folder). "
            "Repeat it as NAME=DIR to serve several, each at /NAME/.",
        ),
    ] = None,
    device: DeviceOption = None,
    follow_links: LinksOption = False,
) -> None:
    """Start the web page and the HTTP service."""
    from seehear import server

    token = _token(token_file)
    served = _collections(collection or ())
    roots, folder_tokens = _roots(root or (), served), _folder_tokens(folder_token or ())
    if not create:
        _check(served)

    def announce(address: str) -> None:
        from seehear.server.security import is_loopback

        opened = not no_browser and is_loopback(host) and open_page(address)
        told = "Opening it in your browser." if opened else "Open it in a browser."
        output.note(f"seehear is running at {address}. {told} Press Ctrl-C to stop.")

    with _commands_answered(served):
        server.serve(
            served,
            host=host,
            port=port,
            settings=settings_with(device=device, follow_links=follow_links or None),
            token=token,
            folder_tokens=folder_tokens,
            roots=roots,
            names=name or (),
            behind_proxy=behind_proxy,
            root_path=root_path,
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

    run(collection, settings_with(device=device))


def _collections(given: Sequence[str]) -> Path | dict[str, Path] | None:
    """Return the folder to serve, or folders by name; None for the default collection.

    A folder whose own name has a "=" is told from NAME=DIR by being there, or by a "/" before it.
    """
    named: dict[str, Path] = {}
    for line in given:
        name, sign, folder = line.partition("=")
        if not sign or os.sep in name or (len(given) == 1 and Path(line).is_dir()):
            if len(given) > 1:
                raise UsageError(f"--collection takes NAME=DIR where there are several, not {line}")
            return _folder(line)
        if not (name and folder):
            raise UsageError(f"--collection takes NAME=DIR, not {line!r}")
        if name in named:
            raise UsageError(f"--collection names two collections {name!r}: choose another name")
        named[name] = path_of(folder).expanduser().absolute()
    return named or None


def _check(served: Path | dict[str, Path] | None) -> None:
    """Raise StoreError for a folder without a collection, as a search does.

    Of several, one that is there but cannot be opened is told, and the others are served.
    """
    if not isinstance(served, dict):
        open_collection(served).close()
        return
    from seehear.stores.catalog.database import FILE_NAME

    for name, folder in served.items():
        try:
            open_collection(folder).close()
        except StoreError as error:
            if not (folder / FILE_NAME).is_file():
                raise
            output.note(f"{name} cannot be opened, and answers 503 until it can: {error}")


def _commands_answered(served: Path | dict[str, Path] | None) -> AbstractContextManager[None]:
    """Answer commands on the collection; not with several: each would load the model again."""
    if isinstance(served, dict):
        return nullcontext()
    from seehear.cli.command_server import commands_answered

    return commands_answered(served or default_collection())


def _folder(line: str) -> Path:
    if not line:  # Python takes it for the current folder
        raise UsageError("the path is empty. Is a variable of your shell not set?")
    return path_of(line)


def _roots(
    given: Iterable[str], served: Path | dict[str, Path] | None
) -> list[Path] | dict[str, list[Path]]:
    """Return the roots that clients may index; of several collections, by their names."""
    if not isinstance(served, dict):
        return [_folder(line).expanduser().absolute() for line in given]
    found: dict[str, list[Path]] = {}
    for line in given:
        name, sign, folder = line.partition("=")
        if not (sign and folder) or name not in served:
            raise UsageError(
                f"--root takes NAME=DIR with several collections, NAME being one of"
                f" {', '.join(served)}, not {line!r}"
            )
        found.setdefault(name, []).append(path_of(folder).expanduser().absolute())
    return found


def _token(file: Path | None) -> str | None:
    """Read the token from a file, or from the environment; other users can see arguments."""
    if file is None:
        return os.environ.get("SEEHEAR_TOKEN") or None
    try:
        return file.expanduser().read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not a text file"
        raise UsageError(f"cannot read the token file {file}: {reason}") from None


def _folder_tokens(given: Iterable[str]) -> dict[Path, str]:
    """Return the tokens that see one folder each, by folder. Raises UsageError."""
    found: dict[Path, str] = {}
    for line in given:
        folder, sign, file = line.rpartition("=")
        if not (sign and folder and file):
            raise UsageError(f"--folder-token takes DIR=FILE, not {line!r}")
        path = path_of(folder)
        if not is_remote(path):
            path = Path(os.path.normpath(path.expanduser().absolute()))
        if not (is_remote(path) or path.is_dir()):
            output.note(f"{path} is not there: its token sees nothing until it is connected")
        if path in found:
            raise UsageError(f"--folder-token names {folder} twice: give each folder one token")
        found[path] = _token(Path(file)) or ""
    return found


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
