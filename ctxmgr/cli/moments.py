"""Times as people write them, and the options that name a revision by its number or by such a time.

They are few and documented, and read by the standard library: what reads any English takes as long as a whole command
does, or has not been kept up for years.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, TypeVar

import click

if TYPE_CHECKING:
    from ctxmgr.contexts import When

__all__ = ["moment_of", "named_revision", "revision_of", "revision_options"]

_F = TypeVar("_F", bound=Callable[..., object])
_UNITS = {"second": "seconds", "minute": "minutes", "hour": "hours", "day": "days", "week": "weeks"}
_AGO = re.compile(rf"(\d{{1,6}}|an?)\s*({'|'.join(_UNITS)})s?\s+ago")
_SECOND = timedelta(seconds=1) - timedelta(milliseconds=1)


def moment_of(text: str, now: datetime) -> datetime:
    """Return the time that a text names.

    Args:
        text: ``2 hours ago``, with seconds, minutes, hours, days or weeks; or ISO 8601, such as ``2026-11-25``,
            ``2026-11-25 09:30`` or ``2026-11-25T08:30:00Z``, in this machine's zone where it names none.
        now: with a zone.

    Raises:
        ValueError: it names none.
    """
    plain = text.strip().lower()
    found = _AGO.fullmatch(plain)
    if found is not None:
        number = int(found[1]) if found[1].isdecimal() else 1
        return now - timedelta(**{_UNITS[found[2]]: number})
    moment = datetime.fromisoformat(re.sub(r"z$", "+00:00", plain))
    # Times are shown to the second: what is copied from there names all of that second.
    whole = moment if moment.microsecond else moment + _SECOND
    return whole if whole.tzinfo is not None else whole.astimezone()


def named_revision(ctx: click.Context, parameter: click.Parameter, value: str | None) -> int | datetime | None:
    """Return the revision that an argument names: its number, or a time at which it was the latest."""
    if value is not None and value.isascii() and value.isdecimal() and len(value) <= 18:
        return int(value)
    return _moment(ctx, parameter, value, "neither the number of a revision nor a time")


def _moment(
    ctx: click.Context, parameter: click.Parameter, value: str | None, lacking: str = "no time"
) -> datetime | None:
    if value is None:
        return None
    try:
        return moment_of(value, datetime.now().astimezone())
    except (ValueError, OverflowError):
        problem = f"{value!r} is {lacking}: write '2 hours ago', 2026-11-25 or 2026-11-25T09:30"
        raise click.BadParameter(problem, ctx, parameter) from None


def revision_options(function: _F) -> _F:
    """Add the options that name a revision; ``revision_of`` makes one of them."""
    at = click.option(
        "--at",
        metavar="TIME",
        callback=_moment,
        help="The revision that was the latest then: '2 hours ago', 2026-11-25, 2026-11-25T09:30.",
    )
    number = click.option("--revision", metavar="N", type=click.IntRange(min=0), help="The revision of that number.")
    return number(at(function))


def revision_of(revision: int | None, at: datetime | None) -> When | None:
    """Return the revision that the options name; ``None`` for the latest.

    Raises:
        UsageError: both are given.
    """
    if revision is not None and at is not None:
        problem = "--revision and --at name two revisions: give one of them"
        raise click.UsageError(problem, click.get_current_context(silent=True))
    return at if revision is None else revision
