"""Prometheus metrics: some read when asked for, some counted as they happen."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from scenelift.webapp.events import EventFeed
from scenelift.webapp.folders import DataFolder
from scenelift.webapp.housekeeping import Housekeeper
from scenelift.webapp.jobs import Queue
from scenelift.webapp.supervisor import Supervisor

__all__ = ["CountRequests", "Metrics"]

BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0, 30.0)


class Metrics:
    """The metrics of one server."""

    def __init__(
        self,
        queue: Queue,
        data: DataFolder,
        feed: EventFeed,
        supervisor: Supervisor,
        housekeeper: Housekeeper,
    ) -> None:
        self.registry = CollectorRegistry()
        self.registry.register(_State(queue, data, feed, supervisor, housekeeper))
        self.requests = Counter(
            "scenelift_requests",
            "Requests answered.",
            ("method", "route", "status"),
            registry=self.registry,
        )
        self.seconds = Histogram(
            "scenelift_request_seconds",
            "Time until an answer began.",
            ("route",),
            buckets=BUCKETS,
            registry=self.registry,
        )

    def text(self) -> bytes:
        return generate_latest(self.registry)


class _State(Collector):
    """Reads the queue and the system when Prometheus asks."""

    def __init__(
        self,
        queue: Queue,
        data: DataFolder,
        feed: EventFeed,
        supervisor: Supervisor,
        housekeeper: Housekeeper,
    ) -> None:
        self._queue, self._data, self._feed = queue, data, feed
        self._supervisor, self._housekeeper = supervisor, housekeeper

    def describe(self) -> Iterator[Metric]:
        # Registering must not read a queue that is not there yet.
        return iter(())

    def collect(self) -> Iterator[Metric]:
        jobs = GaugeMetricFamily("scenelift_jobs", "Jobs by state.", labels=["state"])
        for state, count in self._queue.counts().items():
            jobs.add_metric([state], count)
        yield jobs
        oldest = self._queue.oldest_waiting()
        waiting_seconds = 0.0 if oldest is None else time.time() - oldest
        yield GaugeMetricFamily(
            "scenelift_oldest_waiting_seconds",
            "How long the first in the queue waits.",
            waiting_seconds,
        )
        seconds = CounterMetricFamily(
            "scenelift_stage_seconds", "Time spent in a stage.", labels=["quality", "stage"]
        )
        runs = CounterMetricFamily(
            "scenelift_stage_runs", "Times a stage was run.", labels=["quality", "stage"]
        )
        for quality, stage, total, count in self._queue.stage_totals():
            seconds.add_metric([quality, stage], total)
            runs.add_metric([quality, stage], count)
        yield seconds
        yield runs
        memory = GaugeMetricFamily(
            "scenelift_worker_peak_memory_bytes",
            "Most memory a worker has held.",
            labels=["slot"],
        )
        for worker in self._queue.workers():
            memory.add_metric([str(worker["slot"])], worker["memory"] or 0)
        yield memory
        yield GaugeMetricFamily("scenelift_workers", "Workers alive.", self._supervisor.alive)
        yield CounterMetricFamily(
            "scenelift_worker_restarts", "Workers replaced.", self._supervisor.restarts
        )
        yield GaugeMetricFamily("scenelift_streams", "Open event streams.", self._feed.streams)
        yield GaugeMetricFamily(
            "scenelift_stored_bytes", "What all jobs take.", self._housekeeper.stored_bytes
        )
        yield GaugeMetricFamily(
            "scenelift_free_bytes",
            "Free disk space.",
            shutil.disk_usage(self._data.path).free,
        )


class CountRequests:
    """Counts and times requests by route, never by path: paths hold ids."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began = time.perf_counter()

        async def counting(message: Message) -> None:
            if message["type"] == "http.response.start":
                route = getattr(scope.get("route"), "path", "other")
                method = scope["method"] if scope["method"] in METHODS else "other"
                metrics: Metrics = scope["app"].state.services.metrics
                metrics.requests.labels(method, route, message["status"]).inc()
                metrics.seconds.labels(route).observe(time.perf_counter() - began)
            await send(message)

        await self._app(scope, receive, counting)


METHODS = frozenset({"GET", "HEAD", "POST", "DELETE", "OPTIONS", "PUT", "PATCH"})
