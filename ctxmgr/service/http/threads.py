"""A few threads that an event loop hands work to, and the way back into the loop."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from queue import SimpleQueue
from typing import Any, TypeVar

__all__ = ["Threads"]

logger = logging.getLogger(__name__)

_T = TypeVar("_T")


class Threads:
    """Daemon threads: the interpreter never waits for them at its exit.

    asyncio's own executor wakes the loop once a result, which under load costs more than many a request; here all
    results that are there come back by one wake-up.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, count: int, name: str) -> None:
        self._loop = loop
        self._jobs: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._back: deque[Callable[[], None]] = deque()
        self._waking = False
        self._count = count
        for number in range(count):
            threading.Thread(target=self._work, name=f"{name}-{number + 1}", daemon=True).start()

    def run(self, job: Callable[[], _T]) -> asyncio.Future[_T]:
        """Run a job in one of the threads. Called in the loop.

        Returns:
            what it comes to. Cancelling does not stop it.
        """
        future: asyncio.Future[_T] = self._loop.create_future()

        def run() -> None:
            try:
                result = job()
            except BaseException as error:
                self.back(partial(_fail, future, error))
            else:
                self.back(partial(_succeed, future, result))

        self._jobs.put(run)
        return future

    def submit(self, job: Callable[[], None]) -> None:
        """Run a job in one of the threads. Called from anywhere."""
        self._jobs.put(job)

    def back(self, call: Callable[[], Any]) -> None:
        """Call something in the loop. Called from anywhere; nothing happens when the loop is closed."""
        self._back.append(call)
        # Whoever finds the flag set has put its call in before the loop takes the flag down, and then all calls out.
        if not self._waking:
            self._waking = True
            with suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self._deliver)

    def close(self) -> None:
        """Let the threads end once they have done what they were given."""
        for _ in range(self._count):
            self._jobs.put(None)

    def _deliver(self) -> None:
        self._waking = False
        while self._back:
            self._back.popleft()()

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            try:
                job()
            except Exception:
                logger.exception("a job of the HTTP door failed")


def _succeed(future: asyncio.Future[_T], result: _T) -> None:
    if not future.done():
        future.set_result(result)


def _fail(future: asyncio.Future[_T], error: BaseException) -> None:
    if not future.done():
        future.set_exception(error)
