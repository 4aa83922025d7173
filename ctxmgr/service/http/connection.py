"""One HTTP connection: uvicorn's, with bounds on what comes before the body, and errors in our own envelope."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from ctxmgr.errors import ServiceError

from .limits import MAX_HEAD, MAX_HEADERS, SECONDS_FOR_A_HEAD
from .outflow import WAY
from .writing import refusal

__all__ = ["Connection"]

_log = logging.getLogger(__name__)
# Below that, uvicorn tells of what clients do wrong: they are told themselves, and must not fill the log.
_log.setLevel(logging.ERROR)

_REASONS = {400: b"Bad Request", 408: b"Request Timeout", 431: b"Request Header Fields Too Large"}


class _TooMuch(Exception):
    """The request's line and headers are larger than they may be."""


class Connection(HttpToolsProtocol):
    """uvicorn bounds neither the size of headers nor the time that they take to come; this does."""

    _in_head = True
    _head = 0
    _timer: asyncio.TimerHandle | None = None

    def __init__(self, *args: Any, **more: Any) -> None:
        super().__init__(*args, **more)
        self.logger = _log

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as uvicorn's own
        super().connection_made(transport)
        # Whatever the socket does not take at once pauses the writing: what waits is counted where it is sent from.
        # Not 0, at which asyncio's TLS pauses for nothing, and for ever.
        transport.set_write_buffer_limits(high=1, low=0)
        self._expect_head()

    def is_closing(self) -> bool:
        """Whether nothing can be sent any more."""
        return self.transport.is_closing()

    def is_full(self) -> bool:
        """Whether the socket has not taken all that it was given."""
        return self.flow.write_paused and not self.transport.is_closing()

    async def drain(self) -> None:
        """Wait until it has, or the connection is gone."""
        await self.flow.drain()

    def abort(self) -> None:
        """Cut the connection, and forget what was not sent."""
        self.transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_timer()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self._in_head and not self.transport.is_closing():
            # The parser tells of a header when it is whole: what it holds until then is counted here.
            self._head += len(data)
            if self._head > 2 * MAX_HEAD:
                self._refuse(431, _too_much())
            elif self._timer is None:
                self._expect_head()
        elif self._is_idle() and self._timer is None:
            # An empty line before a request is none yet, but uvicorn has stopped its own clock for it.
            self._expect_head()

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._in_head = True
        self._head = 0
        scope: dict[str, Any] = self.scope  # type: ignore[assignment] # a TypedDict, and still a dict
        scope["extensions"] = {WAY: self}

    def on_url(self, url: bytes) -> None:
        self._count(url)
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        self._count(name, value)
        if len(self.headers) >= MAX_HEADERS:
            self._head = MAX_HEAD + 1
            raise _TooMuch
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        self._in_head = False
        self._stop_timer()
        super().on_headers_complete()

    def send_400_response(self, msg: str) -> None:
        """Answer what is no HTTP, or too much of it, and end the connection."""
        if self._head > MAX_HEAD:
            self._refuse(431, _too_much())
        else:
            self._refuse(400, ServiceError("InvalidRequest.Malformed", "this is not a request of HTTP/1.1"))

    def _unsupported_upgrade_warning(self) -> None:
        """Say nothing: the request is answered as if it had not asked (RFC 9110, 7.8)."""

    def _count(self, *parts: bytes) -> None:
        self._head += sum(map(len, parts))
        if self._head > MAX_HEAD:
            raise _TooMuch

    def _refuse(self, status: int, error: ServiceError) -> None:
        if self.transport.is_closing():
            return
        if self.cycle is None or self.cycle.response_complete:
            body = refusal(error, status)
            head = (
                b"HTTP/1.1 %d %s\r\ncontent-type: application/json\r\ncontent-length: %d\r\nconnection: close\r\n\r\n"
            )
            self.transport.write(head % (status, _REASONS[status], len(body)) + body)
        # Otherwise an answer to an earlier request is under way, and this one would be taken for a part of it.
        self.transport.close()

    def _is_idle(self) -> bool:
        answered = self.cycle is None or self.cycle.response_complete
        return answered and self.timeout_keep_alive_task is None and not self.transport.is_closing()

    def _expect_head(self) -> None:
        self._timer = self.loop.call_later(SECONDS_FOR_A_HEAD, self._head_is_late)

    def _head_is_late(self) -> None:
        problem = f"the request's headers did not come within {SECONDS_FOR_A_HEAD:g} s"
        self._refuse(408, ServiceError("InvalidRequest.Timeout", problem))

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


def _too_much() -> ServiceError:
    return ServiceError(
        "InvalidRequest.TooLarge",
        f"the request's line and headers have more than {MAX_HEAD} bytes, or there are more than {MAX_HEADERS} headers",
    )
