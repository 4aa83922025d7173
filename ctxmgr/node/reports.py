"""Reports on how far a task is, beside its work: a slow way to the service costs the task no time."""

from __future__ import annotations

import threading
from collections.abc import Callable

from ctxmgr.engine.sync.task import Progress

__all__ = ["Reports"]


class Reports:
    """Sends one report at a time, and when it has arrived the latest of those that were to be sent meanwhile.

    Args:
        report: tells the service of a task's progress; may raise TaskInterrupted.
    """

    def __init__(self, report: Callable[[Progress], None]) -> None:
        self._report = report
        self._guard = threading.Lock()
        self._next: Progress | None = None
        self._sending = False
        self._error: Exception | None = None

    def __call__(self, progress: Progress) -> None:
        """Have a report sent.

        Raises:
            TaskInterrupted: the service answered an earlier one that the task has ended.
        """
        if self._error is not None:
            raise self._error
        with self._guard:
            self._next = progress
            if self._sending:
                return
            self._sending = True
        threading.Thread(target=self._send, name="ctxmgr-report", daemon=True).start()

    def _send(self) -> None:
        while (progress := self._taken()) is not None:
            try:
                self._report(progress)
            except Exception as error:
                self._error = error

    def _taken(self) -> Progress | None:
        with self._guard:
            progress, self._next = self._next, None
            self._sending = progress is not None
            return progress
