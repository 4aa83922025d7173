"""Work that is done again and again, item by item, where one that fails must not keep the others from their turn."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from ctxmgr.reasons import reason

__all__ = ["Retries"]

logger = logging.getLogger(__name__)

SHORTEST_SECONDS = 1.0
LONGEST_SECONDS = 3600.0


@dataclass(frozen=True)
class _Setback:
    pause: float
    again: float


class Retries:
    """Runs a job for each of many items. One that failed is tried again later, and later still each time.

    Why an item failed is logged once, not at every try.
    """

    def __init__(self, work: str, *, clock: Callable[[], float] = time.monotonic) -> None:
        """Begin with nothing failed.

        Args:
            work: what can't be done when it fails, as ``remove what the session {} left behind``.
            clock: the time in seconds.
        """
        self._work = work
        self._clock = clock
        self._failures: dict[str, _Setback] = {}
        self._guard = threading.Lock()

    def each(self, items: Iterable[str], job: Callable[[str], None]) -> None:
        """Do the job for every item that is not to be tried later; of items that are not given any more, forget all."""
        due = list(items)
        with self._guard:
            self._failures = {item: self._failures[item] for item in due if item in self._failures}
            now = self._clock()
            due = [item for item in due if item not in self._failures or self._failures[item].again <= now]
        for item in due:
            try:
                job(item)
            except Exception as error:
                self._note(item, reason(error))

    def _note(self, item: str, why: str) -> None:
        with self._guard:
            before = self._failures.get(item)
            pause = SHORTEST_SECONDS if before is None else min(before.pause * 2, LONGEST_SECONDS)
            self._failures[item] = _Setback(pause, self._clock() + pause)
        if before is None:
            logger.warning("can't %s, and will try again later: %s", self._work.format(repr(item)), why)
