"""Signals that end the command become an exception, so that what is under way is ended in order."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

__all__ = ["Interrupted", "interruptible"]

_ENDING = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))


class Interrupted(BaseException):
    """A signal asked the command to end. Not a KeyboardInterrupt, which click would turn into a word of its own."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.status = 128 + number


@contextmanager
def interruptible() -> Iterator[None]:
    """Raise Interrupted here when a signal comes that would end the process; the second one ends it at once."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    # What the caller ignores, as nohup and a shell's background jobs do, stays ignored.
    usual = (signal.SIG_DFL, signal.default_int_handler)
    taken = {number: handler for number in _ENDING if (handler := signal.getsignal(number)) in usual}

    def interrupt(number: int, frame: FrameType | None) -> None:
        for each in taken:
            signal.signal(each, signal.SIG_DFL)
        raise Interrupted(number)

    for number in taken:
        signal.signal(number, interrupt)
    try:
        yield
    finally:
        for number, handler in taken.items():
            signal.signal(number, handler)
