"""Runs one sync to its end: shows how far it is, and gives up on a server that has fallen silent."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from ctxmgr.arguments import SyncMode
from ctxmgr.client import Client
from ctxmgr.errors import CtxmgrError
from ctxmgr.results import Context, ContextStatusData, ContextSyncResult
from ctxmgr.sessions import Session

from .invocation import Failure
from .kept import MOUNT
from .progress import Bar, can_be_shown

__all__ = ["run_sync"]

_ENDLESS = 10**9  # a sync takes as long as it takes
_BEFORE_BAR = 0.3  # seconds: what is done sooner needs no bar
_BETWEEN_FRAMES = 0.1
_BETWEEN_LOOKS = 5.0
_SILENCE = 60.0


def run_sync(
    client: Client, session: Session, context: Context, mode: SyncMode, *, force: bool, remote: bool, quiet: bool
) -> ContextSyncResult:
    """Sync one directory with one context, and wait for the end.

    Args:
        force: whether a download gives up what only the directory has changed.
        remote: whether a server does it, which may stop answering, rather than this process.
        quiet: draw no bar.

    Raises:
        CtxmgrError: the sync could not be started.
        Failure: the server stopped answering.
    """
    running = _Running(lambda: session.context.sync(context.id, MOUNT, mode, max_retries=_ENDLESS, discard_local=force))
    draws = not quiet and can_be_shown()
    if not draws and not remote:
        return running.result()
    with Bar(mode, context.name) as bar:
        wait, answered = _BEFORE_BAR, time.monotonic()
        while not running.ended(wait):
            wait = _BETWEEN_FRAMES if draws else _BETWEEN_LOOKS
            try:
                status = _status(session, context, mode)
                answered = time.monotonic()
            except CtxmgrError as error:
                status = None
                if remote and time.monotonic() - answered > _SILENCE:
                    client.close()
                    raise Failure(
                        f"the {mode} was begun and is not proven done: the server has not answered since: {error}"
                    ) from error
            if draws:
                bar.update(status)
    return running.result()


def _status(session: Session, context: Context, mode: SyncMode) -> ContextStatusData | None:
    tasks = session.context.info(context.id, MOUNT, mode).raise_for_error().context_status_data
    return next((task for task in tasks if not task.is_terminal), None)


class _Running:
    """A sync on a thread of its own: one that hangs can't keep the process from ending."""

    def __init__(self, sync: Callable[[], ContextSyncResult]) -> None:
        self._sync = sync
        self._result: ContextSyncResult | None = None
        self._error: BaseException | None = None
        self._ended = threading.Event()
        threading.Thread(target=self._run, name="ctxmgr-command", daemon=True).start()

    def ended(self, timeout: float) -> bool:
        """Wait that many seconds at most; return whether it has ended."""
        return self._ended.wait(timeout)

    def result(self) -> ContextSyncResult:
        """Wait for the end; return the result, or raise what the sync raised."""
        self._ended.wait()
        if self._error is not None:
            raise self._error
        assert self._result is not None, "a sync that raised nothing gave a result"
        return self._result

    def _run(self) -> None:
        try:
            self._result = self._sync()
        except BaseException as error:
            self._error = error
        finally:
            self._ended.set()
