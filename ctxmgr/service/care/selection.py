"""Which revisions a retention keeps."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta, timezone
from typing import Final, NamedTuple

from ctxmgr.retention import Retention, seconds_of

__all__ = ["Moment", "kept"]

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=timezone.utc)

_Period = Callable[[datetime], tuple[int, ...]]


class Moment(NamedTuple):
    """A revision's number, and when it was made, in milliseconds since the epoch."""

    number: int
    created_ms: int


def kept(moments: Sequence[Moment], retention: Retention) -> set[int]:
    """Return the numbers of the revisions that a retention keeps, the latest among them whatever it says."""
    latest_first = sorted(moments, reverse=True)
    if retention.keeps_everything:
        return {moment.number for moment in latest_first}
    found = {moment.number for moment in latest_first[: max(1, retention.last)]}
    if retention.within and latest_first:
        earliest = latest_first[0].created_ms - 1000 * seconds_of(retention.within)
        found |= {moment.number for moment in latest_first if moment.created_ms >= earliest}
    periods: tuple[tuple[int, _Period], ...] = (
        (retention.hourly, lambda at: (at.year, at.month, at.day, at.hour)),
        (retention.daily, lambda at: (at.year, at.month, at.day)),
        (retention.weekly, lambda at: at.isocalendar()[:2]),
        (retention.monthly, lambda at: (at.year, at.month)),
        (retention.yearly, lambda at: (at.year,)),
    )
    for count, period in periods:
        found |= _latest_of_each(latest_first, count, period)
    return found


def _latest_of_each(latest_first: Sequence[Moment], count: int, period: _Period) -> set[int]:
    found: set[int] = set()
    before: tuple[int, ...] | None = None
    for place, moment in enumerate(latest_first):
        if len(found) == count:
            break
        this = period(_EPOCH + timedelta(milliseconds=moment.created_ms))
        if this != before or place == len(latest_first) - 1:
            found.add(moment.number)
            before = this
    return found
