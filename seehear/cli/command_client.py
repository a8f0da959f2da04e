"""Let a running service run a command that asks a collection: it has everything loaded.

Imported at every start, so it imports next to nothing. `command_server` is the other side, and
says how the two talk.
"""

from __future__ import annotations

import contextlib
import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    import socket

COMMANDS = ("search", "similar")
SOCKET_NAME = "commands.sock"
ACCEPT_S = 0.5
"""A service that does not take a command within this time is left alone."""
INTERRUPTED = 130


def run_in_service(arguments: list[str], version: str) -> int | None:
    """Run a command in the service of its collection; return its exit status.

    Returns None if no service has taken it: then nothing was printed, and the caller runs it.
    """
    if sys.platform != "linux" or not arguments or arguments[0] not in COMMANDS:
        return None
    try:
        folder = os.open(_collection(arguments), os.O_PATH | os.O_DIRECTORY)
    except (OSError, ValueError):
        return None
    try:
        # Through /proc, because the path of a socket is limited to 107 bytes.
        path = f"/proc/self/fd/{folder}/{SOCKET_NAME}"
        return _asked(path, arguments, version) if os.path.exists(path) else None  # noqa: PTH110
    finally:
        os.close(folder)


def _asked(path: str, arguments: list[str], version: str) -> int | None:
    import json
    import socket

    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as service:
        service.settimeout(ACCEPT_S)
        try:
            streams = [stream.fileno() for stream in (sys.stdin, sys.stdout, sys.stderr)]
            service.connect(path)
            if streams != [0, 1, 2] or peer_user(service) != os.getuid():
                return None
            command = {
                "version": version,
                "python": sys.executable,
                "arguments": arguments,
                "folder": os.getcwd(),  # noqa: PTH109
                "environment": dict(os.environ),
                "encoding": sys.stdout.encoding,
            }
            socket.send_fds(service, [b"c"], streams)
            service.sendall(json.dumps(command).encode() + b"\n")
            if service.recv(1) != b"+":
                return None
        except (OSError, ValueError, AttributeError):  # nobody, too busy, or no standard output
            return None
        service.settimeout(None)
        return _finished(service)


def _finished(service: socket.socket) -> int:
    """Let the service begin, and return the exit status. Ctrl-C goes on to the service."""
    import socket

    status = b""
    try:
        service.sendall(b"!")
        status = service.recv(1)
    except KeyboardInterrupt:
        with contextlib.suppress(OSError):
            service.shutdown(socket.SHUT_WR)
            status = service.recv(1)
    except OSError:
        pass
    if status:
        return status[0]
    from seehear.cli import output

    output.note("seehear: the running service ended before its answer; try again")
    return 1


def peer_user(connection: socket.socket) -> int:
    """Return the user id of the process at the other end of a local socket."""
    import socket
    import struct

    size = struct.calcsize("3i")
    told = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size)
    return int(struct.unpack("3i", told)[1])


def _collection(arguments: list[str]) -> str:
    """Return the folder of the collection that a command names, before its options are parsed."""
    from seehear.default_folders import collection_folder

    named = None
    for position, argument in enumerate(arguments):
        if argument == "--":
            break
        if argument == "--collection":
            named = arguments[position + 1] if position + 1 < len(arguments) else ""
        elif argument.startswith("--collection="):
            named = argument.partition("=")[2]
    if named is None:
        return collection_folder(os.environ)
    return os.path.expanduser(named)  # noqa: PTH111
