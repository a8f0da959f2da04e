"""Run commands that ask a collection in a process that has it loaded.

`seehear serve` starts this process beside itself. It opens the collection, answers one query so
that all is in memory, and listens on a socket in the collection's folder. `command_client` sends a
command there with its arguments, folder, environment, and the terminal itself: descriptors 0, 1
and 2. For each, this process forks; the child takes the client's place and runs the command as any
process would. What it prints and how it ends is therefore the same, and only the loading is saved.

    client                            child
    descriptors, one line of JSON  -> checks version and interpreter
    "!", or nothing if it gave up  <- "+"
                                   <- exit status, one byte

Both sides check that the other belongs to the same user. A process that forks must have no threads
and no connection to a database: this one computes with one thread and closes its connections before
each fork. It is not started where CUDA is, which a child cannot use after a fork.
"""

from __future__ import annotations

import gc
import io
import json
import os
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seehear import __version__
from seehear.cli import last_search, options
from seehear.cli.app import command_for
from seehear.cli.command_client import SOCKET_NAME, peer_user
from seehear.cli.run import run_command
from seehear.errors import SeehearError, UsageError

if TYPE_CHECKING:
    from seehear.collection import Collection

MOST_CHILDREN = 32
MOST_BYTES = 8 << 20
SEND_S = 5.0
"""A client that has not sent its command by then is dropped."""
END_S = 5.0
AGAIN_S = 10.0
"""Between two tries to open a collection, which the service may be about to make."""


