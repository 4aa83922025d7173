"""A directory that stays attached: what happens to it is told as it happens, and what changes in it is uploaded."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from functools import partial
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, NoReturn

from ctxmgr.arguments import SyncMode
from ctxmgr.errors import CtxmgrError, NotFoundError

from .output import Failure, Invocation, note, one_line, shown
from .report import conflict_lines, sync_facts, sync_line, tell_skipped
from .watch import Watch

if TYPE_CHECKING:
    from ctxmgr.client import Client
    from ctxmgr.node.events import Event
    from ctxmgr.results import ContextStatusData, ContextSyncResult
    from ctxmgr.sessions import Session

__all__ = ["Attachment"]

_ENDLESS = 10**9  # a sync takes as long as it takes
_FIRST_PAUSE, _LONGEST_PAUSE = 5.0, 300.0
_REMEMBERED = 1_000


class Attachment:
    """What this process has of a session while it is attached. All but ``hear`` is for one thread.

    Args:
        directory: its real path.
    """

    def __init__(self, invocation: Invocation, client: Client, session: Session, directory: str) -> None:
        self._invocation = invocation
        self._client = client
        self._session = session
        self._directory = directory
        self._happened: SimpleQueue[Callable[[], None]] = SimpleQueue()
        self._names: dict[str, str] = {}
        self._told: dict[str, None] = {}
        self._problem = ""
        self._uploading = False
        self._again = False
        self._retry = float("inf")
        self._pause = _FIRST_PAUSE
        self._is_proven = True

    def hear(self, event: Event) -> None:
        """Note what happened to the node, on any thread."""
        self._happened.put(partial(self._hear, event))

    def run(self, *, watch: bool) -> NoReturn:
        """Tell what happens, until a signal interrupts it.

        Args:
            watch: upload what changes in the directory.

        Raises:
            Interrupted: by a signal.
            Failure: the session has ended, so that there is nothing to stay for.
        """
        watching = None
        if watch:
            watching = Watch(self._directory, self._look, lambda why: self._happened.put(partial(self._blind, why)))
            self._upload()
        try:
            while True:
                self._wait(self._retry)
                if time.monotonic() >= self._retry:
                    self._upload()
        finally:
            if watching is not None:
                watching.close()

    def end(self, grace: float, *, upload: bool) -> bool:
        """Let what runs end; return whether it did, with all that was to be uploaded.

        Args:
            grace: seconds that this may take.
            upload: upload once more, what changed since the last time.
        """
        deadline = time.monotonic() + grace
        if upload:
            self._upload()
        while self._uploading and time.monotonic() < deadline:
            self._wait(deadline)
        is_proven = self._is_proven and not self._uploading
        node = self._client._core.node
        ended = node.close(max(0.0, deadline - time.monotonic())) if node is not None else True
        while not self._happened.empty():
            self._happened.get()()
        return is_proven and ended

    def tell(self, result: ContextSyncResult) -> None:
        """Tell what a sync did that was begun here."""
        for task in result.tasks:
            self._tell_task(task, even_nothing=False)

    def _wait(self, until: float) -> None:
        timeout = None if until == float("inf") else max(0.0, until - time.monotonic())
        try:
            happened = self._happened.get(timeout=timeout)
        except Empty:
            return
        happened()

    def _look(self) -> None:
        self._happened.put(self._upload)

    def _blind(self, why: str) -> None:
        self._complain(f"{shown(self._directory)} can't be watched, which is tried again: {why}")

    def _upload(self) -> None:
        """Begin to upload what has changed; once more after that, if it runs already."""
        self._retry = float("inf")
        if self._uploading:
            self._again = True
        else:
            self._uploading = True
            threading.Thread(target=self._run_upload, name="ctxmgr-upload", daemon=True).start()

    def _run_upload(self) -> None:
        try:
            ended: ContextSyncResult | CtxmgrError = self._session.context.sync(mode="upload", max_retries=_ENDLESS)
        except CtxmgrError as error:
            ended = error
        self._happened.put(partial(self._uploaded, ended))

    def _uploaded(self, ended: ContextSyncResult | CtxmgrError) -> None:
        self._uploading = False
        self._is_proven = not isinstance(ended, CtxmgrError) and ended.success
        if isinstance(ended, CtxmgrError):
            self._complain(f"the upload could not be begun, which is tried again: {ended}")
        else:
            if ended.success:
                self._problem = ""
                self._pause = _FIRST_PAUSE
            else:
                # Of what fails again and again, once is enough.
                self._told |= dict.fromkeys(ended.task_ids)
                self._complain(f"the upload failed, which is tried again: {ended.error_message}")
            self.tell(ended)
        if self._again:
            self._again = False
            self._upload()
        elif not self._is_proven:
            self._retry = time.monotonic() + self._pause
            self._pause = min(2 * self._pause, _LONGEST_PAUSE)

    def _hear(self, event: Event) -> None:
        if event.session_id not in ("", self._session.session_id):
            return
        if event.kind == "synced":
            self._tell_ended(event.text)
        elif event.kind == "ended":
            raise Failure(f"the session {self._session.session_id} is over here: {event.text}")
        else:
            text = {
                "lost": f"no connection to the server, which is tried again: {event.text}",
                "found": "connected to the server again",
                "displaced": f"stands by: {event.text}",
                "regained": f"{shown(self._directory)} is synced by this process again",
            }[event.kind]
            if self._invocation.json:
                self._invocation.tell("", event.kind, reason=event.text)
            else:
                note(f"ctxmgr: {one_line(text)}")

    def _tell_ended(self, task_id: str) -> None:
        if task_id in self._told:
            return
        try:
            tasks = self._session.context.info().raise_for_error().context_status_data
        except CtxmgrError:
            return  # a server that can't be asked is told of elsewhere, and what it knows by 'ctxmgr info'
        for task in tasks:
            if task.task_id == task_id and task.is_terminal:
                self._tell_task(task)

    def _tell_task(self, task: ContextStatusData, *, even_nothing: bool = True) -> None:
        if task.task_id in self._told:
            return
        self._told[task.task_id] = None
        if len(self._told) > _REMEMBERED:
            del self._told[next(iter(self._told))]
        if task.status == "Success" and task.nothing_to_sync and not even_nothing:
            return
        name = self._name(task.context_id)
        mode: SyncMode = "download" if task.task_type == "download" else "upload"
        facts = {"mode": mode, "context": name, "path": task.path, "task": task.task_id, "status": task.status}
        error = one_line(task.error_message) or None
        if task.status == "Success":
            line = sync_line(task, mode, name)
        else:
            line = f"the {mode} failed: {error or 'the server gave no reason'}: {shown(name)}"
        if not self._invocation.json:
            tell_skipped(task.skipped)
        lines = [line, *conflict_lines(self._invocation, name, task.conflicts, task.conflicts_total)]
        self._invocation.tell("\n".join(lines), "synced", **facts, error=error, **sync_facts(task))

    def _name(self, context_id: str) -> str:
        if context_id not in self._names:
            try:
                self._names[context_id] = self._client.contexts.get(context_id=context_id).context.name
            except NotFoundError:
                self._names[context_id] = context_id
            except CtxmgrError:
                return context_id
        return self._names[context_id]

    def _complain(self, sentence: str) -> None:
        """Tell of a problem once, until it is over or another one comes."""
        if sentence != self._problem:
            self._problem = sentence
            note(f"ctxmgr: {one_line(sentence)}")
