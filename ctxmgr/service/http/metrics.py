"""What the service tells Prometheus: requests, tasks, what was moved and how long it took; names only where asked."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from ctxmgr.service.api.nodes.registry import CALLS
from ctxmgr.service.api.registry import ACTIONS
from ctxmgr.service.api.unsupported import UNSUPPORTED
from ctxmgr.service.contextservice import ContextService

from .lastuploads import LastUploads

__all__ = ["OTHER", "TEXT", "Metrics", "node_action"]

logger = logging.getLogger(__name__)

TEXT = "text/plain; version=0.0.4; charset=utf-8"
OTHER = "other"
GET_FILE, PUT_FILE, HEALTH, SCRAPE = "GetFile", "PutFile", "healthz", "metrics"
_NODE_ACTIONS = {call: f"node/{call}" for call in CALLS}
_KNOWN = frozenset([*ACTIONS, *UNSUPPORTED, *_NODE_ACTIONS.values(), GET_FILE, PUT_FILE, HEALTH, SCRAPE])
_REQUEST_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
_TASK_SECONDS = (0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1800)


def node_action(call: str) -> str:
    """Return what a call of a node is named in logs and numbers."""
    return _NODE_ACTIONS[call]


class Metrics:
    """The numbers of one service. Can be told from any thread.

    Args:
        service: knows its tasks.
        parked: gives how many requests wait.
        contexts: of how many contexts at most the last upload is told, by name; 0 for none.
    """

    def __init__(self, service: ContextService, parked: Callable[[], int], contexts: int = 0) -> None:
        self._service = service
        self._ended: deque[str] = deque()
        self._registry = CollectorRegistry()
        self._requests = Counter("ctxmgr_requests", "Requests answered.", ["action", "code"], registry=self._registry)
        self._seconds = Histogram(
            "ctxmgr_request_seconds",
            "Seconds from a request to its answer; without those that waited for a task.",
            ["action"],
            buckets=_REQUEST_SECONDS,
            registry=self._registry,
        )
        self._tasks = Counter(
            "ctxmgr_tasks_ended", "Tasks that ended in this process.", ["mode", "status"], registry=self._registry
        )
        self._task_seconds = Histogram(
            "ctxmgr_task_seconds",
            "Seconds from a task's start to its end.",
            ["mode"],
            buckets=_TASK_SECONDS,
            registry=self._registry,
        )
        self._files = Counter(
            "ctxmgr_files_moved", "Files moved, by tasks and by URL.", ["mode"], registry=self._registry
        )
        self._bytes = Counter("ctxmgr_bytes_moved", "Bytes of these files.", ["mode"], registry=self._registry)
        self._registry.register(_Now(service.unfinished, parked, service.nodes))
        if contexts:
            self._registry.register(LastUploads(lambda: service.last_uploads(contexts)))

    def answered(self, action: str, code: str, seconds: float | None) -> None:
        """Count a request.

        Args:
            seconds: how long it took; None if it waited on purpose.
        """
        # What anybody can send in must not become a label: there would be no end of them.
        label = action if action in _KNOWN else OTHER
        self._requests.labels(label, code).inc()
        if seconds is not None:
            self._seconds.labels(label).observe(seconds)

    def moved(self, mode: str, files: int, size: int) -> None:
        """Count files that were moved."""
        self._files.labels(mode).inc(files)
        self._bytes.labels(mode).inc(size)

    def ended(self, task_id: str) -> None:
        """Note a task that ended. What it came to is looked up later: just now someone waits for its answer."""
        self._ended.append(task_id)

    def count_ended(self) -> None:
        """Count the tasks that ended since the last time; while the catalog can't be read, they wait."""
        # Two may be at it; each task is counted by the one that takes it out.
        with suppress(IndexError):
            while True:
                task_id = self._ended.popleft()
                try:
                    row = self._service.outcome(task_id)
                except Exception:
                    self._ended.appendleft(task_id)
                    logger.warning("can't count the tasks that ended", exc_info=True)
                    return
                if row:
                    self._count(row)

    def text(self) -> bytes:
        """Return all numbers as Prometheus reads them."""
        self.count_ended()
        return generate_latest(self._registry)

    def _count(self, row: Mapping[str, Any]) -> None:
        self._tasks.labels(row["mode"], row["status"]).inc()
        if row["started_ms"] and row["finished_ms"]:
            self._task_seconds.labels(row["mode"]).observe((row["finished_ms"] - row["started_ms"]) / 1000)
        self.moved(row["mode"], row["files"], row["bytes"])


class _Now(Collector):
    """What is not counted but looked up when it is asked for."""

    def __init__(
        self, unfinished: Callable[[], Mapping[str, int]], parked: Callable[[], int], nodes: Callable[[], int]
    ) -> None:
        self._unfinished = unfinished
        self._parked = parked
        self._nodes = nodes

    def collect(self) -> Iterable[Metric]:
        parked = GaugeMetricFamily("ctxmgr_parked_requests", "Requests that wait for the end of a task.")
        parked.add_metric([], self._parked())
        yield parked
        nodes = GaugeMetricFamily("ctxmgr_nodes", "Processes elsewhere that have directories, and talk to this one.")
        nodes.add_metric([], self._nodes())
        yield nodes
        tasks = GaugeMetricFamily("ctxmgr_tasks", "Tasks that have not ended; Waiting is the queue.", labels=["status"])
        try:
            for status, number in self._unfinished().items():
                tasks.add_metric([status], number)
        except Exception:
            logger.warning("can't count the tasks that have not ended", exc_info=True)
        yield tasks

    def describe(self) -> Iterable[Metric]:
        return ()
