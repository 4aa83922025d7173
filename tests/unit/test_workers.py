"""The pool that runs jobs in order of their keys."""

from __future__ import annotations

import threading
from functools import partial

from ctxmgr.workers import Workers

PATIENCE = 30.0


def test_jobs_of_one_key_run_in_order() -> None:
    workers, done = Workers(4, "test"), threading.Event()
    seen: list[int] = []
    for number in range(100):
        workers.submit("key", partial(seen.append, number))
    workers.submit("key", done.set)
    assert done.wait(PATIENCE)
    assert seen == list(range(100))


def test_jobs_of_different_keys_run_side_by_side() -> None:
    workers, together, met = Workers(2, "test"), threading.Barrier(2, timeout=PATIENCE), threading.Semaphore(0)

    def meet() -> None:
        together.wait()
        met.release()

    workers.submit("one", meet)
    workers.submit("other", meet)
    assert met.acquire(timeout=PATIENCE)
    assert met.acquire(timeout=PATIENCE)


def test_a_key_that_is_busy_holds_up_no_other() -> None:
    workers, go, done = Workers(2, "test"), threading.Event(), threading.Event()

    def wait() -> None:
        go.wait(PATIENCE)

    for _ in range(3):
        workers.submit("busy", wait)
    workers.submit("other", done.set)
    assert done.wait(PATIENCE)
    go.set()


def test_closing_forgets_what_has_not_begun_and_waits_for_what_has() -> None:
    workers, begun, go, forgotten = Workers(1, "test"), threading.Event(), threading.Event(), threading.Event()

    def work() -> None:
        begun.set()
        go.wait(PATIENCE)

    workers.submit("key", work)
    workers.submit("key", forgotten.set)
    assert begun.wait(PATIENCE)
    workers.close()
    assert not workers.wait(0.01)
    go.set()
    assert workers.wait(PATIENCE)
    assert not forgotten.is_set()
    assert not workers.submit("key", forgotten.set)
