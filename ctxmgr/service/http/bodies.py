"""Reads the body of a request that is to be held as a whole."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from ctxmgr import nodewire
from ctxmgr.errors import ServiceError
from ctxmgr.filedigests import is_intact

from .limits import MAX_FORM, SECONDS_FOR_A_FORM
from .writing import Receive

__all__ = ["Gone", "Refused", "forget", "gone", "read_body"]

PATIENCE = 16 * MAX_FORM
"""Bytes that are read and forgotten, so that a client which sends too much gets to read why it is refused."""


class Gone(Exception):
    """The client has gone."""


class Refused(Exception):
    """The request is refused for what it is as HTTP, with a status of its own."""

    def __init__(self, status: int, error: ServiceError, headers: tuple[tuple[str, str], ...] = ()) -> None:
        super().__init__(error.message)
        self.status = status
        self.error = error
        self.headers = headers


async def read_body(headers: Mapping[str, str], receive: Receive, *, most: int, advice: str) -> bytes:
    """Return a whole body.

    Args:
        most: bytes that it may have.
        advice: what to do about a larger one.

    Raises:
        Refused: it is larger, takes too long, or is not the one that its header ``Content-Digest`` is of.
        Gone: the client has gone.
    """
    try:
        body = await asyncio.wait_for(_whole(headers, receive, most, advice), SECONDS_FOR_A_FORM)
    except asyncio.TimeoutError:
        problem = f"the body did not come within {SECONDS_FOR_A_FORM:g} s"
        raise Refused(408, ServiceError("InvalidRequest.Timeout", problem)) from None
    if not is_intact(body, headers.get("content-digest", "")):
        raise Refused(400, ServiceError(nodewire.DAMAGED, "the request was damaged on the way: send it again"))
    return body


async def _whole(headers: Mapping[str, str], receive: Receive, most: int, advice: str) -> bytes:
    # The server has checked that the length is a number, where there is one.
    body = bytearray()
    more = int(headers.get("content-length", "0")) <= most
    while more and len(body) <= most:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise Gone
        body += message.get("body", b"")
        more = message.get("more_body", False)
        if not more and len(body) <= most:
            return bytes(body)
    if more or not body:
        await forget(headers, receive)
    raise Refused(413, ServiceError("InvalidRequest.TooLarge", f"the body has more than {most} bytes: {advice}"))


async def forget(headers: Mapping[str, str], receive: Receive) -> None:
    """Read what the client still sends, so that it comes to read the answer; nothing if it asked first."""
    most = 0 if "expect" in headers else PATIENCE
    while most > 0:
        message = await receive()
        if message["type"] == "http.disconnect" or not message.get("more_body", False):
            return
        most -= len(message.get("body", b""))


async def gone(receive: Receive) -> None:
    """Wait until the client has gone."""
    while (await receive())["type"] != "http.disconnect":
        pass
