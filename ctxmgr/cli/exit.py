"""How the command ends: an exit status, and on failure one sentence, whatever happened or which signal came."""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import TextIO

import click

from ctxmgr.errors import ApiError, CtxmgrError
from ctxmgr.oserrors import described

from .output import Failure, Invocation, Unread, complain, discard, one_line, shown

__all__ = ["Interrupted", "run"]

FAILURE, USAGE, INTERRUPTED, BROKEN_PIPE = 1, 2, 130, 141
_ENDING = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))


class Interrupted(BaseException):
    """A signal asked the command to end. Not a KeyboardInterrupt, which click would turn into a word of its own."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.status = 128 + number


def run(command: Callable[[Invocation], object]) -> int:
    """Run a command, and return its exit status.

    Args:
        command: may give an exit status; it is told where to answer.
    """
    invocation = Invocation()
    debug = os.environ.get("CTXMGR_DEBUG", "") not in ("", "0")
    for stream in (sys.stdout, sys.stderr):
        _show_everything(stream)
    with _held_warnings(debug) as warnings:
        try:
            with _interruptible():
                status = command(invocation)
        except (Unread, SystemExit):
            # click exits on its own when nobody reads its help.
            discard(sys.stdout)
            return BROKEN_PIPE
        except BaseException as error:
            if debug:
                traceback.print_exc()
            return _ended_by(error, invocation)
        for warning in dict.fromkeys(warnings):
            complain(f"warning: {warning}")
        return status if isinstance(status, int) else 0


def _sentence_of(error: BaseException) -> str:
    """Return in one sentence why something failed."""
    if isinstance(error, ApiError):
        return f"{error.message} [{error.code}]" if error.code else error.message
    if isinstance(error, (Failure, CtxmgrError)):
        return str(error)
    if isinstance(error, ImportError) and "pip install" in str(error):
        return str(error)
    if isinstance(error, OSError) and error.strerror:
        return f"{shown(os.fsdecode(error.filename))}: {described(error)}" if error.filename else described(error)
    return f"unexpected {type(error).__name__}: {error}; CTXMGR_DEBUG=1 shows where it came from"


def _ended_by(error: BaseException, invocation: Invocation) -> int:
    try:
        if isinstance(error, click.UsageError):
            invocation.fail(_usage(error))
            status = error.exit_code
        elif isinstance(error, Interrupted):
            invocation.fail("interrupted")
            status = error.status
        elif isinstance(error, (KeyboardInterrupt, click.Abort)):
            invocation.fail("interrupted")
            status = INTERRUPTED
        elif isinstance(error, click.ClickException):
            invocation.fail(error.format_message())
            status = error.exit_code
        elif isinstance(error, Exception):
            invocation.fail(_sentence_of(error))
            status = FAILURE
        else:
            raise error
    except (Unread, Failure):
        # Nobody can be told any more.
        return FAILURE
    return status


def _usage(error: click.UsageError) -> str:
    command = error.ctx.command_path if error.ctx is not None else "ctxmgr"
    return f"{one_line(error.format_message()).rstrip('.')}; see {command} --help"


def _show_everything(stream: TextIO) -> None:
    """Write what the stream's encoding lacks as an escape, rather than fail."""
    reconfigure = getattr(stream, "reconfigure", None)
    if reconfigure is not None:
        reconfigure(errors="backslashreplace")


@contextmanager
def _held_warnings(debug: bool) -> Iterator[list[str]]:
    """Hold back what is logged: after a success it is worth a line, a failure has its own sentence."""
    held: list[str] = []
    handler: logging.Handler = logging.StreamHandler() if debug else _Held(held)
    handler.setLevel(logging.WARNING)
    logger = logging.getLogger()
    logger.addHandler(handler)
    try:
        yield held
    finally:
        logger.removeHandler(handler)


class _Held(logging.Handler):
    """Keeps our own messages, without tracebacks. What other libraries log would mean nothing to users."""

    def __init__(self, messages: list[str]) -> None:
        super().__init__()
        self._messages = messages

    def emit(self, record: logging.LogRecord) -> None:
        if record.name.partition(".")[0] == "ctxmgr":
            self._messages.append(record.getMessage())


@contextmanager
def _interruptible() -> Iterator[None]:
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
