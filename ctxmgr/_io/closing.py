"""Pauses, and what ends them all: the closing of a client."""

from __future__ import annotations

import threading
import time

from ctxmgr._forks import renewed_in_child
from ctxmgr.errors import ClosedError

__all__ = ["Closing", "now"]

now = time.monotonic


class Closing:
    """Tells every pause of a client that the client is being closed."""

    def __init__(self) -> None:
        self._event = threading.Event()
        renewed_in_child(self)

    def renew(self) -> None:
        """Make the lock within anew in a forked child."""
        was_set = self._event.is_set()
        self._event = threading.Event()
        if was_set:
            self._event.set()

    @property
    def is_set(self) -> bool:
        """Whether closing has begun."""
        return self._event.is_set()

    def set(self) -> None:
        """End all pauses, now and from now on."""
        self._event.set()

    def pause(self, seconds: float) -> None:
        """Wait that long.

        Raises:
            ClosedError: the client was closed meanwhile.
        """
        if self._event.wait(seconds):
            raise ClosedError("the client was closed while it waited")
