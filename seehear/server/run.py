"""Run the application with uvicorn."""

from __future__ import annotations

import re
import socket
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from seehear.config import Settings
from seehear.errors import SeehearError, UsageError
from seehear.limits import ServiceLimits
from seehear.server.app import create_app
from seehear.server.workers.pool import default_workers

if TYPE_CHECKING:
    import uvicorn
    from starlette.types import ASGIApp

    from seehear.server.state import Service


def serve(
    collection: Path | Mapping[str, Path] | None = None,
    *,
    host: str = "127.0.0.1",
    port: int = 8000,
    settings: Settings | None = None,
    token: str | None = None,
    folder_tokens: Mapping[Path, str] | None = None,
    roots: Sequence[Path] | Mapping[str, Sequence[Path]] = (),
    limits: ServiceLimits | None = None,
    names: Sequence[str] = (),
    behind_proxy: bool = False,
    root_path: str = "",
    workers: int | None = None,
    reveal: bool = False,
    announce: Callable[[str], None] | None = None,
) -> None:
    """Serve until interrupted. The other arguments are those of `create_app`.

    `behind_proxy` trusts X-Forwarded-Proto of a proxy on this machine, so that cookies are marked
    secure. `root_path` is the path that a proxy takes away, such as "/media": all addresses begin
    with it. Without `workers`, one for each core answers searches; of several collections, this
    process does. `announce` is called with the address before the service takes the first request.

    Raises UsageError as `create_app` does, SeehearError if the port is not available, and
    EnvironmentFaultError if a library cannot be loaded.
    """
    if reveal and behind_proxy:
        raise UsageError("--reveal is for the person at this machine; leave out --behind-proxy")
    if not re.fullmatch(r"(/[A-Za-z0-9._~-]+)*", root_path):
        raise UsageError(f"--root-path takes a path such as /media, not {root_path!r}")
    if workers is None:
        workers = 1 if isinstance(collection, Mapping) else default_workers()
    app = create_app(
        collection,
        settings=settings,
        token=token,
        folder_tokens=folder_tokens,
        roots=roots,
        limits=limits,
        host=host,
        names=names,
        workers=workers,
        reveal=reveal,
    )
    with _bound(host, port) as listening:
        if announce is not None:
            listening.listen()  # a browser that comes before uvicorn waits in the queue
            shown = f"[{host}]" if ":" in host else host
            announce(f"http://{shown}:{listening.getsockname()[1]}")
        services: list[Service] = app.state.services
        server = make_server(
            app, services[0].limits, behind_proxy=behind_proxy, root_path=root_path
        )

        def end() -> None:
            """End when no collection is left that could answer."""
            server.should_exit = all(service.fault for service in services)

        for service in services:
            service.on_fault = end
        with suppress(KeyboardInterrupt):  # Ctrl-C is how a service ends: nothing was cut short
            server.run(sockets=[listening])
        if all(service.fault for service in services) and services[0].fault is not None:
            raise services[0].fault


def make_server(
    app: ASGIApp, limits: ServiceLimits, *, behind_proxy: bool = False, root_path: str = ""
) -> uvicorn.Server:
    """Return the server of an application; its `run` takes sockets that are bound."""
    import uvicorn

    from seehear.server.connections import HEADER_BYTES, bounded_protocol

    config = uvicorn.Config(
        app,
        http=bounded_protocol(limits),
        ws="none",  # another protocol would be without these limits
        log_level="error",  # a warning for each malformed request would fill the log
        access_log=False,  # /metrics counts; a log of queries would be a log of people
        server_header=False,
        proxy_headers=behind_proxy,
        root_path=root_path,
        forwarded_allow_ips="127.0.0.1,::1",
        timeout_graceful_shutdown=5,
        h11_max_incomplete_event_size=HEADER_BYTES,
    )
    return uvicorn.Server(config)


def _bound(host: str, port: int) -> socket.socket:
    """Return a socket on the address. Raises SeehearError that says why if it is not available."""
    host = host.strip("[]")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # The protocol is named because asyncio sends at once (TCP_NODELAY) on such sockets alone;
    # otherwise each answer on a kept connection waits 40 ms for an acknowledgement.
    made = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind((host, port))
    except OSError as error:
        made.close()
        raise SeehearError(
            f"cannot listen on {host} port {port}: {error.strerror}; "
            "choose another --host or --port"
        ) from None
    return made
