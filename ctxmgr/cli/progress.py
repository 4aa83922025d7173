"""Runs a sync or a restore to its end: draws on a terminal how far it is, and gives up on a silent server."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any, Generic, NoReturn, TypeVar

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

    OnProgress = Callable[[SyncProgress], object]

__all__ = ["Bar", "can_be_shown", "run_shown", "run_sync"]

_T = TypeVar("_T")

_ENDLESS = 10**9  # a sync takes as long as it takes
_BEFORE_BAR = 0.3  # seconds: what is done sooner needs no bar
_BETWEEN_FRAMES = 0.1
_BETWEEN_LOOKS = 5.0
_BETWEEN_LINES = 1.0
_SILENCE = 60.0
_VERBS = {"upload": "Uploading", "download": "Downloading", "copy": "Copying", "restore": "Restoring"}


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

    def sync(progress: OnProgress) -> ContextSyncResult:
        return session.context.sync(context.id, MOUNT, mode, max_retries=_ENDLESS, progress=progress, **choices)

    def give_up() -> NoReturn:
        client.close()
        raise Failure(f"the {mode} was begun and is not proven done: the server has not answered since")

    return run_shown(sync, Bar(mode, context.name), invocation, give_up if is_server(invocation) else None)


def run_shown(
    work: Callable[[OnProgress], _T], bar: Bar, invocation: Invocation, silent: Callable[[], NoReturn] | None = None
) -> _T:
    """Do what takes long, tell how far it is as the invocation asks for, and return what comes of it.

    Args:
        work: does it; is given what to call with how far it is.
        bar: draws that.
        silent: called where nothing was told for a minute; raises.
    """
    lines = invocation.verbose and not invocation.json
    draws = not (invocation.json or invocation.quiet or lines) and can_be_shown()
    running = _Running(work)
    if not draws and not lines and silent is None:
        return running.result()
    with bar:
        wait = _BETWEEN_LINES if lines else _BEFORE_BAR
        while not running.ended(wait):
            wait = _BETWEEN_LINES if lines else _BETWEEN_FRAMES if draws else _BETWEEN_LOOKS
            if silent is not None and time.monotonic() - running.answered > _SILENCE:
                silent()
            if draws:
                bar.update(running.progress)
            elif lines:
                note(bar.line(running.progress))
    return running.result()


class _Running(Generic[_T]):
    """Work on a thread of its own: what hangs can't keep the process from ending.

    Attributes:
        answered: the monotonic second at which it told last how far it is.
        progress: how far it was then.
    """

    def __init__(self, work: Callable[[OnProgress], _T]) -> None:
        self.answered = time.monotonic()
        self.progress: SyncProgress | None = None
        self._work = work
        self._results: list[_T] = []
        self._error: BaseException | None = None
        self._ended = threading.Event()
        threading.Thread(target=self._run, name="ctxmgr-command", daemon=True).start()

    def _look(self, progress: SyncProgress) -> None:
        self.answered, self.progress = time.monotonic(), progress

    def ended(self, timeout: float) -> bool:
        """Wait that many seconds at most; return whether it has ended."""
        return self._ended.wait(timeout)

    def result(self) -> _T:
        """Wait for the end; return the result, or raise what the work raised."""
        self._ended.wait()
        if self._error is not None:
            raise self._error
        return self._results[0]

    def _run(self) -> None:
        try:
            self._results.append(self._work(self._look))
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
        mode: ``upload``, ``download``, ``copy`` or ``restore``.
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
