"""What the numbers that callers pass may be at most, and how a refused one is shown."""

from __future__ import annotations

__all__ = [
    "MAX_ATTEMPTS",
    "MAX_COUNT",
    "MAX_RATE",
    "MAX_SECONDS_OF_A_STEP",
    "MAX_SECONDS_OF_A_WAIT",
    "MAX_WORKERS",
    "shown",
]

MAX_COUNT = 2**31 - 1
"""Of polls, of entries on a page, or a revision's number."""

MAX_ATTEMPTS = 100

MAX_RATE = 2**50
"""Bytes a second."""

MAX_WORKERS = 1000

MAX_SECONDS_OF_A_STEP = 86_400
"""A day: of one answer, or from one poll to the next. Sockets take no more than 24 days."""

MAX_SECONDS_OF_A_WAIT = 366 * 86_400

_MAX_SHOWN = 10**30


def shown(value: object) -> str:
    """Return a value as an error shows it; Python refuses to write an integer of more than 4,300 digits."""
    if isinstance(value, int) and abs(value) >= _MAX_SHOWN:
        return "a number of more than 30 digits"
    return repr(value)
