"""The few primitives that wait, for asyncio: what ctxmgr._io is to the blocking package, on aiohttp."""

from __future__ import annotations

try:
    import aiohttp  # noqa: F401  # so that all modules here can rely on it
except ImportError as error:
    raise ImportError("ctxmgr_async needs aiohttp: pip install 'ctxmgr[async]'", name="aiohttp") from error

from .closing import Closing, now
from .http import HttpSession, HttpWire
from .jobs import ASYNC_CALLBACKS, Jobs, Lock, Repeating, Waitable
from .local import LocalWire
from .nodes import LocalNode
from .threads import on_thread

__all__ = [
    "ASYNC_CALLBACKS",
    "Closing",
    "HttpSession",
    "HttpWire",
    "Jobs",
    "LocalNode",
    "LocalWire",
    "Lock",
    "Repeating",
    "Waitable",
    "now",
    "on_thread",
]
