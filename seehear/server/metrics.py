"""Count requests and work for Prometheus, in one registry per application."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from seehear.types import Modality

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

_SECONDS = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0)


class Metrics:
    """Hold the counters of one application; read `waiting` and `running` when asked."""

    def __init__(self, waiting: Callable[[], int], running: Callable[[], int]) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter(
            "seehear_requests_total",
            "Requests answered.",
            ("method", "route", "status"),
            registry=self.registry,
        )
        self.seconds = Histogram(
            "seehear_request_seconds",
            "Seconds until the answer starts.",
            ("route",),
            buckets=_SECONDS,
            registry=self.registry,
        )
        self._batches = Histogram(
            "seehear_encode_batch_samples",
            "Samples encoded in one batch.",
            ("modality",),
            buckets=(1, 2, 4, 8, 16, 32, 64),
            registry=self.registry,
        )
        self.decoded = Counter(
            "seehear_uploads_total",
            "Uploaded files by outcome.",
            ("outcome",),
            registry=self.registry,
        )
        self.ready = Gauge(
            "seehear_ready", "1 when the model is loaded and warm.", registry=self.registry
        )
        self.indexing = Gauge(
            "seehear_indexing", "1 while an index job runs.", registry=self.registry
        )
        self.workers = Gauge(
            "seehear_workers",
            "Processes that answer searches; 0 where the service answers by itself.",
            registry=self.registry,
        )
        for name, text, read in (
            ("seehear_queries_waiting", "Queries waiting for a thread.", waiting),
            ("seehear_queries_running", "Queries running.", running),
        ):
            Gauge(name, text, registry=self.registry).set_function(read)

    def on_batch(self, modality: Modality, size: int) -> None:
        """Count one call of the encoder."""
        self._batches.labels(str(modality)).observe(size)

    def page(self) -> bytes:
        """Return the text for Prometheus."""
        return generate_latest(self.registry)


class MetricsMiddleware:
    """Count requests by route template, never by path."""

    def __init__(self, app: ASGIApp, *, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = time.perf_counter()
        status = 500

        async def counting(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                self._metrics.seconds.labels(_route(scope)).observe(time.perf_counter() - started)
            await send(message)

        try:
            await self._app(scope, receive, counting)
        finally:
            method = scope["method"] if scope["method"] in _METHODS else "other"
            self._metrics.requests.labels(method, _route(scope), str(status)).inc()


_METHODS = frozenset({"GET", "HEAD", "POST", "DELETE", "OPTIONS", "PUT", "PATCH"})


def _route(scope: Scope) -> str:
    """Return the template ("/v1/assets/{asset_id}"), so that there are few series."""
    return getattr(scope.get("route"), "path", "none")
