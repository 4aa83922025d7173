"""Runs one sync to its end: draws how far it is on a terminal, and gives up on a server that has fallen silent."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any

from .clients import is_server
from .estimate import Estimate
from .output import Failure, Invocation, note, shown
from .sessions import MOUNT

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

    from ctxmgr.arguments import SyncMode
    from ctxmgr.client import Client
    from ctxmgr.results import Context, ContextSyncResult, SyncProgress
    from ctxmgr.sessions import Session

__all__ = ["Bar", "can_be_shown", "run_sync"]

_ENDLESS = 10**9  # a sync takes as long as it takes
_BEFORE_BAR = 0.3  # seconds: what is done sooner needs no bar
_BETWEEN_FRAMES = 0.1
_BETWEEN_LOOKS = 5.0
_BETWEEN_LINES = 1.0
_SILENCE = 60.0
_VERBS = {"upload": "Uploading", "download": "Downloading", "copy": "Copying"}


def run_sync(
    client: Client,
    session: Session,
    context: Context,
    mode: SyncMode,
    invocation: Invocation,
    choices: Mapping[str, Any],
) -> ContextSyncResult:
    """Sync one directory with one context, and wait for the end.

    Args:
        invocation: says how much is told, and whether a server does it, which may stop answering.
        choices: further arguments of ``ContextManager.sync``.

    Raises:
        CtxmgrError: the sync could not be started.
        Failure: the server stopped answering.
    """
    running = _Running(session, context, mode, choices)
    remote = is_server(invocation)
    lines = invocation.verbose and not invocation.json
    draws = not (invocation.json or invocation.quiet or lines) and can_be_shown()
    if not draws and not lines and not remote:
        return running.result()
    with Bar(mode, context.name) as bar:
        wait = _BETWEEN_LINES if lines else _BEFORE_BAR
        while not running.ended(wait):
            wait = _BETWEEN_LINES if lines else _BETWEEN_FRAMES if draws else _BETWEEN_LOOKS
            if remote and time.monotonic() - running.answered > _SILENCE:
                client.close()
                raise Failure(f"the {mode} was begun and is not proven done: the server has not answered since")
            if draws:
                bar.update(running.progress)
            elif lines:
                note(bar.line(running.progress))
    return running.result()


class _Running:
    """A sync on a thread of its own: one that hangs can't keep the process from ending.

    Attributes:
        answered: the monotonic second of the last answer.
        progress: how far it was then.
    """

    def __init__(self, session: Session, context: Context, mode: SyncMode, choices: Mapping[str, Any]) -> None:
        self.answered = time.monotonic()
        self.progress: SyncProgress | None = None
        self._session, self._context, self._mode, self._choices = session, context, mode, choices
        self._result: ContextSyncResult | None = None
        self._error: BaseException | None = None
        self._ended = threading.Event()
        threading.Thread(target=self._run, name="ctxmgr-command", daemon=True).start()

    def _look(self, progress: SyncProgress) -> None:
        self.answered, self.progress = time.monotonic(), progress

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
            self._result = self._session.context.sync(
                self._context.id,
                MOUNT,
                self._mode,
                max_retries=_ENDLESS,
                progress=self._look,
                **self._choices,
            )
        except BaseException as error:
            self._error = error
        finally:
            self._ended.set()


def can_be_shown() -> bool:
    """Whether a terminal is there that can draw a bar."""
    return sys.stderr is not None and sys.stderr.isatty() and os.environ.get("TERM", "") not in ("", "dumb")


class Bar:
    """A bar on the standard error stream that leaves nothing behind: how it ended is told by the answer.

    Args:
        mode: ``upload``, ``download`` or ``copy``.
        name: what is moved: a context, by its name.
        clock: tells seconds.
        noun: what is counted as files.
    """

    def __init__(
        self, mode: str, name: str, clock: Callable[[], float] = time.monotonic, *, noun: str = "file"
    ) -> None:
        self._verb = _VERBS[mode]
        self._name = shown(name)
        self._estimate = Estimate(clock, noun)
        self._progress: Progress | None = None
        self._task: TaskID | None = None

    def update(self, status: SyncProgress | None) -> None:
        """Draw what the service tells of the task; nothing yet, while it tells nothing."""
        progress, task = self._drawn()
        if status is not None:
            self._estimate.add(status)
        if status is None or not status.files_total:
            detail = self._estimate.line(status) if status is not None and status.files_done else ""
            progress.update(task, description=f"Looking for changes: {self._name}", total=None, detail=detail)
            return
        done, total = status.files_done, status.files_total
        # What travelled is not kept before the service has recorded it, so a full bar must not say that it is done.
        verb = "Finishing:" if done >= total else self._verb
        # Files count beside bytes, so that empty ones move the bar too, and it is full only when all is done.
        progress.update(
            task,
            description=f"{verb} {self._name}",
            completed=status.bytes_done + done,
            total=status.bytes_total + total,
            detail=self._estimate.line(status),
        )

    def line(self, status: SyncProgress | None) -> str:
        """Return the same as one line, for where no bar is drawn."""
        if status is None:
            return f"Looking for changes: {self._name}"
        self._estimate.add(status)
        verb = self._verb if status.files_total else "Looking for changes:"
        return f"{verb} {self._name}: {self._estimate.line(status)}"

    def _drawn(self) -> tuple[Progress, TaskID]:
        if self._progress is None or self._task is None:
            from rich.console import Console
            from rich.progress import BarColumn, Progress, TextColumn

            columns = (TextColumn("{task.description}", markup=False), BarColumn())
            told = TextColumn("{task.fields[detail]}", markup=False)
            self._progress = Progress(*columns, told, console=Console(stderr=True), transient=True)
            self._task = self._progress.add_task(f"Looking for changes: {self._name}", total=None, detail="")
            self._progress.start()
        return self._progress, self._task

    def __enter__(self) -> Bar:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._progress is not None:
            self._progress.stop()
