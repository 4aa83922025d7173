"""Pauses, and what ends them all: the closing of a client."""

from __future__ import annotations

import asyncio
import time

from ctxmgr.errors import ClosedError

__all__ = ["Closing", "happens", "now", "of_parent"]

now = time.monotonic


class Closing:
    """Tells every pause of a client that the client is being closed."""

    def __init__(self) -> None:
        self._event = asyncio.Event()

    @property
    def is_set(self) -> bool:
        """Whether closing has begun."""
        return self._event.is_set()

    def set(self) -> None:
        """End all pauses, now and from now on."""
        self._event.set()

    async def pause(self, seconds: float) -> None:
        """Wait that long.

        Raises:
            ClosedError: the client was closed meanwhile.
        """
        if await happens(self._event, seconds):
            raise ClosedError("the client was closed while it waited")


async def happens(event: asyncio.Event, seconds: float) -> bool:
    """Wait for an event, that long at most; return whether it came."""
    if seconds <= 0:
        await asyncio.sleep(0)
        return event.is_set()
    try:
        return await asyncio.wait_for(event.wait(), seconds)
    except asyncio.TimeoutError:
        return False


def of_parent() -> ClosedError:
    """Return what a client raises in a forked child of the process that made it."""
    text = "the client was made before this process was forked, and belongs to the parent's loop: make one here"
    return ClosedError(text)
