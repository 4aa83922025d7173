"""Work on the caller's own disk, on a thread, so that the loop goes on."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TypeVar

__all__ = ["on_thread"]

_T = TypeVar("_T")


async def on_thread(function: Callable[[], _T]) -> _T:
    """Return what a function returns that may block for long."""
    return await asyncio.get_running_loop().run_in_executor(None, function)
