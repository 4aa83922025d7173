"""Work on the caller's own disk: here the caller's own thread does it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

__all__ = ["on_thread"]

_T = TypeVar("_T")


def on_thread(function: Callable[[], _T]) -> _T:
    """Return what a function returns that may block for long."""
    return function()
