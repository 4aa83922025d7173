"""The executor that a client brings: a few threads that never keep the interpreter from ending."""

from __future__ import annotations

import os
import queue
import threading
import weakref
from collections.abc import Callable
from concurrent.futures import Executor, Future
from typing import Any, TypeVar

__all__ = ["DaemonPool"]

_T = TypeVar("_T")
_Work = tuple["Future[Any]", Callable[[], Any]]


class DaemonPool(Executor):
    """Runs calls on daemon threads, which start when there is something to do and end with the pool.

    The threads of ``ThreadPoolExecutor`` are joined at the interpreter's exit, so one that waits for a silent server
    would hold the exit up.

    Args:
        workers: threads at most.
    """

    def __init__(self, workers: int) -> None:
        self._workers = workers
        self._queue: queue.SimpleQueue[_Work | None] = queue.SimpleQueue()
        self._idle = threading.Semaphore(0)
        self._guard = threading.Lock()
        self._started = 0
        self._end = weakref.finalize(self, self._queue.put, None)
        self._end.atexit = False

    def submit(self, fn: Callable[..., _T], /, *args: Any, **kwargs: Any) -> Future[_T]:
        """Have a call run on a thread.

        Raises:
            RuntimeError: the pool is shut down, or no thread could be started.
        """
        future: Future[_T] = Future()
        with self._guard:
            if not self._end.alive:
                raise RuntimeError("the pool is shut down")
            if not self._idle.acquire(blocking=False) and self._started < self._workers:
                name = f"ctxmgr-worker-{self._started}"
                threading.Thread(target=_serve, args=(self._queue, self._idle), name=name, daemon=True).start()
                self._started += 1
            self._queue.put((future, lambda: fn(*args, **kwargs)))
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Take no more calls. Those that were taken are run; none is waited for."""
        with self._guard:
            self._end()


def _serve(calls: queue.SimpleQueue[_Work | None], idle: threading.Semaphore) -> None:
    process = os.getpid()
    while (work := calls.get()) is not None:
        future, call = work
        try:
            future.set_result(call())
        except BaseException as error:
            future.set_exception(error)
        del work, future, call
        if os.getpid() != process:
            return  # the call forked, and the queue is the parent's
        idle.release()
    calls.put(None)  # for the next thread
