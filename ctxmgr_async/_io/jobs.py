"""Steps and callbacks, run in tasks."""

from __future__ import annotations

import asyncio
import atexit
import inspect
import logging
import threading
from collections.abc import Awaitable, Callable, Coroutine
from concurrent.futures import Executor
from contextvars import ContextVar
from typing import Any, TypeVar

from ctxmgr._forks import renewed_in_child

from .closing import happens
from .http import HttpWire
from .local import LocalWire

__all__ = ["ASYNC_CALLBACKS", "Jobs", "Lock", "Repeating", "Waitable"]

_log = logging.getLogger("ctxmgr")
_T = TypeVar("_T")

#: Whether a callback may be an async function.
ASYNC_CALLBACKS = True

#: What a call gives that its caller may wait for.
Waitable = Awaitable[_T]

Lock = threading.Lock


class Repeating:
    """A step that runs again and again in a task until it has nothing more to do."""

    def __init__(self, step: Callable[[], Awaitable[float | None]]) -> None:
        self.step = step
        self.woken = asyncio.Event()

    def wake(self) -> None:
        """Let the next run come now."""
        self.woken.set()


class Jobs:
    """Runs steps in tasks, however many wait.

    Args:
        workers: means nothing here: a task holds no thread.
        executor: nor does this, where jobs are concerned.
        wire: nor does this: nothing holds up the end of a loop or of the interpreter.
    """

    def __init__(self, workers: int, executor: Executor | None, wire: HttpWire | LocalWire) -> None:
        self._closed = False
        self._waiters: set[asyncio.Future[None]] = set()
        self.renew()
        renewed_in_child(self)

    def renew(self) -> None:
        """Begin without a job in a forked child: those there are, are the parent's."""
        self._tasks: dict[asyncio.Task[Any], Callable[[], None]] = {}
        self._calling: set[asyncio.Task[None]] = set()
        _outstanding.discard(self)

    @property
    def in_callback(self) -> bool:
        """Whether it is a callback that asks, or a task that one began and may wait for."""
        callback = _callback.get()
        return callback is not None and not callback.done()

    def start(self, run: Callable[[], Coroutine[Any, Any, _T]], abandoned: Callable[[], None]) -> Waitable[_T]:
        """Run at once what the caller may wait for: here, in a task, which awaiting it waits for.

        Args:
            abandoned: called as well if the task is cancelled, or can't be begun.

        Raises:
            RuntimeError: no loop is running.
        """
        coroutine = run()
        try:
            return self._spawn(coroutine, abandoned)
        except RuntimeError:
            coroutine.close()
            abandoned()
            raise

    def repeat(
        self, step: Callable[[], Awaitable[float | None]], abandoned: Callable[[], None], group: str
    ) -> Repeating:
        """Run a step again and again.

        Args:
            step: returns the seconds until its next run, or ``None`` when it is through.
            abandoned: called instead of further runs if the jobs are closed or the step fails.
            group: means nothing here.
        """
        job = Repeating(step)
        if self._closed:
            abandoned()
        else:
            self._spawn(_run(job, abandoned), abandoned)
        return job

    def run_aside(self, run: Callable[[], None], group: str) -> None:
        """Run what holds up nobody: here, at once."""
        run()

    def call_back(self, callback: Callable[[bool], object], ok: bool, returned: Callable[[], None]) -> None:
        """Call the user's callback, plain or async; what it raises is logged and goes no further, whatever it is.

        Args:
            returned: called afterwards.
        """
        try:
            outcome = callback(ok)
        except BaseException:
            _log_raised(ok)
            outcome = None
        if not inspect.isawaitable(outcome):
            returned()
            return
        finished = _finished(outcome, ok, returned)
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            asyncio.run(finished)  # the loop ended before the client was closed, and now the interpreter ends
            return
        calling = loop.create_task(finished)
        self._calling.add(calling)
        calling.add_done_callback(self._calling.discard)

    async def finish(self, group: str, done: Callable[[], bool]) -> None:
        """Wait until something is done that jobs do; ``notify`` has it looked at again."""
        while not done():
            waiter = asyncio.get_running_loop().create_future()
            self._waiters.add(waiter)
            try:
                await waiter
            finally:
                self._waiters.discard(waiter)

    def notify(self) -> None:
        """Have those who wait in ``finish`` look again whether it is done."""
        for waiter in self._waiters:
            if not waiter.done() and not waiter.get_loop().is_closed():
                waiter.set_result(None)

    def may_park(self) -> bool:
        """Ask for leave to park a request: always given, since a parked one holds no thread."""
        return True

    def unpark(self) -> None:
        """Return the permission to park."""

    async def close(self) -> None:
        """Abandon what is not through, and wait until it has ended and every callback has returned.

        A callback that closes waits for neither: another may be closing too, and would wait for it.
        """
        self._closed = True
        self.abandon()
        current = asyncio.current_task()
        others = {task for task in self._tasks if task is not current}
        for task in others:
            task.cancel()
        if self.in_callback:
            return
        while unfinished := {task for task in {*self._tasks, *self._calling} if task is not current}:
            await asyncio.gather(*unfinished, return_exceptions=True)
            await asyncio.sleep(0)  # gathering what has ended already gives the loop no turn to let go of it

    def abandon(self) -> None:
        """Report what is not through as failed."""
        for abandoned in list(self._tasks.values()):
            try:
                abandoned()
            except BaseException:
                _log.exception("a waiting sync could not be given up cleanly")

    def _spawn(self, coroutine: Coroutine[Any, Any, _T], abandoned: Callable[[], None]) -> asyncio.Task[_T]:
        loop = asyncio.get_running_loop()
        task = loop.create_task(self._abandoning(coroutine, abandoned))
        self._tasks[task] = abandoned
        _outstanding.add(self)

        def ended(task: asyncio.Task[_T]) -> None:
            if self._tasks.pop(task, None) is not None and not self._tasks:
                _outstanding.discard(self)
            if task.cancelled():
                # A task that is cancelled before it begins runs none of its code, so it could not abandon by itself.
                coroutine.close()
                abandoned()

        task.add_done_callback(ended)
        return task

    async def _abandoning(self, coroutine: Coroutine[Any, Any, _T], abandoned: Callable[[], None]) -> _T:
        """Run a coroutine; if that fails or is cancelled, abandon what it was to do before letting that be known."""
        try:
            return await coroutine
        except BaseException as error:
            before = set(self._calling)
            abandoned()
            begun = self._calling - before
            if begun and isinstance(error, asyncio.CancelledError):
                await asyncio.wait(begun)  # a loop that ends waits for this task, and not for those it began
            raise


#: The jobs with waits that no loop has ended yet: a loop that is dropped, not closed by asyncio.run(), ends none.
_outstanding: set[Jobs] = set()

#: The task of the async callback that a task belongs to, of any client.
_callback: ContextVar[asyncio.Task[None] | None] = ContextVar("ctxmgr_callback", default=None)


@atexit.register
def _abandon_all() -> None:
    for jobs in list(_outstanding):
        jobs.abandon()


async def _run(job: Repeating, abandoned: Callable[[], None]) -> None:
    try:
        while (delay := await job.step()) is not None:
            await happens(job.woken, delay)
            job.woken.clear()
    except Exception:
        _log.exception("a step of a waiting sync failed; it is given up")
        abandoned()


async def _finished(outcome: Awaitable[object], ok: bool, returned: Callable[[], None]) -> None:
    """Wait for an async callback, in a task of its own, so that what it raises is logged whoever is cancelled."""
    _callback.set(asyncio.current_task())
    try:
        await outcome
    except BaseException:
        _log_raised(ok)
    finally:
        returned()


def _log_raised(ok: bool) -> None:
    _log.exception("the callback of a sync raised; the sync itself %s", "succeeded" if ok else "failed")
