"""A running task as others see it: its progress, and the wish that it stop."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import replace

from .task import Progress, TaskInterrupted

__all__ = ["Monitor"]

SECONDS_BETWEEN_RECORDS = 0.2


class Monitor:
    """Counts what a task has done, and records it now and then.

    Args:
        record: keeps the progress where other processes see it; may raise Interrupted.
    """

    def __init__(self, record: Callable[[Progress], None]) -> None:
        self.progress = Progress()
        self._record = record
        self._stopped = threading.Event()
        self._next_record = time.monotonic() + SECONDS_BETWEEN_RECORDS

    def stop(self) -> None:
        """Ask the task to stop; it does at its next step."""
        self._stopped.set()

    def check(self) -> None:
        """Check that the task may go on.

        Raises:
            TaskInterrupted: the task was asked to stop, or has been ended.
        """
        if self._stopped.is_set():
            raise TaskInterrupted

    def expect(self, files: int, size: int) -> None:
        """Note what there is to do in all, and begin to count anew."""
        self.progress = Progress(files_total=files, bytes_total=size)

    def step(self, files: int, size: int) -> None:
        """Count what was done since the last step.

        Raises:
            TaskInterrupted: as ``check``.
        """
        self.check()
        self.progress.files_done += files
        self.progress.bytes_done += size
        now = time.monotonic()
        if now >= self._next_record:
            self._next_record = now + SECONDS_BETWEEN_RECORDS
            self._record(replace(self.progress))
