"""How fast a sync is, and how long it still takes."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING

from .output import counted, size_of

if TYPE_CHECKING:
    from ctxmgr.results import SyncProgress

__all__ = ["Estimate"]

_WINDOW = 15.0  # seconds that a rate is taken over: long enough to be steady, and to follow what changes


class Estimate:
    """What the progress of one sync says of its rate and its end.

    Args:
        clock: tells seconds.
        noun: what is counted as files.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic, noun: str = "file") -> None:
        self._clock = clock
        self._noun = noun
        self._totals = (0, 0)
        self._seen: deque[tuple[float, int, int]] = deque()

    def add(self, progress: SyncProgress) -> None:
        """Take in how far the sync is now."""
        totals = (progress.files_total, progress.bytes_total)
        if totals != self._totals:
            self._totals = totals
            self._seen.clear()
        now = self._clock()
        self._seen.append((now, progress.bytes_done, progress.files_done))
        while len(self._seen) > 2 and now - self._seen[0][0] > _WINDOW:
            self._seen.popleft()

    @property
    def rate(self) -> float:
        """Bytes a second; 0 while that can't be told."""
        return self._speed(1)

    @property
    def left(self) -> float | None:
        """Seconds until the end; None while that can't be told."""
        if not self._seen:
            return None
        _, size, files = self._seen[-1]
        missing = ((self._totals[1] - size, self._speed(1)), (self._totals[0] - files, self._speed(2)))
        # While one large file is read no file ends, and while small ones are made hardly a byte moves.
        return max((rest / speed for rest, speed in missing if rest > 0 and speed), default=None)

    def line(self, progress: SyncProgress) -> str:
        """Return how far the sync is in one line: percent, files, bytes, rate and time left."""
        if not progress.files_total:
            return f"{counted(progress.files_done, self._noun)} read, {size_of(progress.bytes_done)}"
        whole = progress.bytes_total + progress.files_total
        told = [
            f"{100 * (progress.bytes_done + progress.files_done) // whole} %",
            f"{progress.files_done}/{counted(progress.files_total, self._noun)}",
            f"{size_of(progress.bytes_done)} of {size_of(progress.bytes_total)}",
        ]
        if self.rate:
            told.append(f"{size_of(int(self.rate))}/s")
        if (left := self.left) is not None and progress.files_done < progress.files_total:
            told.append(f"{_span(left)} left")
        return ", ".join(told)

    def _speed(self, column: int) -> float:
        if len(self._seen) < 2:
            return 0.0
        first, last = self._seen[0], self._seen[-1]
        return (last[column] - first[column]) / (last[0] - first[0]) if last[0] > first[0] else 0.0


def _span(seconds: float) -> str:
    minutes, rest = divmod(int(seconds + 0.999), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
