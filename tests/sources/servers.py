"""Servers of this machine that media lie on: S3 by moto, and a listing over HTTP by Python."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

Answer = tuple[int, str]
"""A status and S3's code of an error."""


class S3Server:
    """An S3 server that can be slow, refuse requests, and counts them."""

    def __init__(self) -> None:
        from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
        from werkzeug.serving import make_server

        logging.getLogger("werkzeug").setLevel(logging.ERROR)
        self.requests: list[tuple[str, str]] = []
        self.delay_s = 0.0
        self.refuse: Callable[[str, str], Answer | None] = lambda method, path: None
        self._moto = DomainDispatcherApplication(create_backend_app)
        self._server = make_server("127.0.0.1", 0, self._answer, threaded=True)
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self._server.port}"

    def _answer(self, environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        method = str(environ["REQUEST_METHOD"])
        path = f"{environ['PATH_INFO']}?{environ['QUERY_STRING']}"
        self.requests.append((method, path))
        time.sleep(self.delay_s)
        if (refused := self.refuse(method, path)) is not None:
            status, code = refused
            start(f"{status} Refused", [("Content-Type", "application/xml")])
            if method == "HEAD":
                return [b""]
            return [f"<Error><Code>{code}</Code><Message>secret words</Message></Error>".encode()]
        return self._moto(environ, start)  # type: ignore[no-any-return]

    def reset(self) -> None:
        self.requests.clear()
        self.delay_s, self.refuse = 0.0, lambda method, path: None

    def contents_read(self) -> int:
        """Return how many requests for the content of an object came."""
        return sum(method == "GET" and "list-type" not in path for method, path in self.requests)

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *args: Any) -> None:
        pass


@contextmanager
def http_listing(folder: Path) -> Iterator[str]:
    """Serve a folder as `python -m http.server` does: no etags, and no ranges."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
