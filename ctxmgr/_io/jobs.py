"""Steps and callbacks, run on an executor."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from concurrent.futures import Executor
from typing import Annotated, TypeVar

from ._steps import Repeating, Steps
from .http import HttpWire
from .local import LocalWire

__all__ = ["ASYNC_CALLBACKS", "Jobs", "Lock", "Repeating", "Waitable"]

_log = logging.getLogger("ctxmgr")
_T = TypeVar("_T")

#: Whether a callback may be an async function: nothing would await it here.
ASYNC_CALLBACKS = False

#: What a call gives that its caller may wait for. Here that is the value itself.
Waitable = Annotated[_T, "ready at once"]

Lock = threading.Lock
_callbacks = threading.local()  # of any client: two that wait for each other's callbacks would wait for ever


class Jobs:
    """Runs short steps on an executor, however many wait: a step that waits for its time holds no thread.

    Args:
        workers: threads of the executor, if none is given.
        executor: the caller's, left open.
        wire: what is closed with the jobs at the interpreter's exit, so that none of them holds it up.
    """

    def __init__(self, workers: int, executor: Executor | None, wire: HttpWire | LocalWire) -> None:
        self._steps = Steps(workers, executor, wire.close)

    @property
    def in_callback(self) -> bool:
        """Whether it is a callback that asks."""
        return getattr(_callbacks, "depth", 0) > 0

    def start(self, run: Callable[[], _T], abandoned: Callable[[], None]) -> Waitable[_T]:
        """Run at once what the caller may wait for: here, in the caller's own thread.

        Args:
            abandoned: called instead if it can't be run any more.
        """
        try:
            return run()
        except BaseException:
            abandoned()
            raise

    def repeat(self, step: Callable[[], float | None], abandoned: Callable[[], None], group: str) -> Repeating:
        """Run a step on a worker, again and again.

        Args:
            step: returns the seconds until its next run, or ``None`` when it is through.
            abandoned: called once instead of further runs if the jobs are closed or the step fails.
            group: the session it belongs to.
        """
        return self._steps.repeat(step, abandoned, group)

    def run_aside(self, run: Callable[[], None], group: str) -> None:
        """Run on a worker, or here if there is none any more, what must not hold up who asks for it."""
        self._steps.repeat(run, run, group)

    def call_back(self, callback: Callable[[bool], object], ok: bool, returned: Callable[[], None]) -> None:
        """Call the user's callback; what it raises is logged and goes no further, whatever it is.

        Args:
            returned: called afterwards.
        """
        _callbacks.depth = getattr(_callbacks, "depth", 0) + 1
        try:
            callback(ok)
        except BaseException:
            _log.exception("the callback of a sync raised; the sync itself %s", "succeeded" if ok else "failed")
        finally:
            _callbacks.depth -= 1
            returned()

    def finish(self, group: str, done: Callable[[], bool]) -> None:
        """Wait until something is done that jobs of a group do; ``notify`` has it looked at again."""
        self._steps.finish(group, done)

    def notify(self) -> None:
        """Have those who wait in ``finish`` look again whether it is done."""
        self._steps.notify()

    def may_park(self) -> bool:
        """Ask for leave to hold a worker while a request parks; ``unpark`` gives it back."""
        return self._steps.may_park()

    def unpark(self) -> None:
        """Return the permission to park."""
        self._steps.unpark()

    def close(self) -> None:
        """Abandon what is not through, in this thread, without waiting for steps under way."""
        self._steps.close()
