"""Hands requests on to a service, for what stands between it and a client."""

from __future__ import annotations

import random
from collections.abc import Callable
from http.client import HTTPConnection
from typing import Final

from .scripted import PATIENCE, Raw, Recorded

__all__ = ["flipped", "forward"]

_FRAMING: Final = frozenset({"connection", "content-length", "transfer-encoding"})


def forward(behind: str, request: Recorded, *, sent: Callable[[], object] = lambda: None) -> Raw:
    """Hand a request on, and return the answer.

    Args:
        behind: host and port of the service.
        request: as it came.
        sent: called when the service has the request, before the answer is waited for.

    Raises:
        OSError, HTTPException: the service does not answer.
    """
    connection = HTTPConnection(behind, timeout=2 * PATIENCE)
    try:
        connection.request(request.method, request.target, request.body or None, dict(request.headers))
        sent()
        answer = connection.getresponse()
        headers = {name: value for name, value in answer.getheaders() if name.lower() not in _FRAMING}
        return Raw(answer.read(), answer.status, headers)
    finally:
        connection.close()


def flipped(content: bytes, chance: random.Random) -> bytes:
    """Return content with one bit flipped; it must not be empty."""
    changed = bytearray(content)
    place = chance.randrange(8 * len(content))
    changed[place // 8] ^= 1 << place % 8
    return bytes(changed)