@contextmanager
def commands_answered(folder: Path) -> Iterator[None]:
    """Answer commands on a collection while the block runs, where this system can."""
    process = _started(folder) if _is_possible() else None
    try:
        yield
    finally:
        if process is not None:
            assert process.stdin is not None
            process.stdin.close()  # the process ends when this pipe does, also if we are killed
            try:
                process.wait(END_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _is_possible() -> bool:
    """Tell whether a process here can fork when it has loaded a model."""
    if sys.platform != "linux":
        return False
    from seehear.stores.vectors.gpu_devices import gpu_devices

    return not gpu_devices("auto")


def _started(folder: Path) -> subprocess.Popen[bytes] | None:
    with suppress(OSError):
        return subprocess.Popen(
            [sys.executable, "-P", "-m", __name__, folder.absolute()],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,  # Ctrl-C in the terminal ends the service, which ends this
            env=os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
        )
    return None


def main(folder: Path) -> None:
    """Listen until standard input ends. A collection that cannot be asked now is tried again."""
    while True:
        with suppress(SeehearError), options.open_collection(folder) as library:
            _load(library)
            with _listening(library.folder) as listening:
                _serve(listening, library)
        if select.select([sys.stdin], [], [], AGAIN_S)[0]:
            return


def _load(library: Collection) -> None:
    """Bring everything that a query needs into memory, and close the connections again."""
    command_for(["search"])
    with suppress(UsageError):
        last_search.recall(library.folder)
    library.search("a photo")
    library.disconnect()
    gc.collect()
    gc.freeze()  # the collector of a child would copy the memory that it shares with us


@contextmanager
def _listening(folder: Path) -> Iterator[socket.socket]:
    """Bind the socket in the collection's folder; of several services the last one answers."""
    inside = os.open(folder, os.O_PATH | os.O_DIRECTORY)
    # A name of its own first: a client never meets a socket that nobody listens on yet.
    path, made = f"/proc/self/fd/{inside}/{SOCKET_NAME}", f"{SOCKET_NAME}.{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listening:
        mask = os.umask(0o177)
        try:
            listening.bind(f"/proc/self/fd/{inside}/{made}")
            listening.listen(MOST_CHILDREN)
            os.rename(made, SOCKET_NAME, src_dir_fd=inside, dst_dir_fd=inside)
        except OSError as error:  # a folder that is read only, or cannot hold a socket
            raise SeehearError(f"cannot listen in {folder}: {error.strerror}") from None
        finally:
            os.umask(mask)
        ours = os.stat(path).st_ino  # noqa: PTH116
        try:
            yield listening
        finally:
            with suppress(OSError):
                if os.stat(path).st_ino == ours:  # noqa: PTH116
                    os.unlink(path)  # noqa: PTH108
            os.close(inside)


def _serve(listening: socket.socket, library: Collection) -> None:
    children: set[int] = set()
    behind = False
    while True:
        ready, _, _ = select.select([listening, sys.stdin], [], [], 1.0 if children else 10.0)
        while children and (ended := os.waitpid(-1, os.WNOHANG)[0]):
            children.discard(ended)
            behind = True
        if sys.stdin in ready:
            return
        library._catalog.check_file()  # or the client runs its command itself
        if listening in ready:
            client, _ = listening.accept()
            with client:
                if len(children) < MOST_CHILDREN and peer_user(client) == os.getuid():
                    children.add(_forked(client, listening, library))
        elif behind:
            # Not at every command: what has changed since costs a child the more, the longer ago.
            _load(library)
            behind = False


def _forked(client: socket.socket, listening: socket.socket, library: Collection) -> int:
    """Run the command of a client in a child; return its process id."""
    child = os.fork()
    if child:
        return child
    listening.close()  # so that nobody waits at a socket whose owner has ended
    status = 1
    try:
        status = _run(client, library)
    finally:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # the client leaves when it has the status
        with suppress(OSError):
            client.sendall(bytes([status & 0xFF]))
        os._exit(0)


def _run(client: socket.socket, library: Collection) -> int:
    command = _received(client)
    os.setsid()
    os.chdir(command["folder"])
    os.environ.clear()
    os.environ.update(command["environment"])
    time.tzset()
    encoding = command["encoding"]
    sys.argv = ["seehear", *command["arguments"]]
    sys.stdin = io.TextIOWrapper(open(0, "rb", closefd=False), encoding)  # noqa: SIM115
    sys.stdout = _writer(1, encoding, "strict")
    sys.stderr = _writer(2, encoding, "backslashreplace")
    client.sendall(b"+")
    if client.recv(1) != b"!":
        os._exit(0)  # it ran the command itself
    client.settimeout(None)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    threading.Thread(target=_interrupt_with, args=(client,), daemon=True).start()
    options.loaded.append(library)
    try:
        return run_command(command["arguments"])
    except SystemExit as ended:
        return ended.code if isinstance(ended.code, int) else 1
    except BrokenPipeError:
        return 1
    except Exception:
        sys.excepthook(*sys.exc_info())
        return 1
    finally:
        for stream in (sys.stdout, sys.stderr):
            with suppress(OSError, ValueError):
                stream.flush()


def _received(client: socket.socket) -> dict[str, Any]:
    """Take the client's place at its descriptors; return its command. Ends this child if wrong."""
    client.settimeout(SEND_S)
    try:
        _, descriptors, _, _ = socket.recv_fds(client, 1, 3)
        for target, descriptor in enumerate(descriptors):
            os.dup2(descriptor, target)
            os.close(descriptor)
        told = bytearray()
        while not told.endswith(b"\n") and len(told) < MOST_BYTES:
            part = client.recv(1 << 16)
            if not part:
                break
            told += part
        command: dict[str, Any] = json.loads(told)
        same = command["version"] == __version__ and command["python"] == sys.executable
    except (OSError, ValueError, KeyError):
        same = False
    if not same:
        os._exit(0)
    return command


def _writer(descriptor: int, encoding: str, errors: str) -> io.TextIOWrapper:
    raw = open(descriptor, "wb", closefd=False)  # noqa: SIM115
    lines = descriptor == 2 or os.isatty(descriptor)
    return io.TextIOWrapper(raw, encoding, errors, line_buffering=lines)


def _interrupt_with(client: socket.socket) -> None:
    """Interrupt this process when its client ends or is interrupted."""
    with suppress(OSError):
        client.recv(1)
    os.kill(os.getpid(), signal.SIGINT)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
