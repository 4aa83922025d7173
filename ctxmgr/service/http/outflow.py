"""What clients have not read yet of their answers: bounded in total, and given up where it does not move."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, MutableMapping
from contextlib import suppress
from typing import Any, Protocol, TypeVar

from .limits import MAX_HELD, SECONDS_FOR_A_PIECE, SECONDS_STALLED
from .writing import Scope, Send

__all__ = ["WAY", "Broken", "Holding", "Outflow", "Outlet", "Way", "in_time"]

_T = TypeVar("_T")

WAY = "ctxmgr.way"
"""The ASGI extension that is the connection's way out."""

STEP = 64 * 1024
"""Bytes that are handed to the socket at a time; the next follow when it has taken them."""


class Broken(Exception):
    """The answer can't go on, and what was sent of it can't be taken back."""


class Way(Protocol):
    """A connection, as far as what goes out through it."""

    def is_closing(self) -> bool:
        """Whether nothing can be sent any more."""

    def is_full(self) -> bool:
        """Whether the socket has not taken all that it was given."""

    async def drain(self) -> None:
        """Wait until it has, or the connection is gone."""

    def abort(self) -> None:
        """Cut the connection, and forget what was not sent."""


class Holding:
    """Bytes of one answer, in memory until its client has read them."""

    def __init__(self, size: int, way: Way) -> None:
        self.size = size
        self.way = way
        self.moved = time.monotonic()


class Outflow:
    """All answers on their way out. Used in the loop.

    Attributes:
        held: bytes of them that are in memory.
    """

    def __init__(self) -> None:
        self.held = 0
        self._holdings: dict[Holding, None] = {}  # those that moved last come last
        self._line = asyncio.Lock()
        self._freed = asyncio.Event()

    async def reserve(self, size: int, way: Way) -> Holding:
        """Wait until there is room for bytes that are yet to be read. Who has stalled makes room for others."""
        async with self._line:
            while not self._has_room(size):
                self._freed.clear()
                with suppress(asyncio.TimeoutError):
                    await asyncio.wait_for(self._freed.wait(), SECONDS_STALLED / 4)
            return self._hold(size, way)

    def take(self, size: int, way: Way) -> Holding:
        """Hold bytes that are there already; for what is too much, whoever has not moved for longest is given up."""
        holding = self._hold(size, way)
        while self.held > MAX_HELD and (oldest := next(iter(self._holdings))) is not holding:
            self._give_up(oldest)
        return holding

    def shrink(self, holding: Holding, size: int) -> None:
        """Free the room that turned out not to be needed."""
        if holding in self._holdings:
            self._free(holding.size - size)
            holding.size = size

    def moved(self, holding: Holding, count: int) -> None:
        """Take note that a client has read so much.

        Raises:
            Broken: it was given up meanwhile.
        """
        if self._holdings.pop(holding, holding) is holding:
            raise Broken("its client did not read, and others needed the room")
        self._holdings[holding] = None
        holding.moved = time.monotonic()
        holding.size -= count
        self._free(count)

    def release(self, holding: Holding) -> None:
        """Hold no more of it."""
        if self._holdings.pop(holding, holding) is None:
            self._free(holding.size)

    def _hold(self, size: int, way: Way) -> Holding:
        holding = Holding(size, way)
        self._holdings[holding] = None
        self.held += size
        return holding

    def _has_room(self, size: int) -> bool:
        long_ago = time.monotonic() - SECONDS_STALLED
        while self.held and self.held + size > MAX_HELD:
            oldest = next(iter(self._holdings))
            if oldest.moved > long_ago:
                return False
            self._give_up(oldest)
        return True

    def _give_up(self, holding: Holding) -> None:
        self.release(holding)
        holding.way.abort()

    def _free(self, count: int) -> None:
        self.held -= count
        self._freed.set()


class Outlet:
    """The way out for one answer: an ASGI ``send`` that is back when the socket has taken what it was given.

    Args:
        outflow: where it counts.
        scope: the request's.
        send: the server's own.
    """

    def __init__(self, outflow: Outflow, scope: Scope, send: Send) -> None:
        self._outflow = outflow
        self._send = send
        self._way: Way = scope["extensions"][WAY]

    async def reserve(self, size: int) -> Holding:
        """Wait until there is room for so many bytes.

        Raises:
            Broken: nobody reads any more.
        """
        holding = await self._outflow.reserve(size, self._way)
        if self._way.is_closing():
            self._outflow.release(holding)
            raise Broken("the client went away")
        return holding

    def release(self, holding: Holding) -> None:
        """Free the room that is not needed."""
        self._outflow.release(holding)

    def filled(self, holding: Holding, size: int) -> None:
        """Take note that what there is room for has been read, and is of this size.

        Raises:
            Broken: it was given up meanwhile.
        """
        self._outflow.moved(holding, 0)
        self._outflow.shrink(holding, size)

    async def __call__(self, message: MutableMapping[str, Any]) -> None:
        """Send a message of ASGI.

        Raises:
            Broken: the client does not read.
        """
        body = message.get("body", b"")
        if len(body) > STEP:
            await self.send_held(self._outflow.take(len(body), self._way), body, more=message.get("more_body", False))
            return
        await self._emptied()
        await self._send(message)
        if self._way.is_full():
            holding = self._outflow.take(len(body), self._way)
            try:
                await self._emptied()
                self._outflow.moved(holding, len(body))
            finally:
                self._outflow.release(holding)

    async def send_held(self, holding: Holding, body: bytes | memoryview, *, more: bool) -> None:
        """Send what there is room for already, and free the room as the client reads.

        Raises:
            Broken: the client does not read.
        """
        view = memoryview(body)
        self._outflow.shrink(holding, len(view))
        try:
            for start in range(0, len(view), STEP):
                piece = bytes(view[start : start + STEP])
                more_body = more or start + STEP < len(view)
                await self._emptied()
                if self._way.is_closing():
                    raise Broken("the client went away")
                await self._send({"type": "http.response.body", "body": piece, "more_body": more_body})
                await self._emptied()
                self._outflow.moved(holding, len(piece))
        finally:
            self._outflow.release(holding)

    async def _emptied(self) -> None:
        if self._way.is_full():
            await in_time(self._way.drain())


async def in_time(waiting: Awaitable[_T]) -> _T:
    """Wait for a client to send or to read the next piece.

    Raises:
        Broken: it does not.
    """
    try:
        return await asyncio.wait_for(waiting, SECONDS_FOR_A_PIECE)
    except asyncio.TimeoutError:
        raise Broken(f"nothing moved for {SECONDS_FOR_A_PIECE:g} s") from None
