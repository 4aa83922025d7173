"""A callback that remembers how it was called, and that a test can wait for."""

from __future__ import annotations

from ctxmgr import ClosedError
from ctxmgr._io import Closing
from tests.support.scripted import PATIENCE

__all__ = ["Called"]


class Called:
    """Hand it over as a callback, then wait for it.

    Args:
        times: how often it is to be called before the waiting is over.
    """

    def __init__(self, times: int = 1) -> None:
        self.calls: list[bool] = []
        self._times = times
        # The one primitive whose waits end on demand in both packages.
        self._enough: Closing = Closing()

    def __call__(self, ok: bool) -> None:
        self.calls.append(ok)
        if len(self.calls) >= self._times:
            self._enough.set()

    def wait(self) -> None:
        """Wait until it has been called."""
        try:
            self._enough.pause(PATIENCE)
        except ClosedError:
            return
        raise AssertionError(f"called {len(self.calls)} times instead of {self._times}")
