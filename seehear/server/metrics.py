"""Count requests and work for Prometheus; of several collections, each in a registry of its own."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    Metric,
    generate_latest,
)
from prometheus_client.registry import Collector

from seehear.types import Modality

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

_SECONDS = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0)


class RequestMetrics:
    """Hold the counters of the requests to one application."""

    def __init__(self) -> None:
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


class Metrics(RequestMetrics):
    """Hold the counters of the application of one collection."""

    def __init__(self) -> None:
        super().__init__()
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


class ResourceMetrics:
    """Hold the counters of what all collections share; read `waiting` and `running` when asked."""

    def __init__(self, waiting: Callable[[], int], running: Callable[[], int]) -> None:
        self.registry = CollectorRegistry()
        self._batches = Histogram(
            "seehear_encode_batch_samples",
            "Samples encoded in one batch.",
            ("modality",),
            buckets=(1, 2, 4, 8, 16, 32, 64),
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


class _Joined(Collector):
    """Collect several registries as one."""

    def __init__(
        self, plain: Iterable[CollectorRegistry], labelled: Mapping[str, CollectorRegistry]
    ) -> None:
        self._registries: list[tuple[dict[str, str], CollectorRegistry]]
        self._registries = [({}, one) for one in plain]
        self._registries += [({"collection": name}, one) for name, one in labelled.items()]

    def collect(self) -> Iterable[Metric]:
        families: dict[str, Metric] = {}
        for labels, registry in self._registries:
            for family in registry.collect():
                known = families.setdefault(
                    family.name, Metric(family.name, family.documentation, family.type)
                )
                known.samples += [
                    sample._replace(labels=sample.labels | labels) for sample in family.samples
                ]
        return families.values()


def metrics_page(
    plain: Iterable[CollectorRegistry], labelled: Mapping[str, CollectorRegistry] | None = None
) -> bytes:
    """Return the text for Prometheus; what is `labelled` has its collection's name as label."""
    joined = CollectorRegistry()
    joined.register(_Joined(plain, labelled or {}))
    return generate_latest(joined)


class MetricsMiddleware:
    """Count requests by route template, never by path."""

    def __init__(self, app: ASGIApp, *, metrics: RequestMetrics) -> None:
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
