"""Steps that run again and again on an executor: one that waits for its time holds no thread."""

from __future__ import annotations

import atexit
import concurrent.futures.thread  # noqa: F401  (its exit hook has to be registered before ours)
import functools
import heapq
import itertools
import logging
import threading
import time
import weakref
from collections.abc import Callable
from concurrent.futures import Executor, Future
from functools import partial

from ctxmgr._forks import renewed_in_child

from ._pool import DaemonPool

__all__ = ["Repeating", "Steps"]

_log = logging.getLogger("ctxmgr")


class Repeating:
    """A step that runs again and again until it has nothing more to do.

    Attributes:
        step: returns the seconds until its next run, or ``None`` when it is through.
        abandoned: called instead of further runs when there can be none.
        group: the session it belongs to.
        turn: which of its runs is to come; what was planned for an earlier one is void.
    """

    def __init__(
        self, steps: Steps, step: Callable[[], float | None], abandoned: Callable[[], None], group: str
    ) -> None:
        self.step = step
        self.abandoned = abandoned
        self.group = group
        self.turn = 0
        self.running = False
        self.woken = False
        self._steps = steps

    def wake(self) -> None:
        """Let the next run come now."""
        self._steps.wake(self)


class Steps:
    """Runs steps on an executor, and keeps the time for those that are not due.

    Args:
        workers: threads of the own executor.
        executor: the caller's; ``None`` makes an own one.
        cut: breaks the connections that a step may be waiting on, when the interpreter ends.
    """

    def __init__(self, workers: int, executor: Executor | None, cut: Callable[[], None]) -> None:
        self._workers = workers
        self._pool = executor or DaemonPool(workers)
        self.owns_pool = executor is None
        self._cut = cut
        self._closed = False
        self._begin_empty()
        renewed_in_child(self)
        _end_at_exit(self)

    def _begin_empty(self) -> None:
        self._changed = threading.Condition()
        self._planned: list[tuple[float, int, int, Repeating]] = []
        self._order = itertools.count()
        self._live: dict[Repeating, None] = {}
        self._ready: dict[Repeating, None] = {}
        self._keeps_time = False
        self._parked = 0

    def renew(self) -> None:
        """Begin without a step in a forked child: those there are, are the parent's, as are an executor's threads."""
        self._pool = DaemonPool(self._workers)
        self.owns_pool = True
        self._begin_empty()

    def repeat(self, step: Callable[[], float | None], abandoned: Callable[[], None], group: str) -> Repeating:
        """Run a step from now on; once closed, abandon it at once."""
        job = Repeating(self, step, abandoned, group)
        with self._changed:
            closed = self._closed
            if not closed:
                self._live[job] = None
                self._make_ready(job)
        if closed:
            _abandon(job)
            self.notify()
        else:
            self._submit(job)
        return job

    def wake(self, job: Repeating) -> None:
        """Let a step run now, or again if it is running."""
        with self._changed:
            job.woken = job.running
            if job.running or job not in self._live or job in self._ready:
                return
            self._make_ready(job)
        self._submit(job)

    def finish(self, group: str, done: Callable[[], bool]) -> None:
        """Wait until something is done that steps of a group do, and run them here while no worker is free for them.

        So who waits may be on a worker itself, even on the only one.
        """
        while True:
            with self._changed:
                if done():
                    return
                job = next((job for job in self._ready if job.group == group), None)
                if job is None:
                    self._changed.wait()
                    continue
                self._take(job)
            self._carry_out(job)

    def notify(self) -> None:
        """Have those who wait look again whether it is done."""
        with self._changed:
            self._changed.notify_all()

    def may_park(self) -> bool:
        """Whether a step may hold its worker while a request parks; ``unpark`` gives that back.

        One worker stays free, and a caller's executor is not ours to hold.
        """
        with self._changed:
            if not self.owns_pool or self._parked >= self._workers - 1:
                return False
            self._parked += 1
            return True

    def unpark(self) -> None:
        """Return the permission to park."""
        with self._changed:
            self._parked -= 1

    def close(self) -> None:
        """Abandon what is not through, in this thread, without waiting for steps under way."""
        with self._changed:
            self._closed = True
            abandoned = list(self._live)
            self._live.clear()
            self._ready.clear()
            self._planned.clear()
        for job in abandoned:
            _abandon(job)
        self.notify()
        if self.owns_pool:
            self._pool.shutdown(wait=False)

    def end(self) -> None:
        """Close, and break what steps under way are waiting on."""
        self.close()
        self._cut()

    def _make_ready(self, job: Repeating) -> None:
        job.turn += 1
        self._ready[job] = None
        self._changed.notify_all()

    def _submit(self, job: Repeating) -> None:
        try:
            future = self._pool.submit(self._work, job)
        except BaseException as error:
            self._give_up(job, error)
            if not isinstance(error, Exception):
                raise
        else:
            future.add_done_callback(partial(self._submitted, job))

    def _submitted(self, job: Repeating, future: Future[None]) -> None:
        """Return a step up that an executor took and then did not run."""
        if future.cancelled():
            self._give_up(job, "it was cancelled")
        elif (error := future.exception()) is not None:
            self._give_up(job, error)

    def _give_up(self, job: Repeating, reason: object) -> None:
        with self._changed:
            lost = job in self._live
            self._live.pop(job, None)
            self._ready.pop(job, None)
        if lost:
            _log.warning("the executor does not run the steps of waiting syncs any more: %s", reason)
            _abandon(job)
            self.notify()

    def _work(self, job: Repeating) -> None:
        with self._changed:
            if job not in self._ready:
                return  # run meanwhile by who waits for it, or abandoned
            self._take(job)
        self._carry_out(job)

    def _take(self, job: Repeating) -> None:
        del self._ready[job]
        job.running, job.woken = True, False

    def _carry_out(self, job: Repeating) -> None:
        """Run a step, and plan its next run.

        Raises:
            BaseException: what is no Exception and came out of it, such as the user's Ctrl-C. The step is abandoned.
        """
        delay = None
        try:
            delay = job.step()
        except BaseException as error:
            _log.exception("a step of a waiting sync failed; it is given up")
            _abandon(job)
            if not isinstance(error, Exception):
                raise
        finally:
            if self._plan(job, delay):
                self._submit(job)

    def _plan(self, job: Repeating, delay: float | None) -> bool:
        """Plan the next run of a step; return whether it is due now."""
        with self._changed:
            job.running = False
            self._changed.notify_all()
            if delay is None:
                self._live.pop(job, None)
            if job not in self._live:
                return False
            if job.woken or delay is None or delay <= 0:
                self._make_ready(job)
                return True
            job.turn += 1
            heapq.heappush(self._planned, (time.monotonic() + delay, next(self._order), job.turn, job))
            if not self._keeps_time:
                threading.Thread(target=self._keep_time, name="ctxmgr-timer", daemon=True).start()
                self._keeps_time = True
            return False

    def _keep_time(self) -> None:
        while True:
            with self._changed:
                due, wait = self._pop_due()
                if not due:
                    if not self._live:
                        self._keeps_time = False
                        return
                    self._changed.wait(wait)
            for job in due:
                self._submit(job)

    def _pop_due(self) -> tuple[list[Repeating], float | None]:
        """Make ready what is due; return it, and the seconds until something else is."""
        due: list[Repeating] = []
        now = time.monotonic()
        while self._planned:
            at, _, turn, job = self._planned[0]
            if turn == job.turn and at > now:
                return due, at - now
            heapq.heappop(self._planned)
            if turn == job.turn:
                self._make_ready(job)
                due.append(job)
        return due, None


def _abandon(job: Repeating) -> None:
    try:
        job.abandoned()
    except BaseException:
        _log.exception("a waiting sync could not be given up cleanly")


_own: weakref.WeakSet[Steps] = weakref.WeakSet()
_lent: weakref.WeakSet[Steps] = weakref.WeakSet()


def _end_at_exit(steps: Steps) -> None:
    """Have the steps ended when the interpreter does, so that every callback is called and no thread is waited for."""
    if not steps.owns_pool:
        _before_threads_are_joined()
        _lent.add(steps)
        return
    if not _own:
        atexit.unregister(_end_own)
        atexit.register(_end_own)
    _own.add(steps)


@functools.cache
def _before_threads_are_joined() -> None:
    """Have steps on callers' executors ended before concurrent.futures joins its threads.

    It does so before any ``atexit`` hook is called, in a hook of threading, which calls the last one first.
    """
    threading._register_atexit(_end_lent)  # type: ignore[attr-defined] # as concurrent.futures does; there is no other


def _end_own() -> None:
    for steps in list(_own):
        steps.end()


def _end_lent() -> None:
    for steps in list(_lent):
        steps.end()
