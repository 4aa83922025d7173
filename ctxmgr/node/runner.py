"""The tasks of a node: which session works where, what runs, and what became of it."""

from __future__ import annotations

import logging
import threading
import time
from functools import partial
from pathlib import Path
from typing import Final

from ctxmgr import nodewire
from ctxmgr.engine.archives.cache import ArchiveCache
from ctxmgr.engine.policy.mounts import joined
from ctxmgr.engine.sync.progress import Monitor
from ctxmgr.engine.sync.run import Syncs
from ctxmgr.engine.sync.task import Task, TaskInterrupted
from ctxmgr.engine.workspace.nodefolder import NodeFolder
from ctxmgr.errors import CtxmgrError, ServiceError
from ctxmgr.nodewire.objects import task_of
from ctxmgr.reasons import reason
from ctxmgr.workers import Workers

from .contextstore import HttpContextStore
from .door import Door, Unreachable
from .events import Event, Listener
from .manifests import Manifests
from .questions import answer_to
from .reports import Reports

__all__ = ["Runner"]

_log = logging.getLogger("ctxmgr")

SYNCS_AT_A_TIME: Final = 2
ANSWERING_SECONDS: Final = 30.0
STRANGER_SECONDS: Final = 60.0
"""How long a task may wait for its session to be known here: who makes one hears of it a moment after its tasks do."""


