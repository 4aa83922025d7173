"""Requests that wait for the end of a task: none of them holds a thread."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Generic, TypeVar

from ctxmgr.service.tasks.watch import Watch

from .threads import Threads

__all__ = ["Parked", "Parking"]

_T = TypeVar("_T")


class Parked(Generic[_T]):
    """One request that waits.

    The notice of a task's end goes from the worker that ran it straight to one of the door's threads, which looks and
    answers; the loop only sends.
    """

    def __init__(self, threads: Threads, watch: Watch, answer: Callable[[], _T]) -> None:
        self.watch = watch
        self._future: asyncio.Future[_T] | None = None
        self._threads = threads
        self._answer = answer
        self._queued = False
        self._early: Callable[[asyncio.Future[_T]], None] | None = None
        self._unsubscribe = watch.subscribe(self.look)

    def look(self) -> None:
        """Have a thread look whether there is something to answer. Called from anywhere."""
        if not self._queued:
            self._queued = True
            self._threads.submit(self._look)

    def end(self) -> None:
        """Have the request answered with what there is."""
        self._threads.submit(self._give)

    def leave(self) -> None:
        """Wait no more."""
        self._unsubscribe()

    def _look(self) -> None:
        # Down before the look: a notice that comes after it asks for another.
        self._queued = False
        if self.watch.ready():
            self._give()

    def _give(self) -> None:
        try:
            answer = self._answer()
        except BaseException as error:
            failure = error
            self._threads.back(lambda: self._settle(lambda future: future.set_exception(failure)))
        else:
            self._threads.back(lambda: self._settle(lambda future: future.set_result(answer)))

    def settle_in(self, future: asyncio.Future[_T]) -> None:
        """Have the answer put into a future, also one that came before. Called in the loop."""
        self._future = future
        if self._early is not None:
            self._early(future)

    def _settle(self, settle: Callable[[asyncio.Future[_T]], None]) -> None:
        if self._future is None:
            self._early = settle
        elif not self._future.done():
            settle(self._future)


class Parking(Generic[_T]):
    """All requests that wait. Used in the loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._parked: set[Parked[_T]] = set()
        self.closed = False

    def __len__(self) -> int:
        return len(self._parked)

    async def wait(self, parked: Parked[_T], gone: asyncio.Future[None]) -> _T | None:
        """Wait until there is something to tell, the time is up, or the service stops.

        Args:
            parked: the request.
            gone: done when the client has gone.

        Returns:
            the answer; None if nobody waits for it any more.
        """
        future: asyncio.Future[_T] = self._loop.create_future()
        parked.settle_in(future)
        self._parked.add(parked)
        timers = [self._loop.call_later(parked.watch.timeout, parked.end)]
        poll = parked.watch.poll

        def again() -> None:
            assert poll is not None, "only one who polls looks again"
            parked.look()
            timers[1:] = [self._loop.call_later(poll, again)]

        if poll is not None:
            again()
        if self.closed:
            parked.end()
        try:
            waited: set[asyncio.Future[Any]] = {future, gone}
            await asyncio.wait(waited, return_when=asyncio.FIRST_COMPLETED)
            return future.result() if future.done() else None
        finally:
            self._parked.discard(parked)
            for timer in timers:
                timer.cancel()
            parked.leave()
            future.cancel()

    def close(self) -> None:
        """Answer all requests with what there is, now and from now on."""
        self.closed = True
        for parked in list(self._parked):
            parked.end()
