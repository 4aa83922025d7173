"""Wall-clock times as the catalog keeps them and as the protocol writes them."""

from __future__ import annotations

import time
from datetime import datetime, timedelta, timezone

__all__ = ["epoch_seconds", "now_ms", "timestamp"]

_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)


def now_ms() -> int:
    """Return the milliseconds since the epoch."""
    return time.time_ns() // 1_000_000


def epoch_seconds(ms: int | None) -> int:
    """Return the protocol's epoch seconds; 0 stands for a time that has not come yet."""
    return 0 if ms is None else ms // 1000


def timestamp(ms: int) -> str:
    """Return the protocol's ISO 8601 text, in UTC, to the second."""
    try:
        moment = _EPOCH + timedelta(milliseconds=ms)
    except OverflowError:
        # A file's own time can be any number; one that no calendar holds is shown as the epoch.
        moment = _EPOCH
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")
