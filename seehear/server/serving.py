"""Running the application with uvicorn."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from seehear.config import Settings
from seehear.server.app import create_app
from seehear.server.limits import ServiceLimits


def serve(
    collection: Path | None = None,
    *,
    host: str = "127.0.0.1",
    port: int = 8000,
    settings: Settings | None = None,
    token: str | None = None,
    roots: Sequence[Path] = (),
    limits: ServiceLimits | None = None,
    names: Sequence[str] = (),
    behind_proxy: bool = False,
    announce: Callable[[str], None] | None = None,
) -> None:
    """Serve until interrupted. Arguments as of `create_app`.

    `behind_proxy` believes X-Forwarded-Proto of a proxy on this machine, so that cookies are
    marked secure. `announce` is told the address before the first request is taken.

    Raises UsageError as `create_app` does, and OSError where the port cannot be had.
    """
    import uvicorn

    app = create_app(
        collection,
        settings=settings,
        token=token,
        roots=roots,
        limits=limits,
        host=host,
        names=names,
    )
    config = uvicorn.Config(
        app,
        host=host,
        port=port,
        log_level="warning",
        access_log=False,  # /metrics counts; a log of queries would be a log of people
        server_header=False,
        proxy_headers=behind_proxy,
        forwarded_allow_ips="127.0.0.1,::1",
        timeout_graceful_shutdown=5,
        h11_max_incomplete_event_size=64 * 1024,
        limit_concurrency=1000,
    )
    socket = config.bind_socket()
    try:
        if announce is not None:
            shown = f"[{host}]" if ":" in host else host
            announce(f"http://{shown}:{socket.getsockname()[1]}")
        uvicorn.Server(config).run(sockets=[socket])
    finally:
        socket.close()
