"""When each context was last proven to hold what a directory held, for alerts on those for which that is long ago."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from time import monotonic
from typing import TYPE_CHECKING

from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

if TYPE_CHECKING:
    from ctxmgr.service.tasks.health import LastUpload

__all__ = ["LastUploads"]

logger = logging.getLogger(__name__)

SECONDS_KEPT = 5.0


class LastUploads(Collector):
    """Tells times and not ages, so that an alert can tell an old one from a service that is not asked any more.

    Args:
        look_up: reads them from the catalog.
    """

    def __init__(self, look_up: Callable[[], Sequence[LastUpload]]) -> None:
        self._look_up = look_up
        self._found: Sequence[LastUpload] = ()
        self._looked = float("-inf")

    def collect(self) -> Iterable[Metric]:
        gauge = GaugeMetricFamily(
            "ctxmgr_context_last_proven_sync_timestamp_seconds",
            "When a directory as a whole was last proven to be uploaded to the context, in seconds since the epoch.",
            labels=["account", "context"],
        )
        for found in self._recent():
            gauge.add_metric([found.account, found.context], found.seconds)
        yield gauge

    def describe(self) -> Iterable[Metric]:
        return ()

    def _recent(self) -> Sequence[LastUpload]:
        now = monotonic()
        if now - self._looked >= SECONDS_KEPT:
            try:
                self._found = self._look_up()
                self._looked = now
            except Exception:
                # What was true stays true, and an alert that has begun must not end by that.
                logger.warning("can't look up when contexts were last uploaded to", exc_info=True)
        return self._found