class Runner:
    """Runs tasks on a few threads, those of one directory in order. Used by several threads at once."""

    def __init__(
        self, door: Door, place: str, node_id: str, welcome: nodewire.Welcome, folder: Path, listener: Listener
    ) -> None:
        """Run tasks that come through a door.

        Args:
            place: names the service and the account there.
            node_id: whose they are.
            welcome: what holds at the service.
            folder: the node's, with its places made.
            listener: hears which tasks are over.
        """
        self._door = door
        self._listener = listener
        self._node_id = node_id
        places = NodeFolder(folder)
        self._manifests = Manifests(folder / "manifests")
        self._store = HttpContextStore(door, welcome, self._manifests)
        self._archives = ArchiveCache(places.archives)
        self._syncs = Syncs(self._store, places, place)
        self._workers = Workers(SYNCS_AT_A_TIME, "ctxmgr-node-sync")
        self._answering = Workers(1, "ctxmgr-node-answer")
        self._guard = threading.Lock()
        self._roots: dict[str, str] = {}
        self._live: dict[str, Monitor] = {}
        self._stopped: set[str] = set()
        self._strangers: dict[str, tuple[Task, float]] = {}
        self._failed: dict[str, str] = {}
        self._asked: set[str] = set()
        self._settled = threading.Event()

    def add(self, session_id: str, root: str) -> None:
        """Have a session's tasks run in a directory: only what is added is ever touched, whatever a service asks for.

        Args:
            root: the directory's real path.
        """
        with self._guard:
            self._roots[session_id] = root
            waiting = [task for task, _ in self._strangers.values() if task.session_id == session_id]
            for task in waiting:
                del self._strangers[task.id]
        for task in waiting:
            self._submit(task, root)

    def remove(self, session_id: str) -> None:
        """Run no more tasks of a session."""
        with self._guard:
            self._roots.pop(session_id, None)

    def root_of(self, session_id: str) -> str | None:
        """Return the directory of a session; ``None`` for one that is not here."""
        with self._guard:
            return self._roots.get(session_id)

    def sessions(self) -> set[str]:
        """Return the ids of the sessions that are here."""
        with self._guard:
            return set(self._roots)

    def given(self) -> list[str]:
        """Return the ids of the tasks that came here and whose end the service does not know yet."""
        with self._guard:
            return [*(self._live.keys() - self._stopped), *self._strangers, *self._failed]

    def take(self, taken: nodewire.Taken) -> bool:
        """Begin what there is to do and stop what is not this node's any more; return whether there is anything new."""
        for task_id in taken.stop:
            self._stop(task_id)
        self._settled.clear()
        new = [self._accept(task_of(message, self._node_id)) for message in taken.tasks]
        for question in taken.questions:
            new.append(question.id not in self._asked)
            if question.id not in self._asked:
                self._asked.add(question.id)
                self._answering.submit(question.id, partial(self._answer, question))
        self._fail_strangers()
        for task_id, error in list(self._failed.items()):
            self._fail(task_id, error)
        return any(new)

    def settle(self, seconds: float) -> None:
        """Wait until something that is being answered or stopped is through, so long at most."""
        self._settled.wait(seconds)

    def finish(self, grace: float) -> bool:
        """Begin nothing more, and wait for what runs; return whether all of it ended in time.

        Args:
            grace: seconds.
        """
        self._answering.close()
        self._workers.close()
        return self._workers.wait(grace)

    def stop(self) -> None:
        """Have what runs stopped at its next step."""
        for monitor in list(self._live.values()):
            monitor.stop()

    def _stop(self, task_id: str) -> None:
        with self._guard:
            self._strangers.pop(task_id, None)
            monitor = self._live.get(task_id)
            if monitor is not None:
                self._stopped.add(task_id)
        if monitor is not None:
            monitor.stop()

    def _accept(self, task: Task) -> bool:
        with self._guard:
            if task.id in self._live or task.id in self._strangers or task.id in self._failed:
                return False
            root = self._roots.get(task.session_id)
            if root is None:
                self._strangers[task.id] = (task, time.monotonic() + STRANGER_SECONDS)
                return True
        self._submit(task, root)
        return True

    def _submit(self, task: Task, root: str) -> None:
        with self._guard:
            if task.id in self._live:
                return
            self._live[task.id] = Monitor(Reports(partial(self._store.report, task)))
        if not self._workers.submit(joined(root, task.mount), partial(self._run, task, root)):
            self._live.pop(task.id, None)

    def _run(self, task: Task, root: str) -> None:
        try:
            self._syncs.run(task, root, self._live[task.id])
        except TaskInterrupted:
            pass  # who ended it has said why; and of what the node's end interrupts, leaving tells
        except Exception as error:
            if not isinstance(error, (CtxmgrError, OSError)):
                _log.info("task %s failed", task.id, exc_info=True)
            self._fail(task.id, reason(error))
        finally:
            with self._guard:
                self._live.pop(task.id, None)
                self._stopped.discard(task.id)
            self._settled.set()
        self._listener(Event("synced", task.session_id, task.id))
        self._tidy()

    def _tidy(self) -> None:
        try:
            self._archives.forget_old()
            self._manifests.forget_old()
        except OSError as error:
            _log.info("what was remembered of archives can't be removed: %s", error)

    def _fail(self, task_id: str, error: str) -> None:
        try:
            self._door.call(nodewire.Fail(self._node_id, task_id, error), nodewire.Done, patience=0)
        except TaskInterrupted:
            pass
        except Unreachable:
            self._failed[task_id] = error
            return
        except ServiceError as refusal:
            _log.warning("the service refuses to hear that task %s failed (%s): %s", task_id, error, refusal)
        self._failed.pop(task_id, None)

    def _fail_strangers(self) -> None:
        now = time.monotonic()
        with self._guard:
            late = [task for task, end in self._strangers.values() if now > end]
            for task in late:
                del self._strangers[task.id]
        for task in late:
            self._fail(task.id, f"this process does not have the directory of the session {task.session_id}")

    def _answer(self, question: nodewire.Question) -> None:
        root = self.root_of(question.session)
        try:
            answer = answer_to(question, root, self._syncs, self._node_id)
            self._door.call(answer, nodewire.Done, patience=ANSWERING_SECONDS)
        except (TaskInterrupted, ServiceError) as error:
            _log.info("a plan that was asked for could not be told: %s", error)
        finally:
            self._asked.discard(question.id)
            self._settled.set()
