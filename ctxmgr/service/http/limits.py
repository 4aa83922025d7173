"""What one request may be at most: the bounds that keep a client from costing more than it should."""

from __future__ import annotations

__all__ = [
    "MAX_FORM",
    "MAX_HEAD",
    "MAX_HEADERS",
    "MAX_HELD",
    "MAX_PARAMETERS",
    "SECONDS_FOR_A_FORM",
    "SECONDS_FOR_A_HEAD",
    "SECONDS_FOR_A_PIECE",
    "SECONDS_IDLE",
    "SECONDS_STALLED",
]

MAX_HEAD = 32 * 1024
"""Bytes of a request's line and headers."""

MAX_HEADERS = 100

MAX_FORM = 1024 * 1024
"""Bytes of an action's parameters: enough for the ids of ten thousand tasks."""

MAX_PARAMETERS = 200

MAX_HELD = 64 * 1024 * 1024
"""Bytes of all answers together that wait in memory for clients to read them."""

SECONDS_STALLED = 5.0
"""After which a client that reads nothing is given up if others need the room; otherwise it has a piece's time."""

SECONDS_FOR_A_HEAD = 30.0
"""From the first byte, or the connection, to the end of the headers."""

SECONDS_FOR_A_FORM = 60.0
"""For the whole body of an action."""

SECONDS_FOR_A_PIECE = 60.0
"""For the next piece of a file, in either direction."""

SECONDS_IDLE = 75
"""That a connection is kept open for its next request: longer than a client waits between two polls."""
