"""The few primitives that wait: all the rest of the package is built on them, and so is its asyncio twin.

Written by hand in both packages, of the same shape; what starts with an underscore here serves the blocking one alone.
It imports what is pure, and is imported from here as a whole.
"""

from __future__ import annotations

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
