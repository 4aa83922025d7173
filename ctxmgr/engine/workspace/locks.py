"""Locks between processes, waited for by who can be told to stop waiting."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

__all__ = ["held", "lock_of"]

SECONDS_BETWEEN_CHECKS = 0.1
SECONDS_BETWEEN_TRIES = 0.02


def lock_of(file: Path, *, timeout: float = -1) -> FileLock:
    """Return the lock that a file stands for, which no other user can take."""
    return FileLock(file, timeout=timeout, mode=0o600, thread_local=False)


@contextmanager
def held(file: Path, check: Callable[[], None]) -> Iterator[None]:
    """Hold the lock that a file stands for.

    Args:
        file: made where it is missing, and left there.
        check: called while another holds the lock; raises to stop waiting.
    """
    lock = lock_of(file)
    while True:
        check()
        try:
            lock.acquire(timeout=SECONDS_BETWEEN_CHECKS, poll_interval=SECONDS_BETWEEN_TRIES)
            break
        except Timeout:
            continue
    try:
        yield
    finally:
        lock.release()
